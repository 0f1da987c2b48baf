"""Create what query engine, loader and API need."""

from flowdb.migrations import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql("0001_foundation")
