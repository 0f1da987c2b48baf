"""Find regularly active subscribers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.activity._periods import active_periods, check_periods, periods
from flowmachine.spec.fields import Choice, Integer, Moment, optional, required
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.windows import EventFields


@query_kind("active_subscribers", direct=True)
class ActiveSubscribers(EventFields, Query):
    """Subscribers active in enough minor periods of enough major periods.

    From ``start_date`` on there are ``total_major_periods``, each of ``minor_periods_per_major_period`` periods of
    ``minor_period_length`` units. A major period counts if the subscriber had an event, located or not, in at least
    ``minor_period_threshold`` of its minor ones, and at least ``major_period_threshold`` must count.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text()}
    reads_cells: ClassVar[bool] = False

    start_date: datetime = required(Moment())
    minor_period_length: int = required(Integer(at_least=1))
    minor_periods_per_major_period: int = required(Integer(at_least=1))
    total_major_periods: int = required(Integer(at_least=1))
    minor_period_threshold: int = required(Integer(at_least=1))
    major_period_threshold: int = required(Integer(at_least=1))
    period_unit: str = optional(Choice("days", "hours", "minutes"), "hours")

    def check(self) -> None:
        limits = {
            "minor_period_threshold": "minor_periods_per_major_period",
            "major_period_threshold": "total_major_periods",
        }
        unreachable = {
            name: [f"Must be less than or equal to {most}, which is {getattr(self, most)}."]
            for name, most in limits.items()
            if getattr(self, name) > getattr(self, most)
        }
        if unreachable:
            raise ma.ValidationError(unreachable)
        check_periods(self)

    @property
    def total_periods(self) -> int:
        """Return the number of minor periods."""
        return self.minor_periods_per_major_period * self.total_major_periods

    @property
    def period_length(self) -> int:
        """Return the length of a minor period in units."""
        return self.minor_period_length

    @property
    def length(self) -> timedelta:
        """Return the length of a minor period."""
        return timedelta(**{self.period_unit: self.minor_period_length})

    @property
    def events(self) -> tuple[EventSelection, ...]:
        return periods(self)

    def select(self, sources: Sources) -> Select[Any]:
        active = active_periods(sources, self)
        per_major = sa.literal(self.minor_periods_per_major_period, sa.BigInteger)
        major = sa.cast(active.c.period // per_major, sa.BigInteger).label("major")
        grouped = sa.select(active.c.subscriber, major).subquery("grouped")
        enough = (
            sa.select(grouped.c.subscriber)
            .group_by(grouped.c.subscriber, grouped.c.major)
            .having(sa.func.count() >= self.minor_period_threshold)
            .subquery("enough")
        )
        return (
            sa.select(enough.c.subscriber)
            .group_by(enough.c.subscriber)
            .having(sa.func.count() >= self.major_period_threshold)
        )
