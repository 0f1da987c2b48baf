"""Hold all disclosure control: cut every result to what may leave.

``released`` makes every result that leaves the engine. A kind declares its published columns, their order,
and the column that a row is judged by: the number of distinct subscribers behind the published row. The
absence of a row is the only sign of withholding.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.published import (
    AllOrNothing,
    KeepGroups,
    KeepOver,
    KeepShares,
    NothingPersonal,
    Published,
    Region,
    Rule,
    floor,
)
from flowmachine.spec.query import Aggregate, Sources
from flowmachine.sql.functions import in_full_order


@singledispatch
def kept(rule: Rule, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    """Return a rule's condition for keeping rows, and the relation to apply it to."""
    raise NotImplementedError(type(rule).__name__)


@kept.register
def _(rule: KeepOver, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    return result.c[rule.count] > floor(), result


@kept.register
def _(rule: KeepGroups, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    smallest = sa.func.min(result.c[rule.count]).over(partition_by=[result.c[name] for name in rule.by])
    judged = sa.select(result, smallest.label("smallest_of_group")).subquery("judged")
    named = [judged.c[name].is_not(None) for name in rule.by]
    return sa.and_(judged.c.smallest_of_group > floor(), *named), judged


@kept.register
def _(rule: KeepShares, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    count = result.c[rule.count]
    withheld = sa.func.sum(sa.case((count <= floor(), count), else_=0))
    group = withheld.over(partition_by=[result.c[name] for name in rule.by])
    judged = sa.select(result, group.label("withheld_of_group")).subquery("judged")
    rest = judged.c.withheld_of_group
    return sa.and_(judged.c[rule.count] > floor(), sa.or_(rest == 0, rest > floor())), judged


@kept.register
def _(rule: AllOrNothing, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    # ``released`` decides whether anything is published, because it knows the columns to set to null.
    return sa.true(), result


@kept.register
def _(rule: NothingPersonal, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    return sa.true(), result


def releasable(query: Aggregate, sources: Sources) -> FromClause:
    """Select the rows of a stored sub-query that might leave, in internal columns."""
    keep, judged = kept(query.published.rule, sa.select(sources.stored(query)).subquery("result"))
    return sa.select(*(judged.c[name] for name in query.columns)).where(keep).subquery("releasable")


def released(query: Aggregate, sources: Sources) -> Select[Any]:
    """Select everything of ``query`` that may leave: judged, named, ordered."""
    published = query.published
    result = query.select(sources).subquery("result")
    keep, judged = kept(published.rule, result)
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
    # The databases disagree about the types of sums and means, so cast to the declared type in both.
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
    # A left join to the single verdict makes a refusal one row of nulls.
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
