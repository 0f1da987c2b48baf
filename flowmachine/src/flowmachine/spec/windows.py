"""Define the fields of kinds over a window of events."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import marshmallow as ma

from flowmachine.spec.fields import Choice, EventTypes, HourInterval, Hours, Moment, optional, required
from flowmachine.spec.nested import SubscriberSubset
from flowmachine.spec.query import EventSelection, Query, field_group
from flowmachine.spec.steps import Steps

#: Meanings of the fields of kinds that read events.
EVENT_TYPES = "Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms."
SUBSET = "Only these subscribers: a query's id or specification; None for all."
HOURS = "Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day."


@field_group
class Window:
    """Hold the fields of a kind over a window; the end is exclusive."""

    start_date: datetime = required(Moment(), "First day, ISO text or a date.")
    end_date: datetime = required(
        Moment(), "The day after the last, ISO text or a date.", example="2016-01-08"
    )


#: Where edges of whole days lie.
WHOLE_DAYS = Steps(timedelta(days=1), where=" of whole days")


@field_group
class WholeDays(Window):
    """Hold the fields of a kind over whole days; the end is exclusive."""

    def check(self) -> None:
        # The next field group may have rules of its own.
        super().check()  # type: ignore[misc]
        edges = {"start_date": self.start_date, "end_date": self.end_date}
        found = {name: WHOLE_DAYS.edge_problem(edge) for name, edge in edges.items()}
        if refused := {name: [text] for name, text in found.items() if text is not None}:
            raise ma.ValidationError(refused)


@field_group
class SubsetFields:
    """Hold the fields of a kind that reads events of all hours."""

    event_types: tuple[str, ...] | None = optional(EventTypes(), doc=EVENT_TYPES)
    subscriber_subset: Query | None = optional(SubscriberSubset(), doc=SUBSET)


@field_group
class EventFields(SubsetFields):
    """Hold the fields of a kind that reads events."""

    hours: HourInterval | None = optional(Hours(), doc=HOURS)


@field_group
class Directed:
    """Hold the field of a kind that may count events of one direction only."""

    direction: str = optional(Choice("in", "out", "both"), "both")


def window_selection(query: Any) -> EventSelection:
    """Return the selection of a kind with ``Window``'s and ``EventFields``' fields."""
    return EventSelection(
        query.start_date,
        query.end_date,
        query.event_types,
        getattr(query, "hours", None),
        query.subscriber_subset,
    )


def same_unit(message: str, *queries: Query, field: str = "_schema") -> None:
    """Require that the queries have one spatial unit.

    Raises marshmallow.ValidationError with the message.
    """
    if len({query.unit for query in queries}) > 1:
        raise ma.ValidationError({field: [message]})
