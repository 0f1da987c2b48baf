"""Load a week of a synthetic country into an installation that has no cells yet."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from flowetl.deployment import Deployment

FOLDER = Path("/var/lib/flowkit/scratch/demo")
FIRST, LAST = "2016-01-01", "2016-01-07"


def main() -> None:
    """Generate the operator's files, load them and remove them."""
    os.environ |= {
        "FLOWETL_LANDING": str(FOLDER),
        "FLOWETL_SOURCES": str(files("flowetl") / "sources/synthetic"),
    }
    with Deployment.from_settings().connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM infrastructure.cells)")
        if cursor.fetchone() == (True,):
            sys.exit("demo: there are cells already, and a synthetic country would replace them")
    size = ["--subscribers", "5000", "--days", "7", "--start", FIRST, "--seed", "12345", "--no-disaster"]
    for command in (
        ["flowdb.synthetic", "--output", str(FOLDER), *size],
        ["flowetl", "geography", str(FOLDER)],
        ["flowetl", "backfill", "--source", "all", "--start", FIRST, "--end", LAST],
    ):
        if (code := subprocess.run([sys.executable, "-m", *command]).returncode) != 0:
            sys.exit(code)
    shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()
