"""Store days for which the operator has no file."""

from flowdb.migrations import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_sql("0010_absent_days")
