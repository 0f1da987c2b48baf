"""Hold Spark's executor to DuckDB's on the examples of all kinds.

Sail stands for Spark.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet
import pytest
import shapely
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowetl.tally import write_tally
from flowmachine.data import DataState, Day
from flowmachine.executors import make_executors
from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.executors.spark import SparkExecutor
from flowmachine.queries import examples
from flowmachine.queries.catalogue import kinds
from flowmachine.settings import Computing
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import COLUMNS_OF_TYPES, Query
from flowmachine.sql import geometry, sketches
from flowmachine.sql.release import judged
from flowmachine.stores.columnar import device_models, map_path
from flowmachine.stores.maps import UnitMap
from flowsettings import SettingError

from .kinds.world import SLOW_ON_SAIL

pytestmark = pytest.mark.slow

TYPES: dict[str, pa.DataType] = {"outgoing": pa.bool_(), "counterpart": pa.int64(), "tac": pa.int32()}
CELLS, REGIONS = 12, 6
POINTS = [(84 + 0.005 * number, 27 + 0.004 * number) for number in range(REGIONS)]


def region(number: int) -> str:
    """Return a name that only a careful engine leaves as it is."""
    return f"é'\\{number}"


class Folder:
    """Files of drawn days, maps and devices, and both executors over them."""

    def __init__(self, path: Path, url: str) -> None:
        computing = Computing(
            columnar_path=path,
            cache_path=path / "cache",
            threads=1,
            memory_limit="512MB",
            executor="spark",
            spark_url=url,
        )
        self.computing = computing
        executors = make_executors(computing)
        duckdb, spark = executors["duckdb"], executors["spark"]
        assert isinstance(duckdb, DuckDBExecutor)
        assert isinstance(spark, SparkExecutor)
        self.duckdb, self.spark = duckdb, spark
        self._chance = random.Random(0)
        self._people = [self._chance.getrandbits(64) - 2**63 for _ in range(40)]
        self._files: dict[Day, str] = {}
        self._tallies: dict[Day, str] = {}
        #: Whether counts by cell and hour are there.
        self.tallied = False
        self._map = cache(self._new_map)
        self._devices = path / "devices.parquet"
        devices = {
            column.name: pa.array([1, 2, 3], pa.int32())
            if isinstance(column.type, sa.Integer)
            else pa.array(["a", "b", "a"])
            for column in device_models().c
        }
        pa.parquet.write_table(pa.table(devices), self._devices)
        self._weights = path / "weights.parquet"
        weights = {"pcod": [region(number) for number in range(REGIONS)], "weight": [100.0] * REGIONS}
        pa.parquet.write_table(pa.table(weights), self._weights)

    def sources(self, executor: DuckDBExecutor | SparkExecutor) -> Any:
        """Return the executor's relations over the days written so far."""
        loads = dict.fromkeys(self._files, UUID(int=0))
        data = DataState(loads, dict(self._files), 1, "UTC", tallies=self._tallies)
        others = (lambda: self._devices, lambda table, column: self._weights)
        tallied = self.tallied
        return executor.sources_type(
            self.computing, executor._read, data, lambda day: tallied, self._map, *others
        )

    def rows(self, executor: DuckDBExecutor | SparkExecutor, query: Query) -> dict[str, list[Any]]:
        """Store a query's parts and return the rows of each.

        An aggregate's rows are those before the gate cuts.
        """
        found = {}
        for part in query.graph():
            if part is query and isinstance(query, Aggregate):
                sources = self.sources(executor)
                select = judged(query, sources, sketched=True)
                found[query.kind] = in_order(executor.query(select))
                continue
            executor.sources = lambda data, connection: self.sources(executor)  # type: ignore[method-assign,assignment]
            with executor.storing(part, None, None):  # type: ignore[arg-type]
                pass
            table = executor.query(sa.select(self.sources(executor).stored(part)))
            found[part.query_id] = in_order(table)
        return found

    def load(self, query: Query) -> None:
        """Write the days that a query reads."""
        for part in query.graph():
            for selection in part.events:
                for event_type in selection.types:
                    for day in selection.days:
                        self._load(event_type, day)

    def _load(self, event_type: str, day: date) -> None:
        if (event_type, day) in self._files:
            return
        names = [name for name, types in COLUMNS_OF_TYPES.items() if event_type in types]
        chance, rows = self._chance, []
        for _ in range(120):
            at = datetime.combine(day, time()) + timedelta(seconds=chance.randrange(86400))
            rows.append(
                {"subscriber": chance.choice(self._people), "time": at, "local_time": at}
                | {"cell": chance.choice([*range(CELLS), None]), "event_id": chance.getrandbits(40)}
                | {name: round(100 * chance.random(), 2) for name in names}
                | {"tac": chance.choice([1, 2, 3, None])}
                | ({"counterpart": chance.choice(self._people)} if "counterpart" in names else {})
                | ({"outgoing": chance.random() < 0.5} if "outgoing" in names else {})
            )
        times = {"time": pa.timestamp("us"), "local_time": pa.timestamp("us")}
        types = {"subscriber": pa.int64(), "cell": pa.int32(), "event_id": pa.int64(), **times, **TYPES}
        schema = pa.schema([(name, types.get(name, pa.float64())) for name in rows[0]])
        path = f"events/type={event_type}/date={day}/0.parquet"
        target = self.computing.columnar_path / path
        target.parent.mkdir(parents=True)
        pa.parquet.write_table(pa.Table.from_pylist(rows, schema), target)
        self._files[event_type, day] = path
        tally = f"tallies/type={event_type}/date={day}/0.parquet"
        (self.computing.columnar_path / tally).parent.mkdir(parents=True)
        write_tally(target, self.computing.columnar_path / tally)
        self._tallies[event_type, day] = tally

    def _new_map(self, unit: SpatialUnit) -> UnitMap:
        """Write a map in which every cell moves on 2 January 2016."""
        moves = (date(1, 1, 1), date(2016, 1, 2), date(9999, 12, 31))
        found = UnitMap(unit, "1", REGIONS, moves)
        map_path(self.computing, "").parent.mkdir(parents=True, exist_ok=True)
        regions: dict[str, Any] = {"location": pa.array(range(REGIONS), pa.int32())}
        for name, type_ in unit.id_columns.items():
            if name in ("lon", "lat"):
                regions[name] = pa.array([point[name == "lat"] for point in POINTS])
            elif isinstance(type_, sa.Integer):
                regions[name] = pa.array(range(REGIONS), pa.int32())
            else:
                regions[name] = pa.array([region(number) for number in range(REGIONS)])
        pa.parquet.write_table(pa.table(regions), map_path(self.computing, found.regions.name))
        cells = [
            {"cell": cell, "valid_from": first, "valid_before": end, "location": (cell * step) % REGIONS}
            for step, (first, end) in zip((1, 5), pairwise(moves), strict=True)
            for cell in range(CELLS)
        ]
        types = {"valid_from": pa.timestamp("us"), "valid_before": pa.timestamp("us")}
        schema = pa.schema([(name, types.get(name, pa.int32())) for name in cells[0]])
        clocks = [
            {name: datetime.combine(v, time()) if isinstance(v, date) else v for name, v in cell.items()}
            for cell in cells
        ]
        pa.parquet.write_table(
            pa.Table.from_pylist(clocks, schema), map_path(self.computing, found.cells.name)
        )
        if unit.has_polygons:
            around = pa.array([f"around {number % 2}" for number in range(REGIONS)])
            table = pa.table({"location": regions["location"], "parent": around})
            pa.parquet.write_table(table, map_path(self.computing, found.parents_name))
            squares = [shapely.to_wkb(shapely.Point(point).buffer(0.003, quad_segs=1)) for point in POINTS]
            table = pa.table({"location": regions["location"], "geom": pa.array(squares)})
            pa.parquet.write_table(table, map_path(self.computing, found.boundaries_name))
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, spark_url: str) -> Folder:
    return Folder(tmp_path_factory.mktemp("spark"), spark_url)


def in_order(table: pa.Table) -> list[Any]:
    rows = [tuple(map(plain, row.values())) for row in table.to_pylist()]
    return sorted(rows, key=repr)


def plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def equal(one: Any, other: Any) -> bool:
    """Equal by value: whole numbers exactly, others to a billionth."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


@pytest.mark.parametrize("kind", sorted(kinds().keys() - SLOW_ON_SAIL))
def test_both_executors_have_the_same_rows_and_sketches(folder: Folder, kind: str) -> None:
    query = examples.query(kind)
    if any(part.needs_database for part in query.graph()):
        return  # Neither of the two computes it.
    folder.load(query)
    expected, found = folder.rows(folder.duckdb, query), folder.rows(folder.spark, query)
    assert expected.keys() == found.keys()
    for name, rows in expected.items():
        assert equal(found[name], rows), name


@pytest.mark.parametrize("kind", sorted(kind for kind, of in kinds().items() if of.reads_tallies))
def test_both_executors_read_counts_by_cell_and_hour(folder: Folder, kind: str) -> None:
    query = examples.query(kind)
    folder.load(query)
    expected = folder.rows(folder.duckdb, query)[kind]
    folder.tallied = True
    try:
        for executor in (folder.duckdb, folder.spark):
            assert equal(folder.rows(executor, query)[kind], expected), executor.name
    finally:
        folder.tallied = False


def test_each_reads_what_the_other_stored(folder: Folder) -> None:
    query = examples.query("daily_location")
    folder.load(query)
    for writer, reader in ((folder.spark, folder.duckdb), (folder.duckdb, folder.spark)):
        own = folder.rows(writer, query)[query.query_id]
        assert len(own) > 10
        assert in_order(reader.query(sa.select(folder.sources(reader).stored(query)))) == own
        assert reader.stored_exists(query, None)  # type: ignore[arg-type]
        reader.discard(query.query_id, None)  # type: ignore[arg-type]
        assert not writer.stored_exists(query, None)  # type: ignore[arg-type]


def of_spark_and_duckdb(folder: Folder, *columns: sa.ColumnElement[Any]) -> tuple[Any, Any]:
    select = sa.select(*(column.label(f"c{number}") for number, column in enumerate(columns)))
    return folder.spark.query(select).to_pylist(), folder.duckdb.query(select).to_pylist()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8))
def test_every_text_arrives_as_it_is(folder: Folder, text: str) -> None:
    ((row,), _) = of_spark_and_duckdb(folder, sa.literal(text, sa.Text))
    assert row == {"c0": text}


def double(value: float | None) -> sa.ColumnElement[float]:
    return sa.cast(sa.null() if value is None else sa.literal(value), sa.Double)


def test_the_bits_of_floats_are_those_of_the_databases(folder: Folder) -> None:
    numbers: Sequence[float | None] = (0.0, 1.0, -1.0, 3e38, 1e-45, 1e-40, 1.1754943508222875e-38, -2.5)
    numbers = (*numbers, 16777217.0, 0.1, 8388608.0, 0.9999999, 1e300, None)
    spark, duckdb = of_spark_and_duckdb(folder, *(sketches.value_bits(double(x)) for x in numbers))
    assert spark == duckdb


def test_points_are_strictly_within_an_area_with_a_hole(folder: Folder) -> None:
    text = "POLYGON((0 0,0 2,2 2,2 0,0 0),(0.5 0.5,0.5 1,1 1,1 0.5,0.5 0.5))"
    area = geometry.geometry_from_text(sa.literal(text, sa.Text))
    points = [(0.25, 0.25), (0.0, 1.0), (0.75, 0.75), (1.0, 0.75), (3.0, 1.0), (1.5, 1.5), (0.0, 0.0)]
    spark, duckdb = of_spark_and_duckdb(
        folder, *(geometry.strictly_within(double(x), double(y), area) for x, y in points)
    )
    assert spark == duckdb
    assert list(spark[0].values()) == [True, False, False, False, False, True, False]


def test_points_of_a_walk_join_clusters_as_with_the_databases(folder: Folder) -> None:
    columns = {"lon": [84.25, 84.255, 84.26, 85.0, 84.2525], "lat": [27.25] * 5, "days": [3.0, 2, 1, 1, 1]}
    lists = sa.select(
        *(sa.literal(values, sa.ARRAY(sa.Double)).label(name) for name, values in columns.items()),
        double(600.0).label("radius"),
    ).subquery("lists")
    spark, duckdb = of_spark_and_duckdb(
        folder, geometry.leader_clusters(lists.c.lon, lists.c.lat, lists.c.days, lists.c.radius)
    )
    assert spark == duckdb == [{"c0": [1, 1, 2, 3, 1]}]


def test_spark_without_an_address_is_refused(tmp_path: Path) -> None:
    computing = Computing(columnar_path=tmp_path, cache_path=tmp_path, executor="spark")
    with pytest.raises(SettingError, match="FLOWMACHINE_SPARK_URL is missing"):
        make_executors(computing)
