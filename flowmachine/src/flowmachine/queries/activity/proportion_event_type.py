"""Measure the share of each subscriber's events that are of some types."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.fields import Choice, EventTypes, optional, required
from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.windows import Directed, EventFields, Window, window_selection
from flowmachine.sql.events import select_events


@query_kind("proportion_event_type", direct=True)
class ProportionEventType(Window, Directed, EventFields, SubscriberMetric):
    """Divide a subscriber's events of some types, if any, by all of the subscriber's.

    ``numerator`` is among the event types, and ``numerator_direction`` is the direction of its events. Subscribers
    without such an event have no row (the same in the reference).
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}
    reads_cells: ClassVar[bool] = False

    numerator: tuple[str, ...] = required(EventTypes())
    numerator_direction: str = optional(Choice("in", "out", "both"), "both")

    def check(self) -> None:
        super().check()
        known = self.events[0].types
        if any(name not in known for name in self.numerator):
            raise ma.ValidationError({"numerator": [f"Must be among the event types: {', '.join(known)}."]})

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        def counted(selection: EventSelection, direction: str, name: str) -> Any:
            events = select_events(sources, selection, (), direction=direction)
            return (
                sa.select(events.c.subscriber, sa.cast(sa.func.count(), sa.Double).label("events"))
                .group_by(events.c.subscriber)
                .subquery(name)
            )

        whole = self.events[0]
        part = counted(replace(whole, event_types=self.numerator), self.numerator_direction, "part")
        all_ = counted(whole, self.direction, "whole")
        return sa.select(all_.c.subscriber, (part.c.events / all_.c.events).label("value")).join(
            part, part.c.subscriber == all_.c.subscriber
        )
