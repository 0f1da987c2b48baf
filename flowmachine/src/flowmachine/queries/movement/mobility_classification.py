"""Label each subscriber's mobility by a series of locations."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.places.coalesced_location import CoalescedLocation
from flowmachine.spec.fields import Integer, required
from flowmachine.spec.nested import NestedList
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import same_unit


@query_kind(
    "mobility_classification", summary="A label per subscriber, by how they moved over several periods."
)
class MobilityClassification(Sampled, SubscriberMetric):
    """Label each subscriber of the last of ``locations`` by mobility.

    ``locations`` are in the order of time. The first label that holds counts.

    ``unlocated``: the last location is null. ``irregular``: some input lacks the subscriber.
    ``not_always_locatable``: some location is null. ``mobile``: the longest stay, in consecutive inputs at
    one location, is below ``stay_length_threshold``. ``stable``: otherwise.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Text()}

    locations: tuple[CoalescedLocation, ...] = required(
        NestedList("coalesced_location"), "One per period, in order of time."
    )
    stay_length_threshold: int = required(Integer(), "Periods at one location that make a subscriber stable.")

    def check(self) -> None:
        same_unit("All locations must have the same aggregation unit", *self.locations, field="locations")

    def select(self, sources: Sources) -> Select[Any]:
        inputs = [
            sa.select(located.c.subscriber, located.c.location, sa.literal(position).label("position"))
            for position, located in enumerate(sources.stored(query) for query in self.locations)
        ]
        series = sa.union_all(*inputs).subquery("series")
        # Within a stay, the position and the rank among the rows of its location grow together.
        rank = sa.func.row_number().over(
            partition_by=[series.c.subscriber, series.c.location], order_by=series.c.position
        )
        ranked = sa.select(series, (series.c.position - rank).label("stay")).subquery("ranked")
        stays = (
            sa.select(
                ranked.c.subscriber,
                ranked.c.location,
                sa.func.count().label("length"),
                sa.func.max(ranked.c.position).label("last"),
            )
            .group_by(ranked.c.subscriber, ranked.c.location, ranked.c.stay)
            .subquery("stays")
        )
        now = len(self.locations) - 1
        nowhere = stays.c.location.is_(None)
        return (
            sa.select(
                stays.c.subscriber,
                sa.case(
                    (
                        sa.func.count(sa.case((sa.and_(nowhere, stays.c.last == now), 1))) > 0,
                        sa.literal("unlocated"),
                    ),
                    (sa.func.sum(stays.c.length) < len(self.locations), sa.literal("irregular")),
                    (sa.func.count(sa.case((nowhere, 1))) > 0, sa.literal("not_always_locatable")),
                    (sa.func.max(stays.c.length) < self.stay_length_threshold, sa.literal("mobile")),
                    else_=sa.literal("stable"),
                ).label("value"),
            )
            .group_by(stays.c.subscriber)
            .having(sa.func.max(stays.c.last) == now)
        )
