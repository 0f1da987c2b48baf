"""The engine's audit trail, and how it notices dead workers and lost intermediate results."""

from flowdb.migrations import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql("0003_engine_trust")
