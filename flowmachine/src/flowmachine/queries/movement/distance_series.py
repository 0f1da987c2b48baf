"""Measure how far each subscriber was from a place, period by period."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries._statistics import STATISTICS, statistic, statistic_type
from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.queries.movement._distances import distances_between
from flowmachine.queries.places.subscriber_locations import SubscriberLocations
from flowmachine.spec.fields import Choice, Number, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.spec.units import demand_points
from flowmachine.spec.windows import same_unit
from flowmachine.sql.functions import start_of_century
from flowmachine.sql.geometry import geodesic_metres

#: Periods from short to long; those after the hour begin with a date.
PERIODS = ("second", "minute", "hour", "day", "month", "year", "century")


class Point(ma.fields.List):
    """Accept longitude and latitude in degrees."""

    def __init__(self) -> None:
        super().__init__(Number(-180.0, 180.0), validate=ma.validate.Length(equal=2))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        found: Any = super()._deserialize(
            list(value) if isinstance(value, tuple) else value, attr, data, **kwargs
        )
        if len(found) == 2 and abs(found[1]) > 90:
            raise ma.ValidationError(
                {1: ["Must be greater than or equal to -90 and less than or equal to 90."]}
            )
        return found

    def settle(self, value: list[float]) -> tuple[float, ...]:
        return tuple(value)


@query_kind("distance_series", direct=True)
class DistanceSeries(Query):
    """Take a statistic of distances from one place by subscriber and period.

    Distances are on the spheroid. From the subscriber's ``reference_location`` they are in **km**; otherwise
    they are from ``reference_point`` (longitude, latitude) and in **metres**. ``datetime`` is the start of
    the period, a date for periods of a day or longer. Periods without events, subscribers without a reference
    location and events at places without a point are left out.
    """

    only_distances: ClassVar[frozenset[str]] = frozenset({"subscriber_locations", "reference_location"})

    subscriber_locations: SubscriberLocations = required(Nested("subscriber_locations"))
    reference_location: Query | None = optional(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))
    reference_point: tuple[float, float] = optional(Point(), (0.0, 0.0))
    statistic: str = optional(Choice(*STATISTICS), "avg")
    time_bucket: str = optional(Choice(*PERIODS), "day")

    def check(self) -> None:
        demand_points(self.subscriber_locations.unit, "subscriber_locations")
        if self.reference_location is not None:
            same_unit(
                "Must have the same aggregation unit as subscriber_locations.",
                self.subscriber_locations,
                self.reference_location,
                field="reference_location",
            )

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {
            "subscriber": sa.Text(),
            "datetime": self.period_type,
            "value": statistic_type(self.statistic, sa.Double()),
        }

    @property
    def period_type(self) -> Any:
        """Return the type of ``datetime``."""
        return sa.DateTime() if self.time_bucket in PERIODS[: PERIODS.index("day")] else sa.Date()

    def select(self, sources: Sources) -> Select[Any]:
        located = self._distances(sources)
        time = located.c.time
        period: ColumnElement[Any] = (
            start_of_century(time)
            if self.time_bucket == "century"
            else sa.func.date_trunc(self.time_bucket, time, type_=time.type)
        )
        # Truncate before grouping, because both databases treat equal expressions with bound values as
        # different.
        periods = sa.select(
            located.c.subscriber, sa.cast(period, self.period_type).label("datetime"), located.c.distance
        ).subquery("periods")
        value = statistic(self.statistic, periods.c.distance)
        return sa.select(periods.c.subscriber, periods.c.datetime, value.label("value")).group_by(
            periods.c.subscriber, periods.c.datetime
        )

    def _distances(self, sources: Sources) -> FromClause:
        """Return ``subscriber``, ``time``, ``distance`` of each event."""
        unit = self.subscriber_locations.unit
        seen = sources.stored(self.subscriber_locations)
        if self.reference_location is None:
            regions = sources.regions(unit)
            metres = geodesic_metres(
                regions.c.lon,
                regions.c.lat,
                *(sa.cast(sa.literal(degrees), sa.Double) for degrees in self.reference_point),
            )
            points = sa.select(regions.c.location, metres.label("metres")).where(regions.c.lon.is_not(None))
            from_point = points.subquery("from_point")
            return (
                sa.select(seen.c.subscriber, seen.c.time, from_point.c.metres.label("distance"))
                .join(from_point, from_point.c.location == seen.c.location)
                .subquery("located")
            )
        homes = sa.select(sources.stored(self.reference_location)).subquery("homes")
        visits = (
            sa.select(
                seen.c.subscriber, seen.c.time, seen.c.location.label("place"), homes.c.location.label("home")
            )
            .join(homes, homes.c.subscriber == seen.c.subscriber)
            .cte("visits")
        )
        between = distances_between(sources, unit, visits)
        same = sa.and_(between.c.place == visits.c.place, between.c.home == visits.c.home)
        return (
            sa.select(visits.c.subscriber, visits.c.time, between.c.km.label("distance"))
            .join(between, same)
            .where(between.c.km.is_not(None))
            .subquery("located")
        )
