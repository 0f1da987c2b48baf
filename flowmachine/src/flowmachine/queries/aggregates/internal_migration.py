"""Count subscribers whose homes of two periods overlap little."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.queries.places._usual import HOME, Thresholds, labelled, permanences
from flowmachine.queries.places.daily_permanence import DailyPermanence
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Number, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Measure, Published, Region, Value
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.spec.windows import same_unit
from flowmachine.sql.functions import fifteen_digits


@query_kind(
    "internal_migration",
    summary="Subscribers who moved by homes before and after; of n pairs each counts 1/n.",
)
class InternalMigration(Thresholds, Aggregate):
    """Count subscribers who changed their usual residence between two periods.

    Homes are all locations with the label ``home``, as ``permanence_location`` finds them. Only subscribers with homes in
    both periods count. They migrate if twice the number of common homes, divided by the sum of the numbers of homes, is
    less than ``migration_threshold``. A subscriber with n homes before and m after counts 1/(n m) for each pair of two
    different homes (Eurostat's multimno 1.0.0, internal migration).
    """

    geographic: ClassVar[bool] = False
    adds: ClassVar[str | None] = "share"
    adds_up: ClassVar[bool] = False

    previous: DailyPermanence = required(Nested("daily_permanence"), "The earlier period.")
    new: DailyPermanence = required(Nested("daily_permanence"), "The later period.")
    migration_threshold: float = optional(
        Number(0.0, 1.0), 0.5, "Overlap from which on a subscriber stays.", example=0.7
    )

    def check(self) -> None:
        same_unit("Must have the same aggregation unit as previous.", self.previous, self.new, field="new")

    @property
    def unit(self) -> SpatialUnit:
        return self.previous.unit

    @cached_property
    def children(self) -> tuple[Query, ...]:
        return tuple(dict.fromkeys(query for one in (self.previous, self.new) for query in permanences(one)))

    def contributors(self, sources: Sources) -> FromClause:
        before, after = (self._homes(sources, name) for name in ("previous", "new"))
        same = sa.case((before.c.location == after.c.location, 1), else_=0)
        pairs = (
            sa.select(
                before.c.location.label("location_from"),
                after.c.location.label("location_to"),
                before.c.subscriber,
                (before.c.homes * after.c.homes).label("pairs"),
                (before.c.homes + after.c.homes).label("homes"),
                sa.func.sum(same).over(partition_by=before.c.subscriber).label("common"),
            )
            .join(after, after.c.subscriber == before.c.subscriber)
            .subquery("pairs")
        )
        overlap = 2 * sa.cast(pairs.c.common, sa.Double) / pairs.c.homes
        return (
            sa.select(
                pairs.c.location_from,
                pairs.c.location_to,
                pairs.c.subscriber,
                (1.0 / sa.cast(pairs.c.pairs, sa.Double)).label("share"),
            )
            .where(overlap < self.migration_threshold, pairs.c.location_from != pairs.c.location_to)
            .subquery("migrants")
        )

    def _homes(self, sources: Sources, period: str) -> FromClause:
        """Return each subscriber's homes, with their number."""
        found = labelled(sources, getattr(self, period), self, HOME, period)
        homes = sa.func.count().over(partition_by=found.c.subscriber).label("homes")
        return sa.select(found.c.subscriber, found.c.location, homes).subquery(f"{period}_homes")

    def value(self, contributors: FromClause) -> ColumnElement[Any]:
        # Forty-five thirds are not more than fifteen.
        return fifteen_digits(super().value(contributors))

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit, "location_from", "_from"),
                Region(self.unit, "location_to", "_to"),
                Value("value", sa.Double()),
                Measure("subscribers", sa.BigInteger()),
            ),
            KeepOver("value", beside=("subscribers",)),
        )
