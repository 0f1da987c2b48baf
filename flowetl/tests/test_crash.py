"""Kill a load at any moment: the day stays, and a retry gives the same result."""

import subprocess
import sys
import textwrap

import duckdb
import pytest

from flowetl.loading import load_day
from flowetl.withdrawal import Drift, reconcile

FAULTS = [
    "flowetl.staging.StagedDay.check",
    "flowetl.columnar._sync_folder",
    "flowetl.loading.write_columnar",
    "flowetl.loading.check_quality",
    "flowetl.partitions.NewPartition.copy",
    "flowetl.partitions.NewPartition.analyse",
    "flowetl.partitions.NewPartition.attach",
    "flowetl.dictionary.add_subscribers",
    "flowetl.loading._record_metrics",
    "flowetl.loading._remove_other_versions",
]

KILLED = """
    import os, signal, sys
    from importlib import import_module
    path, moment = sys.argv[1:3]
    parts = path.split(".")
    owner = import_module(".".join(parts[:2]))
    for name in parts[2:-1]:
        owner = getattr(owner, name)
    function = getattr(owner, parts[-1])

    def killed(*arguments, **options):
        if moment == "after":
            function(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, parts[-1], killed)
    from flowetl.__main__ import main
    main(["run", "--source", "calls", "--date", "2016-01-01"])
"""


def checksum(operator) -> tuple:
    """Return what both stores hold of the day."""
    partition = operator.rows("SELECT md5(string_agg(e::text, '|' ORDER BY e::text)) FROM events.calls AS e")
    paths = operator.rows("SELECT path FROM etl.columnar_files")
    rows = [
        duckdb.sql(f"SELECT * FROM '{operator.deployment.columnar / path}' ORDER BY ALL").fetchall()
        for (path,) in paths
    ]
    return partition, rows, operator.rows("SELECT cdr_type, cdr_date FROM etl.available_dates")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("fault", FAULTS)
def test_killed_and_repeated(operator, fault, moment) -> None:
    first = [operator.call("old", "09:00:00", operator.alice, operator.bob)]
    operator.write("calls", first)
    load_day(operator.deployment, operator.sources["calls"], operator.day)
    before = checksum(operator)
    operator.write("calls", [*first, operator.call("new", "10:00:00", operator.carol, operator.bob)])

    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), fault, moment],
        env=operator.environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr.decode()
    committed = fault.endswith("_remove_other_versions")
    assert (checksum(operator) == before) is not committed

    assert not reconcile(operator.deployment).needs_attention
    assert reconcile(operator.deployment) == Drift()
    assert len(operator.day_files()) == 2
    assert operator.tallies_are_right()
    assert (
        operator.value("SELECT count(*) FROM etl.loads WHERE state IN ('waiting', 'loading', 'checking')")
        == 0
    )
    tables = operator.rows("SELECT tablename FROM pg_tables WHERE tablename LIKE 'calls\\_2016%%'")
    assert tables == [("calls_20160101",)]

    load_day(operator.deployment, operator.sources["calls"], operator.day)
    assert operator.value("SELECT count(*) FROM events.calls") == 2
    _, ((*columnar,),), days = checksum(operator)
    assert len(columnar) == 2
    assert days == [("calls", operator.day)]
    keys = operator.rows("SELECT subscriber_key FROM etl.subscriber_keys ORDER BY 1")
    files = operator.deployment.columnar / "subscribers" / "*.parquet"
    assert duckdb.sql(f"SELECT subscriber_key FROM '{files}' ORDER BY 1").fetchall() == keys
