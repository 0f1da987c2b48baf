"""Results no longer list the days that they were made from."""

from flowdb.migrations import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql("0006_no_inputs")
