"""Measure how much of each subscriber's activity is at night."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.fields import EventTypes, HourInterval, Hours, optional, required
from flowmachine.spec.nested import SubscriberSubset
from flowmachine.spec.query import EventSelection, Query, Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import EVENT_TYPES, SUBSET, Window, window_selection
from flowmachine.sql.events import in_hours, select_events


@query_kind(
    "nocturnal_events",
    sql_version=2,
    summary="The percentage of each subscriber's events that fall in the night.",
)
class NocturnalEvents(Window, Sampled, SubscriberMetric):
    """Compute the percentage (0 to 100) of each subscriber's events at night.

    A night that begins and ends at the same hour is the whole day, unlike such ``hours`` of other kinds. A
    start at 24 is midnight.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}
    reads_cells: ClassVar[bool] = False

    night_hours: HourInterval = required(
        Hours(latest_start=24), "Hours at which the night starts and ends.", keyword="hours"
    )
    event_types: tuple[str, ...] | None = optional(EventTypes(), doc=EVENT_TYPES)
    subscriber_subset: Query | None = optional(SubscriberSubset(), doc=SUBSET)

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        events = select_events(sources, self.events[0], ("local_time",))
        night = self.night_hours
        whole_day = night.start_hour == night.end_hour
        inside = sa.true() if whole_day else in_hours(night, events.c.local_time)
        at_night = sa.case((inside, 100.0), else_=0.0)
        share = sa.func.avg(sa.cast(at_night, sa.Double))
        return sa.select(events.c.subscriber, share.label("value")).group_by(events.c.subscriber)
