"""Say what a report's page asks, reads and draws."""

from __future__ import annotations

import datetime
import keyword
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

import flowclient
from flowclient import pages
from flowclient.pages.languages import LOCALES
from flowclient.pages.mobility import ABOVE, COMMUTING
from flowclient.pages.quality import BAND_WEEKS
from flowclient.reports.arguments import Argument, Strict

if TYPE_CHECKING:
    from flowclient.api_query import APIQuery
    from flowclient.connection import Connection

Language = Annotated[str, Field(pattern=f"^(?:{'|'.join(LOCALES)})$")]
Unit = Literal["admin1", "admin2", "admin3"]
_DAY = datetime.timedelta(days=1)
_WEEK = 7 * _DAY
#: What each page needs of a token, besides its own rights.
_ALWAYS = ("run", "get_result", "get_available_dates")


#: Names that a notebook gets beside the definition's parameters: the period, and what its pages need.
GIVEN = ("period_start", "period_end", "languages", "notes")

#: Kinds that homes are made of.
_HOMES = ("modal_location", "daily_location")
#: Kinds that tell of moves between homes.
_MOVES = ("flows", "outflows", "inflows")


def _query(unit: str, kind: str, *within: str) -> list[str]:
    """Return the rights to a kind of query and to the kinds within it."""
    return [f"{unit}:{kind}:{each}" for each in (kind, *within)]


class Parameters(Strict):
    """Hold the arguments of a report's body, and say what making it needs."""

    title: dict[Language, str] = Field(default_factory=dict)

    #: Event types whose loads decide what the page says; None is all.
    event_types: ClassVar[tuple[str, ...] | None] = pages.EVENT_TYPES
    #: The one script that a page may have, by its parts: one of these.
    scripts: ClassVar[tuple[tuple[str, ...], ...]]
    #: The one period that the page may have; None is any.
    period: ClassVar[str | None] = None

    @property
    def begins(self) -> datetime.date:
        """Return the first day that a period may lie in."""
        return datetime.date.min

    def problems(self, connection: Connection) -> list[str]:
        """Return what the server does not know of the arguments."""
        return []


class PageParameters(Parameters):
    """Hold the arguments of a page of the package."""

    def problems(self, connection: Connection) -> list[str]:
        unit = getattr(self, "aggregation_unit", None)
        units = [] if unit is None else flowclient.get_aggregation_units(connection=connection)
        # The published server does not list its scopes.
        if not units or unit in units:
            return []
        return [f"aggregation_unit = {unit!r} is not known to the server"]

    @abstractmethod
    def reads_from(self, start: datetime.date, end: datetime.date) -> datetime.date:
        """Return the first day that the page of a period reads."""

    @abstractmethod
    def scopes(self) -> list[str]:
        """Return the rights that the page needs."""

    @abstractmethod
    def questions(self, connection: Connection, start: datetime.date, end: datetime.date) -> list[APIQuery]:
        """Return the queries of a period's page without asking them."""

    @abstractmethod
    def collect(self, connection: Connection, start: datetime.date, end: datetime.date) -> Any:
        """Ask for what the page of a period shows; ``end`` is the first day after it."""

    @abstractmethod
    def render(self, data: Any, language: str, note: str = "") -> pages.Page:
        """Draw collected data in a language, with a person's words."""


class CrisisParameters(PageParameters):
    """Hold the arguments of :func:`flowclient.pages.collect_crisis`."""

    event: datetime.date
    baseline_weeks: int = Field(default=2, ge=1, le=52)
    aggregation_unit: Unit = "admin3"

    scripts = (("page", "map"),)

    @property
    def begins(self) -> datetime.date:
        return self.event

    def reads_from(self, start: datetime.date, end: datetime.date) -> datetime.date:
        return self.event - self.baseline_weeks * _WEEK

    def scopes(self) -> list[str]:
        unit = self.aggregation_unit
        return [
            *_ALWAYS,
            f"{unit}:geography:geography",
            *_query(unit, "spatial_aggregate", *_HOMES),
            *(scope for kind in _MOVES for scope in _query(unit, kind, *_HOMES)),
            *_query(unit, "displaced_counts", "displacement_status", *_HOMES),
            *_query("admin0", "unique_subscriber_counts"),
        ]

    def questions(self, connection: Connection, start: datetime.date, end: datetime.date) -> list[APIQuery]:
        asked = pages.crisis_questions(
            connection=connection,
            event=self.event,
            baseline_weeks=self.baseline_weeks,
            until=end,
            aggregation_unit=self.aggregation_unit,
        )
        return list((asked.country | asked.daily | asked.outcomes).values())

    def collect(self, connection: Connection, start: datetime.date, end: datetime.date) -> Any:
        return pages.collect_crisis(
            connection=connection,
            event=self.event,
            baseline_weeks=self.baseline_weeks,
            until=end,
            aggregation_unit=self.aggregation_unit,
            title=dict(self.title),
            disable_progress=True,
        )

    def render(self, data: Any, language: str, note: str = "") -> pages.Page:
        return pages.render(data, language, note=note)


class MobilityParameters(PageParameters):
    """Hold the arguments of :func:`flowclient.pages.collect_mobility`."""

    aggregation_unit: Unit = "admin3"

    period = "month"
    scripts = (("page", "map"),)

    def reads_from(self, start: datetime.date, end: datetime.date) -> datetime.date:
        return (start - _DAY).replace(day=1)

    def scopes(self) -> list[str]:
        unit, above = self.aggregation_unit, ABOVE[self.aggregation_unit]
        return [
            *_ALWAYS,
            *(f"{each}:geography:geography" for each in sorted({unit, COMMUTING})),
            *(
                scope
                for each in sorted({unit, above, "admin0"})
                for scope in _query(each, "active_residents", *_HOMES)
            ),
            *_query(unit, "spatial_aggregate", *_HOMES),
            *_query("admin0", "spatial_aggregate", "daily_location"),
            *(scope for kind in _MOVES for scope in _query(unit, kind, *_HOMES)),
            *_query(COMMUTING, "meaningful_locations_between_label_od_matrix"),
        ]

    def questions(self, connection: Connection, start: datetime.date, end: datetime.date) -> list[APIQuery]:
        asked = pages.mobility_questions(
            connection=connection, month=start, aggregation_unit=self.aggregation_unit
        )
        return list((asked.months | asked.daily).values())

    def collect(self, connection: Connection, start: datetime.date, end: datetime.date) -> Any:
        return pages.collect_mobility(
            connection=connection,
            month=start,
            aggregation_unit=self.aggregation_unit,
            title=dict(self.title),
            disable_progress=True,
        )

    def render(self, data: Any, language: str, note: str = "") -> pages.Page:
        return pages.render_mobility(data, language, note=note)


class QualityParameters(PageParameters):
    """Hold the arguments of :func:`flowclient.pages.collect_quality`."""

    weeks: int = Field(default=4, ge=1, le=12)
    late_hours: int = Field(default=24, ge=0, le=720)
    #: Of areas with silent cells; None asks for none.
    aggregation_unit: Unit | None = "admin3"

    event_types = None
    scripts = (("page",),)

    def reads_from(self, start: datetime.date, end: datetime.date) -> datetime.date:
        # The shown weeks end with the period.
        return end - (self.weeks + BAND_WEEKS) * _WEEK

    def scopes(self) -> list[str]:
        scopes = ["get_available_dates", "get_qa_checks"]
        if (unit := self.aggregation_unit) is None:
            return scopes
        silence = (f"{unit}:geography:geography", *_query(unit, "network_silence"))
        return [*scopes, "run", "get_result", *silence]

    def questions(self, connection: Connection, start: datetime.date, end: datetime.date) -> list[APIQuery]:
        if self.aggregation_unit is None:
            return []
        return [
            pages.silence_question(connection=connection, until=end, aggregation_unit=self.aggregation_unit)
        ]

    def collect(self, connection: Connection, start: datetime.date, end: datetime.date) -> Any:
        return pages.collect_quality(
            connection=connection,
            until=end,
            weeks=self.weeks,
            late_hours=self.late_hours,
            aggregation_unit=self.aggregation_unit,
            title=dict(self.title),
        )

    def render(self, data: Any, language: str, note: str = "") -> pages.Page:
        return pages.render_quality(data, language, note=note)


#: Parameters of each page by its name in ``body``.
CONTENTS: dict[str, type[PageParameters]] = {
    "crisis": CrisisParameters,
    "mobility-monthly": MobilityParameters,
    "data-quality": QualityParameters,
}


class NotebookParameters(Parameters):
    """Hold the arguments of a notebook by name, each with its type."""

    arguments: dict[str, Argument] = Field(default_factory=dict)

    #: Pages of the package, whichever it draws.
    scripts = tuple(sorted({one for each in CONTENTS.values() for one in each.scripts}))

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            "title": value.get("title", {}),
            "arguments": {name: one for name, one in value.items() if name != "title"},
        }

    @field_validator("arguments")
    @classmethod
    def _names(cls, value: dict[str, Argument]) -> dict[str, Argument]:
        for name in value:
            if not name.isidentifier() or keyword.iskeyword(name) or name in GIVEN:
                raise ValueError(f"{name!r} cannot be the name of a parameter")
        return value

    def problems(self, connection: Connection) -> list[str]:
        return [
            f"{name} = {unknown!r} is not known to the server"
            for name, argument in self.arguments.items()
            for unknown in argument.unknown(connection)
        ]
