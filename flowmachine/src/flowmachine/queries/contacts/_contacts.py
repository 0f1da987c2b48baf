"""Share code among the kinds about contacts.

A contact is a known counterpart. Events with an unknown counterpart have no contact.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.spec.fields import Flag, optional
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import EventSelection, Sources, field_group
from flowmachine.spec.windows import Directed, EventFields, Window, window_selection
from flowmachine.sql.events import locate_events, select_events


@field_group
class Contacts(Window, Directed, EventFields):
    """Hold the fields of kinds over events with contacts in one or both directions."""

    reads_cells: ClassVar[bool] = False
    event_columns: ClassVar[tuple[str, ...]] = ("counterpart",)

    exclude_self_calls: bool = optional(Flag(), True)

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def contacts(self, sources: Sources) -> FromClause:
        """Return ``subscriber`` and ``counterpart`` of each event with a contact."""
        events = select_events(sources, self.events[0], ("counterpart",), direction=self.direction)
        return with_contact(events, exclude_self_calls=self.exclude_self_calls).subquery("contacts")


def with_contact(events: FromClause, *, exclude_self_calls: bool) -> Select[Any]:
    """Select the events with a counterpart, optionally other than the subscriber."""
    somebody = (
        events.c.counterpart != events.c.subscriber
        if exclude_self_calls
        else events.c.counterpart.is_not(None)
    )
    return sa.select(events).where(somebody)


def both_ends(
    sources: Sources, selection: EventSelection, unit: SpatialUnit, columns: tuple[str, ...], direction: str
) -> FromClause:
    """Return events with both parties located.

    Columns: ``subscriber``, ``counterpart``, ``location``, ``location_counterpart`` and the given columns.
    The other party's row has the same type and event id, the opposite direction, and the counterpart as
    subscriber. That row must be in the window and the hours; its subscriber need not be in the subset.
    """
    parts = [
        _both_ends(sources, replace(selection, event_types=(event_type,)), unit, columns, direction)
        for event_type in selection.types
    ]
    return sa.union_all(*parts).subquery("both_ends")


def _both_ends(
    sources: Sources, selection: EventSelection, unit: SpatialUnit, columns: tuple[str, ...], direction: str
) -> Select[Any]:
    needed = tuple(dict.fromkeys(("event_id", "outgoing", "counterpart", *columns)))
    own = sa.select(locate_events(sources, selection, unit, needed, direction=direction)).subquery("own")
    everybody = replace(selection, subset=None)
    other = sa.select(locate_events(sources, everybody, unit, ("event_id", "outgoing"))).subquery("other")
    same_event = sa.and_(
        own.c.event_id == other.c.event_id,
        own.c.counterpart == other.c.subscriber,
        own.c.outgoing != other.c.outgoing,
    )
    return sa.select(
        own.c.subscriber,
        own.c.counterpart,
        own.c.location,
        other.c.location.label("location_counterpart"),
        *(own.c[name] for name in columns),
    ).join(other, same_event)
