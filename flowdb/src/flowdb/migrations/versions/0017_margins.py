"""Keep sums of the published rows of releases."""

from flowdb.migrations import run_sql

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_sql("0017_margins")
