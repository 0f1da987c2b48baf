"""Keep sets of subscribers apart: a set near an earlier one is replaced by it.

Two answers about sets that differ by few subscribers would reveal these subscribers. So each subset's set is
compared with all sets in use, by sketches, and the earliest near one is used in its place. Sets in use are
kept in ``engine.ledger_subsets`` for as long as other sets are compared with them: they outlive stored results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from flowmachine.data import DataState
from flowmachine.spec.published import differences, floor, subset_radius
from flowmachine.spec.query import Query
from flowmachine.spec.subsets import SubscriberSet
from flowmachine.sql.functions import subscriber_number
from flowmachine.sql.sketches import equal, estimated_difference, near, sketch
from flowmachine.stores.base import Executor, Stored
from flowmachine.tables import audit, jobs, ledger_subsets

#: Key of the advisory lock under which sets are compared one after the other.
_ONE_AT_A_TIME = 7_351_920_464


@dataclass(frozen=True)
class Used:
    """Name the subset whose set is used, and whether the two sets are equal."""

    subset: int
    query_id: str
    is_equal: bool


@contextmanager
def storing(
    query: SubscriberSet, fingerprint: str, executor: Executor, data: DataState, connection: sa.Connection
) -> Iterator[Stored]:
    """Store a set, or the earlier set that it is near to, as ``Executor.storing``.

    ``fingerprint`` names the making of the set. The same making has the same set in every store, and again
    after it was evicted.
    """
    used = None
    if differences() != "off":
        own = _sketched(query, executor, data, connection)
        numbers = _numbers(query, executor, data, connection)
        used = judged(
            connection, query, fingerprint, own, lambda: executor.frame(numbers, connection)["number"]
        )
    if used is None:
        with executor.storing(query, data, connection) as stored:
            yield stored
    else:
        with executor.storing_set(query, _members(used, connection), connection) as stored:
            yield stored


def judged(
    connection: sa.Connection,
    query: SubscriberSet,
    fingerprint: str,
    own: Mapping[str, int],
    members: Callable[[], Iterable[int]],
) -> Used | None:
    """Record a set and return the earlier subset to use in its place, or None.

    ``own`` are its number of subscribers and its sketch; ``members`` returns its subscribers' keys. Sets are
    judged one after the other until their transactions end, so of two near sets made at once the second sees
    the first.
    """
    lock(connection)
    subset_id = query.query.query_id
    used = _decided(query, fingerprint, connection)
    if used is not None:
        return None if used.query_id == subset_id else used
    used = _nearest(query, own, connection)
    if used is not None and not used.is_equal and differences() == "report":
        _report(query, used, connection)
        return None
    making = {"query_id": subset_id, "fingerprint": fingerprint, **own}
    kept = {"members": sorted(map(int, members()))} if used is None else {"used": used.subset}
    connection.execute(sa.insert(ledger_subsets).values(making | kept))
    return used


def lock(connection: sa.Connection) -> None:
    """Wait until no other set is being judged; the lock ends with the transaction."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))


def used_by(query: Query, data: DataState, connection: sa.Connection) -> list[str]:
    """Return the queries whose subsets are used in place of a query's own, by age.

    Equal subsets count, too: whether two subsets are equal would tell whether somebody is in one only.
    """
    sets = [part for part in query.graph() if isinstance(part, SubscriberSet)]
    if not sets:
        return []
    fingerprints = data.fingerprints(query)
    makings = [(part.query.query_id, fingerprints[part.query_id]) for part in sets]
    used = ledger_subsets.alias("used")
    earlier = (
        sa.select(used.c.query_id)
        .join(ledger_subsets, ledger_subsets.c.used == used.c.subset)
        .where(
            sa.tuple_(ledger_subsets.c.query_id, ledger_subsets.c.fingerprint).in_(makings),
            used.c.query_id != ledger_subsets.c.query_id,
        )
        .order_by(used.c.subset)
    )
    return list(dict.fromkeys(connection.execute(earlier).scalars()))


def _sketched(
    query: SubscriberSet, executor: Executor, data: DataState, connection: sa.Connection
) -> dict[str, int]:
    """Return the number of subscribers of a set, and its sketch by name."""
    numbers = _numbers(query, executor, data, connection).subquery("numbers")
    select = sa.select(
        sa.func.count().label("subscribers"), *(a.label(n) for n, a in sketch(numbers.c.number).items())
    )
    (found,) = executor.frame(select, connection).to_dict("records")
    return {str(name): int(value) for name, value in found.items()}


def _numbers(
    query: SubscriberSet, executor: Executor, data: DataState, connection: sa.Connection
) -> sa.Select[Any]:
    """Select the keys of a set's subscribers."""
    people = query.select(executor.sources(data, connection)).subquery("people")
    return sa.select(subscriber_number(people.c.subscriber).label("number"))


def _decided(query: SubscriberSet, fingerprint: str, connection: sa.Connection) -> Used | None:
    """Return what is used for a making that was judged before."""
    first = ledger_subsets.alias("first")
    return _used(
        connection,
        sa.select(
            ledger_subsets.c.subset,
            ledger_subsets.c.query_id,
            equal(ledger_subsets.c, first.c).label("is_equal"),
        )
        .join(first, ledger_subsets.c.subset == sa.func.coalesce(first.c.used, first.c.subset))
        .where(first.c.query_id == query.query.query_id, first.c.fingerprint == fingerprint),
    )


def _nearest(query: SubscriberSet, own: Mapping[str, int], connection: sa.Connection) -> Used | None:
    """Return the earliest set in use that is near or equal to a set.

    Earlier makings of the same query are not compared: a day that is loaded again may be published again. Sets
    that are not over the floor are compared with nothing, because nothing of them is released.
    """
    bound = {name: sa.literal(value, sa.BigInteger) for name, value in own.items()}
    smaller = sa.func.least(ledger_subsets.c.subscribers, bound["subscribers"])
    radius = sa.func.greatest(floor(), smaller * subset_radius())
    return _used(
        connection,
        sa.select(
            ledger_subsets.c.subset,
            ledger_subsets.c.query_id,
            equal(ledger_subsets.c, bound).label("is_equal"),
        )
        .where(
            ledger_subsets.c.used.is_(None),
            ledger_subsets.c.subscribers > floor(),
            ledger_subsets.c.query_id != query.query.query_id,
            sa.func.abs(ledger_subsets.c.subscribers - bound["subscribers"]) <= radius,
            sa.or_(
                equal(ledger_subsets.c, bound),
                near(ledger_subsets.c, bound),
                estimated_difference(ledger_subsets.c, bound) <= radius,
            ),
        )
        .order_by(ledger_subsets.c.subset)
        .limit(1),
    )


def _used(connection: sa.Connection, select: sa.Select[Any]) -> Used | None:
    row = connection.execute(select).one_or_none()
    return None if row is None else Used(row.subset, row.query_id, row.is_equal)


def _members(used: Used, connection: sa.Connection) -> list[int]:
    return list(
        connection.execute(
            sa.select(ledger_subsets.c.members).where(ledger_subsets.c.subset == used.subset)
        ).scalar_one()
    )


def _report(query: SubscriberSet, used: Used, connection: sa.Connection) -> None:
    """Write an audit row that names two near subsets and the first request."""
    asked = connection.execute(
        sa.select(jobs.c.request_id, jobs.c.requested_by).where(jobs.c.query_id == query.query_id).limit(1)
    ).one_or_none()
    connection.execute(
        sa.insert(audit).values(
            request_id=(asked and asked.request_id) or "",
            username=asked and asked.requested_by,
            action="near_subsets",
            query_id=query.query.query_id,
            params={"near": used.query_id},
            status="success",
            message="This subset differs from an earlier one by few subscribers.",
            seconds=0.0,
        )
    )
