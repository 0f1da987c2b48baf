"""Compute with DuckDB or Spark over files, or with PostgreSQL over partitions."""

from __future__ import annotations

from collections.abc import Mapping

from flowmachine.executors.duckdb import DuckDBExecutor
from flowmachine.executors.postgres import PostgresExecutor
from flowmachine.settings import SPARK, Computing
from flowmachine.stores.base import Executor
from flowsettings import SettingError


def make_executors(computing: Computing) -> Mapping[str, Executor]:
    """Return the executors by name.

    That of Spark is there if its server has an address.
    Raises SettingError if Spark is to compute and cannot.
    """
    found: list[Executor] = list(make_stores(computing).values())
    if computing.spark_url is not None:
        found.append(_spark(computing))
    elif computing.executor == SPARK:
        raise SettingError(
            "FLOWMACHINE_SPARK_URL is missing: FLOWMACHINE_EXECUTOR=spark needs the address of a server."
        )
    return {executor.name: executor for executor in found}


def make_stores(computing: Computing) -> Mapping[str, Executor]:
    """Return one executor of each store by name, to look after results."""
    found: list[Executor] = [DuckDBExecutor(computing, computing.reader), PostgresExecutor(computing.reader)]
    return {executor.store: executor for executor in found}


def _spark(computing: Computing) -> Executor:
    try:
        # The client is an extra, and importing it takes seconds.
        from flowmachine.executors.spark import SparkExecutor
    except ImportError:
        raise SettingError("FLOWMACHINE_SPARK_URL needs the package flowmachine[cluster].") from None
    return SparkExecutor(computing, computing.reader)
