"""Pair a subscriber's locations in two queries."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.families import INPUTS_TO_FLOWS
from flowmachine.spec.fields import Choice, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query, Sources, field_group
from flowmachine.spec.windows import same_unit


@field_group
class Movement:
    """Hold the fields of kinds about movement between two queries' locations."""

    from_location: Query = required(Nested(*INPUTS_TO_FLOWS, component="InputToFlows"))
    to_location: Query = required(Nested(*INPUTS_TO_FLOWS, component="InputToFlows"))
    join_type: str = optional(
        Choice("inner", "full outer", "left", "right", "left outer", "right outer"), "inner"
    )

    def check(self) -> None:
        same_unit(
            "'from_location' and 'to_location' parameters must have the same aggregation unit",
            self.from_location,
            self.to_location,
        )

    @property
    def unit(self) -> SpatialUnit:
        unit = self.from_location.unit
        assert unit is not None
        return unit


def movements(sources: Sources, query: Movement) -> FromClause:
    """Return (``subscriber``, ``location_from``, ``location_to``).

    The side missing in a join is null.
    """
    origins = sa.select(sources.stored(query.from_location)).subquery("origins")
    destinations = sa.select(sources.stored(query.to_location)).subquery("destinations")
    same = origins.c.subscriber == destinations.c.subscriber
    joined: FromClause
    match query.join_type:
        case "inner":
            joined = origins.join(destinations, same)
        case "left" | "left outer":
            joined = origins.outerjoin(destinations, same)
        case "right" | "right outer":
            joined = destinations.outerjoin(origins, same)
        case _:
            joined = origins.outerjoin(destinations, same, full=True)
    return (
        sa.select(
            sa.func.coalesce(origins.c.subscriber, destinations.c.subscriber).label("subscriber"),
            origins.c.location.label("location_from"),
            destinations.c.location.label("location_to"),
        )
        .select_from(joined)
        .subquery("movements")
    )


def pair_columns(origins: Query, destinations: Query) -> tuple[str, ...]:
    """Return the id columns of pairs of regions in sorting order.

    A coalesced location's columns are sorted by name, so that its points sort by latitude first.
    """
    found: list[str] = []
    for query, suffix in ((origins, "_from"), (destinations, "_to")):
        assert query.unit is not None
        names = query.unit.id_columns
        found += [
            f"{name}{suffix}" for name in (sorted(names) if query.kind == "coalesced_location" else names)
        ]
    return tuple(found)


def pair_order(origins: Query, destinations: Query) -> tuple[str, ...]:
    """Return the order of rows about pairs of regions.

    The order is ascending except for the last column.
    """
    *first, last = pair_columns(origins, destinations)
    return (*first, f"-{last}")


def region_order(unit: SpatialUnit) -> tuple[str, ...]:
    """Return the order of rows about the ends of movements.

    The order is ascending except for the last column.
    """
    *first, last = unit.id_columns
    return (*first, f"-{last}")


def movement_ends(sources: Sources, query: Movement, end: str) -> Select[Any]:
    """Count movements, and their distinct subscribers, at one of their ends.

    Columns ``location``, ``value``, ``subscribers``. The two numbers differ where an input has a subscriber
    more than once.
    """
    moved = movements(sources, query)
    by_subscriber = (
        sa.select(moved.c[end].label("location"), moved.c.subscriber, sa.func.count().label("movements"))
        .group_by(moved.c[end], moved.c.subscriber)
        .subquery("by_subscriber")
    )
    return sa.select(
        by_subscriber.c.location,
        sa.func.sum(by_subscriber.c.movements).label("value"),
        sa.func.count().label("subscribers"),
    ).group_by(by_subscriber.c.location)
