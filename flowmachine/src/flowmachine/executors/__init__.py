"""Compute with DuckDB over columnar day files or with PostgreSQL over partitions."""

from __future__ import annotations

from collections.abc import Mapping

from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.executors.postgres import PostgresExecutor
from flowmachine.settings import Computing
from flowmachine.stores import COLUMNAR, TABLES
from flowmachine.stores.base import Executor


def make_executors(computing: Computing) -> Mapping[str, Executor]:
    """Return one executor of each kind by name."""
    reader = computing.reader
    return {COLUMNAR: DuckDBExecutor(computing, reader), TABLES: PostgresExecutor(reader)}
