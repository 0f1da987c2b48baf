"""Hold a query on a server: its specification and its state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flowclient import display, operations, results
from flowclient.caller import warn_caller
from flowclient.checks import missing_days_told
from flowclient.errors import FlowclientConnectionError, QueryNotFoundError
from flowclient.exchange import Operation, Pause
from flowclient.progress import PartsBar
from flowclient.server import Server
from flowclient.values import plain


class APIQuery:
    """A query of a FlowKit server.

    Parameters
    ----------
    connection : Connection
        The server.
    parameters : dict
        The query's specification, such as :func:`flowclient.aggregates.spatial_aggregate_spec` returns.
    """

    def __init__(self, *, connection: Server, parameters: Mapping[str, Any]) -> None:
        self._connection = connection
        self.parameters: dict[str, Any] = dict(parameters)
        self._query_id: str | None = None
        self._last_seen = "not_running"
        self._missing_days: dict[str, list[str]] | None = None

    @property
    def connection(self) -> Server:
        """Return the server that this query belongs to."""
        return self._connection

    @property
    def query_id(self) -> str | None:
        """Return the server's id of this query, None before it was run."""
        return self._query_id

    @property
    def last_seen(self) -> str:
        """The status that the server last reported; asks nothing."""
        return self._last_seen

    def __repr__(self) -> str:
        module, name = type(self).__module__, type(self).__name__
        return f"<{module}.{name} object, connection={self.connection!r}, parameters={self.parameters}>"

    def _repr_html_(self) -> str:
        return display.query_card(self.parameters, status=self.last_seen, query_id=self.query_id)

    def __str__(self) -> str:
        return display.query_line(self.parameters, status=self.last_seen)

    def __dir__(self) -> list[str]:
        """What there is for scripts; operations are for the shells that perform them."""
        return [name for name in super().__dir__() if not name.endswith("_operation")]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, APIQuery):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, int, str]:
        return (self.connection.url, self.connection.api_version, self.to_json())

    def to_json(self) -> str:
        """Return the parameters as JSON text, the same text for the same parameters."""
        return json.dumps(plain(self.parameters), sort_keys=True)

    @classmethod
    def from_json(cls, *, connection: Server, text: str) -> APIQuery:
        """Return the query whose parameters were written by :meth:`to_json`."""
        return cls(connection=connection, parameters=json.loads(text))

    # -- blocking ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Ask the server to run this query. Safe to repeat."""
        self.connection.perform(self.run_operation())

    @property
    def status(self) -> str:
        """Return ``not_running``, ``queued``, ``executing`` or ``completed``.

        A query that failed raises.
        """
        return self.connection.perform(self._status())

    @property
    def progress(self) -> dict[str, int]:
        """Return the parts still ``eligible`` to run, ``queued`` and ``running``.

        All are 0 when the result is available.
        """
        return self.connection.perform(self._progress())

    def job_progress(self, poll_interval: float = 1) -> Iterator[dict[str, int]]:
        """Yield :attr:`progress` until no part is left, for a display of one's own."""
        while True:
            progress = self.progress
            yield progress
            if not any(progress.values()) and self.last_seen == "completed":
                return
            self.connection.perform(_pause(poll_interval))

    def wait_until_ready(
        self,
        poll_interval: float | None = 1,
        disable_progress: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        """Wait until the result is there.

        Parameters
        ----------
        poll_interval : float or None
            Seconds between two looks; None starts with short ones and grows them.
        disable_progress : bool or None
            True shows no progress bar, False always one, None one on a terminal or in a notebook.
        timeout : float or None
            Seconds after which to stop waiting; the query keeps running.

        Raises
        ------
        FileNotFoundError
            If the query was never run.
        QueryFailedError, QueryCancelledError
            If it ends without a result.
        QueryTimeoutError
            If the timeout has passed.
        """
        self.connection.perform(self._wait(poll_interval, disable_progress, timeout))

    def get_result(
        self,
        format: str = "pandas",
        poll_interval: float | None = 1,
        disable_progress: bool | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Run the query if it was not, wait for it, and return its result.

        Parameters
        ----------
        format : str
            ``pandas`` for a DataFrame (its ``attrs["missing_days"]`` has the days without data, by event type;
            ``attrs["withheld"]`` why rows were withheld; ``attrs["repeats"]`` the earlier queries that this result repeats in
            rows or subsets), ``geojson`` for a FeatureCollection, ``geopandas`` for a GeoDataFrame in WGS 84, ``csv`` for
            text. Parquet and Arrow are not offered.
        poll_interval, disable_progress, timeout
            As in :meth:`wait_until_ready`.

        Raises
        ------
        ValueError
            If the format does not exist.
        FlowclientConnectionError
            As in :meth:`wait_until_ready`, and whatever the server refuses.

        Warns
        -----
        UserWarning
            Once, if there are no data of some of the days asked for.
        """
        return self.connection.perform(
            self.result_operation(format, poll_interval, disable_progress, timeout)
        )

    def cancel(self) -> dict[str, Any]:
        """Stop the query on the server and return ``query_id`` and ``query_state``."""
        return self.connection.perform(self._cancel())

    def explain(self) -> dict[str, Any]:
        """Return what running the query would take, without running it.

        Returns
        -------
        dict
            ``parts`` to run, those ``stored`` already, the ``days`` covered, the ``missing_days`` without data, and
            ``forecast_seconds``, and the server's release ``floor``: rows of as many subscribers or fewer are withheld.
            ``near`` lists earlier answers that this one may be near to, each with ``query_id`` and ``reason``:
            ``subset`` if the subset of that query is used, ``twin`` if rows that differ by few repeat its rows,
            ``total`` or ``part`` if rows may be withheld beside it.
        """
        return self.connection.perform(operations.explain(self.connection, self.parameters))

    def check(self) -> list[str]:
        """Return expected refusals and days without data, a line each; run nothing.

        Looked at are, by the server's published description, the fields, their words, dates and nested kinds; that spans
        are not reversed; that the locations of a list, of flows and of coalesced locations have one aggregation unit; the
        scopes that the token's closest role lacks; and, if the token allows that, the days with data of the event
        types read. Mobile money has no such days. Nothing of this is looked at unless asked for.
        """
        return self.connection.perform(operations.check(self.connection, self.parameters))

    def to_geodataframe(self, result: Any = None, keep_redacted: bool = True) -> Any:
        """Return the result with its geometry.

        Parameters
        ----------
        result : pandas.DataFrame, optional
            A result fetched before; fetched now if absent.
        keep_redacted : bool
            Whether areas without a row are kept, their column ``withheld`` True: too few subscribers, or none.

        Returns
        -------
        geopandas.GeoDataFrame
            In WGS 84: areas, or for kinds with an origin and a destination the lines between them.
        """
        return self.connection.perform(self._geodataframe(result, keep_redacted))

    def plot(
        self,
        column: str = "value",
        kind: str | None = None,
        where: Mapping[str, Any] | None = None,
        by: str | None = None,
        **options: Any,
    ) -> Any:
        """Draw the result as a map with matplotlib and return its axes.

        Areas are shaded by ``column``; those without a row are grey and hatched. Flows are bent arrows over the areas'
        outlines, wider for more, the ends of the widest named. No area is drawn twice: a result of several hours,
        days or labels needs ``where`` or ``by``.

        Parameters
        ----------
        column : str
            What to draw.
        kind : str, optional
            ``areas`` or ``lines``; by default what the result is.
        where : mapping, optional
            The rows to draw, as a value for each of some columns, such as ``{"date": "2016-01-01", "hour": 8}``.
        by : str, optional
            The column, such as ``hour``, of which each value gets a map; hours and days without a row get theirs, too.
        **options
            Passed on to geopandas.

        Returns
        -------
        matplotlib.axes.Axes
            With ``by`` an array of them.

        Raises
        ------
        ValueError
            If a place has several rows on one map, or a column or value is not in the result.
        """
        from flowclient import maps

        panels = self.connection.perform(self._panels(column, where, by))
        return maps.plot(panels, column=column, kind=kind, **options)

    def explore(self, column: str = "value", where: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Return the result as an interactive map that opens without a network.

        The map is a :class:`folium.Map`.

        Parameters
        ----------
        column, where
            As in :meth:`plot`.
        **options
            Passed on to folium; ``tiles=...`` names a background, which needs the internet.
        """
        from flowclient import maps

        [panel] = self.connection.perform(self._panels(column, where, None))
        return maps.explore(panel, column=column, **options)

    # -- operations --------------------------------------------------------------------------------------------

    def run_operation(self) -> Operation[None]:
        self._query_id = yield from operations.run_query(self.connection, self.parameters)
        if self._last_seen != "completed":
            self._last_seen = "queued"

    def _status(self) -> Operation[str]:
        if self._query_id is None:
            return "not_running"
        self._last_seen = yield from operations.get_status(self.connection, self._query_id)
        return self._last_seen

    def _progress(self) -> Operation[dict[str, int]]:
        ready, reply = yield from operations.poll(self.connection, self._known_id())
        self._last_seen = "completed" if ready else "executing"
        return dict.fromkeys(("eligible", "queued", "running"), 0) if ready else operations.progress_in(reply)

    def _wait(
        self, poll_interval: float | None, disable_progress: bool | None, timeout: float | None
    ) -> Operation[None]:
        query_id = self._known_id()
        yield from operations.wait_until_ready(
            self.connection, query_id, poll_interval, disable_progress, timeout
        )
        self._last_seen = "completed"

    def result_operation(
        self,
        format: str = "pandas",
        poll_interval: float | None = 1,
        disable_progress: bool | None = None,
        timeout: float | None = None,
        bar: PartsBar | None = None,
    ) -> Operation[Any]:
        results.check_format(format)
        fetch = (format, poll_interval, disable_progress, timeout, bar)
        if self._query_id is None:
            yield from self.run_operation()
        try:
            return (yield from self._fetched(*fetch))
        except FileNotFoundError:
            # The server has forgotten the query or its result; submitting again recreates both.
            yield from self.run_operation()
            return (yield from self._fetched(*fetch))

    def _fetched(
        self,
        format: str,
        poll_interval: float | None,
        disable_progress: bool | None,
        timeout: float | None,
        bar: PartsBar | None,
    ) -> Operation[Any]:
        location = yield from operations.result_location(
            self.connection, self._known_id(), poll_interval, disable_progress, timeout, bar
        )
        self._last_seen = "completed"
        result = yield from results.fetch(self.connection, location, format, self.parameters)
        if hasattr(result, "attrs"):
            yield from self._note_missing_days(result)
        return result

    def _note_missing_days(self, result: Any) -> Operation[None]:
        """Add days without data to a table and warn once.

        A server that does not know them leaves them out.
        """
        if self._missing_days is None:
            try:
                explained = yield from operations.explain(self.connection, self.parameters)
            except (FlowclientConnectionError, FileNotFoundError):
                return
            self._missing_days = dict(explained.get("missing_days") or {})
            if self._missing_days:
                warn_caller(missing_days_told(self._missing_days))
        result.attrs["missing_days"] = {name: list(days) for name, days in self._missing_days.items()}

    def _cancel(self) -> Operation[dict[str, Any]]:
        reply = yield from operations.cancel(self.connection, self._known_id())
        self._last_seen = str(reply.get("query_state", self._last_seen))
        return reply

    def _geodataframe(self, result: Any, keep_redacted: bool) -> Operation[Any]:
        from flowclient import maps

        result, geography = yield from self._with_geography(result)
        return maps.located(result, geography, keep_redacted=keep_redacted)

    def _panels(self, column: str, where: Mapping[str, Any] | None, by: str | None) -> Operation[Any]:
        from flowclient import maps

        result, geography = yield from self._with_geography(None)
        return maps.panels(result, geography, column=column, where=where, by=by)

    def _with_geography(self, result: Any) -> Operation[tuple[Any, dict[str, Any]]]:
        from flowclient import maps
        from flowclient.units import unit_of

        maps.require_geopandas()
        unit = unit_of(self.parameters)
        if unit is None:
            raise ValueError(f"A result of {self.parameters.get('query_kind')} has no places.")
        if result is None:
            result = yield from self.result_operation()
        return result, (yield from operations.get_geography(self.connection, unit))

    def _known_id(self) -> str:
        if self._query_id is None:
            raise QueryNotFoundError("Query is not running.")
        return self._query_id


def _pause(seconds: float) -> Operation[None]:
    yield Pause(seconds)
