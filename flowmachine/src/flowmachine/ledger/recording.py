"""Write the rows of a release into the ledger, with their sketches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.ledger.adding_up import keys_of_totals, record_totals
from flowmachine.ledger.keys import MISSING, SEPARATOR, form, packed, row_key
from flowmachine.ledger.once import bound, built_once
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import AllOrNothing
from flowmachine.sql.sketches import SKETCH, VALUE_SKETCH
from flowmachine.tables import audit, ledger_forms, ledger_places, ledger_results, ledger_rows

#: Binary digits of the largest number of rows of a release; a row's size is between.
SIZES = 31

#: Size of a row that repeats another in all, and is compared with nothing.
NOT_COMPARED = 0


def record(connection: sa.Connection, query: Aggregate, rows: FromClause) -> int:
    """Write all rows of a result, those that do not leave too; return the release.

    ``rows`` has the columns of ``judged``.
    """
    measure, statistic = query.measure
    release = connection.execute(
        sa.insert(ledger_results)
        .values(
            query_id=query.query_id,
            kind=query.kind,
            form=form(query),
            measure=measure,
            statistic=statistic,
            family=query.family,
        )
        .returning(ledger_results.c.release)
    ).scalar_one()
    assert isinstance(rows, sa.Table)
    shape = _Shape.of(query, rows)
    connection.execute(_recording(shape), {"made": release})
    _keep_places(connection, shape, release)
    record_totals(connection, query, query.all_totals, release)
    return int(release)


@dataclass(frozen=True)
class _Shape:
    """Hold all that the statement depends on which records a query's rows."""

    form: str
    published: tuple[str, ...]
    columns: tuple[str, ...]
    counts: bool
    totals: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    query: Aggregate = field(compare=False)
    rows: sa.Table = field(compare=False)

    @classmethod
    def of(cls, query: Aggregate, rows: sa.Table) -> _Shape:
        totals = ((form(total.question), tuple(sorted(total.ends.items()))) for total in query.all_totals)
        return cls(
            form(query),
            query.published.measures,
            (rows.name, *(f"{column.name} {column.type!r}" for column in rows.columns)),
            query.measure == ("subscribers", "count"),
            tuple(totals),
            query,
            rows,
        )


@built_once
def _recording(shape: _Shape, *, missing: bool = False) -> sa.Insert:
    """Insert the rows of ``judged`` whose places are known, or those still missing."""
    query, rows, measures = shape.query, shape.rows, shape.published
    sketches = [name for name in (*SKETCH, *VALUE_SKETCH) if name in rows.c]
    plain = shape.counts and VALUE_SKETCH[0] not in sketches and measures == ("value",)
    about, joined = _about(query, rows)
    of_rows = {
        **about,
        **{name: rows.c[name] for name in sketches},
        "subscribers": rows.c.subscribers,
        "served": rows.c.kept,
        "value": sa.null() if plain else packed(*(rows.c[name] for name in measures)),
        "size": _digits(sa.func.count().over()),
    }
    # Written down, because digests would be made again for the join.
    found = sa.select(*(column.label(name) for name, column in of_rows.items())).select_from(joined)
    found_rows = found.cte("found").prefix_with("MATERIALIZED")
    columns = {"release": bound("made"), "place": ledger_places.c.place}
    columns |= {name: found_rows.c[name] for name in of_rows if name != "parts_of"}
    selected = sa.select(*(column.label(name) for name, column in columns.items()))
    placed = selected.select_from(found_rows.join(ledger_places, _same_place(shape.form, found_rows)))
    if missing:
        written = sa.and_(
            ledger_rows.c.release == bound("made"), ledger_rows.c.row_key == found_rows.c.row_key
        )
        placed = placed.where(~sa.exists().where(written))
    return sa.insert(ledger_rows).from_select(list(columns), placed)


def _about(query: Aggregate, rows: FromClause) -> tuple[dict[str, ColumnElement[Any]], FromClause]:
    """Return the key of each row and those of its totals, and their relation."""
    keys: ColumnElement[Any] = sa.cast(postgresql.array([]), sa.ARRAY(sa.BigInteger))
    joined = rows
    if query.all_totals:
        keys, joined = keys_of_totals(query, query.all_totals, rows)
    return {"row_key": row_key(query, rows), "parts_of": keys}, joined


def _same_place(form: str, found: FromClause) -> ColumnElement[bool]:
    places = ledger_places.c
    return sa.and_(
        places.form == sa.literal(form),
        places.row_key == found.c.row_key,
        places.parts_of == found.c.parts_of,
    )


def _digits(number: ColumnElement[int]) -> ColumnElement[int]:
    """Return the number of binary digits of a number over 0."""
    return sa.case(*((number < 1 << digits, digits) for digits in range(1, SIZES)), else_=SIZES)


def _keep_places(connection: sa.Connection, shape: _Shape, release: int) -> None:
    """Write the places of rows that none was about before, and those rows.

    Of each size of releases the fewest rows are kept, too.
    """
    known = connection.execute(_recorded(shape), {"made": release, "form": shape.form}).one()
    if not known.wanted:
        return
    places, fewest = known.places, list(known.fewest or [None] * SIZES)
    if known.number < known.wanted:
        connection.execute(_placing(shape))
        connection.execute(_recording(shape, missing=True), {"made": release})
        places = connection.execute(_places(), {"form": shape.form}).scalar_one()
    at = known.wanted.bit_length() - 1
    fewest[at] = min(known.wanted, fewest[at] or known.wanted)
    if (places, fewest) != (known.places, known.fewest):
        connection.execute(sa.delete(ledger_forms).where(ledger_forms.c.form == shape.form))
        connection.execute(sa.insert(ledger_forms).values(form=shape.form, places=places, fewest=fewest))


@built_once
def _recorded(shape: _Shape) -> sa.Select[Any]:
    """Select how many rows there are and were written, and what is known of the form."""
    of_form = ledger_forms.c.form == bound("form", sa.Text())
    found = {
        "wanted": sa.select(sa.func.count()).select_from(shape.rows),
        "number": sa.select(sa.func.count()).where(ledger_rows.c.release == bound("made")),
        "places": sa.select(ledger_forms.c.places).where(of_form),
        "fewest": sa.select(ledger_forms.c.fewest).where(of_form),
    }
    return sa.select(*(one.scalar_subquery().label(name) for name, one in found.items()))


@built_once
def _placing(shape: _Shape) -> sa.Insert:
    """Insert the places of rows that none was about before."""
    about, joined = _about(shape.query, shape.rows)
    found = sa.select(*(column.label(name) for name, column in about.items())).select_from(joined)
    rows = found.cte("found").prefix_with("MATERIALIZED")
    new = sa.select(sa.literal(shape.form), rows.c.row_key, rows.c.parts_of).where(
        ~sa.exists().where(_same_place(shape.form, rows))
    )
    return sa.insert(ledger_places).from_select(["form", "row_key", "parts_of"], new.distinct())


@built_once
def _places() -> sa.Select[Any]:
    places = sa.func.count(ledger_places.c.row_key.distinct())
    return sa.select(places).where(ledger_places.c.form == bound("form", sa.Text()))


def withhold(connection: sa.Connection, release: int, keys: Collection[int]) -> None:
    """Withhold rows of a release; later answers repeat their absence."""
    rows = sa.and_(ledger_rows.c.release == release, ledger_rows.c.row_key == sa.any_(_array(keys)))
    connection.execute(sa.update(ledger_rows).where(rows).values(served=False, repeats=None))


def _array(keys: Collection[int]) -> ColumnElement[Any]:
    return sa.cast(sa.literal(sorted(keys), sa.ARRAY(sa.BigInteger)), sa.ARRAY(sa.BigInteger))


def settle(connection: sa.Connection, query: Aggregate, release: int) -> None:
    """Take all rows for withheld if one is, in kinds that publish all or nothing."""
    if not isinstance(query.published.rule, AllOrNothing):
        return
    one = ledger_rows.alias("one")
    withheld = sa.exists().where(one.c.release == release, ~one.c.served)
    connection.execute(
        sa.update(ledger_rows).where(ledger_rows.c.release == release, withheld).values(served=False)
    )


def note(connection: sa.Connection, release: int, withheld: list[str]) -> None:
    """Record why rows of a release were withheld."""
    connection.execute(
        sa.update(ledger_results).where(ledger_results.c.release == release).values(withheld=withheld)
    )


def note_differences(
    connection: sa.Connection, query: Aggregate, release: int, queries: dict[str, list[str]], message: str
) -> None:
    """Write an audit row that names the queries that a release tells too much with."""
    connection.execute(
        sa.insert(audit).values(
            request_id=f"release {release}",
            action="differences",
            query_id=query.query_id,
            params=queries,
            status="success",
            message=message,
            seconds=0.0,
        )
    )


def _unpacked(packed: ColumnElement[str], number: int) -> ColumnElement[str | None]:
    """Return the text of a column of ``_packed``, counted from 0."""
    return sa.func.nullif(sa.func.split_part(packed, SEPARATOR, number + 1), MISSING)


def repeating(query: Aggregate, rows: FromClause, release: int, withheld: Collection[int]) -> FromClause:
    """Return the rows of ``judged`` with values and absences that they repeat.

    ``release`` is that of the rows. ``withheld`` are the keys of rows that are absent whatever they repeat.
    ``over_floor`` is what ``kept`` was.
    """
    mine, theirs = ledger_rows.alias("mine"), ledger_rows.alias("theirs")
    key = row_key(query, rows)
    here = sa.and_(mine.c.release == release, mine.c.row_key == key, mine.c.repeats.is_not(None))
    there = sa.and_(theirs.c.release == mine.c.repeats, theirs.c.row_key == mine.c.row_key)
    joined = rows.outerjoin(mine, here).outerjoin(theirs, there)
    columns_of = query.published.columns
    earlier = sa.func.coalesce(theirs.c.value, sa.cast(theirs.c.subscribers, sa.Text))
    repeats = theirs.c.release.is_not(None)
    changed = {
        name: sa.case(
            (repeats, sa.cast(_unpacked(earlier, number), columns_of[name])), else_=rows.c[name]
        ).label(name)
        for number, name in enumerate(query.published.measures)
    } | {
        "kept": sa.and_(
            sa.case((repeats, theirs.c.served), else_=rows.c.kept), ~(key == sa.any_(_array(withheld)))
        ).label("kept"),
    }
    columns = [changed.get(name, rows.c[name]) for name in (*columns_of, "kept")]
    return sa.select(*columns, rows.c.kept.label("over_floor")).select_from(joined).subquery("repeating")
