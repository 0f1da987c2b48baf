"""Measure how irregular the times of each subscriber's events are."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._entropy import ENTROPY_COLUMNS, entropy
from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.windows import Directed, EventFields, Window, window_selection
from flowmachine.sql.events import select_events

#: Parts of a date that recur or identify periods. Parts below a second are left out, because the clocks are
#: not that precise.
PHASES = (
    "second",
    "minute",
    "hour",
    "day",
    "dow",
    "isodow",
    "doy",
    "week",
    "month",
    "quarter",
    "year",
    "isoyear",
    "decade",
    "century",
    "millennium",
)


@query_kind("periodic_entropy", direct=True)
class PeriodicEntropy(Window, Directed, EventFields, Query):
    """Compute the entropy, in nats, of the phases of each subscriber's events.

    Phases are hours of the day, days of the week and so on. The phase is a part of the wall-clock time, named
    as in SQL's ``extract``.
    """

    columns: ClassVar[dict[str, Any]] = ENTROPY_COLUMNS
    reads_cells: ClassVar[bool] = False

    phase: str = optional(Choice(*PHASES), "hour")

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        events = select_events(sources, self.events[0], ("local_time",), direction=self.direction)
        # PostgreSQL includes fractions in the second.
        phase = sa.func.floor(sa.extract(self.phase, events.c.local_time))
        phased = sa.select(events.c.subscriber, phase.label("phase")).subquery("phased")
        return entropy(phased, phased.c.phase)
