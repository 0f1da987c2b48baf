"""Add the engine's audit trail, worker heartbeats and loss detection."""

from flowdb.migrations import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql("0003_engine_trust")
