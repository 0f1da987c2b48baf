"""Share code among the kinds about top-ups."""

from __future__ import annotations

from typing import ClassVar

from flowmachine.queries._statistics import STATISTICS
from flowmachine.spec.fields import Choice, HourInterval, Hours, optional, required
from flowmachine.spec.nested import SubscriberSubset
from flowmachine.spec.query import EventSelection, Query, field_group
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import HOURS, SUBSET, Window


@field_group
class Topups(Window, Sampled):
    """Hold the fields of kinds that take a statistic of top-ups."""

    reads_cells: ClassVar[bool] = False

    statistic: str = required(Choice(*STATISTICS))
    subscriber_subset: Query | None = optional(SubscriberSubset(), doc=SUBSET)
    hours: HourInterval | None = optional(Hours(), doc=HOURS)

    @property
    def events(self) -> tuple[EventSelection]:
        return (
            EventSelection(self.start_date, self.end_date, ("topups",), self.hours, self.subscriber_subset),
        )
