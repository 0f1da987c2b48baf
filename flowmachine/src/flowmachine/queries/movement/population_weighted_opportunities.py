"""Model mobility by population-weighted opportunities.

Yan and others, J. R. Soc. Interface 11, 2014.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.places._locating import last_location, modal_location, most_common_location
from flowmachine.spec.fields import Choice, Number, optional
from flowmachine.spec.places import DIRECT_UNITS, UNITS, SpatialUnit
from flowmachine.spec.query import LONGEST_WINDOW, EventSelection, Query, Sources, query_kind
from flowmachine.spec.units import NetworkUnit, demand_points
from flowmachine.spec.windows import EventFields, Window
from flowmachine.sql.geometry import geodesic_metres

DAY = timedelta(days=1)


@query_kind("population_weighted_opportunities", direct=True)
class PopulationWeightedOpportunities(Window, EventFields, NetworkUnit, Query):
    """Predict trips between the places where subscribers mostly are.

    The days from ``start_date`` to ``end_date``, **both included**, are located by ``method``. A place's
    population m is the number of subscribers whose modal location is there; M is the sum of all. For origin i
    and destination j, S is the sum of m over j and the places other than i and j that are no further from j
    than i is. The pull of j is m(j) (1 / S - 1 / M). ``probability`` is the pull's share among all
    destinations of i. ``prediction`` is that share of ``departure_rate`` m(i), the number of trips. Distances
    equal to the millimetre are equal. Places without subscribers or without a point are left out.
    """

    columns: ClassVar[dict[str, Any]] = {
        "location_from": sa.Integer(),
        "location_to": sa.Integer(),
        "prediction": sa.Double(),
        "probability": sa.Double(),
    }

    departure_rate: float = optional(Number(0.0, 1.0), 0.1)
    method: str = optional(Choice("last", "most-common"), "last")
    aggregation_unit: str = optional(Choice(*UNITS, *DIRECT_UNITS), "versioned-site")

    def check(self) -> None:
        super().check()
        demand_points(self.unit, "aggregation_unit")
        if not timedelta() <= self.end_date - self.start_date < LONGEST_WINDOW:
            raise ma.ValidationError(
                {"end_date": [f"Must be start_date or up to {LONGEST_WINDOW.days - 1} days later."]}
            )

    @property
    def places(self) -> dict[str, SpatialUnit]:
        return {"location_from": self.unit, "location_to": self.unit}

    @property
    def events(self) -> tuple[EventSelection, ...]:
        starts = [self.start_date + n * DAY for n in range((self.end_date - self.start_date).days + 1)]
        return tuple(
            EventSelection(start, start + DAY, self.event_types, self.hours, self.subscriber_subset)
            for start in starts
        )

    def select(self, sources: Sources) -> Select[Any]:
        people = self._populations(sources).cte("people")
        total = sa.select(sa.func.sum(people.c.count)).scalar_subquery()
        origin, end = people.alias("origin"), people.alias("destination")
        metres = geodesic_metres(origin.c.lon, origin.c.lat, end.c.lon, end.c.lat)
        pairs = (
            sa.select(
                origin.c.location.label("location_from"),
                end.c.location.label("location_to"),
                origin.c.count.label("departing"),
                end.c.count.label("arriving"),
                sa.func.round(metres * 1000).label("millimetres"),
            )
            .join(end, origin.c.location != end.c.location)
            .cte("pairs")
        )
        # The frame of an ordered window includes all rows that are equal in the order.
        nearer = sa.func.sum(pairs.c.departing).over(
            partition_by=pairs.c.location_to, order_by=pairs.c.millimetres
        )
        pull = pairs.c.arriving * (1 / (nearer - pairs.c.departing + pairs.c.arriving) - 1 / total)
        pulls = sa.select(
            pairs.c.location_from, pairs.c.location_to, pairs.c.departing, pull.label("pull")
        ).subquery("pulls")
        share = pulls.c.pull / sa.func.sum(pulls.c.pull).over(partition_by=pulls.c.location_from)
        rate = sa.cast(sa.literal(self.departure_rate), sa.Double)
        return sa.select(
            pulls.c.location_from,
            pulls.c.location_to,
            (rate * pulls.c.departing * share).label("prediction"),
            (share if self.departure_rate > 0 else rate).label("probability"),
        )

    def _populations(self, sources: Sources) -> Select[Any]:
        """Return ``location``, ``lon``, ``lat`` and ``count`` as a double."""
        locate = last_location if self.method == "last" else most_common_location
        stays = []
        # The selections are in order of their dates.
        for number, selection in enumerate(self.events):
            located: FromClause = locate(sources, selection, self.unit).subquery()
            turn = sa.literal(number, sa.Integer).label("turn")
            stays.append(sa.select(located.c.subscriber, located.c.location, turn))
        modal = modal_location(
            sa.union_all(*stays).subquery("stays"),
            turns=len(stays),
            regions=sources.region_count(self.unit),
        ).subquery("modal")
        regions = sources.regions(self.unit)
        placed = sa.and_(regions.c.location == modal.c.location, regions.c.lon.is_not(None))
        count = sa.cast(sa.func.count(), sa.Double).label("count")
        return (
            sa.select(regions.c.location, regions.c.lon, regions.c.lat, count)
            .join(modal, placed)
            .group_by(regions.c.location, regions.c.lon, regions.c.lat)
        )
