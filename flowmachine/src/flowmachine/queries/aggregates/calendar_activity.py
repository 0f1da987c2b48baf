"""Count subscribers active in the same periods."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.activity._periods import Periods, periods
from flowmachine.queries.aggregates._calendars import CALENDAR, calendars, spelt_out
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import KeepOver, Published, Value
from flowmachine.spec.query import EventSelection, Sources, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import EventFields


@query_kind(
    "calendar_activity", summary="The number of subscribers by the periods in which they were active."
)
class CalendarActivity(Periods, EventFields, Sampled, Aggregate):
    """Count subscribers by the list of periods in which they had an event.

    Subscribers without events are not counted. A list holds the starts of its periods, ascending, on the wall
    clock. A sample is drawn from the released rows.
    """

    geographic: ClassVar[bool] = False
    reads_cells: ClassVar[bool] = False

    @property
    def events(self) -> tuple[EventSelection, ...]:
        return periods(self)

    def contributors(self, sources: Sources) -> FromClause:
        seen = calendars(sources, self)
        return sa.select(seen.c.value.label("grp"), seen.c.subscriber).subquery("seen")

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        return spelt_out(self, counted, "grp")

    @property
    def published(self) -> Published:
        return Published((Value("grp", CALENDAR), Value("value", sa.BigInteger())), KeepOver("value"))
