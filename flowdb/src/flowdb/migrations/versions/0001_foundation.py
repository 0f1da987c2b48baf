"""Everything that a query engine, a loader and the API find in the database."""

from flowdb.migrations import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql("0001_foundation")
