"""Weigh subscribers by the people for each subscriber at their home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.spec.published import floor
from flowmachine.spec.query import Query, Sources
from flowmachine.sql.release import nobody_or_enough


@dataclass(frozen=True)
class Weighting:
    """Say how much a subscriber weighs; see ``PopulationEstimate``."""

    home_location: Query
    table: str
    column: str
    factor: float
    minimum_residents: int


def weighted_rows(sources: Sources, people: FromClause, adds: str | None, weighting: Weighting) -> FromClause:
    """Return keys of the people's rows, with ``weighted_value`` and ``coverage``.

    ``people`` are the contributors of rows, and ``adds`` is the column of what each adds to the value.
    """
    names = [column.name for column in people.c]
    keys = names[: names.index("subscriber")]
    homes = sa.select(sources.stored(weighting.home_location)).subquery("homes")
    weights = _weights(sources, weighting)
    at_home = (
        sa.select(
            *(people.c[name] for name in keys),
            weights.c.weight,
            sa.case((weights.c.weight.is_not(None), homes.c.location)).label("home"),
            (sa.literal(1) if adds is None else people.c[adds]).label("added"),
        )
        .select_from(
            people.outerjoin(homes, homes.c.subscriber == people.c.subscriber).outerjoin(
                weights, weights.c.location == homes.c.location
            )
        )
        .subquery("at_home")
    )
    # One row of each row's homes, and one of all homes without a weight.
    one = [*(at_home.c[name] for name in keys), at_home.c.home, at_home.c.weight]
    by_home = (
        sa.select(
            *one,
            sa.func.count().label("people"),
            sa.cast(sa.func.sum(at_home.c.added), sa.Double).label("added"),
        )
        .group_by(*one)
        .subquery("by_home")
    )
    large = sa.and_(by_home.c.weight.is_not(None), by_home.c.people > floor())

    def total(condition: ColumnElement[bool], number: ColumnElement[Any]) -> ColumnElement[Any]:
        return sa.func.sum(sa.case((condition, number), else_=0))

    own = by_home.c.weight
    sums = (
        sa.select(
            *(by_home.c[name] for name in keys),
            total(large, by_home.c.people).label("people"),
            total(sa.not_(large), by_home.c.people).label("others"),
            total(large, own * by_home.c.people).label("weights"),
            total(large, own * by_home.c.added).label("weighted"),
            total(sa.not_(large), by_home.c.added).label("added_by_others"),
        )
        .group_by(*(by_home.c[name] for name in keys))
        .subquery("sums")
    )
    ratio = _national_ratio(weights)
    mean = sa.case(
        (sums.c.people > 0, sums.c.weights / sa.func.nullif(sums.c.people, 0)), else_=ratio.c.ratio
    )
    # Without others their weight need not be known.
    by_others = sa.case((sums.c.others > 0, sums.c.added_by_others * mean), else_=0.0)
    share = sa.cast(sums.c.people, sa.Double) / (sums.c.people + sums.c.others)
    return (
        sa.select(
            *(sums.c[name] for name in keys),
            (sums.c.weighted + by_others).label("weighted_value"),
            sa.case((nobody_or_enough(sums.c.others), share)).label("coverage"),
        )
        .select_from(sums.join(ratio, sa.true()))
        .subquery("weighted")
    )


def _weights(sources: Sources, weighting: Weighting) -> FromClause:
    """Return ``location``, ``weight`` of listed homes, and ``ratio`` of them all.

    A ratio of several homes is told of only if those of them that are too few to be published are together
    nobody or enough: else it would tell of these few.
    """
    unit = weighting.home_location.unit
    assert unit is not None
    located = sources.stored(weighting.home_location)
    residents = (
        sa.select(located.c.location, sa.func.count().label("residents"))
        .where(located.c.location.is_not(None))
        .group_by(located.c.location)
        .subquery("residents")
    )
    regions, table, parents = (
        sources.regions(unit),
        sources.weights(weighting.table, weighting.column),
        sources.parents(unit),
    )
    number = sa.func.coalesce(residents.c.residents, 0)
    listed = (
        sa.select(
            regions.c.location,
            table.c.weight.label("listed"),
            number.label("residents"),
            sa.case((number <= floor(), number), else_=0).label("few"),
            parents.c.parent,
        )
        .select_from(
            regions.join(table, table.c.pcod == regions.c.pcod)
            .join(parents, parents.c.location == regions.c.location)
            .outerjoin(residents, residents.c.location == regions.c.location)
        )
        .subquery("listed")
    )
    residents_of = sa.cast(sa.func.nullif(listed.c.residents, 0), sa.Double)
    if weighting.column == "population":
        people: ColumnElement[Any] = listed.c.listed
        own: ColumnElement[Any] = listed.c.listed / residents_of
    else:
        people = listed.c.listed * weighting.factor * listed.c.residents
        own = listed.c.listed * weighting.factor

    def ratio(*around: ColumnElement[Any]) -> tuple[ColumnElement[bool], ColumnElement[Any]]:
        """Return whether homes together have a ratio, and the ratio."""
        together = {
            name: sa.func.sum(column).over(partition_by=list(around) or None)
            for name, column in {
                "people": people,
                "residents": listed.c.residents,
                "few": listed.c.few,
            }.items()
        }
        told = sa.and_(
            together["residents"] >= weighting.minimum_residents, nobody_or_enough(together["few"])
        )
        return told, together["people"] / sa.cast(sa.func.nullif(together["residents"], 0), sa.Double)

    told, national = ratio()
    of_all = sa.case((told, national))
    weight: ColumnElement[Any] = own
    if weighting.column == "population":
        told_above, above = ratio(listed.c.parent)
        weight = sa.case(
            (listed.c.residents >= weighting.minimum_residents, own),
            (sa.and_(listed.c.parent.is_not(None), told_above), above),
            else_=of_all,
        )
    return sa.select(listed.c.location, weight.label("weight"), of_all.label("ratio")).cte("weights")


def _national_ratio(weights: FromClause) -> FromClause:
    """Return the one ratio of the whole table, null for an empty table."""
    return sa.select(sa.func.max(weights.c.ratio).label("ratio")).subquery("national")
