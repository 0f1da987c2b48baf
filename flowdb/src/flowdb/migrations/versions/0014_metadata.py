"""Keep with a released result what is said beside it."""

from flowdb.migrations import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_sql("0014_metadata")
