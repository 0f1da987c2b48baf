"""List where each subscriber was, day by day."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.places.daily_location import DailyLocation
from flowmachine.spec.fields import required
from flowmachine.spec.nested import NestedList
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.spec.windows import same_unit


@query_kind("day_trajectories", direct=True)
class DayTrajectories(Query):
    """List the rows of all daily locations with the start of each as ``date``.

    A day given twice is listed twice.
    """

    columns: ClassVar[dict[str, Any]] = {
        "subscriber": sa.Text(),
        "location": sa.Integer(),
        "date": sa.DateTime(),
    }
    order: ClassVar[tuple[str, ...]] = ("subscriber", "date")

    locations: tuple[DailyLocation, ...] = required(NestedList("daily_location"))

    def check(self) -> None:
        same_unit("All locations must have the same aggregation unit", *self.locations, field="locations")

    @property
    def unit(self) -> SpatialUnit:
        return self.locations[0].unit

    def select(self, sources: Sources) -> Select[Any]:
        days = []
        for daily in self.locations:
            located = sources.stored(daily)
            date = sa.literal(daily.date, sa.DateTime).label("date")
            days.append(sa.select(located.c.subscriber, located.c.location, date))
        return sa.select(sa.union_all(*days).subquery("days"))
