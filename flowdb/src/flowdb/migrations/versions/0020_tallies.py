"""Name each day's tally by cell and hour in the manifest."""

from flowdb.migrations import run_sql

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run_sql("0020_tallies")
