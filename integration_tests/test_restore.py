"""Back up and restore by the guide; the restored days give the same answers."""

from __future__ import annotations

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
import psycopg2, sys
with psycopg2.connect(sys.argv[1]) as connection, connection.cursor() as cursor:
    cursor.execute(
        "SELECT (SELECT count(*) FROM engine.jobs),"
        " (SELECT count(*) FROM pg_tables WHERE schemaname = 'cache' AND tablename ~ '^[xi][0-9a-f]{32}')"
    )
    print(*cursor.fetchone())
"""


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


def test_a_back_up_is_restored_with_its_days_and_without_its_jobs(
    stack: Stack, connection: flowclient.Connection, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    query = flowclient.spatial_aggregate(
        connection=connection, locations=flowclient.daily_location_spec(**QUERY)
    )
    answer = query.get_result()
    settings = stack.layout.environment()
    settings["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    shell = ["bash", "-euo", "pipefail", "-c"]
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
        assert run([sys.executable, "-c", LEFT, database], settings, tmp_path).split() == ["0", "0"]
        run([sys.executable, "-c", ASK, str(tmp_path / "answer.csv")], settings, tmp_path)
        restored = pd.read_csv(tmp_path / "answer.csv")
        assert len(restored) > 0
        assert dict(restored.to_numpy().tolist()) == dict(answer[["pcod", "value"]].to_numpy().tolist())
    finally:
        other.destroy()
