"""Locate each subscriber where they were most often."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.places._locating import modal_location
from flowmachine.queries.places.daily_location import DailyLocation
from flowmachine.spec.fields import required
from flowmachine.spec.nested import NestedList
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Sources, SubscriberLocations, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import same_unit


@query_kind("modal_location", summary="One location per subscriber: the most frequent among daily locations.")
class ModalLocation(Sampled, SubscriberLocations):
    """Find the location that most of the daily locations name.

    Ties go to the location named latest, then to the location that sorts first.
    """

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
        dates = sorted({daily.date for daily in self.locations})
        turns = {date: turn for turn, date in enumerate(dates)}
        stays = []
        for daily in self.locations:
            located = sources.stored(daily)
            turn = sa.literal(turns[daily.date], sa.Integer).label("turn")
            stays.append(sa.select(located.c.subscriber, located.c.location, turn))
        return modal_location(
            sa.union_all(*stays).subquery("stays"),
            turns=len(self.locations),
            regions=sources.region_count(self.unit),
        )
