"""Share code among the kinds about durations of calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries._statistics import STATISTICS, statistic, statistic_type
from flowmachine.spec.fields import Choice, HourInterval, Hours, optional
from flowmachine.spec.nested import SubscriberSubset
from flowmachine.spec.query import EventSelection, Query, field_group
from flowmachine.spec.windows import Window


@field_group
class CallDurations(Window):
    """Hold the fields of kinds that take a statistic of calls' seconds."""

    direction: str = optional(Choice("in", "out", "both"), "out")
    statistic: str = optional(Choice(*STATISTICS), "sum")
    subscriber_subset: Query | None = optional(SubscriberSubset())
    hours: HourInterval | None = optional(Hours())

    @property
    def events(self) -> tuple[EventSelection]:
        return (
            EventSelection(self.start_date, self.end_date, ("calls",), self.hours, self.subscriber_subset),
        )

    def with_value(self, keys: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result's columns: the keys with their types, and ``value``."""
        return {**keys, "value": statistic_type(self.statistic, sa.Double())}

    def durations(self, calls: FromClause, *keys: ColumnElement[Any]) -> Select[Any]:
        """Take the statistic of ``duration`` for each combination of the keys."""
        value = statistic(self.statistic, calls.c.duration)
        return sa.select(*keys, value.label("value")).group_by(*keys)
