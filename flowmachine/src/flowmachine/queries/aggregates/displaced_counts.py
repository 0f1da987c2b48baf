"""Count subscribers by where they lived, period and status."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.aggregates._displaced import PooledShares
from flowmachine.queries.movement.displacement_status import NOT_SEEN, DisplacementStatus
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import Difference, KeepShares, Measure, Published, Reference, Region, Value
from flowmachine.spec.query import Sources, query_kind
from flowmachine.spec.windows import same_unit


@query_kind(
    "displaced_counts",
    summary="Residents at home, away, displaced, returned or unseen, by place and period.",
)
class DisplacedCounts(Aggregate):
    """Count subscribers by reference location, period and status.

    Periods are numbered from 1. ``share`` is the part of those seen in the period, null for ``not_seen``.
    ``normal_share`` is the share of the same status in ``normal``, at that location and over all its periods:
    a window before the event, with a reference location of its own. ``excess`` is the difference of the two
    shares (Wilson and others, PLoS Currents Disasters, 2016). Moves inside a location are not seen, and
    commuters look displaced on working days: take the hours of the night, or a ``normal``.

    The statuses of those seen are released as shares are. Nothing of a location and period is released where
    those seen, or those not seen, are few.
    """

    shares_of: ClassVar[tuple[str, ...]] = ("location", "period", "seen")

    displacement_status: DisplacementStatus = required(Nested("displacement_status"))
    normal: DisplacementStatus | None = optional(
        Nested("displacement_status"), doc="Before the event; None for no comparison."
    )

    def check(self) -> None:
        if self.normal is not None:
            same_unit(
                "Must have the same aggregation unit as displacement_status.",
                self.displacement_status,
                self.normal,
                field="normal",
            )

    @property
    def unit(self) -> SpatialUnit | None:
        return self.displacement_status.unit

    @property
    def judged_apart(self) -> tuple[PooledShares, ...]:
        return () if self.normal is None else (PooledShares(self.query_id, self.normal),)

    def contributors(self, sources: Sources) -> FromClause:
        statuses = sources.stored(self.displacement_status)
        return sa.select(
            statuses.c.location, statuses.c.period, statuses.c.value.label("status"), statuses.c.subscriber
        ).subquery("people")

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        counts = counted.subquery("counts")
        seen = counts.c.status != NOT_SEEN
        period = [counts.c.location, counts.c.period]
        sides = {
            name: sa.func.sum(sa.case((there, counts.c.value), else_=0)).over(partition_by=period)
            for name, there in (("seen_people", seen), ("unseen_people", sa.not_(seen)))
        }
        share = sa.case((seen, sa.cast(counts.c.value, sa.Double) / sides["seen_people"]))
        columns: list[Any] = [counts, seen.label("seen"), share.label("share")]
        columns += [column.label(name) for name, column in sides.items()]
        if not self.judged_apart:
            return sa.select(*columns, sa.cast(sa.null(), sa.Double).label("normal_share"))
        normal = self.judged_apart[0].shares(sources)
        same = sa.and_(normal.c.location == counts.c.location, normal.c.status == counts.c.status)
        return sa.select(*columns, normal.c.normal_share).select_from(counts.outerjoin(normal, same))

    @property
    def published(self) -> Published:
        assert self.unit is not None
        return Published(
            (
                Region(self.unit),
                Value("period", sa.BigInteger()),
                Value("status", sa.Text()),
                Value("value", sa.BigInteger()),
                Measure("share", sa.Double()),
                Reference("normal_share", sa.Double()),
                Difference("excess", ("share", "normal_share")),
            ),
            KeepShares(("location", "period", "seen"), "value", beside=("seen_people", "unseen_people")),
        )
