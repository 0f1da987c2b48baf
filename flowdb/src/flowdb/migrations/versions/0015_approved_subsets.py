"""List the subsets that submitted queries may use."""

from flowdb.migrations import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_sql("0015_approved_subsets")
