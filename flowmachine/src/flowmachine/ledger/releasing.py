"""Release results: through the gate, into a table that the API reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import CompoundSelect, FromClause, Select

from flowmachine.data import DataState
from flowmachine.ledger import inputs, margins, packing, parts, twins
from flowmachine.ledger.edges import cuts_of
from flowmachine.ledger.edges import judge as judge_edges
from flowmachine.ledger.recording import note, record, repeating, settle, withhold
from flowmachine.spec.aggregate import Aggregate, ValuesBehind
from flowmachine.spec.published import differences, margins_judged
from flowmachine.spec.query import Sources
from flowmachine.sql.release import judged, leaving
from flowmachine.sql.samples import released_sample
from flowmachine.sql.statements import Analyze, CreateTableAs, Grant
from flowmachine.stores.base import Stored
from flowmachine.stores.cache_tables import drop_table, table_size
from flowmachine.tables import result_name

#: Writes the rows of an executor's statement into a new table of the transaction.
Fill = Callable[[sa.Connection, sa.Table, Select[Any]], None]


def release(
    query: Aggregate,
    data: DataState,
    stores: inputs.Stores,
    fill: Fill,
    connection: sa.Connection,
    reader: str,
) -> Stored:
    """Compute a query and write what may leave into its table of schema ``cache``.

    The executor computes all rows into a temporary table, with what they are judged by. What leaves is cut
    from it in the database, in the transaction of the release and of the ledger. The metadata say why rows
    were withheld, and which queries' answers or subsets are used.
    """
    name = result_name(query.query_id)
    sources = stores.sources
    drop_table(connection, name)
    together = query.uncompared is None and differences() != "off"
    select = judged(query, sources, sketched=together)
    rows = _filled(connection, select, fill, "judged_rows")
    if together:
        apart = _apart(connection, query, sources, fill)
        joined = inputs.sketched(connection, query, data, stores, _reading(connection, fill))
        answer = judge_together(connection, query, rows)
        inputs.judge(connection, query, joined)
        for part, rows_apart in apart:
            if isinstance(part, ValuesBehind):
                _judge_edges(connection, query, part, (rows, answer.rows, rows_apart), sources, fill)
            else:
                _judge_apart(connection, part, rows_apart, query.fewest_apart)
            rows_apart.drop(connection)
    else:
        answer = Answer(rows, _reasons(connection, rows))
    leaves = released_sample(query, leaving(query.published, answer.rows))
    connection.execute(CreateTableAs("cache", name, leaves))
    rows.drop(connection)
    connection.execute(Analyze("cache", name))
    connection.execute(Grant("cache", name, reader))
    repeats = dict.fromkeys([*packing.used_by(query, data, connection), *answer.repeats])
    metadata = {"withheld": answer.withheld, "repeats": list(repeats)}
    return replace(table_size(connection, name), metadata=metadata)


@dataclass(frozen=True)
class Answer:
    """Hold all rows, why rows are withheld, and the queries whose answers are near.

    ``rows`` has the published columns and ``kept``, with what they repeat of earlier answers.
    """

    rows: FromClause
    withheld: list[str]
    repeats: list[str] = field(default_factory=list)


def judge_together(connection: sa.Connection, query: Aggregate, rows: FromClause) -> Answer:
    """Record the rows of ``judged``, and judge them with all earlier answers.

    Raises TooNear where an earlier answer differs by few and cannot be repeated.
    """
    twins.lock(connection)
    made = record(connection, query, rows)
    found = twins.Repeated([], any_row=False)
    cut: set[int] = set()
    if differences() == "on":
        found = twins.repeat(connection, query, made)
        # Before parts are withheld: a part that is withheld beside another question's total tells of its place.
        _judge_margins(connection, query, made)
        cut = parts.to_withhold(connection, query, rows, made).keys
        if cut:
            withhold(connection, made, cut)
            _judge_margins(connection, query, made, again=True)
    else:
        twins.report(connection, query, made)
        _judge_margins(connection, query, made)
        parts.report(connection, query, rows, made)
    settle(connection, query, made)
    if found.any_row or cut:
        rows = repeating(query, rows, made, cut)
    # A twin's reasons are its first answer's, too: a group that only one of two has can be a single person.
    withheld = found.twins[0].withheld if found.twins else _reasons(connection, rows)
    if cut and "parts" not in withheld:
        withheld = [*withheld, "parts"]
    note(connection, made, withheld)
    others = [twin.query_id for twin in found.twins if twin.query_id != query.query_id]
    return Answer(rows, withheld, others)


def _judge_margins(connection: sa.Connection, query: Aggregate, made: int, *, again: bool = False) -> None:
    """Record sums of rows; refuse or report near ones, and report only once."""
    if margins_judged() == "off":
        return
    if again:
        margins.forget(connection, made)
    margins.record(connection, query, made)
    if differences() == "on" and margins_judged() == "on":
        margins.refuse(connection, query, made)
    elif not again:
        margins.report(connection, query, made)


def _apart(
    connection: sa.Connection, query: Aggregate, sources: Sources, fill: Fill
) -> list[tuple[Aggregate, sa.Table]]:
    """Compute what is behind published numbers and does not leave itself.

    This is before judging, because others wait meanwhile.
    """
    parts: list[Aggregate] = [*query.judged_apart, *filter(None, [query.values_behind])]
    return [
        (part, _filled(connection, judged(part, sources, sketched=True), fill, f"rows_apart_{number}"))
        for number, part in enumerate(parts)
    ]


def _reading(connection: sa.Connection, fill: Fill) -> inputs.Read:
    """Return how an executor's statement of few rows is read."""

    def read(select: CompoundSelect[Any]) -> Sequence[Mapping[str, Any]]:
        rows = sa.select(select.subquery("found"))
        table = _filled(connection, rows, fill, "rows_of_numbers")
        found = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
        table.drop(connection)
        return found

    return read


def _filled(connection: sa.Connection, select: Select[Any], fill: Fill, name: str) -> sa.Table:
    """Write the rows of an executor's statement into a table of the transaction."""
    rows = _table({column.name: column.type for column in select.selected_columns}, name)
    fill(connection, rows, select)
    return rows


def _judge_apart(connection: sa.Connection, part: Aggregate, rows: sa.Table, fewest: int) -> None:
    """Record rows that are behind published numbers and do not leave themselves.

    Raises TooNear where they differ by few from those of an earlier answer, or where rows of ``fewest``
    subscribers and totals or parts of earlier answers leave few.
    """
    made = record(connection, part, rows)
    if differences() == "on":
        twins.refuse(connection, part, made)
        parts.refuse(connection, part, rows, made, fewest)
    else:
        twins.report(connection, part, made)
        parts.report(connection, part, rows, made, fewest)


def _judge_edges(
    connection: sa.Connection,
    query: Aggregate,
    values: ValuesBehind,
    tables: tuple[sa.Table, FromClause, sa.Table],
    sources: Sources,
    fill: Fill,
) -> None:
    """Compare the edges of ranges of values with those of earlier answers.

    ``tables`` are the rows of the answer, those rows as they leave, and the row of ``values``. Raises TooNear.
    """
    rows, leaving_rows, row_of_values = tables
    if not connection.execute(sa.select(sa.func.bool_and(leaving_rows.c.kept))).scalar():
        return
    edges = sa.union(*(sa.select(rows.c[name]) for name in query.range_columns))

    def count(edges: Sequence[float]) -> list[int]:
        counted = _filled(connection, values.counted_between(edges, sources), fill, "rows_between")
        found = dict(
            connection.execute(sa.select(counted.c.lower_edge, counted.c.subscribers)).tuples().all()
        )
        counted.drop(connection)
        return [found[edge] for edge in edges[:-1]]

    cuts = cuts_of(values, map(values.as_compared, connection.execute(edges).scalars()))
    judge_edges(connection, values, cuts, row_of_values, count)


def _reasons(connection: sa.Connection, rows: FromClause) -> list[str]:
    """Return why rows are withheld: ``floor``, or ``parts`` if over it."""
    over = rows.c.get("over_floor", rows.c.kept)
    reasons = {"floor": ~over, "parts": sa.and_(over, ~rows.c.kept)}
    found = connection.execute(sa.select(*map(sa.func.bool_or, reasons.values()))).one()
    return [reason for reason, is_met in zip(reasons, found, strict=True) if is_met]


def _table(columns: dict[str, Any], name: str) -> sa.Table:
    """Return a table of the transaction's own."""
    described = (sa.Column(column, type_) for column, type_ in columns.items())
    return sa.Table(name, sa.MetaData(), *described, prefixes=["TEMPORARY"], postgresql_on_commit="DROP")
