"""Follow subscribers' absences from their reference location over periods."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.spec.fields import Integer, optional, required
from flowmachine.spec.nested import Nested, NestedList
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query, Sources, SubscriberLocations, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import same_unit

#: Statuses of a period in which a subscriber's place is known, in order of name.
SEEN = ("at_home", "away", "displaced", "returned")

#: Status of a period in which it is not.
NOT_SEEN = "not_seen"

#: Maximum number of periods: those of a leap year of days.
MOST_PERIODS = 366


@query_kind(
    "displacement_status",
    summary="A status by subscriber and period: at home, away, displaced, returned, not seen.",
)
class DisplacementStatus(Sampled, SubscriberLocations):
    """Say in each period whether a subscriber is at their reference location.

    ``locations`` are in the order of time, one per period. ``not_seen``: the period has no place. ``displaced``:
    elsewhere, in a run of at least ``minimum_periods`` periods elsewhere. ``away``: elsewhere, in a shorter
    run. ``returned``: at the reference location after being displaced. ``at_home``: at the reference location
    otherwise. A run goes on over periods without a place, which do not count, and ends at the reference
    location. ``location`` is the reference location; subscribers without one have no rows.

    Displacement is a lasting change from the usual location (Li and others, arXiv 1908.02377, 2019). Runs of
    periods in place of their detection of steps are our choice.
    """

    columns: ClassVar[dict[str, Any]] = {
        **SubscriberLocations.columns,
        "period": sa.BigInteger(),
        "value": sa.Text(),
    }
    order: ClassVar[tuple[str, ...]] = ("subscriber", "period")

    reference_location: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))
    locations: tuple[Query, ...] = required(
        NestedList(*REFERENCE_LOCATIONS, component="ReferenceLocation", at_most=MOST_PERIODS),
        "One per period, in order of time.",
    )
    minimum_periods: int = optional(
        Integer(at_least=1), 1, "Periods elsewhere that make a subscriber displaced.", example=1
    )

    def check(self) -> None:
        same_unit(
            "All locations must have the same aggregation unit as reference_location",
            self.reference_location,
            *self.locations,
            field="locations",
        )
        most = len(self.locations)
        if self.minimum_periods > most:
            text = f"Must be greater than or equal to 1 and less than or equal to {most}."
            raise ma.ValidationError({"minimum_periods": [text]})

    @property
    def unit(self) -> SpatialUnit | None:
        return self.reference_location.unit

    def select(self, sources: Sources) -> Select[Any]:
        series = self._series(sources)
        in_time: dict[str, Any] = {"partition_by": series.c.subscriber, "order_by": series.c.period}
        # A run lies between two periods at home.
        run = sa.func.sum(series.c.home).over(**in_time).label("run")
        runs = sa.select(series, run).subquery("runs")
        length = sa.func.sum(runs.c.away).over(partition_by=[runs.c.subscriber, runs.c.run])
        long = sa.case((length >= self.minimum_periods, runs.c.away), else_=0).label("displaced")
        judged = sa.select(runs, long).subquery("judged")
        in_time = {"partition_by": judged.c.subscriber, "order_by": judged.c.period}
        displaced_before = sa.func.max(judged.c.displaced).over(**in_time) == 1
        at_home, away, displaced, returned = map(sa.literal, SEEN)
        status = sa.case(
            (judged.c.displaced == 1, displaced),
            (judged.c.away == 1, away),
            (judged.c.home == 0, sa.literal(NOT_SEEN)),
            (displaced_before, returned),
            else_=at_home,
        )
        return sa.select(judged.c.subscriber, judged.c.location, judged.c.period, status.label("value"))

    def _series(self, sources: Sources) -> FromClause:
        """Return a row by subscriber and period, with 1 for ``home`` or for ``away``."""
        reference = sa.select(sources.stored(self.reference_location)).cte("reference")
        periods = []
        for number, query in enumerate(self.locations, start=1):
            located = sources.stored(query).alias(f"located_{number}")
            home, away = (
                located.c.location == reference.c.location,
                located.c.location != reference.c.location,
            )
            periods.append(
                sa.select(
                    reference.c.subscriber,
                    reference.c.location,
                    sa.literal(number, sa.BigInteger).label("period"),
                    sa.case((home, 1), else_=0).label("home"),
                    sa.case((away, 1), else_=0).label("away"),
                )
                .select_from(reference.outerjoin(located, located.c.subscriber == reference.c.subscriber))
                .where(reference.c.location.is_not(None))
            )
        return sa.union_all(*periods).subquery("series")
