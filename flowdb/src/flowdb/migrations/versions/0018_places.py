"""Keep what rows of one place have in common once."""

from flowdb.migrations import run_sql

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run_sql("0018_places")
