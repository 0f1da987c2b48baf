"""Where each subscriber was most often."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.fields import NestedList, required
from flowmachine.queries._locating import modal_location
from flowmachine.queries.daily_location import DailyLocation
from flowmachine.registry import SubscriberLocations, query_kind
from flowmachine.sampling import Sampled
from flowmachine.sql.events import same_unit
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
        return modal_location(sa.union_all(*days).subquery("stays"))
