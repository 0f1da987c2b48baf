"""Measure how far each subscriber moves from event to event."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import STATISTICS, statistic
from flowmachine.queries.movement._sequence import Jumping, jumps
from flowmachine.spec.fields import Choice, Flag, optional, required
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled


@query_kind(
    "jump_lengths", summary="A statistic of the distances in km between each subscriber's successive events."
)
class JumpLengths(Jumping, Sampled, SubscriberMetric):
    """Take a statistic of the distances between successive events.

    Distances are km on the spheroid. Both events of a jump lie in the window, or the first is the last event
    of the ``look_back_days`` before it. Subscribers without a jump have no row, for ``count`` as well.
    ``max`` is scikit-mobility's ``maximum_distance``.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}

    statistic: str = required(Choice(*STATISTICS))
    exclude_zero: bool = optional(Flag(), False, "Leave out jumps to the same place.")

    def select(self, sources: Sources) -> Select[Any]:
        found = jumps(sources, self, self.start_date)
        counted = found.c.km > 0 if self.exclude_zero else found.c.km.is_not(None)
        value = sa.cast(statistic(self.statistic, found.c.km), sa.Double)
        return sa.select(found.c.subscriber, value.label("value")).where(counted).group_by(found.c.subscriber)
