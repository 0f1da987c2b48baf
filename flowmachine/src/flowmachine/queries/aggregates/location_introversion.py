"""Compute the share of a location's interactions that stay there."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.queries.aggregates._flowing import region_order
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import EventSelection, Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.spec.windows import Directed, EventFields, Window, window_selection
from flowmachine.sql.events import locate_events


@query_kind(
    "location_introversion",
    summary="The share of each location's events whose other party is there too.",
)
class LocationIntroversion(Window, Unit, Directed, EventFields, Aggregate):
    """Compute the share of a location's interactions with both parties there.

    An interaction is a pair of located events with the same id and opposite directions, so both parties must
    be in the data. ``direction`` is that of the first party. A location is judged by the distinct subscribers
    who are the first party.
    """

    adds_up: ClassVar[bool] = False
    event_columns: ClassVar[tuple[str, ...]] = ("outgoing",)

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def contributors(self, sources: Sources) -> FromClause:
        located = locate_events(sources, self.events[0], self.unit, ("event_id", "outgoing"))
        parties = sa.select(located).cte("parties")
        here, there = parties.alias("here"), parties.alias("there")
        interaction = sa.and_(here.c.event_id == there.c.event_id, here.c.outgoing != there.c.outgoing)
        within = sa.func.count(sa.case((here.c.location == there.c.location, 1)))
        statement = (
            sa.select(
                here.c.location,
                here.c.subscriber,
                within.label("within"),
                sa.func.count().label("interactions"),
            )
            .join(there, interaction)
            .group_by(here.c.location, here.c.subscriber)
        )
        if self.direction != "both":
            statement = statement.where(here.c.outgoing == sa.literal(self.direction == "out"))
        return statement.subquery("first_parties")

    @property
    def measure(self) -> tuple[str, str]:
        return "interactions", "share within"

    def value(self, contributors: FromClause) -> ColumnElement[Any]:
        within, interactions = sa.func.sum(contributors.c.within), sa.func.sum(contributors.c.interactions)
        return sa.cast(within, sa.Double) / sa.cast(interactions, sa.Double)

    @property
    def published(self) -> Published:
        return Published(
            (Region(self.unit), Value("value", sa.Double())),
            KeepOver("subscribers"),
            region_order(self.unit),
        )
