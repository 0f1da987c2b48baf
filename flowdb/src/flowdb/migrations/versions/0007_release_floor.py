"""Store the release floor that each released result was judged by."""

from flowdb.migrations import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql("0007_release_floor")
