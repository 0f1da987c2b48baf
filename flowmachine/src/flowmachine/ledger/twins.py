"""Make near answers the same answer.

Two results of one form and measure are twins if the differences of the rows that they have in common add up
to few subscribers. In a twin, a row that is near a row of the earlier result is served with the earlier
row's value, or is absent where that was absent. A gap or an own value would tell who makes the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.ledger.keys import form
from flowmachine.ledger.once import any_of, bound, built_once
from flowmachine.ledger.recording import note_differences
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import floor, twin_share
from flowmachine.spec.query import NotBuildable
from flowmachine.sql.sketches import SKETCH, bits_between, differing_bits, equal, estimated_difference
from flowmachine.tables import ledger_forms, ledger_results, ledger_rows

#: Key of the advisory lock that lets one release be judged at a time.
LEDGER_LOCK = 7_146_002
_LOCK = sa.select(sa.func.pg_advisory_xact_lock(LEDGER_LOCK))

#: A subscriber whose value changes leaves the set of subscribers with values, and comes to it.
_PAIRS = 2

#: How many more common rows than differences there are where an equal row is looked for, because rows that differ by few
#: people have the same bits once in 256 times.
_SPARE = 8

#: How much wider the limit of twins is for values than for subscribers.
_WIDER_FOR_VALUES = 4


#: Made once, because each alias copies all columns.
_MINE, _THEIRS = (ledger_rows.alias(name) for name in ("mine", "theirs"))


class TooNear(NotBuildable):
    """Report an earlier answer that differs by few and cannot be repeated."""

    def __init__(self, query_id: str, told: str | None = None) -> None:
        self.query_id = query_id
        super().__init__(
            told
            or f"This answer differs by few subscribers from that of query {query_id}, and a value of another kind"
            " cannot be repeated. Ask for the same statistic, or about days, hours or subscribers that differ"
            " by more."
        )


def lock(connection: sa.Connection) -> None:
    """Wait until no other release is being judged.

    Releases of all forms wait for each other, because rows of one are parts of another's. The lock ends with
    the transaction. From then on, its rows are seen by all others.
    """
    connection.execute(_LOCK)


@dataclass(frozen=True)
class Twin:
    """Name an earlier release that is a twin, its query, and why rows were withheld."""

    release: int
    query_id: str
    withheld: list[str]


@dataclass(frozen=True)
class Repeated:
    """Hold the twins of a release by age, and whether any of its rows repeats one."""

    twins: list[Twin]
    any_row: bool


def repeat(connection: sa.Connection, query: Aggregate, release: int) -> Repeated:
    """Mark the rows that repeat rows of earlier releases; return the twins.

    Rows that the query has released before, with the same subscribers, are released as they were then. Such a
    release is the first twin if it has all rows. Raises TooNear where a row is near a row with another statistic.
    """
    before = _released_before(connection, query, release)
    earlier = found(connection, query, release)
    near = [row for row in _nearest(connection, release, earlier) if row.row_key not in before.keys]
    for row in near:
        if not row.same and row.statistic != query.measure[1]:
            raise TooNear(row.query_id)
    repeated = [*before.rows, *near]
    if repeated:
        earlier_rows = [
            {"made": release, "key": row.row_key, "of": row.release, "leaves": row.served} for row in repeated
        ]
        connection.execute(_repeating(), earlier_rows)
    return Repeated([*before.whole, *earlier], bool(repeated))


@built_once
def _repeating() -> sa.Update:
    return (
        sa.update(ledger_rows)
        .where(ledger_rows.c.release == bound("made"), ledger_rows.c.row_key == bound("key", sa.BigInteger()))
        .values(repeats=bound("of"), served=bound("leaves", sa.Boolean()))
    )


@dataclass(frozen=True)
class _Before:
    """Hold what a query has released before with the same subscribers.

    ``keys`` are those of all such rows, ``rows`` those that did not leave with their own value, and ``whole``
    is the first release, if its rows are all the same.
    """

    keys: frozenset[int] = frozenset()
    rows: tuple[sa.Row[Any], ...] = ()
    whole: tuple[Twin, ...] = ()


def _released_before(connection: sa.Connection, query: Aggregate, release: int) -> _Before:
    values = {"asked": query.query_id, "made": release}
    first = connection.execute(_makings(), values).all()
    if not first:
        return _Before()
    made = {"made": release, "first": first[0].release, "makings": [row.release for row in first]}
    with by_hashing(connection):
        rows = connection.execute(_same_rows(), made).all()
    of_first = sum(row.of_first for row in rows)
    numbers = connection.execute(_numbers(), {"both": [release, first[0].release]}).scalars()
    is_whole = all(number == of_first for number in numbers)
    return _Before(
        frozenset(row.row_key for row in rows),
        tuple(row for row in rows if row.changed),
        (Twin(*first[0]),) if is_whole else (),
    )


@built_once
def _makings() -> Select[Any]:
    """Select the other releases of a query, by age."""
    results = ledger_results.c
    return (
        sa.select(results.release, results.query_id, results.withheld)
        .where(results.query_id == bound("asked", sa.Text()), results.release != bound("made"))
        .order_by(results.release)
    )


@built_once
def _same_rows() -> Select[Any]:
    """Select the rows of a release whose subscribers are those of an earlier making."""
    mine, own = _MINE, _THEIRS
    return (
        sa.select(
            mine.c.row_key,
            sa.func.coalesce(own.c.repeats, own.c.release).label("release"),
            own.c.served,
            # A row that is withheld now and left before is below a floor that was raised since.
            sa.or_(own.c.repeats.is_not(None), sa.and_(mine.c.served, ~own.c.served)).label("changed"),
            (own.c.release == bound("first")).label("of_first"),
        )
        .join(own, own.c.row_key == mine.c.row_key)
        .where(
            mine.c.release == bound("made"),
            own.c.release == any_of("makings", sa.Integer()),
            equal(behind_values(mine), behind_values(own)),
        )
        .distinct(mine.c.row_key)
        .order_by(mine.c.row_key, own.c.release)
    )


@built_once
def _numbers() -> Select[Any]:
    """Select the number of rows of releases."""
    return (
        sa.select(sa.func.count())
        .where(ledger_rows.c.release == any_of("both", sa.Integer()))
        .group_by(ledger_rows.c.release)
    )


def refuse(connection: sa.Connection, query: Aggregate, release: int) -> None:
    """Refuse rows that cannot repeat an earlier answer; raises TooNear if one is near."""
    for row in _nearest(connection, release, found(connection, query, release)):
        if not row.same:
            raise TooNear(row.query_id)


def report(connection: sa.Connection, query: Aggregate, release: int) -> None:
    """Write an audit row that names the earlier queries that a release is near to."""
    near = _nearest(connection, release, found(connection, query, release))
    if near:
        earlier = sorted({row.query_id for row in near})
        told = f"Rows of {query.query_id} differ by few subscribers from those of {', '.join(earlier)}."
        note_differences(connection, query, release, {"near": earlier}, told)


def found(connection: sa.Connection, query: Aggregate, release: int) -> list[Twin]:
    """Return the twins of a release, the first first."""
    near = candidates(connection, query, release)
    if not near:
        return []
    with by_hashing(connection):
        statement = _differing_by_few(of_shares=bool(query.shares_of))
        rows = connection.execute(statement, {"made": release, "candidates": near})
        return [Twin(*row) for row in rows]


def candidates(connection: sa.Connection, query: Aggregate, release: int) -> list[int]:
    """Return the other queries' releases that may be twins of a release.

    Twins have a row in common that is near or equal. In twins with more common rows than the number by which they
    may differ, some row is equal. So of the releases that have nearly all places only those with an equal row are
    looked up. That takes the same time beside any number of releases.
    """
    form_ = form(query)
    known = connection.execute(_known(), {"made": release, "form": form_}).one()
    if known.fewest is None:
        return []
    most = known.most + _SPARE
    sizes: dict[bool, list[int]] = {True: [], False: []}
    for size, fewest in enumerate(known.fewest, start=1):
        if fewest is not None:
            # So many of this release's rows over the floor are surely rows of each release of this size.
            common = known.large + fewest - known.places
            sizes[common > most].append(size)
    values = {"made": release, "asked": query.query_id, "measured": query.measure[0]}
    return list(
        connection.execute(
            _candidates(), {**values, "with_equal": sizes[True], "with_near": sizes[False]}
        ).scalars()
    )


@built_once
def _known() -> Select[Any]:
    """Select by how much twins of a release may differ, and what is known of its form."""
    rows, of_form = ledger_rows.c, ledger_forms.c.form == bound("form", sa.Text())
    most = few_of_all(sa.func.bool_or(rows.value_whole.is_not(None)), sa.func.sum(rows.subscribers))
    return sa.select(
        most.label("most"),
        sa.func.count().filter(rows.subscribers > floor()).label("large"),
        sa.select(ledger_forms.c.places).where(of_form).scalar_subquery().label("places"),
        sa.select(ledger_forms.c.fewest).where(of_form).scalar_subquery().label("fewest"),
    ).where(rows.release == bound("made"))


@built_once
def _differing_by_few(*, of_shares: bool) -> Select[Any]:
    """Select the candidates that are twins of a release, by age."""
    mine, theirs = _MINE, _THEIRS
    pair = sa.and_(theirs.c.row_key == mine.c.row_key, theirs.c.release == any_of("candidates", sa.Integer()))
    smaller = sa.func.least(sa.func.sum(mine.c.subscribers), sa.func.sum(theirs.c.subscribers))
    # Of shares, only who is in one row: everybody in a group would count again in each of its rows.
    both = (mine.c, theirs.c) if of_shares else (behind_values(mine), behind_values(theirs))
    of_values = sa.false() if of_shares else sa.func.bool_or(_has_values(mine, theirs))
    most = few_of_all(of_values, smaller)
    difference = sa.func.sum(estimated_difference(*both))
    near = (
        sa.select(theirs.c.release)
        .join(mine, pair)
        .where(mine.c.release == bound("made"))
        .group_by(theirs.c.release)
        .having(difference <= most, sa.func.bool_or(tell_of_twins(mine, theirs)))
        .subquery("near")
    )
    results = ledger_results.c
    return (
        sa.select(results.release, results.query_id, results.withheld)
        .join(near, near.c.release == results.release)
        .order_by(results.release)
    )


def tell_of_twins(mine: FromClause, theirs: FromClause) -> ColumnElement[bool]:
    """Return whether two rows tell that their results may be twins.

    They have one key, and are near or equal. Two rows that are too small to leave are always near, and repeat nothing.
    """
    return sa.and_(
        sa.func.greatest(mine.c.subscribers, theirs.c.subscribers) > floor(),
        sa.func.abs(mine.c.subscribers - theirs.c.subscribers) <= floor(),
        bits_between(mine.c.part0, theirs.c.part0) <= floor(),
        sa.or_(_near(mine, theirs), equal(behind_values(mine), behind_values(theirs))),
    )


def few(valued: ColumnElement[bool]) -> ColumnElement[int]:
    """Return in how many bits the sketches of two near rows may differ."""
    return sa.case((valued, _PAIRS * floor()), else_=floor())


def few_of_all(valued: ColumnElement[bool], smaller: ColumnElement[int]) -> ColumnElement[float]:
    """Return by how many two results may differ in all their common rows."""
    return sa.case(
        (valued, sa.func.greatest(_PAIRS * 2 * floor(), _WIDER_FOR_VALUES * twin_share() * smaller)),
        else_=sa.func.greatest(2 * floor(), twin_share() * smaller),
    )


_NESTED_LOOPS = sa.select(sa.func.set_config("enable_nestloop", bound("word", sa.Text()), True))


@contextmanager
def by_hashing(connection: sa.Connection) -> Iterator[None]:
    """Let the planner join whole results, because it takes new releases for small."""
    connection.execute(_NESTED_LOOPS, {"word": "off"})
    yield
    connection.execute(_NESTED_LOOPS, {"word": "on"})


def _nearest(connection: sa.Connection, release: int, twins: Sequence[Twin]) -> list[sa.Row[Any]]:
    """Return the rows of a release that are near a row of a twin, with the latter.

    Columns are ``row_key``, ``release``, ``served``, ``statistic`` and ``query_id`` of the earlier row. Of
    several, the earliest counts. A row whose subscribers are those of an earlier row has no other earlier
    row, because its value is known already, or its absence is repeated.
    """
    if not twins:
        return []
    values = {"made": release, "twins": [twin.release for twin in twins]}
    with by_hashing(connection):
        return [row for row in connection.execute(_choice(), values) if row.absent or not row.same]


@built_once
def _choice() -> Select[Any]:
    """Select for each row the first row of a twin that is the same or near."""
    mine, theirs = _MINE, _THEIRS
    same = equal(behind_values(mine), behind_values(theirs))
    return (
        sa.select(
            mine.c.row_key,
            theirs.c.release,
            theirs.c.served,
            ledger_results.c.statistic,
            ledger_results.c.query_id,
            same.label("same"),
            sa.and_(same, mine.c.served, ~theirs.c.served).label("absent"),
        )
        .join(theirs, theirs.c.row_key == mine.c.row_key)
        .join(ledger_results, ledger_results.c.release == theirs.c.release)
        .where(
            mine.c.release == bound("made"),
            theirs.c.release == any_of("twins", sa.Integer()),
            theirs.c.repeats.is_(None),
            sa.or_(same, _near(mine, theirs)),
            # Of two rows that are absent nothing is repeated.
            sa.or_(mine.c.served, theirs.c.served),
        )
        .distinct(mine.c.row_key)
        .order_by(mine.c.row_key, same.desc(), theirs.c.release)
    )


@built_once
def _candidates() -> Select[Any]:
    """Select the other queries' releases of the same measure that may be twins."""
    mine, theirs = _MINE, _THEIRS
    few_more = sa.case((mine.c.subscribers > floor(), 0), else_=floor() + 1)
    # Sets that differ by few have nearly as many subscribers and nearly the same bits in any part of the sketch. The
    # index has all columns of this step, which leaves out almost all rows.
    near = [
        theirs.c.size == any_of("with_near", sa.SmallInteger()),
        theirs.c.subscribers.between(
            sa.func.greatest(mine.c.subscribers - floor(), few_more), mine.c.subscribers + floor()
        ),
        bits_between(mine.c.part0, theirs.c.part0) <= floor(),
    ]
    same = [
        theirs.c.size == any_of("with_equal", sa.SmallInteger()),
        mine.c.subscribers > floor(),
        theirs.c.subscribers == mine.c.subscribers,
        theirs.c.part0 == mine.c.part0,
    ]
    pairs = sa.union(
        *(
            sa.select(theirs.c.release)
            .join(mine, mine.c.row_key == theirs.c.row_key)
            .where(mine.c.release == bound("made"), *conditions)
            for conditions in (near, same)
        )
    )
    # The planner would otherwise begin with all releases of the measure.
    maybe = pairs.cte("maybe").prefix_with("MATERIALIZED")
    return (
        sa.select(maybe.c.release)
        .join(ledger_results, ledger_results.c.release == maybe.c.release)
        .where(
            ledger_results.c.measure == bound("measured", sa.Text()),
            ledger_results.c.query_id != bound("asked", sa.Text()),
        )
    )


def behind_values(rows: FromClause) -> dict[str, ColumnElement[int]]:
    """Return the sketch of subscribers with values.

    Where each subscriber counts as one, this is the sketch of the subscribers.
    """
    return {name: sa.func.coalesce(rows.c[f"value_{name}"], rows.c[name]) for name in SKETCH}


def _has_values(mine: FromClause, theirs: FromClause) -> ColumnElement[bool]:
    return sa.or_(mine.c.value_whole.is_not(None), theirs.c.value_whole.is_not(None))


def _near(mine: FromClause, theirs: FromClause) -> ColumnElement[bool]:
    one, other = behind_values(mine), behind_values(theirs)
    return sa.and_(~equal(one, other), differing_bits(one, other) <= few(_has_values(mine, theirs)))
