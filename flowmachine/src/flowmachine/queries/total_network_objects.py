"""How many cells were in use at each location over time."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.fields import Choice, optional
from flowmachine.registry import Aggregate, query_kind
from flowmachine.release import KeepOver, Published, Region, Value
from flowmachine.sql.events import EventFields, EventSelection, Window, locate_events, window_selection
from flowmachine.sql.functions import as_instant
from flowmachine.sql.sources import Sources
from flowmachine.units import Unit


@query_kind("total_network_objects")
class TotalNetworkObjects(Window, Unit, EventFields, Aggregate):
    """Distinct cells with an event, at each location and in each period that has one.

    A row is judged by the subscribers behind those events: that someone used a cell at some time says where they were.
    """

    columns: ClassVar[dict[str, Any]] = {
        "location": sa.Integer(),
        "datetime": sa.DateTime(timezone=True),
        "value": sa.BigInteger(),
        "subscribers": sa.BigInteger(),
    }

    total_by: str = optional(Choice("second", "minute", "hour", "day", "month", "year"), "day")

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(sources, self.events[0], self.unit, ("cell", "local_time"))
        period = sa.func.date_trunc(self.total_by, located.c.local_time, type_=sa.DateTime())
        sightings = sa.select(
            located.c.location, period.label("period"), located.c.cell, located.c.subscriber
        ).cte("sightings")
        # Two narrow groupings of the same rows are cheaper than one of all four columns or than COUNT(DISTINCT).
        objects = _distinct(sightings, "cell")
        people = _distinct(sightings, "subscriber")
        return sa.select(
            objects.c.location,
            as_instant(objects.c.period).label("datetime"),
            objects.c.number.label("value"),
            people.c.number.label("subscribers"),
        ).join_from(
            objects,
            people,
            sa.and_(objects.c.location == people.c.location, objects.c.period == people.c.period),
        )

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit),
                Value("value", sa.BigInteger()),
                Value("datetime", sa.DateTime(timezone=True)),
            ),
            KeepOver("subscribers"),
            (*self.unit.id_columns, "datetime"),
        )


def _distinct(sightings: sa.CTE, column: str) -> sa.Subquery:
    """The ``number`` of different values of a column at each location in each period."""
    counted = sightings.c[column]
    pairs = sa.select(sightings.c.location, sightings.c.period, counted).distinct().subquery()
    return (
        sa.select(pairs.c.location, pairs.c.period, sa.func.count().label("number"))
        .group_by(pairs.c.location, pairs.c.period)
        .subquery(f"{column}s")
    )
