"""Keep the locations that users joined to others in the last day."""

from flowdb.migrations import run_sql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_sql("0019_inputs")
