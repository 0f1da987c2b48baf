"""Keep what the rows of releases add up to."""

from flowdb.migrations import run_sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run_sql("0016_parts")
