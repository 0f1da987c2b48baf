"""Version further inputs of results; list damaged columnar files."""

from flowdb.migrations import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql("0004_versions_and_repair")
