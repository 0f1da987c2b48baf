"""Pairs of a subscriber's locations in two queries."""

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
    """Fields of a kind about movement from the locations of one query to those of another."""

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
    """Rows (``subscriber``, ``location_from``, ``location_to``); the side that a join lacks is null."""
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
    """The id columns of pairs of regions, in the order in which rows are sorted by them.

    The columns of a coalesced location go by name, so that its points sort by latitude first.
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
    """The order of rows about pairs of regions: ascending, but for the last column."""
    *first, last = pair_columns(origins, destinations)
    return (*first, f"-{last}")


def region_order(unit: SpatialUnit) -> tuple[str, ...]:
    """The order of rows about the ends of movements: ascending, but for the last column."""
    *first, last = unit.id_columns
    return (*first, f"-{last}")


def movement_ends(sources: Sources, query: Movement, end: str) -> Select[Any]:
    """Movements counted at one of their ends, and the distinct subscribers behind them.

    Columns ``location``, ``value``, ``subscribers``; the two numbers differ where an input has a subscriber more than once.
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
