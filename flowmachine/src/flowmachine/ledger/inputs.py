"""Limit how many nearly equal locations somebody may join to others in a day.

Flows from two locations that differ by few subscribers differ by these, wherever they go, so that no two rows need be
near. Three or four such answers tell a place. Locations are no subsets, so none is used in place of another. They are
counted instead: who asks for many that are near each other is refused, and honest series hardly have any.

Locations count wherever a query joins them: a location that replaces missing places of another is a join, too. With
the flows between both it tells how many have the one and not the other, and so the one's rows. Locations of which a
join's input is made count through that input: it differs by no more people than they do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from flowmachine.data import DataState
from flowmachine.ledger.once import bound, built_once
from flowmachine.ledger.twins import TooNear
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.limits import joins
from flowmachine.spec.nested import Nested, NestedList
from flowmachine.spec.published import differences, floor, near_inputs, subset_radius
from flowmachine.spec.query import Query, Sources
from flowmachine.spec.subsets import SubscriberSet
from flowmachine.sql.functions import subscriber_number
from flowmachine.sql.sketches import SKETCH, differing_bits, equal, estimated_difference, mixed, sketch
from flowmachine.tables import audit, jobs, ledger_inputs

#: For how long locations count.
WINDOW = timedelta(days=1)

#: Somebody who is elsewhere leaves a place and comes to another.
_PLACES = 2

#: Runs an executor's statement of few rows.
Read = Callable[[sa.CompoundSelect[Any]], Sequence[Mapping[str, Any]]]


class TooManyNear(TooNear):
    """Report more nearly equal locations than somebody may join in a day."""

    def __init__(self, query_id: str) -> None:
        super().__init__(
            query_id,
            f"The locations of this query differ by few subscribers from those of query {query_id}, and you joined"
            f" {near_inputs()} such locations in 24 hours. No more are allowed. Use the locations of that query, or"
            " others that differ by more.",
        )


@dataclass(frozen=True)
class Stores:
    """Provide stored results, and say which of them there are."""

    sources: Sources
    holds: Callable[[Query], bool]


@dataclass(frozen=True)
class Input:
    """Hold the sketch of a query for locations, of one making."""

    query_id: str
    fingerprint: str
    unit: str
    sketch: Mapping[str, int]


def sketched(
    connection: sa.Connection, query: Aggregate, data: DataState, stores: Stores, read: Read
) -> list[Input]:
    """Compute the sketches of the locations that a query joins.

    Those that its user joined before are left out. This is before judging, because others wait meanwhile. What an
    input was made of may be evicted by now: its user joined it when the input was made.
    """
    parts = locations(query)
    if not parts:
        return []
    fingerprints = data.fingerprints(query)
    user = {"username": _user(connection, query)}
    known = {tuple(row) for row in connection.execute(_known(), user)}
    own = {part.query_id for part in query.children}
    new = {
        number: (part.query_id, fingerprints[part.query_id], part.unit.name)
        for number, part in enumerate(parts)
        if part.unit is not None
        and (part.query_id, fingerprints[part.query_id]) not in known
        and (part.query_id in own or stores.holds(part))
    }
    if not new:
        return []
    # One statement, because each takes longer to be planned than to run.
    found = read(sa.union_all(*(_sketch(number, parts[number], stores.sources) for number in new)))
    sketches = {row["number"]: {name: row[name] for name in ("subscribers", *SKETCH)} for row in found}
    return [Input(*of_part, sketches[number]) for number, of_part in new.items()]


def locations(query: Query) -> list[Query]:
    """Return the queries for locations that a query joins, or that a part of it joins.

    Subsets are left out, because near subsets are one subset.
    """
    found: dict[str, Query] = {}
    seen: set[str] = set()
    stack = [query]
    while stack:
        part = stack.pop()
        if part.query_id in seen or isinstance(part, SubscriberSet):
            continue
        seen.add(part.query_id)
        stack.extend(reversed(part.children))
        if joins(part):
            found |= {one.query_id: one for one in _inputs(part) if _has_locations(one)}
    return list(found.values())


def _inputs(query: Query) -> list[Query]:
    """Return the stored queries in the fields of a query, subsets left out."""
    stored = {part.query_id for part in query.children}
    found: list[Query] = []
    for name, field in query.fields.items():
        value = getattr(query, name)
        parts = value if isinstance(field, NestedList) else [value] if isinstance(field, Nested) else []
        found += [part for part in parts if part is not None and part.query_id in stored]
    return found


def _has_locations(query: Query) -> bool:
    return {"subscriber", "location"} <= set(getattr(query, "columns", ()))


def judge(connection: sa.Connection, query: Aggregate, inputs: Sequence[Input]) -> None:
    """Record locations; refuse or report too many near ones; raises TooManyNear."""
    if not inputs:
        return
    user = _user(connection, query)
    # Under the ledger's lock: to delete rows that others write would make two workers wait for each other.
    connection.execute(_forget(), {"username": user})
    for one in inputs:
        near = connection.execute(
            _near(), {"username": user, "asked": one.query_id, "unit": one.unit, **one.sketch}
        )
        earlier = near.scalar()
        kept = {"username": user, "query_id": one.query_id, "fingerprint": one.fingerprint, "unit": one.unit}
        row_of_input = postgresql.insert(ledger_inputs).values(**kept, near=earlier, **one.sketch)
        # Another query of the user may have joined the same while this one waited.
        is_new = connection.execute(row_of_input.on_conflict_do_nothing()).rowcount
        if not is_new or earlier is None:
            continue
        if connection.execute(_number(), {"username": user}).scalar_one() <= near_inputs():
            continue
        if differences() == "on":
            raise TooManyNear(earlier)
        told = (
            f"Locations of {query.query_id} are near those of {earlier}, and those of {near_inputs()} others."
        )
        row: dict[str, Any] = {
            "request_id": "",
            "username": user,
            "action": "near_inputs",
            "query_id": query.query_id,
        }
        row |= {"params": {"near": earlier}, "status": "success", "message": told, "seconds": 0.0}
        connection.execute(sa.insert(audit).values(row))


def _user(connection: sa.Connection, query: Query) -> str:
    asked = sa.select(jobs.c.requested_by).where(jobs.c.query_id == query.query_id).limit(1)
    return connection.execute(asked).scalar() or ""


def _sketch(number_of_part: int, part: Query, sources: Sources) -> sa.Select[Any]:
    """Select the number of subscribers and their sketch, mixed with their places."""
    located = sources.stored(part)
    number = subscriber_number(located.c.subscriber)
    pairs = sa.select(mixed(number, located.c.location).label("pair")).subquery("pairs")
    return sa.select(
        sa.literal(number_of_part, sa.Integer).label("number"),
        sa.func.count().label("subscribers"),
        *(one.label(name) for name, one in sketch(pairs.c.pair).items()),
    )


@built_once
def _forget() -> sa.Delete:
    """Delete what does not count any more."""
    return sa.delete(ledger_inputs).where(
        ledger_inputs.c.username == bound("username", sa.Text()),
        ledger_inputs.c.at < sa.func.now() - WINDOW,
    )


@built_once
def _known() -> sa.Select[Any]:
    inputs = ledger_inputs.c
    return sa.select(inputs.query_id, inputs.fingerprint).where(
        inputs.username == bound("username", sa.Text()), inputs.at >= sa.func.now() - WINDOW
    )


@built_once
def _near() -> sa.Select[Any]:
    """Select the first other query of a user whose locations are near, and not equal."""
    inputs = ledger_inputs.c
    own = {name: bound(name, sa.BigInteger()) for name in ("subscribers", *SKETCH)}
    smaller = sa.func.least(inputs.subscribers, own["subscribers"])
    return (
        sa.select(inputs.query_id)
        .where(
            inputs.username == bound("username", sa.Text()),
            inputs.query_id != bound("asked", sa.Text()),
            inputs.unit == bound("unit", sa.Text()),
            ~equal(inputs, own),
            sa.or_(
                differing_bits(inputs, own) <= _PLACES * floor(),
                estimated_difference(inputs, own) <= _PLACES * subset_radius() * smaller,
            ),
        )
        .order_by(inputs.at, inputs.query_id)
        .limit(1)
    )


@built_once
def _number() -> sa.Select[Any]:
    return sa.select(sa.func.count(ledger_inputs.c.near)).where(
        ledger_inputs.c.username == bound("username", sa.Text())
    )
