"""Check the store of results: eviction order, protected results and orphans."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from flowdb.testing import Database
from flowmachine import cache
from flowmachine.executors import make_executors
from flowmachine.jobs import table
from flowmachine.jobs.table import RELEASED, Key
from flowmachine.settings import Computing
from flowmachine.sql.sketches import SKETCH
from flowmachine.stores.base import Executor
from flowmachine.stores.columnar import map_path, stored_path
from flowmachine.tables import (
    edges,
    intermediate_name,
    jobs,
    ledger_places,
    ledger_results,
    ledger_rows,
    ledger_subsets,
    result_name,
)
from flowmachine.testing import wait_for

NO_PROTECTION = timedelta(seconds=-1)
NO_PERIOD = timedelta(0)


@dataclass
class Store:
    """Stored results made by hand: a row and what it names."""

    engine: sa.Engine
    executors: Mapping[str, Executor]
    settings: Computing

    def add(
        self,
        number: int,
        *,
        store: str = RELEASED,
        bytes: int = 8192,
        milliseconds: float = 100.0,
        score: float = 0.0,
        age: timedelta = timedelta(days=2),
        state: str = "completed",
        reads: tuple[Key, ...] = (),
    ) -> Key:
        key = Key(f"{number:032x}", store)
        with self.engine.begin() as connection:
            connection.execute(
                sa.insert(jobs).values(
                    query_id=key.query_id,
                    store=store,
                    kind="daily_location",
                    spec={},
                    state=state,
                    bytes=bytes,
                    compute_ms=milliseconds,
                    score=score,
                    last_accessed=sa.func.clock_timestamp() - age,
                )
            )
            for below in reads:
                connection.execute(
                    sa.insert(edges).values(
                        query_id=key.query_id,
                        store=store,
                        depends_on=below.query_id,
                        depends_store=below.store,
                        waiting=False,
                    )
                )
            if state == "completed":
                self.make(connection, key)
        return key

    def make(self, connection: sa.Connection, key: Key) -> None:
        if key.store == "duckdb":
            path = stored_path(self.settings, key.query_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"PAR1")
            return
        name = result_name(key.query_id) if key.store == RELEASED else intermediate_name(key.query_id)
        sa.Table(name, sa.MetaData(), sa.Column("value", sa.Integer), schema="cache").create(connection)

    def states(self) -> dict[Key, str]:
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(jobs.c.query_id, jobs.c.store, jobs.c.state)).all()
        return {Key(query_id, store): state for query_id, store, state in rows}

    def tables(self) -> set[str]:
        with self.engine.connect() as connection:
            return set(sa.inspect(connection).get_table_names(schema="cache"))

    def shrink(self, limit: int, protected: timedelta = NO_PROTECTION, *, dry_run: bool = False) -> list[Key]:
        dropped = cache.shrink(self.engine, self.executors, limit=limit, protected=protected, dry_run=dry_run)
        return [entry.key for entry in dropped]


@pytest.fixture
def store(engine: sa.Engine, tmp_path: Path) -> Store:
    settings = Computing(
        columnar_path=tmp_path / "columnar",
        cache_path=tmp_path / "cache",
        executor="auto",
        threads=1,
        memory_limit="256MB",
    )
    return Store(engine, make_executors(settings), settings)


def test_the_least_worth_goes_first_and_only_until_the_rest_fits(store: Store) -> None:
    cheap = store.add(1, milliseconds=10.0)
    large = store.add(2, milliseconds=100.0, bytes=8192 * 100)
    dear = store.add(3, milliseconds=10_000.0)
    popular = store.add(4, milliseconds=10.0, score=20.0)
    with store.engine.connect() as connection:
        assert [entry.key for entry in cache.entries(connection)] == [large, cheap, dear, popular]
        assert cache.size(connection) == 8192 * 103
    assert store.shrink(8192 * 103) == []
    assert store.shrink(8192 * 3) == [large]
    assert store.shrink(8192) == [cheap, dear]
    assert store.states() == {cheap: "known", large: "known", dear: "known", popular: "completed"}
    assert {name for name in store.tables() if name[0] == "x"} == {result_name(popular.query_id)}


def test_a_dry_run_predicts_what_a_real_one_does(store: Store) -> None:
    for number in range(1, 30):
        kind = ("duckdb", "postgres", RELEASED)[number % 3]
        store.add(number, store=kind, bytes=number * 10_000, milliseconds=float(7 * number % 50 + 1))
    for limit in (3_000_000, 1_500_000, 100_000):
        before = store.states()
        predicted = store.shrink(limit, dry_run=True)
        assert store.states() == before
        assert predicted
        assert store.shrink(limit) == predicted


def test_empty_results_have_a_finite_score(store: Store) -> None:
    empty = store.add(1, bytes=0, milliseconds=0.0)
    small = store.add(2, bytes=1, milliseconds=50.0)
    assert store.shrink(0, dry_run=True) == [empty, small]
    assert store.shrink(0) == [empty, small]
    assert store.states() == {empty: "known", small: "known"}


def test_what_inputs_cost_counts_once_they_are_gone(store: Store) -> None:
    below = store.add(1, store="duckdb", milliseconds=60_000.0, state="known")
    dear_to_redo = store.add(2, milliseconds=10.0, reads=(below,))
    cheap = store.add(3, milliseconds=100.0)
    assert store.shrink(8192) == [cheap]
    assert store.states()[dear_to_redo] == "completed"


def test_lately_used_results_are_protected(store: Store) -> None:
    old = store.add(1, age=timedelta(hours=3), milliseconds=1e9)
    new = store.add(2, age=timedelta(hours=1))
    handed_out = store.add(3, age=timedelta(seconds=5))
    assert store.shrink(0, timedelta(hours=2)) == [old]
    assert store.shrink(0, NO_PERIOD) == [new]
    assert store.shrink(0, NO_PROTECTION) == [handed_out]


def test_the_configured_limit_and_period_hold_where_none_is_given(store: Store, database: Database) -> None:
    old, new = store.add(1, age=timedelta(seconds=500)), store.add(2, age=timedelta(seconds=200))
    with closing(database.connect("flowdb")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE cache.cache_config SET value = '0' WHERE key = 'cache_size'")
        cursor.execute("UPDATE cache.cache_config SET value = '300' WHERE key = 'cache_protected_period'")
    assert [entry.key for entry in cache.shrink(store.engine, store.executors)] == [old]
    assert store.states()[new] == "completed"


def test_a_result_in_an_open_transaction_stays(store: Store) -> None:
    read, idle = store.add(1), store.add(2, milliseconds=1e6)
    with store.engine.connect() as reader:
        reader.execute(sa.select(sa.table(result_name(read.query_id), sa.column("value"), schema="cache")))
        assert store.shrink(0) == [idle]
        assert store.states()[read] == "completed"
        assert cache.invalidate(store.engine, store.executors, read.query_id) == []
    assert store.shrink(0) == [read]


@pytest.mark.parametrize("state", ["queued", "executing"])
def test_an_input_of_a_live_job_stays(store: Store, state: str) -> None:
    below = store.add(1, store="duckdb")
    above = store.add(2, state=state, reads=(below,))
    assert store.shrink(0) == []
    with store.engine.begin() as connection:
        connection.execute(sa.update(jobs).where(table.is_job(above)).values(state="cancelled"))
    assert store.shrink(0) == [below]
    assert not stored_path(store.settings, below.query_id).exists()


def test_two_cleaners_drop_no_more_than_one(store: Store) -> None:
    for number in range(1, 11):
        store.add(number)
    first = cache.shrink(store.engine, store.executors, limit=8192 * 5, protected=NO_PROTECTION)
    next(first)
    with store.engine.begin() as other:
        alone = other.execute(sa.select(sa.func.pg_try_advisory_xact_lock(cache.CLEANER_LOCK))).scalar_one()
    assert not alone
    assert len(list(first)) == 4
    assert store.shrink(8192 * 5) == []


def test_invalidating_reaches_what_was_made_from_a_result_that_is_gone(store: Store) -> None:
    daily = store.add(1, store="duckdb")
    modal = store.add(2, store="duckdb", reads=(daily,))
    counted = store.add(3, reads=(modal,))
    other = store.add(4)
    assert cache.invalidate(store.engine, store.executors, modal.query_id, cascade=False) == [modal]
    # The edges of the result in the middle outlive it.
    assert cache.invalidate(store.engine, store.executors, daily.query_id) == [daily, counted]
    assert store.states() == {daily: "known", modal: "known", counted: "known", other: "completed"}


def test_reset_forgets_all_but_not_while_a_query_runs(store: Store) -> None:
    stored, file, table_ = store.add(1), store.add(2, store="duckdb"), store.add(3, store="postgres")
    running = store.add(4, state="executing", reads=(stored, file, table_))
    with pytest.raises(RuntimeError, match="queued or running"):
        cache.reset(store.engine, store.executors)
    assert store.states()[stored] == "completed"
    with store.engine.begin() as connection:
        connection.execute(sa.update(jobs).where(table.is_job(running)).values(state="errored"))
    assert cache.reset(store.engine, store.executors) == 3
    assert store.states() == {}
    assert not [name for name in store.tables() if name[0] in "xi" and len(name) == 33]
    assert not stored_path(store.settings, file.query_id).exists()
    with store.engine.begin() as connection:
        assert connection.execute(sa.select(sa.func.nextval("engine.touches"))).scalar_one() == 0
        assert connection.execute(sa.select(sa.func.count()).select_from(edges)).scalar_one() == 0


def test_a_reset_keeps_the_ledger(store: Store) -> None:
    """Check that a later answer is compared with those that were dropped."""
    store.add(1)
    sketch = {"subscribers": 20, **dict.fromkeys(SKETCH, 0)}
    with store.engine.begin() as connection:
        release = connection.execute(
            sa.insert(ledger_results)
            .values(query_id="0" * 32, kind="kind", form="", measure="", statistic="", family="")
            .returning(ledger_results.c.release)
        ).scalar_one()
        place = connection.execute(
            sa.insert(ledger_places).values(form="", row_key=1, parts_of=[]).returning(ledger_places.c.place)
        ).scalar_one()
        row = {"row_key": 1, "place": place, "size": 1, "release": release, "served": True, **sketch}
        connection.execute(sa.insert(ledger_rows).values(row))
        subset = {"query_id": "0" * 32, "fingerprint": "", "members": [1], **sketch}
        connection.execute(sa.insert(ledger_subsets).values(subset))
    cache.reset(store.engine, store.executors)
    with store.engine.begin() as connection:
        for kept in (ledger_results, ledger_places, ledger_rows, ledger_subsets):
            assert connection.execute(sa.select(sa.func.count()).select_from(kept)).scalar_one() == 1


def test_orphans_of_either_side_are_removed(store: Store) -> None:
    keys = [store.add(n, store=kind) for n, kind in enumerate(("duckdb", "postgres", RELEASED), start=1)]
    executing = store.add(9, store="duckdb", state="executing")
    with store.engine.begin() as connection:
        store.make(connection, executing)
        for number, kind in enumerate(("duckdb", "postgres", RELEASED), start=11):
            store.make(connection, Key(f"{number:032x}", kind))
    lost = [store.add(n, store=kind) for n, kind in enumerate(("duckdb", "postgres", RELEASED), start=21)]
    stored_path(store.settings, lost[0].query_id).unlink()
    with store.engine.begin() as connection:
        for name in (intermediate_name(lost[1].query_id), result_name(lost[2].query_id)):
            sa.Table(name, sa.MetaData(), schema="cache").drop(connection)
    removed = cache.drop_orphans(store.engine, store.executors)
    assert sorted(line.split(":")[0] for line in removed) == sorted(
        [f"{kind} {number:032x}" for number, kind in enumerate(("duckdb", "postgres", RELEASED), start=11)]
        + [f"{key.store} {key.query_id}" for key in lost]
    )
    after = store.states()
    assert {after[key] for key in keys} == {"completed"}
    assert {after[key] for key in lost} == {"known"}
    assert stored_path(store.settings, executing.query_id).exists()
    assert cache.drop_orphans(store.engine, store.executors) == []


def test_maps_of_former_cells_and_unfinished_files_are_removed(store: Store, database: Database) -> None:
    current = 7
    with closing(database.connect("flowdb")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE etl.cells_version SET version = %s", (current,))
    names = [f"{what}_admin3_{version}" for what in ("cells", "regions") for version in (3, 6, current)]
    with store.engine.begin() as connection:
        for name in names:
            sa.Table(name, sa.MetaData(), sa.Column("location", sa.Integer), schema="engine").create(
                connection
            )
            path = map_path(store.settings, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    unfinished = store.settings.cache_path / "results" / "ab" / ".x.parquet.123"
    unfinished.parent.mkdir(parents=True)
    unfinished.touch()
    assert len(cache.tidy(store.engine, store.executors)) == 8
    assert unfinished.exists()
    os.utime(unfinished, (0, 0))
    assert cache.tidy(store.engine, store.executors) == [unfinished.name]
    assert {path.stem for path in (store.settings.cache_path / "maps").iterdir()} == {
        f"cells_admin3_{current}",
        f"regions_admin3_{current}",
    }
    with store.engine.connect() as connection:
        left = {name for name in sa.inspect(connection).get_table_names(schema="engine") if "admin3" in name}
    assert left == {f"cells_admin3_{current}", f"regions_admin3_{current}"}


def test_what_a_killed_worker_spilled_is_removed(store: Store) -> None:
    folder = store.settings.cache_path / "spill"
    (held,) = folder.iterdir()
    abandoned = folder / "abandoned"
    abandoned.mkdir()
    (abandoned / "spilled.tmp").touch()
    for spill in (held, abandoned):
        os.utime(spill, (0, 0))
    assert cache.tidy(store.engine, store.executors) == [abandoned.name]
    assert list(folder.iterdir()) == [held]


def test_maps_of_former_tables_are_removed(store: Store) -> None:
    """The number of the cells is the last; a digest that is digits alone is no number."""
    names = [
        f"cells_{unit}_1"
        for unit in (
            *("lon_lat_t123456789012_3_9", "lon_lat_t123456789012_10_2"),
            *("admin3_t00000000000a_4", "admin3_t00000000000a_5", "admin3_t00000000000b_4"),
            *("cell_12", "cell_9", "admin3"),
        )
    ]
    with store.engine.begin() as connection:
        for name in names:
            sa.Table(name, sa.MetaData(), sa.Column("location", sa.Integer), schema="engine").create(
                connection
            )
    old = {"cells_lon_lat_t123456789012_3_9_1", "cells_admin3_t00000000000a_4_1", "cells_cell_9_1"}
    assert set(cache.tidy(store.engine, store.executors)) == old


def command(database: Database, store: Store, *arguments: str, **settings: str) -> tuple[int, str]:
    """Run ``flowmachine cache``: its exit code and what it says."""
    environment = {
        **os.environ,
        **database.environment("flowmachine"),
        "FLOWDB_COLUMNAR_PATH": str(store.settings.columnar_path),
        "FLOWMACHINE_CACHE_PATH": str(store.settings.cache_path),
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-m", "flowmachine", "cache", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_commands(store: Store, database: Database) -> None:
    first, second = store.add(1), store.add(2, milliseconds=1000.0)
    third = store.add(3, store="duckdb", milliseconds=5000.0)

    code, said = command(database, store, "list")
    assert code == 0
    assert [line.split()[0] for line in said.splitlines()] == [k.query_id for k in (first, second, third)]

    code, said = command(database, store, "size")
    assert said.startswith("24576 bytes stored, limit ")

    limit = ("shrink", "--limit", "16384", "--protected", "-1")
    code, said = command(database, store, *limit, "--dry-run")
    assert said.startswith(f"would drop {first.query_id}")
    assert store.states()[first] == "completed"
    code, said = command(database, store, *limit)
    assert said.startswith(f"dropped {first.query_id}")
    assert store.states()[first] == "known"

    code, said = command(database, store, "invalidate", second.query_id)
    assert said == f"dropped {second.query_id} ({RELEASED})\n"
    code, said = command(database, store, "invalidate", "f" * 32)
    assert said == f"nothing is stored for {'f' * 32}\n"

    stored_path(store.settings, third.query_id).unlink()
    code, said = command(database, store, "orphans")
    assert said == f"removed duckdb {third.query_id}: a record without a result\n"

    running = store.add(4, state="executing")
    code, said = command(database, store, "reset")
    assert (code, "queued or running" in said) == (1, True)
    with store.engine.begin() as connection:
        connection.execute(sa.delete(jobs).where(table.is_job(running)))
    code, said = command(database, store, "reset")
    assert (code, said) == (0, "0 results dropped\n")


def evicting(database: Database, store: Store, frequency: str) -> subprocess.Popen[str]:
    """The service, in a cache that may hold 8192 bytes."""
    with closing(database.connect("flowdb")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE cache.cache_config SET value = '8192' WHERE key = 'cache_size'")
    environment = {
        **os.environ,
        **database.environment("flowmachine"),
        "FLOWDB_COLUMNAR_PATH": str(store.settings.columnar_path),
        "FLOWMACHINE_CACHE_PATH": str(store.settings.cache_path),
        "FLOWMACHINE_CACHE_PRUNING_FREQUENCY": frequency,
        "PYTHONUNBUFFERED": "1",
    }
    program = [sys.executable, "-m", "flowmachine", "cache", "evict"]
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_setting_that_cannot_be_read_is_told_in_a_sentence(tmp_path: Path) -> None:
    secret = tmp_path / "FLOWMACHINE_FLOWDB_PASSWORD"
    secret.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "flowmachine", "cache", "size"],
        env={**os.environ, "FLOWKIT_SECRETS": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == f"flowmachine: {secret.name} cannot be read from {secret}: Is a directory.\n"


def test_a_negative_frequency_means_never_and_does_not_end_the_service(
    store: Store, database: Database
) -> None:
    keys = [store.add(number) for number in (1, 2)]
    with evicting(database, store, "-1") as process:
        try:
            assert process.stdout is not None
            assert "negative" in process.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert store.states() == dict.fromkeys(keys, "completed")


def test_the_evicting_process_keeps_the_size_until_it_is_stopped(store: Store, database: Database) -> None:
    keys = [store.add(number) for number in (1, 2, 3)]
    process = evicting(database, store, "1")
    try:
        wait_for(lambda: list(store.states().values()).count("known") == 2)
        later = store.add(4, milliseconds=1.0)
        wait_for(lambda: store.states()[later] == "known")
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
    assert store.states()[keys[2]] == "completed"
