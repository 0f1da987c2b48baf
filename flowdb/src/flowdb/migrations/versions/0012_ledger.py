"""Keep what was released, so that new answers can be compared with it."""

from flowdb.migrations import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_sql("0012_ledger")
