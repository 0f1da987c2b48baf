"""Check that the engine recovers: day files, results, workers, the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flowdb.deployment import SUPERUSER, Deployment, Login
from flowdb.migrate import migrate
from flowdb.testing import FAST_AND_UNSAFE, cluster_tool
from flowdb.testing import Database as LoadedDatabase
from flowmachine.data import read_data_state
from flowmachine.queries.catalogue import load_any
from flowmachine.testing import HOLD_RECORDING, Country, Processes, free_port, wait_for

UNIT = {"aggregation_unit": "admin2"}
DURABLE = FAST_AND_UNSAFE | {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


def daily(day: int) -> dict[str, Any]:
    return {"query_kind": "daily_location", "date": f"2016-01-{day:02}", "method": "last", **UNIT}


def counted(*days: int) -> dict[str, Any]:
    locations = {"query_kind": "modal_location", "locations": [daily(day) for day in days]}
    return {"query_kind": "spatial_aggregate", "locations": locations}


def ask(processes: Processes, sql: str) -> list[Any]:
    with closing(processes.country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def ask_and_commit(processes: Processes, sql: str) -> None:
    with closing(processes.country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute(sql)


def rows(processes: Processes, query_id: str) -> list[Any]:
    return ask(processes, f"SELECT * FROM cache.x{query_id} ORDER BY 1")


def stores(processes: Processes) -> dict[str, str]:
    """Return where each stored part is stored, by kind and store."""
    found = ask(
        processes, "SELECT kind, store FROM engine.jobs WHERE state = 'completed' AND store <> 'released'"
    )
    return dict(found)


@pytest.fixture
def own_processes(own_country: Country, tmp_path: Path) -> Iterator[Processes]:
    """Engine processes over a country whose files the test may damage."""
    with ExitStack() as stack:
        yield Processes(own_country, tmp_path, stack, free_port())


def day_file(processes: Processes, kind: str = "calls", day: str = "2016-01-02") -> Path:
    (path,) = (processes.country.columnar / "events" / f"type={kind}" / f"date={day}").glob("*.parquet")
    return path


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
    elif how == "shortened":
        path.write_bytes(content[:-100])
    else:
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)


def listed(processes: Processes) -> list[Any]:
    return ask(processes, "SELECT cdr_type, cdr_date::text FROM etl.damaged_files")


def computed(processes: Processes, number: int) -> list[tuple[str, str]]:
    """Kind and store of each computation, once there are so many."""
    return [(line["kind"], line["executor"]) for line in processes.computed(number)]


@pytest.mark.parametrize("how", ["deleted", "shortened", "altered"])
def test_a_damaged_tally_is_not_read_and_is_rebuilt(own_processes: Processes, how: str) -> None:
    own_processes.start("server")
    own_processes.start("worker")
    client = own_processes.client()
    counts = {
        "query_kind": "location_event_counts",
        "start_date": "2016-01-02",
        "end_date": "2016-01-03",
        "event_types": ["calls"],
        "interval": "hour",
        "aggregation_unit": "admin2",
    }

    def answer(**more: Any) -> list[Any]:
        query_id = client.ask("run_query", **counts, **more)["payload"]["query_id"]
        assert client.until_done(query_id) == "completed"
        return sorted(rows(own_processes, query_id))

    sound = answer()
    assert sound
    (path,) = (own_processes.country.columnar / "tallies" / "type=calls" / "date=2016-01-02").glob(
        "*.parquet"
    )
    damage(path, how)
    # All hours of the day in other words.
    assert answer(hours={"start_hour": 0, "end_hour": 24}) == sound
    assert computed(own_processes, 2) == [("location_event_counts", "duckdb")] * 2
    assert listed(own_processes) == [("calls", "2016-01-02")]
    own_processes.country.load("repair")
    assert listed(own_processes) == []


@pytest.mark.parametrize("how", ["deleted", "shortened", "altered"])
def test_a_damaged_day_file_is_never_read_and_is_rebuilt(own_processes: Processes, how: str) -> None:
    own_processes.start("server")
    own_processes.start("worker")
    client = own_processes.client()

    def answer(*days: int) -> list[Any]:
        query_id = client.ask("run_query", **counted(*days))["payload"]["query_id"]
        assert client.until_done(query_id) == "completed"
        return rows(own_processes, query_id)

    sound = answer(1, 2)
    path = day_file(own_processes)
    damage(path, how)

    # The same days in another order, and so the same answer.
    assert answer(2, 1) == sound
    assert computed(own_processes, 8)[4:] == [
        ("daily_location", "postgres"),
        ("daily_location", "postgres"),
        ("modal_location", "postgres"),
        ("spatial_aggregate", "postgres"),
    ]
    assert listed(own_processes) == [("calls", "2016-01-02")]
    assert client.ask("explain_query", **counted(1, 2))["payload"]["executor"] == "postgres"
    assert client.ask("explain_query", **counted(1, 3))["payload"]["executor"] == "duckdb"
    # Queries that do not read the day are not delayed.
    answer(1, 3)
    assert computed(own_processes, 11)[-1] == ("spatial_aggregate", "duckdb")

    own_processes.country.load("repair")
    assert listed(own_processes) == []
    assert client.ask("explain_query", **counted(1, 2))["payload"]["executor"] == "duckdb"
    # Nothing became stale, and what was made of the file while it was whole still serves.
    assert answer(1, 2) == sound
    assert answer(2, 1) == sound
    answer(1, 2, 3)
    assert computed(own_processes, 13)[11:] == [("modal_location", "duckdb"), ("spatial_aggregate", "duckdb")]


def test_no_other_store_allowed(own_processes: Processes) -> None:
    """A damaged file is an error that says so, not an answer."""
    damage(day_file(own_processes), "altered")
    own_processes.start("server")
    own_processes.start("worker", FLOWMACHINE_EXECUTOR="duckdb")
    client = own_processes.client()
    query_id = client.ask("run_query", **counted(1, 2))["payload"]["query_id"]
    assert client.until_done(query_id) == "errored"
    cause = client.ask("poll_query", query_id=query_id)["payload"]["cause"]
    assert (
        cause
        == "DamagedFiles: Columnar files are gone or damaged and have to be rebuilt first: calls of 2016-01-02."
    )
    own_processes.country.load("repair")
    client.ask("run_query", **counted(1, 2))
    assert client.until_done(query_id) == "completed"


def test_a_day_file_that_vanishes_after_planning(own_processes: Processes) -> None:
    own_processes.start("server")
    client = own_processes.client()
    planner = own_processes.start("worker")
    with closing(own_processes.country.database.connect("flowdb")) as lock:
        lock.cursor().execute(HOLD_RECORDING)
        query_id = client.ask("run_query", **counted(1, 2))["payload"]["query_id"]
        wait_for(lambda: ask(own_processes, "SELECT 1 FROM engine.jobs WHERE state = 'executing'"))
        planner.kill()
        planner.wait()
        for day in ("2016-01-01", "2016-01-02"):
            damage(day_file(own_processes, day=day), "deleted")
        lock.rollback()
    own_processes.start("worker")
    assert client.until_done(query_id) == "completed"
    assert stores(own_processes)["modal_location"] == "postgres"
    # Parts that were planned for the files are done with, too, whatever becomes of them.
    wait_for(
        lambda: not ask(own_processes, "SELECT 1 FROM engine.jobs WHERE state IN ('queued', 'executing')")
    )


def test_a_truncated_intermediate_result_is_made_again(own_processes: Processes) -> None:
    own_processes.start("server")
    own_processes.start("worker")
    client = own_processes.client()
    query_id = client.ask("run_query", **counted(1, 2))["payload"]["query_id"]
    assert client.until_done(query_id) == "completed"
    before = rows(own_processes, query_id)
    for path in (own_processes.folder / "cache" / "results").rglob("*.parquet"):
        damage(path, "shortened")
    for path in (own_processes.folder / "cache" / "maps").rglob("*.parquet"):
        path.unlink()
    longer = client.ask("run_query", **counted(1, 2, 3))["payload"]["query_id"]
    assert client.until_done(longer) == "completed"
    client.ask("run_query", **counted(1, 2))
    assert rows(own_processes, query_id) == before


def test_a_day_loaded_between_a_request_and_its_plan(own_processes: Processes) -> None:
    """Nothing is made from a part that is out of date by then."""
    own_processes.start("server")
    client = own_processes.client()
    worker = own_processes.start("worker", FLOWMACHINE_EXECUTOR="postgres")
    first = client.ask("run_query", **{"query_kind": "spatial_aggregate", "locations": daily(2)})
    assert client.until_done(first["payload"]["query_id"]) == "completed"
    worker.terminate()
    worker.wait(15)
    query_id = client.ask("run_query", **counted(1, 2))["payload"]["query_id"]
    own_processes.country.load("run", "--source", "calls", "--date", "2016-01-02")
    own_processes.start("worker", FLOWMACHINE_EXECUTOR="postgres")
    assert client.until_done(query_id) == "completed"
    parts = ask(
        own_processes,
        "SELECT spec, fingerprint FROM engine.jobs WHERE state = 'completed' AND store = 'postgres'",
    )
    engine = sa.create_engine(own_processes.country.database.url("flowmachine"))
    with engine.connect() as connection:
        data = read_data_state(connection)
    engine.dispose()
    assert len(parts) == 3
    for spec, made_from in parts:
        part = load_any(spec)
        assert data.fingerprints(part)[part.query_id] == made_from, part.kind


def test_a_killed_worker_leaves_no_job_behind_while_others_are_busy(own_processes: Processes) -> None:
    """Somebody looks after the dead one's job even if no worker is ever idle."""
    own_processes.start("server")
    client = own_processes.client()
    doomed = own_processes.start("worker", FLOWMACHINE_EXECUTOR="postgres", FLOWMACHINE_LEASE="1")
    with closing(own_processes.country.database.connect("flowdb")) as lock:
        lock.cursor().execute("LOCK TABLE events.calls IN ACCESS EXCLUSIVE MODE")
        query_id = client.ask("run_query", **counted(1, 2))["payload"]["query_id"]
        executing = "SELECT query_id FROM engine.jobs WHERE state = 'executing' AND worker IS NOT NULL"
        ((lost,),) = wait_for(lambda: ask(own_processes, executing))
        own_processes.start("worker", FLOWMACHINE_EXECUTOR="postgres", FLOWMACHINE_LEASE="1")
        wait_for(lambda: len(ask(own_processes, executing)) == 2)
        doomed.kill()
        doomed.wait()
        # The other one still waits for the lock.
        wait_for(
            lambda: ask(
                own_processes, f"SELECT 1 FROM engine.jobs WHERE query_id = '{lost}' AND state = 'queued'"
            )
        )
        lock.rollback()
    assert client.until_done(query_id) == "completed"


@pytest.mark.parametrize("moment", ["planning", "recording a part", "releasing"])
def test_a_worker_killed_at_any_moment(processes: Processes, moment: str) -> None:
    """Kill a worker at each moment, held open by a lock on its next write.

    A kill during computation is tested above.
    """
    processes.start("server")
    client = processes.client()
    calm = client.ask("run_query", **counted(2, 1))["payload"]["query_id"]
    worker = processes.start("worker", FLOWMACHINE_LEASE="1")
    assert client.until_done(calm) == "completed"
    worker.terminate()
    worker.wait(20)
    query_id = client.ask("run_query", **counted(1, 2))["payload"]["query_id"]
    # An uncommitted table of the result's name blocks the creation of another.
    held = {
        "planning": "LOCK TABLE engine.plan_parts IN SHARE MODE",
        "recording a part": HOLD_RECORDING,
        "releasing": f"DROP TABLE IF EXISTS cache.x{query_id}; CREATE TABLE cache.x{query_id} ()",
    }
    if moment == "recording a part":
        ask_and_commit(processes, "UPDATE engine.jobs SET fingerprint = NULL WHERE store <> 'released'")
    with closing(processes.country.database.connect("flowdb")) as lock:
        lock.cursor().execute(held[moment])
        doomed = processes.start("worker", FLOWMACHINE_LEASE="1")
        wait_for(
            lambda: ask(
                processes,
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'flowmachine-worker'"
                " AND wait_event_type = 'Lock' AND datname = current_database()",
            )
        )
        doomed.kill()
        doomed.wait()
        lock.rollback()
    processes.start("worker", FLOWMACHINE_LEASE="1")
    assert client.until_done(query_id) == "completed"
    assert rows(processes, query_id) == rows(processes, calm)
    assert not ask(processes, "SELECT 1 FROM engine.jobs WHERE state IN ('queued', 'executing')")


@pytest.fixture(scope="module")
def own_cluster(
    country: Country, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[tuple[Any, Country]]:
    """Provide a private database server with the country loaded again."""
    tool = cluster_tool(pytestconfig.rootpath)
    root = tmp_path_factory.mktemp("restarted")
    own = tool.Cluster(root / "cluster", tool.free_port())
    own.state.mkdir()
    (root / "landing").symlink_to(country.root / "landing")
    deployment = Deployment(
        host="127.0.0.1",
        port=own.port,
        superuser=Login(SUPERUSER, own.password()),
        engine=Login("flowmachine", "engine's own"),
        api=Login("flowapi", "API's own"),
    )
    try:
        own.start(FAST_AND_UNSAFE)
        migrate(deployment)
        loaded = Country(LoadedDatabase(deployment), root)
        loaded.load("geography", str(root / "landing"))
        for source in ("calls", "sms"):
            loaded.load("backfill", "--source", source, "--start", "2016-01-01", "--end", "2016-01-03")
        own.stop()
        own.start(DURABLE)
        yield own, loaded
    finally:
        own.destroy()


@pytest.mark.parametrize("executor", ["auto", "postgres"])
def test_the_database_restarts_under_load(
    own_cluster: tuple[Any, Country], tmp_path: Path, executor: str
) -> None:
    """Kill the server twice; it returns with its unlogged tables emptied."""
    cluster, country = own_cluster
    with closing(country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute("TRUNCATE engine.jobs, engine.edges, engine.plan_parts")
    with ExitStack() as stack:
        processes = Processes(country, tmp_path, stack, free_port())
        started = [processes.start("server")]
        started += [
            processes.start("worker", FLOWMACHINE_EXECUTOR=executor, FLOWMACHINE_LEASE="2") for _ in range(2)
        ]
        client = processes.client()
        calm = client.ask("run_query", **counted(1, 2))["payload"]["query_id"]
        assert client.until_done(calm) == "completed"
        before = rows(processes, calm)
        specs = [counted(3, 2), counted(1, 2, 3), counted(2, 1), counted(1, 3)]
        submitted = [client.ask("run_query", **spec)["payload"]["query_id"] for spec in specs]
        for _ in range(2):
            cluster.stop("immediate")
            refused = client.ask("run_query", **counted(1))
            assert refused["msg"] == "The database is unavailable; try again."
            ill = client.ask("health")
            assert (ill["status"], ill["payload"]["database"]) == ("success", "does not answer")
            cluster.start(DURABLE)
            wait_for(lambda: client.ask("health")["payload"]["database"] == "ok")
        assert [client.until_done(query_id) for query_id in submitted] == ["completed"] * 4
        assert all(rows(processes, query_id) for query_id in submitted)
        # The same days in another order: the same answer, from parts that were stored before the crash or made after it.
        reordered = dict(rows(processes, submitted[2]))
        assert reordered == dict(before)
        assert [process.poll() for process in started] == [None] * 3
