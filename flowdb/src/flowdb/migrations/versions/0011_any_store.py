"""Allow jobs of any executor, and let the engine read which day files are damaged."""

from flowdb.migrations import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_sql("0011_any_store")
