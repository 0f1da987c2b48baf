"""Check that changed data make exactly the dependents stale, remade on request."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flowdb.unit_tables import change_unit_tables
from flowmachine.data import DataState, read_data_state
from flowmachine.jobs import submitting, table
from flowmachine.jobs.table import RELEASED, Key
from flowmachine.queries.catalogue import all_kinds, load
from flowmachine.settings import Computing, Database
from flowmachine.spec.aggregate import Aggregate
from flowmachine.tables import jobs, result_name
from flowmachine.testing import Country
from flowmachine.worker import Worker

UNIT = {"aggregation_unit": "admin2"}


def daily(day: int) -> dict[str, Any]:
    return {"query_kind": "daily_location", "date": f"2016-01-{day:02}", "method": "last", **UNIT}


def modal(*days: int) -> dict[str, Any]:
    return {"query_kind": "modal_location", "locations": [daily(day) for day in days]}


def most_frequent(first: int, end: int) -> dict[str, Any]:
    window = {"start_date": f"2016-01-{first:02}", "end_date": f"2016-01-{end:02}"}
    return {"query_kind": "most_frequent_location", **window, **UNIT}


def counted(locations: dict[str, Any]) -> Aggregate:
    return load({"query_kind": "spatial_aggregate", "locations": locations})


def busy(locations: dict[str, Any]) -> Aggregate:
    """Events per subscriber, summed at each location."""
    window = {"start_date": "2016-01-01", "end_date": "2016-01-04"}
    metric = {"query_kind": "event_count", **window, "direction": "both"}
    return load(
        {"query_kind": "joined_spatial_aggregate", "locations": locations, "metric": metric, "method": "avg"}
    )


def branded() -> Aggregate:
    """Count the users of each brand of device at each location."""
    window = {"start_date": "2016-01-01", "end_date": "2016-01-04"}
    metric = {"query_kind": "handset", **window, "characteristic": "brand", "method": "last"}
    return load(
        {"query_kind": "joined_spatial_aggregate", "locations": daily(1), "metric": metric, "method": "distr"}
    )


def moved_money() -> Aggregate:
    window = {"start_date": "2016-01-01", "end_date": "2016-01-02"}
    return load({"query_kind": "dfs_metric_total_amount", **window, "metric": "amount", **UNIT})


class Engine:
    """One worker in this process over a country."""

    def __init__(self, country: Country, folder: Path, executor: str = "auto") -> None:
        environment = country.database.environment("flowmachine")
        database = Database.load(environment)
        self.engine = database.engine("test", pool_size=2)
        self._worker = Worker(
            database,
            Computing(
                columnar_path=country.columnar,
                cache_path=folder,
                executor=executor,
                threads=1,
                memory_limit="512MB",
            ),
        )

    def close(self) -> None:
        self._worker.close()
        self.engine.dispose()

    def run(self, *queries: Aggregate) -> set[str]:
        """Request queries and do what is to be done; the ids of what was computed."""
        before = self._finished()
        with self.engine.begin() as connection:
            data = read_data_state(connection)
            for query in queries:
                submitting.submit(connection, query, data)
        self._worker.run_until_idle()
        with self.engine.connect() as connection:
            for query in queries:
                row = table.find(connection, Key(query.query_id, RELEASED))
                assert row is not None
                assert row["state"] == "completed", row["error"]
        return {key.query_id for key, when in self._finished().items() if before.get(key) != when}

    def attempt(self, query: Aggregate) -> tuple[str, bool]:
        """Request a query and do one thing for it; its state, and whether it is planned."""
        with self.engine.begin() as connection:
            submitting.submit(connection, query, read_data_state(connection))
        self._worker.work_one()
        with self.engine.connect() as connection:
            row = table.find(connection, Key(query.query_id, RELEASED))
        assert row is not None
        return row["state"], row["planned"]

    def rows(self, query: Aggregate) -> list[tuple[Any, ...]]:
        name = sa.table(result_name(query.query_id), schema="cache")
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(sa.text("*")).select_from(name)).all()
        return sorted(tuple(row) for row in found)

    def _finished(self) -> dict[Key, Any]:
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(jobs.c.query_id, jobs.c.store, jobs.c.finished_at))
            return {Key(row.query_id, row.store): row.finished_at for row in rows}


@pytest.fixture(params=["duckdb", "postgres"])
def running(request: pytest.FixtureRequest, own_country: Country, tmp_path: Path) -> Iterator[Engine]:
    with closing(Engine(own_country, tmp_path / "cache", request.param)) as engine:
        yield engine


def ids(query: Aggregate) -> set[str]:
    return {part.query_id for part in query.graph()}


def test_a_reloaded_day(running: Engine, own_country: Country) -> None:
    queries = [counted(daily(day)) for day in (1, 2, 3)] + [counted(modal(1, 2)), counted(modal(1, 3))]
    assert running.run(*queries) == set.union(*map(ids, queries))
    assert running.run(*queries) == set()
    first = [running.rows(query) for query in queries]

    own_country.load("run", "--source", "calls", "--date", "2016-01-02")

    # Nothing is computed unasked, and results that do not depend on the day are served as before.
    assert running.run() == set()
    assert running.run(queries[0], queries[2], queries[4]) == set()
    stale = (ids(queries[1]) | ids(queries[3])) - ids(queries[0])
    assert running.run(*queries) == stale
    assert [running.rows(query) for query in queries] == first
    assert running.run(*queries) == set()


def test_a_day_that_is_loaded_anew_while_its_file_is_looked_for(
    own_country: Country, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that the manifest named is gone by then, and nothing is damaged."""
    reads = 0

    def read(connection: sa.Connection) -> DataState:
        nonlocal reads
        state = read_data_state(connection)
        reads += 1
        # The first is for the plan and the part.
        if reads == 1:
            own_country.load("run", "--source", "calls", "--date", "2016-01-02")
        return state

    monkeypatch.setattr("flowmachine.worker.read_data_state", read)
    query = counted(daily(2))
    with closing(Engine(own_country, tmp_path / "cache", "duckdb")) as engine:
        assert engine.run(query) == ids(query)
    assert reads > 2


def test_the_data_are_looked_at_before_and_after_each_part(
    own_country: Country, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that a plan and the next part share one look, and so do two parts."""
    reads: list[DataState] = []

    def read(connection: sa.Connection) -> DataState:
        reads.append(read_data_state(connection))
        return reads[-1]

    query = counted(daily(2))
    with closing(Engine(own_country, tmp_path / "cache", "duckdb")) as engine:
        monkeypatch.setattr("flowmachine.worker.read_data_state", read)
        assert engine.run(query) == ids(query)
    assert len(reads) == 1 + len(ids(query))


def test_a_late_day(running: Engine, own_country: Country, monkeypatch: pytest.MonkeyPatch) -> None:
    # One more day of so few people makes answers near each other.
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "report")
    early, long = counted(most_frequent(1, 4)), counted(most_frequent(1, 5))
    running.run(early, long)
    short = running.rows(long)
    assert short == running.rows(early)

    own_country.load("backfill", "--source", "all", "--start", "2016-01-04", "--end", "2016-01-04")

    assert running.run(early, long) == ids(long)
    assert running.rows(early) == short
    assert running.rows(long) != short


def test_a_moved_cell(running: Engine, own_country: Country) -> None:
    located, joined = counted(daily(1)), busy(daily(2))
    running.run(located, joined)
    before = running.rows(located)

    with (
        closing(own_country.database.connect("flowdb")) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        # All cells of the busiest district move to the place of one cell elsewhere.
        cursor.execute(
            "WITH home AS (SELECT c.id, a.admin2pcod FROM infrastructure.cells c"
            " JOIN geography.admin2 a ON ST_Within(c.geom_point, a.geom))"
            " UPDATE infrastructure.cells SET geom_point ="
            " (SELECT geom_point FROM infrastructure.cells JOIN home USING (id) WHERE admin2pcod <> %(busy)s"
            "  ORDER BY id LIMIT 1)"
            " WHERE id IN (SELECT id FROM home WHERE admin2pcod = %(busy)s)",
            {"busy": max(before, key=lambda row: row[1])[0]},
        )
        assert cursor.rowcount > 0

    metric = next(part for part in joined.graph() if part.kind == "event_count")
    assert running.run(located, joined) == (ids(located) | ids(joined)) - {metric.query_id}
    after = running.rows(located)
    assert sum(value for _, value in after) >= sum(value for _, value in before) - 15 * len(before)
    assert max(before, key=lambda row: row[1])[0] not in {pcod for pcod, _ in after}


def change(country: Country, *statements: str) -> None:
    with closing(country.database.connect("flowdb")) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            assert cursor.rowcount > 0


def test_other_device_models(running: Engine, own_country: Country) -> None:
    others, joined = [counted(daily(1)), busy(daily(1)), moved_money()], branded()
    running.run(*others, joined)
    before = running.rows(joined)
    assert len({brand for _, _, brand, _ in before}) > 1

    change(own_country, "UPDATE infrastructure.tacs SET brand = 'Everybody''s'")

    metric = next(part for part in joined.graph() if part.kind == "handset")
    assert running.run(*others, joined) == {metric.query_id, joined.query_id}
    after = running.rows(joined)
    assert {brand for _, _, brand, _ in after} == {"Everybody's"}
    assert running.run(*others, joined) == set()


def mapped(table_name: str, **unit: Any) -> Aggregate:
    return counted(daily(1) | unit | {"mapping_table": table_name})


def test_another_mapping_table(running: Engine, own_country: Country) -> None:
    change(
        own_country,
        "CREATE TABLE geography.ids AS SELECT DISTINCT c.id, '*' AS admin2pcod, 0 AS place FROM infrastructure.cells AS c",
        "CREATE TABLE geography.places AS SELECT 0 AS place, ST_SetSRID(ST_MakePoint(1, 2), 4326) AS geom_point",
    )
    tables = ["geography.ids", "geography.places"]
    change_unit_tables(own_country.database.deployment, allow=tables)
    at_places = {"geom_table": "geography.places", "geom_table_join_column": "place"}
    others, districts = [counted(daily(1))], mapped("geography.ids")
    places = mapped("geography.ids", aggregation_unit="lon-lat", **at_places)
    assert running.run(*others, districts, places) == set().union(*map(ids, [*others, districts, places]))
    everybody = sum(value for *_, value in running.rows(districts))
    assert running.rows(districts) == [(None, everybody)]
    assert running.rows(places) == [(1, 2, everybody)]

    change(own_country, "UPDATE geography.places SET geom_point = ST_SetSRID(ST_MakePoint(3, 4), 4326)")
    assert running.run(*others, districts, places) == ids(places)
    assert running.rows(places) == [(3, 4, everybody)]

    change(
        own_country,
        "UPDATE geography.ids SET admin2pcod = (SELECT min(admin2pcod) FROM geography.admin2), place = 7",
    )
    assert running.run(*others, districts, places) == ids(districts) | ids(places)
    ((district, value),) = running.rows(districts)
    assert (district is not None, value) == (True, everybody)
    assert running.rows(places) == [(None, None, everybody)]
    assert running.run(*others, districts, places) == set()

    # While it is not looked after it may change unnoticed, so that afterwards nothing is taken for fresh.
    change_unit_tables(own_country.database.deployment, forbid=tables[:1])
    change(own_country, "UPDATE geography.ids SET admin2pcod = '*'")
    change_unit_tables(own_country.database.deployment, allow=tables[:1])
    assert running.run(*others, districts, places) == ids(districts) | ids(places)
    assert running.rows(districts) == [(None, everybody)]


def test_more_mobile_money(running: Engine, own_country: Country) -> None:
    others, money = [counted(daily(1)), branded()], moved_money()
    running.run(*others, money)
    assert running.rows(money) == []
    # Twenty people pay 2.5 each at one cell; nothing of it says anything before the cell is named.
    change(
        own_country,
        "INSERT INTO dfs.subscribers (id, msisdn) SELECT n, 'payer ' || n FROM generate_series(1, 20) AS n",
        "INSERT INTO dfs.transactions (id, amount, timestamp)"
        " SELECT n, 2.5, '2016-01-01 12:00' FROM generate_series(1, 20) AS n",
    )
    assert running.run(*others, money) == {money.query_id}
    assert running.rows(money) == []
    change(
        own_country,
        "INSERT INTO dfs.transactions_metadata (transaction_id, subscriber_id, cell_id, cell_version)"
        " SELECT n, n, id, version FROM generate_series(1, 20) AS n,"
        " (SELECT id, version FROM infrastructure.cells ORDER BY id, version LIMIT 1) AS cell",
    )
    assert running.run(*others, money) == {money.query_id}
    assert [value for _, _, value in running.rows(money)] == [50]
    change(own_country, "UPDATE dfs.transactions SET amount = 3")
    assert running.run(*others, money) == {money.query_id}
    assert [value for _, _, value in running.rows(money)] == [60]
    # Six of the identities are one person's: of the fifteen people left nothing may be shown.
    change(own_country, "UPDATE dfs.subscribers SET msisdn = 'payer 1' WHERE id <= 6")
    assert running.run(*others, money) == {money.query_id}
    assert running.rows(money) == []
    assert running.run(*others, money) == set()


def test_both_stores_agree_after_changes(own_country: Country, tmp_path: Path) -> None:
    query = counted(modal(1, 2, 3))
    with closing(Engine(own_country, tmp_path / "cache", "duckdb")) as columnar:
        columnar.run(query)
        own_country.load("run", "--source", "sms", "--date", "2016-01-03")
        own_country.load("backfill", "--source", "all", "--start", "2016-01-04", "--end", "2016-01-04")
        columnar.run(query)
        found = columnar.rows(query)
        with columnar.engine.begin() as connection:
            connection.execute(sa.update(jobs).values(state="known"))
    with closing(Engine(own_country, tmp_path / "other", "postgres")) as rows:
        assert rows.run(query) == ids(query)
        assert rows.rows(query) == found


def test_a_kind_names_what_else_it_reads() -> None:
    for cls in all_kinds().values():
        text = inspect.getsource(inspect.getmodule(cls))  # type: ignore[arg-type]
        assert ("devices" in cls.reads) == (".devices()" in text), cls.kind
        assert ("mobile_money" in cls.reads) == ('schema="dfs"' in text), cls.kind


def test_a_kind_that_stays_fresh_when_a_cell_moves_reads_no_cells() -> None:
    unmoved = [cls for cls in all_kinds().values() if not cls.reads_cells]
    assert len(unmoved) > 3
    for cls in unmoved:
        text = inspect.getsource(inspect.getmodule(cls))  # type: ignore[arg-type]
        found = re.findall(r"locate_events|\.cells\(|\.regions\(|region_count|boundaries", text)
        assert found == [], cls.kind


def test_a_plan_that_another_was_in_the_way_of_is_made_again(own_country: Country, tmp_path: Path) -> None:
    query = counted(daily(1))
    name = own_country.database.name
    with closing(own_country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute(f"ALTER ROLE flowmachine IN DATABASE {name} SET lock_timeout = '100ms'")
    with (
        closing(Engine(own_country, tmp_path / "cache")) as engine,
        closing(own_country.database.connect("flowdb")) as lock,
    ):
        lock.cursor().execute("LOCK TABLE engine.plan_parts IN SHARE MODE")
        assert engine.attempt(query) == ("queued", False)
        lock.rollback()
        assert engine.run(query) == ids(query)
