"""Hold all disclosure control: cut every result to what may leave.

``judged`` and ``leaving`` make every result that leaves the engine. A kind declares its published columns,
their order, and the column that a row is judged by: the number of distinct subscribers behind the published
row. The absence of a row is the only sign of withholding among the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import (
    AllOrNothing,
    Difference,
    KeepGroups,
    KeepOver,
    KeepShares,
    NothingPersonal,
    Published,
    Region,
    Rule,
    floor,
)
from flowmachine.spec.query import Sources
from flowmachine.sql.contributors import JUDGED_BY, rows_of
from flowmachine.sql.functions import in_full_order


@singledispatch
def kept(rule: Rule, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    """Return a rule's condition for keeping rows, and the relation to apply it to."""
    raise NotImplementedError(type(rule).__name__)


@kept.register
def _(rule: KeepOver, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    return sa.and_(result.c[rule.count] > floor(), *_nobody_or_enough(rule, result)), result


@kept.register
def _(rule: KeepGroups, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    smallest = sa.func.min(result.c[rule.count]).over(partition_by=[result.c[name] for name in rule.by])
    named = [result.c[name].is_not(None) for name in rule.by]
    judged = sa.select(result, smallest.label("smallest_of_group")).where(*named).subquery("judged")
    return judged.c.smallest_of_group > floor(), judged


@kept.register
def _(rule: KeepShares, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    count = result.c[rule.count]
    withheld = sa.func.sum(sa.case((count <= floor(), count), else_=0))
    group = withheld.over(partition_by=[result.c[name] for name in rule.by])
    judged = sa.select(result, group.label("withheld_of_group")).subquery("judged")
    safe = _nobody_or_enough(rule, judged, "withheld_of_group")
    return sa.and_(judged.c[rule.count] > floor(), *safe), judged


def _nobody_or_enough(rule: KeepOver | KeepShares, rows: FromClause, *more: str) -> list[ColumnElement[bool]]:
    return [nobody_or_enough(rows.c[name]) for name in (*more, *rule.beside)]


def nobody_or_enough(count: ColumnElement[int]) -> ColumnElement[bool]:
    """Return whether a number of subscribers may be told: of nobody or over the floor."""
    return sa.or_(count == 0, count > floor())


@kept.register
def _(rule: AllOrNothing, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    # ``leaving`` decides whether anything is published, because it knows the columns to set to null.
    return result.c[rule.count] > floor(), result


@kept.register
def _(rule: NothingPersonal, result: FromClause) -> tuple[ColumnElement[bool], FromClause]:
    return sa.true(), result


def releasable(query: Aggregate, sources: Sources) -> FromClause:
    """Select the rows of a stored sub-query that might leave, in internal columns."""
    keep, judged = kept(query.published.rule, sa.select(sources.stored(query)).subquery("result"))
    return sa.select(*(judged.c[name] for name in query.columns)).where(keep).subquery("releasable")


def judged(query: Aggregate, sources: Sources, *, sketched: bool) -> Select[Any]:
    """Select all rows of ``query``, named, with what judging them together needs.

    Columns are the published columns and ``kept``, which is the rule's judgement of the row, and where all or
    none are kept that of the row alone. With ``sketched`` there are ``subscribers`` and the sketches, too.
    """
    result = rows_of(query, sources, sketched=sketched).subquery("result")
    keep, judged = kept(query.published.rule, result)
    selected, named, known = _named(query, judged, sources)
    judged_by = [name for name in JUDGED_BY if name in judged.c and name not in selected] if sketched else []
    return (
        sa.select(
            *(column.label(name) for name, column in selected.items()),
            sa.func.coalesce(keep, sa.false()).label("kept"),
            *(judged.c[name] for name in judged_by),
        )
        .select_from(named)
        .where(*known)
    )


def leaving(published: Published, rows: FromClause) -> Select[Any]:
    """Select what leaves of the rows of ``judged``: published columns, in order."""
    columns: dict[str, ColumnElement[Any]] = {name: rows.c[name] for name in published.columns}
    columns |= _differences(published, columns)
    statement = sa.select(*(column.label(name) for name, column in columns.items()))
    if isinstance(published.rule, AllOrNothing):
        passes = sa.select(sa.func.coalesce(sa.func.bool_and(rows.c.kept), sa.false()).label("passes"))
        verdict, found = passes.select_from(rows).subquery("verdict"), statement.subquery("rows")
        # A left join to the single verdict makes a refusal one row of nulls.
        columns = {name: found.c[name] for name in columns}
        joined = verdict.outerjoin(found, verdict.c.passes)
        return _ordered(sa.select(*columns.values()).select_from(joined), published, columns)
    return _ordered(statement.where(rows.c.kept), published, columns)


def _named(
    query: Aggregate, judged: FromClause, sources: Sources
) -> tuple[dict[str, ColumnElement[Any]], FromClause, list[ColumnElement[bool]]]:
    """Return the published columns, their relation, and which regions must be known."""
    statement_from: FromClause = judged
    selected: dict[str, ColumnElement[Any]] = {}
    known: list[ColumnElement[bool]] = []
    for position, part in enumerate(query.published.parts):
        if isinstance(part, Region):
            regions = sources.regions(part.unit).alias(f"regions_{position}")
            statement_from = statement_from.outerjoin(regions, judged.c[part.source] == regions.c.location)
            if part.known:
                known.append(judged.c[part.source].is_not(None))
            for name in part.unit.id_columns:
                selected[f"{name}{part.suffix}"] = regions.c[name]
        elif not isinstance(part, Difference):
            selected[part.name] = _typed(judged.c[part.name], part.type)
    selected |= _differences(query.published, selected)
    # In the order of the published columns.
    selected = {name: selected[name] for name in query.published.columns}
    return selected, statement_from, known


def _differences(
    published: Published, columns: Mapping[str, ColumnElement[Any]]
) -> dict[str, ColumnElement[Any]]:
    """Return the columns that are made of others: of those that a row repeats, too."""
    made = (part for part in published.parts if isinstance(part, Difference))
    return {part.name: columns[part.of[0]] - columns[part.of[1]] for part in made}


def _typed(column: ColumnElement[Any], type_: Any) -> ColumnElement[Any]:
    # The databases disagree about the types of sums and means, so cast to the declared type in both.
    return sa.cast(column, type_) if isinstance(type_, sa.types.Numeric | sa.types.Integer) else column


def _ordered(
    statement: Select[Any], published: Published, selected: Mapping[str, ColumnElement[Any]]
) -> Select[Any]:
    typed = {name: sa.type_coerce(selected[name], type_) for name, type_ in published.columns.items()}
    return statement.order_by(*in_full_order(typed, published.order))
