"""Measure how far subscribers are from their contacts."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries._statistics import STATISTICS, statistic, statistic_type
from flowmachine.queries.contacts._contacts import both_ends, with_contact
from flowmachine.spec.fields import Choice, Flag, optional
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import EventSelection, Sources, SubscriberMetric, query_kind
from flowmachine.spec.windows import Directed, EventFields, Window, window_selection
from flowmachine.sql.geometry import geodesic_metres

_points = SpatialUnit("lon-lat")


@query_kind("distance_counterparts", direct=True)
class DistanceCounterparts(Window, Directed, EventFields, SubscriberMetric):
    """Take a statistic of the distance between the two parties of each event.

    Distances are km on the spheroid. Both parties' records must be in the data and located. Each cell is at
    its place on that day.
    """

    event_columns: ClassVar[tuple[str, ...]] = ("counterpart", "outgoing")

    statistic: str = optional(Choice(*STATISTICS), "avg")
    exclude_self_calls: bool = optional(Flag(), True)

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {"subscriber": sa.Text(), "value": statistic_type(self.statistic, sa.Double())}

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        ends = both_ends(sources, self.events[0], _points, (), self.direction)
        contacts = with_contact(ends, exclude_self_calls=self.exclude_self_calls).cte("contacts")
        distances = self._distances(sources, contacts)
        same = sa.and_(
            distances.c.location == contacts.c.location,
            distances.c.location_counterpart == contacts.c.location_counterpart,
        )
        value = statistic(self.statistic, distances.c.km)
        return (
            sa.select(contacts.c.subscriber, value.label("value"))
            .join(distances, same)
            .group_by(contacts.c.subscriber)
        )

    def _distances(self, sources: Sources, contacts: FromClause) -> FromClause:
        """Compute the expensive distance once for each pair of points."""
        pairs = sa.select(contacts.c.location, contacts.c.location_counterpart).distinct().subquery("pairs")
        here, there = sources.regions(_points).alias("here"), sources.regions(_points).alias("there")
        metres = geodesic_metres(here.c.lon, here.c.lat, there.c.lon, there.c.lat)
        return (
            sa.select(pairs.c.location, pairs.c.location_counterpart, (metres / 1000).label("km"))
            .join(here, pairs.c.location == here.c.location)
            .join(there, pairs.c.location_counterpart == there.c.location)
            .subquery("distances")
        )
