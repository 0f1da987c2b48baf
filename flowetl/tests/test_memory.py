"""The memory of a load does not grow with the records of a day."""

import subprocess
import sys
import textwrap

import duckdb

from .conftest import Operator

GROWTH = 1.2
"""What the day of four times the records may take, beside the smallest one."""

PEAK = """
    import resource

    from flowetl import loading, staging

    # As little beside these days as usual is beside an operator's.
    staging.MEMORY_LIMIT = "56MB"
    staging.LAYOUT = staging.LAYOUT.replace("1000000", "100000").replace("90000", "9000")
    loading.available_cores = lambda: 1
    from flowetl.__main__ import main
    assert not main(["run", "--source", "calls", "--date", "2016-01-01"])
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
CALLS = """
    SELECT n AS call_id, CASE WHEN out THEN 'MOC' ELSE 'MTC' END AS record_type,
        TIMESTAMP '2016-01-01' + to_milliseconds(n * 86399000 // {rows}) AS start_time, n % 900 AS duration,
        9779800000000 + CASE WHEN out THEN served ELSE other END AS calling,
        9779800000000 + CASE WHEN out THEN other ELSE served END AS called,
        429011234500000 + served AS imsi, 35123456000000 + served AS imei, 'c' || n % 300 AS cell_id
    FROM (
        SELECT n, n % 2 = 0 AS out, hash(n) % 5000 AS served, hash(n, 'other') % 5000 AS other FROM range({rows}) AS calls (n)
    )
"""


def peak(operator: Operator, rows: int) -> int:
    """Return the kilobytes of a process that loads so many records."""
    path = operator.write("calls", [])
    path.unlink()
    duckdb.execute(
        f"COPY ({CALLS.format(rows=rows)}) TO '{path}' (FORMAT csv, HEADER, COMPRESSION gzip, TIMESTAMPFORMAT '%Y-%m-%d %H:%M:%S')"
    )
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK)],
        env=operator.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert operator.value("SELECT count(*) FROM events.calls") == rows, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("peak ")]
    return int(line.split()[1])


def test_the_memory_of_a_load_is_flat(operator: Operator) -> None:
    smallest, *more = [peak(operator, rows) for rows in (100_000, 200_000, 400_000)]
    assert max(more) < GROWTH * smallest
