"""Pair a subscriber's locations in two queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.queries.aggregates.spatial_aggregate import SpatialAggregate
from flowmachine.queries.families import INPUTS_TO_FLOWS, REFERENCE_LOCATIONS
from flowmachine.spec.aggregate import Aggregate, Total
from flowmachine.spec.fields import Choice, Flag, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
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

    @property
    def movement(self) -> dict[str, Any]:
        """Return the fields of this group, for another kind about the same movements."""
        return {name: getattr(self, name) for name in ("from_location", "to_location", "join_type")}

    @property
    def everybody(self) -> dict[str, SpatialAggregate]:
        """Return the counts of everybody at the ends of which a rest is told."""
        ends = {"from": self.from_location, "to": self.to_location}
        return {
            end: SpatialAggregate(locations=location)
            for end, location in ends.items()
            if self._tells_rest(end) and location.stands_for in REFERENCE_LOCATIONS
        }

    def _tells_rest(self, end: str) -> bool:
        """Return whether the join keeps an end whole."""
        whole = {"from": ("left", "left outer", "full outer"), "to": ("right", "right outer", "full outer")}
        return self.join_type in whole[end]


@field_group
class Flowing(Movement):
    """Hold the fields of kinds that count all subscribers who moved, or who stayed."""

    exclude_stayers: bool = optional(
        Flag(),
        False,
        "Whether to leave out subscribers with the same location in both; by default they count.",
        added=True,
    )

    def _tells_rest(self, end: str) -> bool:
        # Everybody less those who left is who stayed or was not seen. Nearly all do, so that this costs few rows.
        return self.exclude_stayers or super()._tells_rest(end)


def movements(sources: Sources, query: Movement, *, exclude_stayers: bool = False) -> FromClause:
    """Return (``location_from``, ``location_to``, ``subscriber``).

    The side missing in a join is null. Without stayers there are no two equal locations; whether somebody
    without a location stayed is unknown.
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
    moved = sa.select(
        origins.c.location.label("location_from"),
        destinations.c.location.label("location_to"),
        sa.func.coalesce(origins.c.subscriber, destinations.c.subscriber).label("subscriber"),
    ).select_from(joined)
    if exclude_stayers:
        stayed = sa.func.coalesce(origins.c.location == destinations.c.location, sa.false())
        moved = moved.where(~stayed)
    return moved.subquery("movements")


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


@field_group
class EndSums(Flowing, Aggregate):
    """Sum movements by the location at one of their ends."""

    #: The end: ``from`` or ``to``.
    end: ClassVar[str]
    adds: ClassVar[str | None] = "movements"

    def contributors(self, sources: Sources) -> FromClause:
        """Return (``location``, ``subscriber``, ``movements``).

        There is more than one movement where an input has a subscriber more than once.
        """
        moved = movements(sources, self, exclude_stayers=self.exclude_stayers)
        location = moved.c[f"location_{self.end}"]
        return (
            sa.select(location.label("location"), moved.c.subscriber, sa.func.count().label("movements"))
            .group_by(location, moved.c.subscriber)
            .subquery("by_subscriber")
        )

    @property
    def totals(self) -> Sequence[Total]:
        sums = [Total(question) for end, question in self.everybody.items() if end == self.end]
        if self.exclude_stayers:
            sums.append(Total(type(self)(**self.movement)))
        return [*super().totals, *(total for sum_ in sums for total in sum_.at_all_levels())]

    @property
    def published(self) -> Published:
        return Published(
            (Region(self.unit), Value("value", sa.BigInteger())),
            KeepOver("subscribers"),
            region_order(self.unit),
        )
