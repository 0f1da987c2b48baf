"""Back up and restore by the guide; the restored days give the same answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from cluster import Cluster, free_port
from layout import CHECKOUT

import flowclient
from flowmachine import tables

if TYPE_CHECKING:
    from conftest import Stack

QUERY: dict[str, Any] = {"date": "2016-01-02", "aggregation_unit": "admin1", "method": "last"}
ASK = f"""
import sys
import flowmachine
from flowmachine.queries import DailyLocation, SpatialAggregate

with flowmachine.connect() as session:
    session.get_dataframe(SpatialAggregate(locations=DailyLocation(**{QUERY}))).to_csv(sys.argv[1], index=False)
"""
LEFT = """
import json, psycopg2, sys
tables = json.loads(sys.argv[2])
with psycopg2.connect(sys.argv[1]) as connection, connection.cursor() as cursor:
    found = {}
    for table in tables:
        cursor.execute(f"SELECT count(*) FROM engine.{table}")
        found[table] = cursor.fetchone()[0]
    cursor.execute(
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'cache' AND tablename ~ '^[xi][0-9a-f]{32}'"
    )
    print(json.dumps(found | {"results": cursor.fetchone()[0]}))
"""
#: Tables of schema ``engine`` whose rows are made again.
MADE_AGAIN = {"jobs", "edges", "plan_parts", "intact", "workers"}
KEPT = {table.name for table in tables.metadata.tables.values() if table.schema == "engine"} - MADE_AGAIN


def block(heading: str) -> str:
    """Return the first block of commands under a heading of the guide."""
    page = (CHECKOUT / "docs" / "operators" / "maintenance.md").read_text()
    found = re.search(rf"^## {heading}\n.*?^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def run(program: list[str], settings: dict[str, str], folder: Path) -> str:
    done = subprocess.run(program, env=settings, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def left(database: str, settings: dict[str, str], folder: Path) -> dict[str, int]:
    """Return the numbers of rows of the engine's tables, and of stored results."""
    told = run([sys.executable, "-c", LEFT, database, json.dumps([*MADE_AGAIN, *KEPT])], settings, folder)
    counts: dict[str, int] = json.loads(told)
    return counts


def asked(settings: dict[str, str], answer: Path) -> pd.DataFrame:
    run([sys.executable, "-c", ASK, str(answer)], settings, answer.parent)
    found = pd.read_csv(answer)
    assert len(found) > 0
    return found


def test_a_back_up_is_restored_with_its_days_and_without_its_jobs(
    stack: Stack, connection: flowclient.Connection, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    query = flowclient.spatial_aggregate(
        connection=connection, locations=flowclient.daily_location_spec(**QUERY)
    )
    query.get_result()
    settings = stack.layout.environment()
    settings["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # Asked beside the database, because released rows may repeat those of other tests' answers.
    answer = asked(settings | {"FLOWMACHINE_CACHE_PATH": str(tmp_path / "cache")}, tmp_path / "answer.csv")
    shell = ["bash", "-euo", "pipefail", "-c"]
    live = f"host=127.0.0.1 port={settings['FLOWDB_PORT']} user=flowdb dbname=flowdb"
    password = (stack.layout.secrets / "FLOWDB_POSTGRES_PASSWORD").read_text()
    before = left(live, settings | {"PGPASSWORD": password}, tmp_path)
    run([*shell, block("Back up")], settings, tmp_path)

    other = Cluster(tmp_path_factory.mktemp("restored"), free_port(), secrets=stack.layout.secrets)
    (tmp_path / "columnar").mkdir()
    settings |= {
        "FLOWDB_PORT": str(other.port),
        "FLOWDB_COLUMNAR_PATH": str(tmp_path / "columnar"),
        "FLOWMACHINE_CACHE_PATH": str(tmp_path / "cache"),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(other.port),
        "PGUSER": "flowdb",
        "PGPASSWORD": other.password(),
    }
    try:
        other.start(stack.layout.database_settings())
        run([*shell, block("Restore")], settings, tmp_path)
        database = f"host=127.0.0.1 port={other.port} user=flowdb dbname=flowdb"
        restored = left(database, settings, tmp_path)
        assert {name: restored[name] for name in (*MADE_AGAIN, "results")} == dict.fromkeys(
            (*MADE_AGAIN, "results"), 0
        )
        # Later answers are judged with those of before.
        assert {name: restored[name] for name in KEPT} == {name: before[name] for name in KEPT}
        assert before["ledger_rows"] > 0
        assert asked(settings, tmp_path / "restored.csv").equals(answer)
    finally:
        other.destroy()
