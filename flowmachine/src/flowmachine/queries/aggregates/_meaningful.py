"""Find meaningful locations: labelled clusters of the sites a subscriber uses.

Labels depend on when the subscriber uses the sites. After Isaacman and others, Identifying Important Places
in People's Lives from Cellular Network Data (Pervasive 2011).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Protocol

import marshmallow as ma
import sqlalchemy as sa
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.fields import Entries, EventTypes, Form, Integer, Number, optional, required
from flowmachine.spec.nested import SubscriberSubset
from flowmachine.spec.places import SITES, SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import EventSelection, Query, Sources, field_group
from flowmachine.spec.units import Unit, demand_polygons
from flowmachine.spec.windows import EVENT_TYPES, SUBSET
from flowmachine.sql.events import locate_events
from flowmachine.sql.geometry import geodesic_metres, geometry_from_text, leader_clusters, strictly_within

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
UNKNOWN = "unknown"

#: Areas of sites used by day and not by night, on any days.
_SQUARE = {"type": "Polygon", "coordinates": [[[0, -1], [1, -1], [1, 1], [0, 1], [0, -1]]]}


class Labels(ma.fields.Field[dict[str, Any]]):
    """Accept areas of (hour score, day score) by label.

    Areas are GeoJSON polygons that do not touch each other.
    """

    form: ClassVar[Form] = Form("dict[str, Any]", example={"day": _SQUARE})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ma.ValidationError("Not a valid mapping type.")
        if not value:
            raise ma.ValidationError("Shorter than minimum length 1.")
        errors: dict[str, Any] = {}
        areas: dict[str, BaseGeometry] = {}
        for label, geometry in value.items():
            if label == UNKNOWN:
                errors[label] = {"key": [f"{UNKNOWN} is the label of what lies in no area."]}
                continue
            try:
                areas[label] = _area(geometry)
            except ma.ValidationError as error:
                errors[label] = {"value": error.messages}
        if errors:
            raise ma.ValidationError(errors)
        _check_apart(areas)
        return dict(value)

    def canonical(self, value: dict[str, Any]) -> Any:
        return value

    def describe(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "object"}}


def _area(geometry: Any) -> BaseGeometry:
    if geometry is None:
        raise ma.ValidationError("Field may not be null.")
    if not isinstance(geometry, Mapping):
        raise ma.ValidationError("Not a valid mapping type.")
    try:
        # A round trip through JSON refuses values here that are not JSON, instead of in the database.
        area = shape(json.loads(json.dumps(geometry, allow_nan=False)))
    except (ShapelyError, AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError):
        raise ma.ValidationError("Not a valid GeoJSON geometry.") from None
    if area.geom_type not in ("Polygon", "MultiPolygon") or area.is_empty or not area.is_valid:
        raise ma.ValidationError("Not a valid GeoJSON polygon.")
    return area


def _check_apart(areas: Mapping[str, BaseGeometry]) -> None:
    labels = sorted(areas)
    for position, label in enumerate(labels):
        for other in labels[position + 1 :]:
            if areas[label].intersects(areas[other]):
                raise ma.ValidationError(f"The areas of {label} and {other} must not touch each other.")


class HourScores(Entries):
    """Accept a score for each hour of the day."""

    form: ClassVar[Form] = Form("list[float]", example=[-1] * 8 + [1] * 10 + [-1] * 6)

    def __init__(self) -> None:
        super().__init__(Number(-1.0, 1.0), validate=ma.validate.Length(equal=24))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return super()._deserialize(list(value) if isinstance(value, tuple) else value, attr, data, **kwargs)

    def settle(self, value: list[float]) -> tuple[float, ...]:
        return tuple(value)

    def describe(self) -> dict[str, Any]:
        item = {"type": "number", "minimum": -1.0, "maximum": 1.0}
        return {"type": "array", "minItems": 24, "maxItems": 24, "items": item}


class WeekdayScores(ma.fields.Dict):
    """Accept a score for each day of the week."""

    form: ClassVar[Form] = Form("dict[str, float]", example=dict.fromkeys(WEEKDAYS, 1))

    def __init__(self) -> None:
        super().__init__(
            keys=ma.fields.String(validate=ma.validate.OneOf(WEEKDAYS)), values=Number(-1.0, 1.0)
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        scores = super()._deserialize(value, attr, data, **kwargs)
        lacking = {
            day: {"key": ["Missing data for required field."]} for day in WEEKDAYS if day not in scores
        }
        if lacking:
            raise ma.ValidationError(lacking)
        return scores

    def canonical(self, value: dict[str, float]) -> Any:
        return value

    def describe(self) -> dict[str, Any]:
        score = {"type": "number", "minimum": -1.0, "maximum": 1.0}
        return {
            "type": "object",
            "properties": dict.fromkeys(WEEKDAYS, score),
            "required": list(WEEKDAYS),
            "additionalProperties": False,
        }


class Scoring(Protocol):
    """Describe what the sites of subscribers are scored by."""

    @property
    def tower_hour_of_day_scores(self) -> tuple[float, ...]: ...
    @property
    def tower_day_of_week_scores(self) -> dict[str, float]: ...


class Clustering(Scoring, Protocol):
    """Describe what sites are clustered and labelled by."""

    @property
    def tower_cluster_radius(self) -> float: ...
    @property
    def tower_cluster_call_threshold(self) -> int: ...
    @property
    def areas(self) -> dict[str, BaseGeometry]: ...


@field_group
class Meaningful(Unit):
    """Hold the fields of kinds about meaningful locations.

    Events are at sites, so that the unit only says where centres lie.
    """

    event_types: tuple[str, ...] | None = optional(EventTypes(), doc=EVENT_TYPES)
    subscriber_subset: Query | None = optional(SubscriberSubset(), doc=SUBSET)
    labels: dict[str, Any] = required(Labels(), "GeoJSON polygon by label, x = hour score, y = day score.")
    tower_hour_of_day_scores: tuple[float, ...] = required(
        HourScores(), "24 numbers in [-1, 1], one per hour."
    )
    tower_day_of_week_scores: dict[str, float] = required(
        WeekdayScores(), "Number in [-1, 1] by weekday, all seven."
    )
    tower_cluster_radius: float = optional(Number(), 1.0, "Radius of a cluster of sites, in kilometres.")
    tower_cluster_call_threshold: int = optional(Integer(), 0, "Days with calls that a cluster needs.")

    def check(self) -> None:
        super().check()
        demand_polygons(self.aggregation_unit)

    @property
    def unit(self) -> SpatialUnit:
        return SpatialUnit(self.aggregation_unit)

    @cached_property
    def areas(self) -> dict[str, BaseGeometry]:
        """Return the labels' areas in the plane of (hour score, day score)."""
        return {label: shape(geometry) for label, geometry in self.labels.items()}

    def selection(self, start: datetime, end: datetime) -> EventSelection:
        """Return the events of a window."""
        return EventSelection(start, end, self.event_types, None, self.subscriber_subset)


def clusters(
    sources: Sources, query: Clustering, selection: EventSelection, name: str = "all", *, scores: bool = False
) -> FromClause:
    """Return clusters of each subscriber's sites with their centres.

    Columns: ``subscriber``, ``lon``, ``lat``, ``label``, and the two scores if asked for. Sites are ordered by
    falling number of days with an event, then by site and version. ``name`` distinguishes two such relations in
    one statement.
    """
    sites = sites_of(sources, query, selection).cte(f"sites_{name}")
    crowded = _crowded(sources, query, sites)
    lists = (
        sa.select(
            sites.c.subscriber,
            *(
                sa.func.array_agg(
                    aggregate_order_by(sites.c[name], sites.c.position), type_=sa.ARRAY(sa.Double)
                ).label(name)
                for name in ("lon", "lat", "days")
            ),
            sa.cast(sa.literal(query.tower_cluster_radius * 1000), sa.Double).label("radius"),
        )
        .where(sites.c.subscriber.in_(crowded))
        .group_by(sites.c.subscriber)
        .subquery("lists")
    )
    numbers = leader_clusters(lists.c.lon, lists.c.lat, lists.c.days, lists.c.radius)
    # Materialised, because PostgreSQL would otherwise repeat a subscriber's clustering for each site.
    walks = (
        sa.select(lists.c.subscriber, numbers.label("numbers"))
        .cte(f"walks_{name}")
        .prefix_with("MATERIALIZED", dialect="postgresql")
        .prefix_with("MATERIALIZED", dialect="duckdb")
    )
    # Subscribers without close sites have each site as its own cluster.
    cluster = sa.func.coalesce(
        walks.c.numbers[sa.cast(sites.c.position, sa.Integer)], sa.cast(sites.c.position, sa.Integer)
    )
    assigned = (
        sa.select(sites, cluster.label("cluster"))
        .select_from(sites.outerjoin(walks, walks.c.subscriber == sites.c.subscriber))
        .subquery("assigned")
    )
    weight = sa.cast(sa.func.sum(assigned.c.days), sa.Double)

    def centre(degrees: ColumnElement[Any]) -> ColumnElement[Any]:
        # Keep the site itself instead of a rounded mean, so that many subscribers share few centres.
        mean = sa.func.sum(degrees * assigned.c.days) / weight
        return sa.case((sa.func.count() == 1, sa.func.min(degrees)), else_=mean)

    found = (
        sa.select(
            assigned.c.subscriber,
            centre(assigned.c.lon).label("lon"),
            centre(assigned.c.lat).label("lat"),
            sa.func.avg(assigned.c.hour_score).label("hour_score"),
            sa.func.avg(assigned.c.day_score).label("day_score"),
        )
        .group_by(assigned.c.subscriber, assigned.c.cluster)
        .having(weight >= query.tower_cluster_call_threshold)
        .subquery("found")
    )
    label = sa.case(
        *(
            (strictly_within(found.c.hour_score, found.c.day_score, geometry_from_text(area.wkt)), name)
            for name, area in query.areas.items()
        ),
        else_=UNKNOWN,
    )
    further = [found.c.hour_score, found.c.day_score] if scores else []
    return sa.select(found.c.subscriber, found.c.lon, found.c.lat, label.label("label"), *further).subquery(
        "clusters"
    )


def _crowded(sources: Sources, query: Clustering, sites: sa.CTE) -> Select[Any]:
    """Select subscribers with two sites within the radius.

    Other subscribers' sites form no clusters, because a centre is a site until two sites join.
    """
    metres = query.tower_cluster_radius * 1000
    regions = sources.regions(SITES)
    first, second = regions.alias("first_of_two"), regions.alias("second_of_two")
    # A degree of latitude is at least 110574 m, which settles most pairs without the expensive distance.
    band = metres / 110574
    near = (
        sa.select(first.c.location.label("here"), second.c.location.label("there"))
        .join(
            second,
            sa.and_(second.c.lat >= first.c.lat - band, second.c.lat <= first.c.lat + band),
        )
        .where(
            first.c.location < second.c.location,
            geodesic_metres(first.c.lon, first.c.lat, second.c.lon, second.c.lat) < metres,
        )
        .subquery("near")
    )
    here, there = sites.alias(f"here_{sites.name}"), sites.alias(f"there_{sites.name}")
    return (
        sa.select(here.c.subscriber)
        .join(near, near.c.here == here.c.location)
        .join(there, sa.and_(there.c.subscriber == here.c.subscriber, there.c.location == near.c.there))
        .distinct()
    )


def sites_of(sources: Sources, query: Scoring, selection: EventSelection) -> Select[Any]:
    """Select the sites used, with days and scores.

    Columns: ``subscriber``, ``location``, ``position``, ``lon``, ``lat``, ``days``, ``hour_score``,
    ``day_score``.
    """
    located = locate_events(sources, selection, SITES, ("local_time",))
    hours = sa.union_all(
        *(
            sa.select(sa.literal(hour).label("hour"), sa.cast(sa.literal(score), sa.Double).label("score"))
            for hour, score in enumerate(query.tower_hour_of_day_scores)
        )
    ).subquery("hours")
    date = sa.cast(located.c.local_time, sa.Date)
    # Sum by date first: a date has one weekday, and counting distinct dates of all events is expensive.
    dates = (
        sa.select(
            located.c.subscriber,
            located.c.location,
            date.label("date"),
            sa.func.count().label("events"),
            sa.func.sum(hours.c.score).label("hour_score"),
        )
        .join(hours, hours.c.hour == sa.extract("hour", located.c.local_time))
        .group_by(located.c.subscriber, located.c.location, date)
        .subquery("dates")
    )
    by_weekday = sa.case(
        {number: query.tower_day_of_week_scores[day] for number, day in enumerate(WEEKDAYS, start=1)},
        value=sa.extract("isodow", dates.c.date),
    )
    events = sa.cast(sa.func.sum(dates.c.events), sa.Double)
    visits = (
        sa.select(
            dates.c.subscriber,
            dates.c.location,
            sa.func.count().label("days"),
            (sa.func.sum(dates.c.hour_score) / events).label("hour_score"),
            (sa.func.sum(sa.cast(by_weekday, sa.Double) * dates.c.events) / events).label("day_score"),
        )
        .group_by(dates.c.subscriber, dates.c.location)
        .subquery("visits")
    )
    regions = sources.regions(SITES)
    measured = sa.and_(regions.c.location == visits.c.location, regions.c.lon.is_not(None))
    position = sa.func.row_number().over(
        partition_by=visits.c.subscriber, order_by=[visits.c.days.desc(), visits.c.location]
    )
    return sa.select(
        visits.c.subscriber,
        visits.c.location,
        position.label("position"),
        regions.c.lon,
        regions.c.lat,
        sa.cast(visits.c.days, sa.Double).label("days"),
        visits.c.hour_score,
        visits.c.day_score,
    ).join(regions, measured)


def shares(sources: Sources, query: Meaningful, clusters: FromClause, label: str, name: str) -> FromClause:
    """Return the subscriber's clusters with a label, in shares that sum to 1.

    Columns: ``subscriber``, ``location``, ``share``. A cluster is at the region strictly around its centre.
    Without such a region its location is null; with several it counts once in each.
    """
    wanted = sa.select(
        clusters,
        (1.0 / sa.cast(sa.func.count().over(partition_by=clusters.c.subscriber), sa.Double)).label("share"),
    ).where(clusters.c.label == label)
    found = wanted.cte(f"clusters_{name}")
    boundaries = sources.boundaries(query.unit)
    # Computed once for each centre instead of for each subscriber who has the centre.
    centres = sa.select(found.c.lon, found.c.lat).distinct().subquery("centres")
    around = strictly_within(centres.c.lon, centres.c.lat, boundaries.c.geom)
    placed = (
        sa.select(centres.c.lon, centres.c.lat, boundaries.c.location)
        .select_from(centres.outerjoin(boundaries, around))
        .subquery("placed")
    )
    return (
        sa.select(found.c.subscriber, placed.c.location, found.c.share)
        .join(placed, sa.and_(placed.c.lon == found.c.lon, placed.c.lat == found.c.lat))
        .subquery(name)
    )


class Shared:
    """Publish the sum of the contributors' shares."""

    adds: ClassVar[str | None] = "share"

    @property
    def measure(self) -> tuple[str, str]:
        return "subscribers", "shares"


def between(origins: FromClause, destinations: FromClause) -> FromClause:
    """Multiply a subscriber's shares in two relations.

    Columns ``location_from``, ``location_to``, ``subscriber``, ``share``.
    """
    return (
        sa.select(
            origins.c.location.label("location_from"),
            destinations.c.location.label("location_to"),
            origins.c.subscriber,
            sa.func.sum(origins.c.share * destinations.c.share).label("share"),
        )
        .join(destinations, destinations.c.subscriber == origins.c.subscriber)
        .group_by(origins.c.location, destinations.c.location, origins.c.subscriber)
        .subquery("pairs")
    )


def named(counted: Select[Any], **labels: str) -> Select[Any]:
    """Add the labels of the rows as columns."""
    rows = counted.subquery("counted")
    return sa.select(rows, *(sa.literal(label).label(name) for name, label in labels.items()))


def published_pairs(unit: SpatialUnit) -> Published:
    """Publish sums between labelled locations, judged by distinct subscribers."""
    return Published(
        (
            Value("label_from", sa.Text()),
            Value("label_to", sa.Text()),
            Region(unit, "location_from", "_from"),
            Region(unit, "location_to", "_to"),
            Value("value", sa.Double()),
        ),
        KeepOver("subscribers"),
    )
