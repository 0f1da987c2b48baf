"""Make rows of the subscribers who stand behind them: values, counts and sketches."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import Sources
from flowmachine.sql.functions import subscriber_number
from flowmachine.sql.sketches import SKETCH, VALUE_SKETCH, mixed, sketch, with_group

#: Columns that rows are judged by, besides the rule; not all kinds have those of values.
JUDGED_BY = ("subscribers", *SKETCH, *VALUE_SKETCH)

#: Columns of the stored counts of subscribers at places.
COUNTED_COLUMNS: dict[str, Any] = {
    "location": sa.Integer(),
    **dict.fromkeys(("value", "subscribers", *SKETCH), sa.BigInteger()),
}


def rows_of(query: Aggregate, sources: Sources, *, sketched: bool) -> Select[Any]:
    """Select an aggregate's rows before anything is withheld, in internal columns.

    For kinds with contributors these are the key columns, ``value`` and ``subscribers``, and with
    ``sketched`` the sketches of the subscribers behind each row. The second sketch is there only for kinds
    whose contributors add something other than themselves.
    """
    if query.uncompared is not None or query.sketches_itself:
        return query.select(sources)
    rows = query.rows(sources, counted(query, sources, sketched=sketched))
    if not (sketched and query.shares_of):
        return rows
    found = rows.subquery("found")
    second = with_group(found, query.shares_of)
    return sa.select(found, *(column.label(name) for name, column in second.items()))


def counted(query: Aggregate, sources: Sources, *, sketched: bool) -> Select[Any]:
    """Select the groups of a kind's contributors by key, of which it makes rows."""
    people = query.contributors(sources)
    names = [column.name for column in people.c]
    keys, added = names[: names.index("subscriber")], names[names.index("subscriber") + 1 :]
    measured: FromClause = people
    sketches: list[sa.Label[Any]] = []
    if sketched:
        measured = _numbered(people)
        number = measured.c.subscriber_number
        if added:
            # Named once, because each aggregate of a sketch would repeat a long expression.
            mixed_number = mixed(number, *(measured.c[name] for name in added)).label("mixed_number")
            measured = sa.select(measured, mixed_number).subquery("mixed")
        sketches = [found.label(name) for name, found in sketch(measured.c.subscriber_number).items()]
        if added:
            of_values = sketch(measured.c.mixed_number)
            sketches += [found.label(f"value_{name}") for name, found in of_values.items()]
    return sa.select(
        *(measured.c[name] for name in keys),
        query.value(measured).label("value"),
        sa.func.count(measured.c.subscriber).label("subscribers"),
        *sketches,
    ).group_by(*(measured.c[name] for name in keys))


def _numbered(people: FromClause) -> FromClause:
    numbered = sa.select(people, subscriber_number(people.c.subscriber).label("subscriber_number")).cte(
        "numbered"
    )
    # PostgreSQL would compute a subscriber's key again for each number of the sketch; for DuckDB the key is
    # there, and writing the rows down is what costs.
    return numbered.prefix_with("MATERIALIZED", dialect="postgresql").prefix_with(
        "NOT MATERIALIZED", dialect="duckdb"
    )
