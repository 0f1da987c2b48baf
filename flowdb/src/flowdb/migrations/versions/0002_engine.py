"""The engine's own tables: jobs, their graph, and what each result was made from."""

from flowdb.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql("0002_engine")
