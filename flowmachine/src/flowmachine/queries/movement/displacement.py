"""Measure how far each subscriber's events lie from their reference location."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, Select

from flowmachine.queries._statistics import STATISTICS, statistic, statistic_type
from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.queries.movement._distances import distances_between
from flowmachine.spec.fields import Choice, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import EventSelection, Query, Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events

#: Statistics of distances with weights; a weight is a number of events.
_WEIGHTED: dict[str, Callable[[ColumnElement[Any], ColumnElement[Any]], ColumnElement[Any]]] = {
    "count": lambda km, events: sa.cast(sa.func.sum(events), sa.BigInteger),
    "sum": lambda km, events: sa.func.sum(km * events),
    "avg": lambda km, events: sa.func.sum(km * events) / sa.func.sum(events),
    "max": lambda km, events: sa.func.max(km),
    "min": lambda km, events: sa.func.min(km),
}


@query_kind(
    "displacement",
    summary="A statistic of each subscriber's distance in km from a reference location.",
)
class Displacement(Window, EventFields, Sampled, SubscriberMetric):
    """Take a statistic of the distance between reference location and events.

    Distances are km on the spheroid. Subscribers without a reference location have no row; an unknown
    distance counts as 0.
    """

    only_distances: ClassVar[frozenset[str]] = frozenset({"reference_location"})

    statistic: str = required(Choice(*STATISTICS))
    reference_location: Query = required(
        Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"),
        "At ``lon-lat``.",
        example={
            "query_kind": "daily_location",
            "aggregation_unit": "lon-lat",
            "date": "2016-01-01",
            "method": "last",
        },
    )

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {"subscriber": sa.Text(), "value": statistic_type(self.statistic, sa.Double())}

    def check(self) -> None:
        if not self._places.has_points:
            raise ma.ValidationError(
                {"reference_location": [f"aggregation_unit must be lon-lat, not {self._places.name}."]}
            )

    @property
    def _places(self) -> SpatialUnit:
        unit = self.reference_location.unit
        assert unit is not None
        return unit

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(sources, self.events[0], self._places, ())
        weighted = self.statistic in _WEIGHTED
        place = [located.c.subscriber, located.c.location]
        # Few places stand behind many events, so statistics that need only counts skip the events.
        places = (
            sa.select(*place, sa.func.count().label("events")).group_by(*place).subquery("places")
            if weighted
            else located
        )
        reference = sa.select(sources.stored(self.reference_location)).subquery("reference")
        counts = [places.c.events] if weighted else []
        visits = (
            sa.select(
                places.c.subscriber,
                places.c.location.label("place"),
                reference.c.location.label("home"),
                *counts,
            )
            .join(reference, places.c.subscriber == reference.c.subscriber)
            .cte("visits")
        )
        distances = distances_between(sources, self._places, visits)
        same = sa.and_(distances.c.place == visits.c.place, distances.c.home == visits.c.home)
        km = sa.func.coalesce(distances.c.km, 0.0)
        value = (
            _WEIGHTED[self.statistic](km, sa.cast(visits.c.events, sa.Double))
            if weighted
            else statistic(self.statistic, km)
        )
        return (
            sa.select(visits.c.subscriber, value.label("value"))
            .select_from(visits.outerjoin(distances, same))
            .group_by(visits.c.subscriber)
        )
