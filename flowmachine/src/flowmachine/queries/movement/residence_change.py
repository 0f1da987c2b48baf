"""Count changes of residence between stable homes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Integer, optional, required
from flowmachine.spec.nested import NestedList, SubscriberSubset
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Measure, Published, Region, Value
from flowmachine.spec.query import Query, Sources, queries_in, query_kind
from flowmachine.spec.windows import same_unit

#: Fewest homes: one more than the months of the default window.
FEWEST_HOMES = 14


def example_homes() -> list[dict[str, Any]]:
    """Return as many homes as there must be, one a month."""
    months = [f"{2016 + number // 12}-{number % 12 + 1:02}" for number in range(FEWEST_HOMES)]
    fields = {"query_kind": "monthly_location", "aggregation_unit": "admin3", "method": "last"}
    return [fields | {"month": month} for month in months]


def _starts(query: Query) -> Iterator[datetime]:
    """Yield the beginnings of the windows that a location is made of."""
    yield from (selection.start for selection in query.events)
    for name, field in query.fields.items():
        # Who is located says nothing of when.
        if not isinstance(field, SubscriberSubset):
            for part in queries_in(getattr(query, name)):
                yield from _starts(part)


@query_kind(
    "residence_change", summary="Subscribers by their stable homes before and after a move, by month."
)
class ResidenceChange(Aggregate):
    """Count subscribers who moved between stable homes, by the month of the move.

    ``homes`` are one per month, in order. The stable home of ``window`` successive homes is the location of at
    least ``minimum_months`` of them. A subscriber moves where the stable home of a window differs from the
    latest earlier one. The move is dated to the first month of that window at the new home. A subscriber who
    moves twice counts twice (stable home areas: UN handbook on migration statistics from mobile phone data,
    5.2.1; the date is our choice).
    """

    geographic: ClassVar[bool] = False

    homes: tuple[Query, ...] = required(
        NestedList(*REFERENCE_LOCATIONS, component="ReferenceLocation", at_least=FEWEST_HOMES),
        "One a month, in order.",
        example=example_homes(),
    )
    window: int = optional(Integer(3, 24), 13, "Months that a stable home is judged by.", example=13)
    minimum_months: int = optional(
        Integer(at_least=1), 7, "Months at a location that make it a stable home.", example=7
    )

    def check(self) -> None:
        same_unit("All homes must have the same aggregation unit", *self.homes, field="homes")
        if self.window > len(self.homes):
            raise ma.ValidationError({"window": [f"Must be less than or equal to {len(self.homes)}."]})
        if self.minimum_months * 2 <= self.window:
            raise ma.ValidationError({"minimum_months": ["Must be more than half of window."]})
        if self.minimum_months > self.window:
            raise ma.ValidationError({"minimum_months": [f"Must be less than or equal to {self.window}."]})
        months = self._months
        if any(later <= earlier for earlier, later in pairwise(months)):
            raise ma.ValidationError({"homes": ["homes must be of distinct months, in order."]})

    @property
    def unit(self) -> SpatialUnit:
        unit = self.homes[0].unit
        assert unit is not None
        return unit

    @property
    def _months(self) -> list[date]:
        """Return the month of the first day that each home is made of."""
        return [min(_starts(home)).date().replace(day=1) for home in self.homes]

    def contributors(self, sources: Sources) -> FromClause:
        stable = self._stable_homes(sources)
        earlier = sa.func.lag(stable.c.location).over(
            partition_by=stable.c.subscriber, order_by=stable.c.window
        )
        moves = sa.select(stable, earlier.label("earlier")).subquery("moves")
        return (
            sa.select(
                moves.c.earlier.label("location_from"),
                moves.c.location.label("location_to"),
                moves.c.month,
                moves.c.subscriber,
            )
            .where(moves.c.earlier != moves.c.location)
            .subquery("changes")
        )

    def _stable_homes(self, sources: Sources) -> FromClause:
        """Return each subscriber's stable homes by window, with the first month there."""
        located = []
        for number, (home, month) in enumerate(zip(self.homes, self._months, strict=True)):
            found = sources.stored(home)
            located.append(
                sa.select(
                    found.c.subscriber,
                    found.c.location,
                    sa.literal(number).label("number"),
                    sa.literal(month, sa.Date).label("month"),
                ).where(found.c.location.is_not(None))
            )
        months = sa.union_all(*located).subquery("months")
        starts = range(len(self.homes) - self.window + 1)
        windows = sa.union_all(*(sa.select(sa.literal(start).label("window")) for start in starts)).subquery(
            "windows"
        )
        within = months.c.number.between(windows.c.window, windows.c.window + self.window - 1)
        key = [months.c.subscriber, months.c.location, windows.c.window]
        return (
            sa.select(*key, sa.func.min(months.c.month).label("month"))
            .join(windows, within)
            .group_by(*key)
            .having(sa.func.count() >= self.minimum_months)
            .subquery("stable")
        )

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit, "location_from", "_from"),
                Region(self.unit, "location_to", "_to"),
                Value("month", sa.Date()),
                Value("value", sa.BigInteger()),
                Measure("subscribers", sa.BigInteger()),
            ),
            KeepOver("subscribers"),
        )
