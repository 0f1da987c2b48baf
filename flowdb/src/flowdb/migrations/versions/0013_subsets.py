"""Keep the sets of subscribers that subsets stand for."""

from flowdb.migrations import run_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_sql("0013_subsets")
