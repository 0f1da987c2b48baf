"""Where each subscriber was most often."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.fields import NestedList, required
from flowmachine.queries.daily_location import DailyLocation
from flowmachine.registry import SubscriberLocations, query_kind
from flowmachine.sampling import Sampled
from flowmachine.sql.events import same_unit
from flowmachine.sql.functions import first_by
from flowmachine.sql.sources import Sources
from flowmachine.units import SpatialUnit


@query_kind("modal_location")
class ModalLocation(Sampled, SubscriberLocations):
    """The location that most of the daily locations name; of several the one named latest, then the one that sorts first."""

    locations: tuple[DailyLocation, ...] = required(
        NestedList("daily_location", component="InputToModalLocation")
    )

    def check(self) -> None:
        same_unit(
            "All inputs to modal_location should have the same aggregation unit",
            *self.locations,
            field="locations",
        )

    @property
    def unit(self) -> SpatialUnit:
        return self.locations[0].unit

    def select(self, sources: Sources) -> Select[Any]:
        days = []
        for daily in self.locations:
            located = sources.stored(daily)
            days.append(
                sa.select(located.c.subscriber, located.c.location, sa.literal(daily.date).label("date"))
            )
        stays = sa.union_all(*days).subquery("stays")
        visits = (
            sa.select(
                stays.c.subscriber,
                stays.c.location,
                sa.func.count().label("days"),
                sa.func.max(stays.c.date).label("latest"),
            )
            .group_by(stays.c.subscriber, stays.c.location)
            .subquery("visits")
        )
        return sa.select(
            visits.c.subscriber,
            first_by(visits.c.location, visits.c.days, visits.c.latest, -visits.c.location).label("location"),
        ).group_by(visits.c.subscriber)
