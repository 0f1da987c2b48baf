"""Create the engine's tables: jobs, their graph and the inputs of results."""

from flowdb.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql("0002_engine")
