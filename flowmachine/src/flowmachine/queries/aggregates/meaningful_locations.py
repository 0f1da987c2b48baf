"""Cluster the sites of each subscriber, and label the clusters."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import sqlalchemy as sa
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy.sql import Select

from flowmachine.queries.aggregates._meaningful import HourScores, Labels, WeekdayScores, clusters
from flowmachine.queries.aggregates.event_score import HOURS
from flowmachine.spec.fields import Integer, Number, optional, required
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.windows import EventFields, Window, window_selection


@query_kind("meaningful_locations", direct=True)
class MeaningfulLocations(Window, EventFields, Query):
    """Cluster each subscriber's sites, and label the clusters by their scores.

    Sites join the first cluster whose centre is nearer than ``tower_cluster_radius`` km, those with the most days
    first; the centre moves with its sites (Hartigan's leader algorithm, as in Isaacman and others, 2011). Clusters of
    fewer days than ``tower_cluster_call_threshold`` are dropped. A label is an area in the plane of (hour score, day
    score), and ``unknown`` is what lies in none.
    """

    columns: ClassVar[dict[str, Any]] = {
        "subscriber": sa.Text(),
        "lon": sa.Double(),
        "lat": sa.Double(),
        "label": sa.Text(),
        "hour_score": sa.Double(),
        "day_score": sa.Double(),
    }

    labels: dict[str, Any] = required(Labels())
    tower_hour_of_day_scores: tuple[float, ...] = optional(HourScores(), HOURS)
    tower_day_of_week_scores: dict[str, float] = required(WeekdayScores())
    tower_cluster_radius: float = optional(Number(), 1.0)
    tower_cluster_call_threshold: int = optional(Integer(), 0)

    @cached_property
    def areas(self) -> dict[str, BaseGeometry]:
        """Return the labels' areas in the plane of (hour score, day score)."""
        return {label: shape(geometry) for label, geometry in self.labels.items()}

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        found = clusters(sources, self, self.events[0], scores=True)
        return sa.select(*(found.c[name] for name in self.columns))
