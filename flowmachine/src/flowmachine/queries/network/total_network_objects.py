"""Count cells in use at each location over time."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import EventSelection, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.functions import as_instant
from flowmachine.sql.tallies import tally_cells


@query_kind("total_network_objects", summary="The number of cells in use at each location, over time.")
class TotalNetworkObjects(Window, Unit, EventFields, Aggregate):
    """Count distinct cells with an event, at each location and in each period.

    Periods without events are left out. A row is judged by the subscribers behind those events, because the
    use of a cell at some time reveals a place.
    """

    columns: ClassVar[dict[str, Any]] = {
        "location": sa.Integer(),
        "datetime": sa.DateTime(timezone=True),
        "value": sa.BigInteger(),
        "subscribers": sa.BigInteger(),
    }
    uncompared: ClassVar[str | None] = "a row is a period of all events, and not a group of subscribers"
    reads_tallies: ClassVar[bool] = True

    total_by: str = optional(Choice("second", "minute", "hour", "day", "month", "year"), "day")

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        counts = tally_cells(sources, self.events[0], self.unit, self.total_by)
        return sa.select(
            counts.c.location,
            as_instant(counts.c.period).label("datetime"),
            counts.c.cells.label("value"),
            counts.c.subscribers,
        )

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit),
                Value("value", sa.BigInteger()),
                Value("datetime", sa.DateTime(timezone=True)),
            ),
            # May be fewer than the true number, on the same side of the floor: see ``tallies._judged``.
            KeepOver("subscribers"),
            (*self.unit.id_columns, "datetime"),
        )
