"""Hold numbered SQL, applied in order and never edited once released.

To change the schema add ``sql/<number>_<name>.sql`` and a wrapper ``versions/<number>_<name>.py``::

    from flowdb.migrations import run_sql

    revision = "0002"
    down_revision = "0001"


    def upgrade() -> None:
        run_sql("0002_engine")

A large step may be a folder ``sql/<number>_<name>/`` instead; its files run in the order of their names. The
SQL runs as the superuser, who owns the objects unless the script says ``SET LOCAL ROLE flowmachine;`` first and
``RESET ROLE;`` last, as those of schema ``engine`` should. Migrations only go forward, because dropping
columns of events loses data. Restore a backup to go back.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def scripts(name: str) -> list[Path]:
    """List the SQL files of one step, in order."""
    folder = FOLDER / "sql" / name
    return sorted(folder.glob("*.sql")) if folder.is_dir() else [folder.with_suffix(".sql")]


def run_sql(name: str) -> None:
    """Run the SQL of one step unchanged, inside the migration's transaction."""
    from alembic import op

    connection = op.get_bind().execution_options(no_parameters=True)
    for script in scripts(name):
        connection.exec_driver_sql(script.read_text())
