"""Find when each subscriber was first seen at a place."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.fields import Choice, Listed, Text, optional
from flowmachine.spec.places import DIRECT_UNITS, UNITS
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.units import NetworkUnit
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events
from flowmachine.sql.functions import first_by, microseconds


class Places(Listed):
    """Accept names of places, one or several, or ``any``, which is null."""

    def __init__(self) -> None:
        super().__init__(Text())

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value == "any":
            return None
        named = [value] if isinstance(value, str) else value
        return super()._deserialize(named, attr, data, **kwargs)

    def _validate(self, value: Any) -> None:
        if value is not None:
            super()._validate(value)

    def settle(self, value: list[str]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))


@query_kind("first_location", direct=True)
class FirstLocation(Window, EventFields, NetworkUnit, Query):
    """Find when each subscriber was first seen at one of the places ``location``.

    Times are on the wall clock. ``any`` means any place. A place is named by the first id column of its unit:
    ``location_id``, ``site_id`` or ``pcod``. Subscribers not seen there have no row.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "time": sa.DateTime()}

    location: tuple[str, ...] | None = optional(Places())
    aggregation_unit: str = optional(Choice(*UNITS, *DIRECT_UNITS), "cell")

    def check(self) -> None:
        super().check()
        if self.location is not None and self.aggregation_unit == "lon-lat":
            raise ma.ValidationError({"location": ["Places of aggregation_unit lon-lat have no names."]})

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(sources, self.events[0], self.unit, ("time", "local_time"))
        # The least wall-clock time may belong to a later event where clocks are put back.
        first = first_by(located.c.local_time, -microseconds(located.c.time))
        statement = sa.select(located.c.subscriber, first.label("time")).group_by(located.c.subscriber)
        if self.location is None:
            return statement
        regions = sources.regions(self.unit)
        name = regions.c[next(iter(self.unit.id_columns))]
        there = sa.select(regions.c.location).where(name.in_(self.location))
        return statement.where(located.c.location.in_(there))
