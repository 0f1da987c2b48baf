"""Disclosure control, all of it: what may leave, and the one place where results are cut to it.

Every result that leaves the engine is made by ``released``. A kind says which columns it publishes, in which order, and
by which column a row is judged: the number of distinct subscribers behind that published row. The absence of a row is
the only sign of withholding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowdb.settings import SettingError, integer_setting
from flowmachine.sql.functions import full_order, in_full_order

if TYPE_CHECKING:
    from flowmachine.registry import Aggregate
    from flowmachine.sql.sources import Sources
    from flowmachine.units import SpatialUnit

#: A row leaves only if more than this many subscribers stand behind it.
LOWEST_FLOOR = 15


class FloorTooLow(SettingError):
    """The configured floor would publish more than the platform promises to withhold."""


def floor() -> int:
    """The floor in force: FLOWMACHINE_RELEASE_FLOOR, which may raise the limit of 15 but never lower it."""
    configured = integer_setting("FLOWMACHINE_RELEASE_FLOOR", LOWEST_FLOOR)
    if configured < LOWEST_FLOOR:
        raise FloorTooLow(f"FLOWMACHINE_RELEASE_FLOOR is {configured}; it must be {LOWEST_FLOOR} or more.")
    return configured


@dataclass(frozen=True)
class KeepOver:
    """Keep the rows whose ``count`` is over the floor."""

    count: str

    def keep(self, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
        return result.c[self.count] > floor(), result


@dataclass(frozen=True)
class KeepGroups:
    """Keep all rows of a group, or none: none if any of its rows is not over the floor, or if the group is null."""

    by: tuple[str, ...]
    count: str

    def keep(self, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
        smallest = sa.func.min(result.c[self.count]).over(partition_by=[result.c[name] for name in self.by])
        judged = sa.select(result, smallest.label("smallest_of_group")).subquery("judged")
        named = [judged.c[name].is_not(None) for name in self.by]
        return sa.and_(judged.c.smallest_of_group > floor(), *named), judged


@dataclass(frozen=True)
class KeepShares:
    """Keep the rows over the floor, in groups where the withheld rows together are nobody or over the floor as well.

    For rows that are shares of their group, each subscriber in one row: the shares add up to one, so what is withheld of a
    group can be worked out from what is published.
    """

    by: tuple[str, ...]
    count: str

    def keep(self, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
        count = result.c[self.count]
        withheld = sa.func.sum(sa.case((count <= floor(), count), else_=0))
        group = withheld.over(partition_by=[result.c[name] for name in self.by])
        judged = sa.select(result, group.label("withheld_of_group")).subquery("judged")
        rest = judged.c.withheld_of_group
        return sa.and_(judged.c[self.count] > floor(), sa.or_(rest == 0, rest > floor())), judged


@dataclass(frozen=True)
class AllOrNothing:
    """Keep all rows if each is over the floor, else publish one row of nulls. A column ``count`` that is null never passes."""

    count: str

    def keep(self, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
        # Whether anything is published is decided in ``released``, which knows the columns to set to null.
        return sa.true(), result


@dataclass(frozen=True)
class NothingPersonal:
    """For results that are not made from subscribers at all; ``reason`` says why."""

    reason: str

    def keep(self, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
        return sa.true(), result


Rule = KeepOver | KeepGroups | KeepShares | AllOrNothing | NothingPersonal


@dataclass(frozen=True)
class Region:
    """Published id columns of a region, from the integer key in ``source``; ``suffix`` is ``_from``, ``_to`` or empty.

    ``known`` leaves out the rows that are at none.
    """

    unit: SpatialUnit
    source: str = "location"
    suffix: str = ""
    known: bool = False

    @property
    def columns(self) -> dict[str, Any]:
        return {f"{name}{self.suffix}": type_ for name, type_ in self.unit.id_columns.items()}


@dataclass(frozen=True)
class Value:
    """A published column taken as it is."""

    name: str
    type: Any

    @property
    def columns(self) -> dict[str, Any]:
        return {self.name: self.type}


@dataclass(frozen=True)
class Published:
    """The published form of a result: columns in order, the rule, and the order of rows.

    ``order`` names published columns, ``-`` before one for descending; left empty, all regions' columns ascending.
    """

    parts: tuple[Region | Value, ...]
    rule: Rule
    order: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, Any]:
        """Names and SQLAlchemy types of the published columns."""
        return {name: type_ for part in self.parts for name, type_ in part.columns.items()}

    @property
    def ordering(self) -> tuple[str, ...]:
        """The row order with the default filled in, complete enough to be deterministic."""
        return full_order(self.columns, self.order)


def releasable(query: Aggregate, sources: Sources) -> FromClause:
    """The rows of a stored sub-query that might leave by themselves, in its internal columns."""
    keep, judged = query.published.rule.keep(sa.select(sources.stored(query)).subquery("result"))
    return sa.select(*(judged.c[name] for name in query.columns)).where(keep).subquery("releasable")


def released(query: Aggregate, sources: Sources) -> Select[Any]:
    """The statement of everything of ``query`` that may leave: judged, named, ordered."""
    published = query.published
    result = query.select(sources).subquery("result")
    keep, judged = published.rule.keep(result)
    statement_from: FromClause = judged
    selected: dict[str, ColumnElement[Any]] = {}
    for position, part in enumerate(published.parts):
        if isinstance(part, Region):
            regions = sources.regions(part.unit).alias(f"regions_{position}")
            statement_from = statement_from.outerjoin(regions, judged.c[part.source] == regions.c.location)
            if part.known:
                keep = sa.and_(keep, judged.c[part.source].is_not(None))
            for name in part.unit.id_columns:
                selected[f"{name}{part.suffix}"] = regions.c[name]
        else:
            selected[part.name] = _typed(judged.c[part.name], part.type)
    statement = sa.select(*(column.label(name) for name, column in selected.items())).select_from(
        statement_from
    )
    if isinstance(published.rule, AllOrNothing):
        return _all_or_nothing(statement, result, published, published.rule)
    return _ordered(statement.where(keep), published, selected)


def _typed(column: ColumnElement[Any], type_: Any) -> ColumnElement[Any]:
    # The databases disagree about the types of sums and means; what is published has the declared type in both.
    return sa.cast(column, type_) if isinstance(type_, sa.types.Numeric | sa.types.Integer) else column


def _all_or_nothing(
    statement: Select[Any], result: FromClause, published: Published, rule: AllOrNothing
) -> Select[Any]:
    count = result.c[rule.count]
    smallest = (
        sa.select(sa.func.min(sa.func.coalesce(count, 0)).label("smallest"))
        .select_from(result)
        .subquery("smallest")
    )
    rows = statement.subquery("rows")
    passes = sa.func.coalesce(smallest.c.smallest, 0) > floor()
    # Joined to the one verdict from the left, so that a refusal leaves one row, and that row is null.
    joined = smallest.outerjoin(rows, passes)
    columns = {name: rows.c[name] for name in published.columns}
    return _ordered(
        sa.select(*(column.label(name) for name, column in columns.items())).select_from(joined),
        published,
        columns,
    )


def _ordered(
    statement: Select[Any], published: Published, selected: Mapping[str, ColumnElement[Any]]
) -> Select[Any]:
    typed = {name: sa.type_coerce(selected[name], type_) for name, type_ in published.columns.items()}
    return statement.order_by(*in_full_order(typed, published.order))
