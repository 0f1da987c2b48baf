"""Release a kind whose rows are told, from tables in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import Published, Value
from flowmachine.spec.query import Query
from flowmachine.sql.release import judged, leaving

ADMIN3 = SpatialUnit("admin3")
METADATA = sa.MetaData()
RESULT = sa.Table(
    "result_rows",
    METADATA,
    sa.Column("location", sa.Integer),
    sa.Column("location_to", sa.Integer),
    sa.Column("g", sa.Text),
    sa.Column("n", sa.Double),
    sa.Column("share", sa.Double),
)
REGIONS = sa.Table("region_rows", METADATA, sa.Column("location", sa.Integer), sa.Column("pcod", sa.Text))
NAMES = {0: "P0", 1: "P1", 2: "P2"}

#: (location, location_to, g, n, share); 9 is no region.
ROWS: list[tuple[Any, ...]] = [
    (2, 0, "b", 17, 0.25),
    (1, 2, "a", 16, 0.5),
    (0, 1, "c", 15, 0.75),
    (None, 1, "d", 20, 1.0),
    (9, 2, "e", 30, 2.0),
]


class Told(Aggregate):
    """A kind whose rows are those of the table."""

    kind: ClassVar[str] = "told"
    uncompared: ClassVar[str | None] = "its rows are told"
    fields: ClassVar[dict[str, Any]] = {}
    columns: ClassVar[dict[str, Any]] = {column.name: column.type for column in RESULT.columns}
    form: Published

    def __init__(self, form: Published) -> None:
        super().__init__()
        object.__setattr__(self, "form", form)

    def select(self, sources: Any) -> Select[Any]:
        return sa.select(sources.stored(self))

    @property
    def published(self) -> Published:
        return self.form


class Tables:
    """The relations of the test: the rows of the kind and the regions."""

    def stored(self, query: Query) -> FromClause:
        return RESULT

    def regions(self, unit: SpatialUnit) -> FromClause:
        assert unit is ADMIN3
        return REGIONS


SOURCES: Any = Tables()


def cut(query: Aggregate) -> Select[Any]:
    """Select what leaves of a kind's rows."""
    return leaving(query.published, judged(query, SOURCES, sketched=False).subquery("rows"))


def rows(statement: Any, table: Sequence[tuple[Any, ...]] = ROWS) -> list[tuple[Any, ...]]:
    engine = sa.create_engine("duckdb:///:memory:")
    with engine.begin() as connection:
        METADATA.create_all(connection)
        if table:
            connection.execute(
                RESULT.insert(), [dict(zip(RESULT.c.keys(), row, strict=True)) for row in table]
            )
        connection.execute(REGIONS.insert(), [{"location": key, "pcod": pcod} for key, pcod in NAMES.items()])
        found = [tuple(row) for row in connection.execute(statement)]
    engine.dispose()
    return found


COUNT = Value("n", sa.BigInteger())
