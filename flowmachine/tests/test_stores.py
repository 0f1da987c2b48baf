"""Check what an executor's store promises to workers that share it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from flowmachine.data import read_data_state
from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.executors.postgres import PostgresExecutor
from flowmachine.jobs.working import LostLease
from flowmachine.queries.catalogue import load_any
from flowmachine.settings import Computing
from flowmachine.stores.base import Executor
from flowmachine.testing import Country

ROWS = 600_000
#: Sorts more than its memory holds.
SPILLING = """
import sys
from pathlib import Path
from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.settings import Computing

folder = Path(sys.argv[1])
executor = DuckDBExecutor(Computing(columnar_path=folder, cache_path=folder, executor="duckdb", threads=1, memory_limit="60MB"), "flowapi")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2):
    rows = executor._connection.execute(
        "SELECT count(*), sum(x), sum(n), sum(length(text))::BIGINT"
        " FROM (SELECT x, text, row_number() OVER (ORDER BY hash(x)) AS n"
        f" FROM (SELECT range AS x, repeat('s', 40) || range AS text FROM range({sys.argv[2]})))"
    ).fetchall()
    print(rows, flush=True)
"""


@pytest.mark.slow
def test_workers_that_spill_into_one_cache_folder_do_not_meet(tmp_path: Path) -> None:
    script = tmp_path / "spilling.py"
    script.write_text(SPILLING)
    cache = tmp_path / "cache"
    command = [sys.executable, str(script), str(cache), str(ROWS)]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(2)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        answers = [worker.communicate(timeout=120)[0] for worker in workers]
    letters = sum(40 + len(str(x)) for x in range(ROWS))
    expected = [(ROWS, ROWS * (ROWS - 1) // 2, ROWS * (ROWS + 1) // 2, letters)]
    assert [worker.returncode for worker in workers] == [0, 0]
    for answer in answers:
        assert answer.splitlines() == [str(expected)] * 2
    # Nothing is left behind.
    assert list((cache / "spill").iterdir()) == []


@pytest.mark.parametrize("name", ["duckdb", "postgres"])
def test_a_worker_that_was_given_up_does_not_replace_what_another_has_stored(
    country: Country, tmp_path: Path, name: str
) -> None:
    executors: dict[str, Executor] = {
        "duckdb": DuckDBExecutor(
            Computing(
                columnar_path=country.columnar,
                cache_path=tmp_path,
                executor=name,
                threads=1,
                memory_limit="512MB",
            ),
            "flowapi",
        ),
        "postgres": PostgresExecutor("flowapi"),
    }
    executor = executors[name]
    query = load_any(
        {"query_kind": "daily_location", "date": "2016-01-01", "method": "last", "aggregation_unit": "admin2"}
    )
    engine = sa.create_engine(country.database.url("flowmachine"))
    with engine.connect() as connection:
        data = read_data_state(connection)
        with connection.begin_nested(), executor.storing(query, data, connection):
            pass
        stored = executor.rows(query, data, connection)
        # What it would store now is made from other data: nothing is loaded any more.
        late = replace(data, loads={}, files={})
        with (
            pytest.raises(LostLease),
            connection.begin_nested(),
            executor.storing(query, late, connection),
        ):
            raise LostLease
        assert stored
        assert executor.rows(query, data, connection) == stored
        connection.rollback()
    engine.dispose()
    assert [path for path in tmp_path.rglob(".*") if path.is_file()] == []


def test_servers_and_workers_load_no_library_of_direct_use() -> None:
    """Half the time that a process takes to start would go there."""
    loaded = (
        "import sys, flowmachine.worker, flowmachine.server.server;"
        "print(sorted({'pandas', 'geopandas', 'pyspark'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
