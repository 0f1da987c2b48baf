"""Measure how far each subscriber travels."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.movement._sequence import Jumping, jumps
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled


@query_kind(
    "distance_travelled", summary="The distance in km that each subscriber travels from event to event."
)
class DistanceTravelled(Jumping, Sampled, SubscriberMetric):
    """Add up the distances between successive events.

    Distances are km on the spheroid, of the jumps of ``jump_lengths``. Subscribers with one event have 0. With
    ``max_gap_hours`` 168 and ``look_back_days`` 7, the mean and the deviation by home are the World Bank's
    mobility indicators 7 and 8.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}

    def select(self, sources: Sources) -> Select[Any]:
        found = jumps(sources, self, self.start_date)
        travelled = sa.func.coalesce(sa.func.sum(found.c.km), 0.0)
        return sa.select(found.c.subscriber, travelled.label("value")).group_by(found.c.subscriber)
