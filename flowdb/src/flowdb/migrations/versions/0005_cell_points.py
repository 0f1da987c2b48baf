"""Publish the points of cells as a geography that the API may read."""

from flowdb.migrations import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql("0005_cell_points")
