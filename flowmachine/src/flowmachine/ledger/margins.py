"""Refuse answers whose rows add up to an earlier answer but for a few subscribers.

A margin is the sum of the published rows that are part of one row of a total: districts of a region, labels of a
district, flows from a place. If a margin differs by few from a row or a margin of another question, the difference
is these few, at that place. The rows cannot repeat the earlier answer, because nobody knows in which of them the
few are. So the later answer is refused whole.

Levels of one question, a question and its totals, and sums of the same people are not compared here: what is left of
a total is nobody or many already. Equal sums tell nothing. A margin of the whole country tells of no place. Nor are
sums over places compared of two answers with the same columns and unit about exactly the same people: nobody is in one
of them only. People who are in another district of one region, such as in the last and in the most common place of a
day, make many rows differ and few sums.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.ledger.adding_up import summed
from flowmachine.ledger.once import any_of, bound, built_once, listed
from flowmachine.ledger.recording import SIZES, note_differences
from flowmachine.ledger.twins import TooNear, behind_values, by_hashing, few, few_of_all
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import Region, floor
from flowmachine.sql.sketches import SKETCH, bits_between, differing_bits, equal, estimated_difference
from flowmachine.tables import ledger_margins, ledger_places, ledger_results, ledger_rows, ledger_totals

_WHOLE_COUNTRY = "admin0"

#: Columns of rows and of margins alike.
_OF_BOTH = ("row_key", "release", "subscribers", "served")

#: Columns that find an entry again.
_MAYBE = ("row_key", "release", "subscribers", "position")


class SumsTooNear(TooNear):
    """Report an earlier answer from which the sums of rows differ by few."""

    def __init__(self, query_id: str) -> None:
        super().__init__(
            query_id,
            f"Rows of this answer add up to rows of query {query_id}, or to sums of them, but for a few"
            " subscribers. Ask for the same unit and labels as that query, or about days, hours or subscribers"
            " that differ by more.",
        )


def record(connection: sa.Connection, query: Aggregate, release: int) -> None:
    """Write the margins of a release."""
    positions = [
        position for position, total in summed(query, query.all_totals) if _tells_of_places(total.question)
    ]
    if positions:
        connection.execute(_recording(), {"made": release, "positions": positions})


def forget(connection: sa.Connection, release: int) -> None:
    """Delete the margins of a release."""
    connection.execute(_forget(), {"made": release})


@built_once
def _forget() -> sa.Delete:
    return sa.delete(ledger_margins).where(ledger_margins.c.release == bound("made"))


@built_once
def _recording() -> sa.Insert:
    """Insert the margins of a release at the positions of its sums."""
    own, first = ledger_rows.alias("own"), ledger_rows.alias("first")
    # A row that repeats an earlier one has the earlier number, so that those behind that one count.
    repeated = sa.and_(first.c.release == own.c.repeats, first.c.row_key == own.c.row_key)
    key = (
        sa.func.unnest(ledger_places.c.parts_of)
        .table_valued(sa.column("row_key", sa.BigInteger), with_ordinality="position")
        .render_derived("keys")
    )

    def together(function: Any, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Aggregate the published rows, or all if none is published."""
        return sa.func.coalesce(function(column).filter(own.c.served), function(column))

    people = sa.func.coalesce(first.c.subscribers, own.c.subscribers)
    of_own, of_first = behind_values(own), behind_values(first)
    found = {
        "release": own.c.release,
        "position": sa.cast(key.c.position, sa.SmallInteger),
        "row_key": key.c.row_key,
        "subscribers": together(sa.func.sum, people),
        "served": sa.func.bool_or(own.c.served),
        "everybody": sa.func.bit_xor(of_own["whole"]),
        "valued": sa.func.bool_or(own.c.value_whole.is_not(None)),
        **{
            name: together(sa.func.bit_xor, sa.func.coalesce(of_first[name], of_own[name])) for name in SKETCH
        },
    }
    sums = (
        sa.select(*(column.label(name) for name, column in found.items()))
        .select_from(
            own.join(ledger_places, ledger_places.c.place == own.c.place)
            .outerjoin(first, repeated)
            .join(key, sa.true())
        )
        .where(own.c.release == bound("made"), key.c.position == any_of("positions", sa.SmallInteger()))
        .group_by(own.c.release, key.c.position, key.c.row_key)
    )
    return sa.insert(ledger_margins).from_select(list(found), sums)


def _tells_of_places(question: Aggregate) -> bool:
    """Return whether rows are about more than the country as a whole."""
    of_country = {
        name
        for part in question.published.parts
        if isinstance(part, Region) and part.unit.name == _WHOLE_COUNTRY
        for name in part.columns
    }
    return not set(question.published.keys) <= of_country


def refuse(connection: sa.Connection, query: Aggregate, release: int) -> None:
    """Refuse a release whose sums are near an earlier answer; raises SumsTooNear."""
    for query_id in near(connection, query, release):
        raise SumsTooNear(query_id)


def report(connection: sa.Connection, query: Aggregate, release: int) -> None:
    """Write an audit row that names the earlier queries whose sums are near."""
    earlier = near(connection, query, release)
    if earlier:
        told = f"Rows of {query.query_id} add up to those of {', '.join(earlier)} but for few subscribers."
        note_differences(connection, query, release, {"margins": earlier}, told)


def near(connection: sa.Connection, query: Aggregate, release: int) -> list[str]:
    """Return the earlier queries that differ by few from sums of rows, by age."""
    # Keys that are equal are of totals of one form, so they are sums over places in both releases or in none.
    over_places = [
        position
        for position, total in enumerate(query.all_totals, start=1)
        if total.question.kind == query.kind
    ]
    values = {"made": release, "asked": query.query_id, "over_places": over_places}
    # Nearly always there is none, and to plan the other statement takes longer than to find that out.
    if not connection.execute(_any_maybe(), {"made": release}).scalar_one():
        return []
    candidates = connection.execute(_candidates(), values).all()
    if not candidates:
        return []
    pairs = {
        "own_positions": [candidate.own_position for candidate in candidates],
        "releases": [candidate.release for candidate in candidates],
        "positions": [candidate.position for candidate in candidates],
    }
    with by_hashing(connection):
        earlier = connection.execute(_twins(), {"made": release, **pairs})
        return list(dict.fromkeys(row.query_id for row in earlier))


def _rows() -> Select[Any]:
    """Select the rows of all releases as entries at position 0."""
    sketch = behind_values(ledger_rows)
    return sa.select(
        *(ledger_rows.c[name] for name in _OF_BOTH),
        sa.cast(sa.literal_column("0"), sa.SmallInteger).label("position"),
        ledger_rows.c.value_whole.is_not(None).label("valued"),
        ledger_rows.c.repeats.is_(None).label("own"),
        sketch["whole"].label("everybody"),
        *(sketch[name].label(name) for name in SKETCH),
    )


def _sums() -> Select[Any]:
    """Select the margins of all releases as entries."""
    return sa.select(
        *(ledger_margins.c[name] for name in _OF_BOTH),
        ledger_margins.c.position,
        ledger_margins.c.valued,
        sa.true().label("own"),
        ledger_margins.c.everybody,
        *(ledger_margins.c[name] for name in SKETCH),
    )


#: Which entries of a release are compared with which entries of others.
_COMPARED = ((_sums, _sums), (_sums, _rows), (_rows, _sums))


def _entries() -> FromClause:
    """Return the rows of all releases, at position 0, and their margins."""
    return sa.union_all(_rows(), _sums()).subquery()


@built_once
def _candidates() -> sa.CompoundSelect[Any]:
    """Select positions, and releases with a position that has a near entry.

    Rows are not compared with rows, because twins are. Most releases have only rows in common.
    """
    return sa.union(
        *(_near(mine(), theirs(), f"pair{number}") for number, (mine, theirs) in enumerate(_COMPARED))
    )


def _near(mine_of: Select[Any], theirs_of: Select[Any], name: str) -> Select[Any]:
    """Select what is near of one kind of entry of a release and one of others."""
    # The planner would otherwise begin with all releases of the measure.
    mine = mine_of.where(sa.column("release") == bound("made")).cte(f"mine_{name}")
    mine = mine.prefix_with("MATERIALIZED")
    maybe = _maybe(mine, theirs_of).cte(f"maybe_{name}").prefix_with("MATERIALIZED")
    theirs, results = theirs_of.subquery(f"theirs_{name}"), ledger_results.c
    of_release = sa.select(results.measure, results.family, results.form).where(
        results.release == bound("made")
    )
    own = of_release.subquery("of_release")
    of_mine, of_theirs = ledger_totals.alias("of_mine"), ledger_totals.alias("of_theirs")
    # The totals of a question are at all levels, so the coarsest of each is its family's.
    is_total = sa.exists().where(of_mine.c.release == bound("made"), of_mine.c.question == results.family)
    is_part = sa.exists().where(of_theirs.c.release == theirs.c.release, of_theirs.c.question == own.c.family)
    of_places = mine.c.position == any_of("over_places", sa.SmallInteger())
    of_the_same = _everybody(mine.c.release, mine.c.position) == _everybody(
        theirs.c.release, theirs.c.position
    )
    most = few(sa.or_(mine.c.valued, theirs.c.valued))
    return (
        sa.select(mine.c.position.label("own_position"), theirs.c.release, theirs.c.position)
        .select_from(mine)
        .join(maybe, sa.and_(*(maybe.c[f"own_{name}"] == mine.c[name] for name in ("row_key", "position"))))
        .join(theirs, sa.and_(*(theirs.c[name] == maybe.c[name] for name in _MAYBE)))
        .join(ledger_results, results.release == theirs.c.release)
        .join(own, own.c.measure == results.measure)
        .where(
            sa.func.greatest(mine.c.subscribers, theirs.c.subscribers) > floor(),
            theirs.c.release < bound("made"),
            sa.and_(mine.c.own, theirs.c.own),
            sa.or_(mine.c.served, theirs.c.served),
            ~equal(mine.c, theirs.c),
            differing_bits(mine.c, theirs.c) <= most,
            results.query_id != bound("asked", sa.Text()),
            results.family != own.c.family,
            ~sa.and_(results.form == own.c.form, theirs.c.position > 0, of_places, of_the_same),
            ~is_total,
            ~is_part,
            mine.c.everybody != theirs.c.everybody,
        )
    )


@built_once
def _any_maybe() -> Select[Any]:
    """Select whether any entry of a release is worth a comparison."""
    found = []
    for mine_of, theirs_of in _COMPARED:
        mine = mine_of().where(sa.column("release") == bound("made")).subquery("own")
        found.append(sa.exists(_maybe(mine, theirs_of())))
    return sa.select(sa.or_(*found))


def _maybe(mine: FromClause, theirs_of: Select[Any]) -> Select[Any]:
    """Select the entries that may be near.

    They have nearly as many subscribers, and nearly the same bits in a part of the sketch. The indexes have all columns of this step, which leaves out almost all entries.
    """
    (theirs,) = theirs_of.get_final_froms()
    of_rows = theirs is ledger_rows
    position = sa.cast(sa.literal_column("0"), sa.SmallInteger) if of_rows else theirs.c.position
    conditions = [
        theirs.c.subscribers.between(mine.c.subscribers - floor(), mine.c.subscribers + floor()),
        bits_between(mine.c.part0, theirs.c.part0)
        <= few(mine.c.valued if of_rows else mine.c.valued | theirs.c.valued),
    ]
    if of_rows:
        # The index has the sketch of subscribers, and not that of subscribers with values.
        conditions[1] |= mine.c.valued
        sizes = sa.cast(postgresql.array(range(1, SIZES + 1)), sa.ARRAY(sa.SmallInteger))
        conditions.append(theirs.c.size == sa.any_(sizes))
    found = sa.select(
        mine.c.row_key.label("own_row_key"),
        mine.c.position.label("own_position"),
        theirs.c.row_key,
        theirs.c.release,
        theirs.c.subscribers,
        position.label("position"),
    ).join_from(mine, theirs, theirs.c.row_key == mine.c.row_key)
    return found.where(theirs.c.release < bound("made"), *conditions)


def _everybody(release: ColumnElement[int], position: ColumnElement[int]) -> ColumnElement[int]:
    """Select the sketch of all subscribers, each of whom is in one sum of a position."""
    sums = ledger_margins.alias()
    of_all = sa.select(sa.func.bit_xor(sums.c.everybody))
    return of_all.where(sums.c.release == release, sums.c.position == position).scalar_subquery()


@built_once
def _twins() -> Select[Any]:
    """Select the queries, by age, whose entries differ by few in all.

    Entries at a position of the release are compared with those at a position of another, for all pairs at once.
    """
    mine, theirs, results = _entries().alias("mine"), _entries().alias("theirs"), ledger_results.c
    types = {"own_positions": sa.SmallInteger(), "releases": sa.Integer(), "positions": sa.SmallInteger()}
    columns = (sa.func.unnest(listed(name, type_)).label(name) for name, type_ in types.items())
    pairs = sa.select(*columns).subquery("pairs")
    smaller = sa.func.least(sa.func.sum(mine.c.subscribers), sa.func.sum(theirs.c.subscribers))
    valued = sa.func.bool_or(sa.or_(mine.c.valued, theirs.c.valued))
    twins = (
        sa.select(theirs.c.release)
        .select_from(mine.join(theirs, theirs.c.row_key == mine.c.row_key))
        .join(
            pairs,
            sa.and_(
                pairs.c.own_positions == mine.c.position,
                pairs.c.releases == theirs.c.release,
                pairs.c.positions == theirs.c.position,
            ),
        )
        .where(mine.c.release == bound("made"), theirs.c.release == any_of("releases", sa.Integer()))
        .group_by(mine.c.position, theirs.c.release, theirs.c.position)
        .having(sa.func.sum(estimated_difference(mine.c, theirs.c)) <= few_of_all(valued, smaller))
        .subquery("twins")
    )
    found = sa.select(results.query_id, results.release).join(twins, twins.c.release == results.release)
    return found.distinct().order_by(results.release)
