"""Count subscribers and their hours by home and by where they stayed longest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries._statistics import statistic
from flowmachine.queries.aggregates.flows import Flows
from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.queries.movement.longest_stay import LongestStay, StaysOfDay
from flowmachine.spec.aggregate import Aggregate, Total
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.published import KeepOver, Measure, Published, Region, Value
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.spec.windows import same_unit


@query_kind(
    "stay_durations",
    summary="Subscribers and their hours by home and location of the longest stay.",
)
class StayDurations(StaysOfDay, Aggregate):
    """Count subscribers by home and by where they stayed longest on a day.

    That location is the one of ``longest_stay`` with the same fields. ``mean_hours`` and ``stddev_hours`` are of the hours
    that each subscriber stayed there on that day; the deviation is that of a sample (stays of Eurostat's
    multimno 1.0.0; by home as the World Bank's indicator 9).
    """

    geographic: ClassVar[bool] = False

    home_location: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))

    def check(self) -> None:
        super().check()
        text = "Must have the same aggregation unit as stays."
        same_unit(text, self.stays, self.home_location, field="home_location")

    @cached_property
    def _flows(self) -> Flows:
        """Return the flows that rows are those of, too."""
        shared = {name: getattr(self, name) for name in LongestStay.fields}
        return Flows(from_location=self.home_location, to_location=LongestStay.of_values(shared, None))

    @property
    def totals(self) -> Sequence[Total]:
        return [*super().totals, *Total(self._flows).at_all_levels(), *self._flows.sums]

    def contributors(self, sources: Sources) -> FromClause:
        """Return each subscriber's home and longest stay, with its hours."""
        # Counted and measured in one statement, in which they are made once.
        known: tuple[Sources, FromClause] | None = self.__dict__.get("_people")
        if known is None or known[0] is not sources:
            known = self.__dict__["_people"] = sources, self._hours(sources)
        return known[1]

    def _hours(self, sources: Sources) -> FromClause:
        stayed = self.stayed(sources)
        homes = sa.select(sources.stored(self.home_location)).subquery("homes")
        return (
            sa.select(
                homes.c.location.label("location_from"),
                stayed.c.location.label("location_to"),
                homes.c.subscriber,
                (stayed.c.seconds / 3600.0).label("hours"),
            )
            .join(stayed, stayed.c.subscriber == homes.c.subscriber)
            .where(homes.c.location.is_not(None))
            .cte("people")
        )

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        counts, people = counted.subquery("counts"), self.contributors(sources)
        ends = ("location_from", "location_to")
        hours = (
            sa.select(
                *(people.c[end] for end in ends),
                statistic("avg", people.c.hours).label("mean_hours"),
                statistic("stddev", people.c.hours).label("stddev_hours"),
            )
            .group_by(*(people.c[end] for end in ends))
            .subquery("hours")
        )
        same = sa.and_(*(hours.c[end] == counts.c[end] for end in ends))
        return sa.select(counts, hours.c.mean_hours, hours.c.stddev_hours).join(hours, same)

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.stays.unit, "location_from", "_from"),
                Region(self.stays.unit, "location_to", "_to"),
                Value("value", sa.BigInteger()),
                Measure("mean_hours", sa.Double()),
                Measure("stddev_hours", sa.Double()),
            ),
            KeepOver("value"),
        )
