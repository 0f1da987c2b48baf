"""Share out subscribers seen over several periods among their statuses."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries.movement.displacement_status import NOT_SEEN, SEEN, DisplacementStatus
from flowmachine.spec.aggregate import Aggregate, Total
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import Sources
from flowmachine.sql.release import nobody_or_enough


class PooledShares(Aggregate):
    """Hold the shares of statuses over all periods, by reference location and status.

    They are published as a column of ``displaced_counts``, whose id they bear, and are no kind.
    """

    def __init__(self, query_id: str, statuses: DisplacementStatus) -> None:
        object.__setattr__(self, "kind", "displaced_counts")
        object.__setattr__(self, "query_id", query_id)
        object.__setattr__(self, "statuses", statuses)

    statuses: DisplacementStatus

    @property
    def unit(self) -> SpatialUnit | None:
        return self.statuses.unit

    @property
    def totals(self) -> tuple[Total, ...]:
        """Return nothing, because these rows do not leave."""
        return ()

    def contributors(self, sources: Sources) -> FromClause:
        """Return everybody seen, for each status, with the periods seen and in the status."""
        found = sources.stored(self.statuses)
        person = [found.c.location, found.c.subscriber]
        seen = (
            sa.select(*person, sa.func.count().label("seen"))
            .where(found.c.value != NOT_SEEN)
            .group_by(*person)
            .subquery("seen")
        )
        had = (
            sa.select(*person, found.c.value.label("status"), sa.func.count().label("periods"))
            .where(found.c.value != NOT_SEEN)
            .group_by(*person, found.c.value)
            .subquery("had")
        )
        words = sa.union_all(*(sa.select(sa.literal(word).label("status")) for word in SEEN)).subquery(
            "words"
        )
        same = sa.and_(had.c.subscriber == seen.c.subscriber, had.c.status == words.c.status)
        return (
            sa.select(
                seen.c.location,
                words.c.status,
                seen.c.subscriber,
                sa.func.coalesce(had.c.periods, 0).label("periods"),
                seen.c.seen,
            )
            .select_from(seen.join(words, sa.true()).outerjoin(had, same))
            .subquery("pooled")
        )

    def value(self, contributors: FromClause) -> ColumnElement[Any]:
        periods, seen = contributors.c.periods, contributors.c.seen
        return sa.cast(sa.func.sum(periods), sa.Double) / sa.cast(sa.func.sum(seen), sa.Double)

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        shares, sides = counted.subquery("shares"), self._sides(sources)
        same = sa.and_(sides.c.location == shares.c.location, sides.c.status == shares.c.status)
        return sa.select(shares, sides.c.ever, sides.c.never).join(sides, same)

    def _sides(self, sources: Sources) -> FromClause:
        """Return how many were ever, and how many never, in a status."""
        people = self.contributors(sources)
        ever = sa.func.sum(sa.case((people.c.periods > 0, 1), else_=0))
        key = [people.c.location, people.c.status]
        return (
            sa.select(*key, ever.label("ever"), (sa.func.count() - ever).label("never"))
            .group_by(*key)
            .subquery("sides")
        )

    def shares(self, sources: Sources) -> FromClause:
        """Return (``location``, ``status``, ``share``), null where it may not be told."""
        people, sides = self.contributors(sources), self._sides(sources)
        key = [people.c.location, people.c.status]
        shares = sa.select(*key, self.value(people).label("share")).group_by(*key).subquery("shares")
        same = sa.and_(sides.c.location == shares.c.location, sides.c.status == shares.c.status)
        told = sa.and_(nobody_or_enough(sides.c.ever), nobody_or_enough(sides.c.never))
        return (
            sa.select(
                shares.c.location, shares.c.status, sa.case((told, shares.c.share)).label("normal_share")
            )
            .join(sides, same)
            .subquery("normal")
        )

    @property
    def published(self) -> Published:
        assert self.unit is not None
        columns = (Region(self.unit), Value("status", sa.Text()), Value("value", sa.Double()))
        return Published(columns, KeepOver("subscribers", beside=("ever", "never")))
