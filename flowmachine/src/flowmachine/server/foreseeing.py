"""Say before a query is computed which earlier answers it may be near to.

Nothing is computed and no subscriber is looked at: questions are compared with questions. Whether two answers
are near is decided when the later one is released.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import sqlalchemy as sa

from flowmachine.data import DataState
from flowmachine.jobs.table import RELEASED
from flowmachine.ledger import packing
from flowmachine.ledger.keys import form
from flowmachine.queries.catalogue import load_any
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import differences
from flowmachine.spec.query import Query
from flowmachine.spec.subsets import SubscriberSet
from flowmachine.tables import jobs, ledger_results, ledger_totals

#: Releases that are looked at, the latest; and the most queries that are named for each reason.
LOOKED_AT, NAMED = 500, 20

#: Share of the days of two questions that they have in common, if their answers may be twins.
_COMMON_DAYS = 0.5

#: Fields in which two questions about nearly the same subscribers may differ, besides dates.
_ABOUT_WHOM = ("subscriber_subset", "sampling", "hours", "event_types")

_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T][0-9:.]+)?")


def foreseen(connection: sa.Connection, query: Query, data: DataState) -> list[dict[str, str]]:
    """Return ``query_id`` and ``reason`` of earlier answers that may be near."""
    if not isinstance(query, Aggregate) or differences() == "off":
        return []
    found = [("subset", query_id) for query_id in packing.used_by(query, data, connection)]
    if query.uncompared is None:
        found += [("twin", query_id) for query_id in _twins(connection, query)]
        found += [("total", query_id) for query_id in _totals(connection, query)]
        found += [("part", query_id) for query_id in _parts(connection, query)]
    return [{"query_id": query_id, "reason": reason} for reason, query_id in found]


def _twins(connection: sa.Connection, query: Aggregate) -> Iterator[str]:
    """Yield the queries that ask the same about nearly the same days, the first first."""
    results = ledger_results.c
    latest = (
        sa.select(results.query_id, sa.func.min(results.release).label("first"))
        .where(
            results.form == form(query),
            results.measure == query.measure[0],
            results.query_id != query.query_id,
        )
        .group_by(results.query_id)
        .order_by(sa.func.max(results.release).desc())
        .limit(LOOKED_AT)
        .subquery("latest")
    )
    specs = (
        sa.select(latest.c.query_id, jobs.c.spec)
        .join(jobs, sa.and_(jobs.c.query_id == latest.c.query_id, jobs.c.store == RELEASED))
        .order_by(latest.c.first)
    )
    own, own_days, named = _shape(query.spec()), _days(query), 0
    for query_id, spec in connection.execute(specs):
        if named == NAMED:
            return
        if _shape(spec) != own:
            continue
        days = _days(load_any(spec))
        if len(days & own_days) >= _COMMON_DAYS * len(days | own_days):
            named += 1
            yield query_id


def _totals(connection: sa.Connection, query: Aggregate) -> list[str]:
    asked = [total.question.query_id for total in query.all_totals]
    return _named(connection, sa.select(ledger_results).where(ledger_results.c.query_id.in_(asked)))


def _parts(connection: sa.Connection, query: Aggregate) -> list[str]:
    of_query = ledger_totals.c.question == query.query_id
    parts = sa.select(ledger_totals.c.release).where(of_query)
    return _named(connection, sa.select(ledger_results).where(ledger_results.c.release.in_(parts)))


def _named(connection: sa.Connection, releases: sa.Select[Any]) -> list[str]:
    found = releases.subquery("found")
    by_age = sa.select(found.c.query_id).group_by(found.c.query_id).order_by(sa.func.min(found.c.release))
    return list(connection.execute(by_age.limit(NAMED)).scalars())


def _shape(value: Any) -> Any:
    """Return a spec without days and subscribers; equal parts of lists count once."""
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in value.items() if name not in _ABOUT_WHOM}
    if isinstance(value, list):
        shapes = [_shape(inner) for inner in value]
        return list({json.dumps(shape, sort_keys=True): shape for shape in shapes}.values())
    return "a date" if isinstance(value, str) and _DATE.fullmatch(value) else value


def _days(query: Query) -> set[date]:
    """Return the days that a query reads, without those that its subsets read."""
    found: set[date] = set()
    seen, waiting = {query}, [query]
    while waiting:
        part = waiting.pop()
        found |= {day for selection in part.events for day in selection.days}
        more = {child for child in part.children if not isinstance(child, SubscriberSet)} - seen
        seen |= more
        waiting += more
    return found
