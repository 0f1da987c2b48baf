"""Say which rows of other questions the rows of a release make up together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.ledger.keys import digest, form
from flowmachine.ledger.once import any_of, bound, built_once
from flowmachine.spec.aggregate import Aggregate, Total
from flowmachine.spec.places import ADMIN_LEVELS, UNITS
from flowmachine.spec.published import Region
from flowmachine.tables import (
    ledger_places,
    ledger_rows,
    ledger_sums,
    ledger_totals,
    region_around,
    regions_around,
)


def keys_of_totals(
    query: Aggregate, totals: Sequence[Total], rows: FromClause
) -> tuple[ColumnElement[Any], FromClause]:
    """Return the keys of each row's totals as an array, and its relation."""
    regions = {part.suffix: part for part in query.published.parts if isinstance(part, Region)}
    upper: dict[str, FromClause] = {}
    joined = rows
    for suffix, region in regions.items():
        # Places of the network and tiles are asked at no coarser level.
        if region.unit.name not in UNITS:
            continue
        levels = _levels(region, rows).subquery(f"levels{suffix}")
        names = region.unit.id_columns
        same = sa.and_(*(levels.c[name] == rows.c[f"{name}{suffix}"] for name in names))
        joined, upper[suffix] = joined.outerjoin(levels, same), levels
    keys = [_key(total, regions, upper, rows) for total in totals]
    return postgresql.array(keys), joined


def _key(
    total: Total, regions: Mapping[str, Region], upper: Mapping[str, FromClause], rows: FromClause
) -> ColumnElement[int]:
    published = total.question.published
    columns: dict[str, ColumnElement[Any]] = {}
    for part in published.parts:
        if isinstance(part, Region):
            suffix = total.ends.get(part.suffix, part.suffix)
            same = part.unit.name == regions[suffix].unit.name
            for name, column in zip(part.unit.id_columns, part.columns, strict=True):
                columns[column] = rows.c[f"{name}{suffix}"] if same else upper[suffix].c[part.unit.name]
        else:
            columns |= {name: rows.c[name] for name in part.columns if name in published.keys}
    return digest(form(total.question), [columns[name] for name in published.keys])


def record_totals(connection: sa.Connection, query: Aggregate, totals: Sequence[Total], release: int) -> None:
    """Write which questions the rows of a release add up to, and the sums."""
    if not totals:
        return
    made = [
        {"release": release, "position": position, "question": total.question.query_id}
        for position, total in enumerate(totals, start=1)
    ]
    connection.execute(sa.insert(ledger_totals), made)
    if positions := [position for position, _ in summed(query, totals)]:
        connection.execute(_summing(), {"made": release, "positions": positions})


@built_once
def _summing() -> sa.Insert:
    """Insert the sums of a release's rows, by the row of the total that they make."""
    key = (
        sa.func.unnest(ledger_places.c.parts_of)
        .table_valued(sa.column("row_key", sa.BigInteger), with_ordinality="position")
        .render_derived("keys")
    )
    sums = (
        sa.select(
            ledger_rows.c.release,
            sa.cast(key.c.position, sa.SmallInteger),
            key.c.row_key,
            sa.func.bit_xor(ledger_rows.c.whole),
            sa.func.sum(ledger_rows.c.subscribers),
        )
        .join(ledger_places, ledger_places.c.place == ledger_rows.c.place)
        .join(key, sa.true())
        .where(
            ledger_rows.c.release == bound("made"), key.c.position == any_of("positions", sa.SmallInteger())
        )
        .group_by(ledger_rows.c.release, key.c.position, key.c.row_key)
    )
    columns = ["release", "position", "row_key", "whole", "subscribers"]
    return sa.insert(ledger_sums).from_select(columns, sums)


def summed(query: Aggregate, totals: Sequence[Total]) -> list[tuple[int, Total]]:
    """Return the totals that are sums, with their positions.

    Rows that are the same rows of another question have no sums.
    """
    own = form(query)
    return [
        (position, total) for position, total in enumerate(totals, start=1) if form(total.question) != own
    ]


def _levels(region: Region, rows: FromClause) -> sa.Select[Any]:
    """Select the id columns of regions, and the regions around them.

    The place code of the region around is in a column with the name of its level.
    """
    if region.unit.has_polygons:
        return regions_around(region.unit)
    points = sa.select(
        *(rows.c[f"{name}{region.suffix}"].label(name) for name in region.unit.id_columns)
    ).distinct()
    point = points.subquery("points")
    place = sa.func.ST_SetSRID(sa.func.ST_MakePoint(point.c.lon, point.c.lat), 4326)
    return sa.select(point, *(region_around(place, level).label(level) for level in ADMIN_LEVELS))
