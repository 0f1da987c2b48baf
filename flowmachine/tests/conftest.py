"""Fixtures of the engine's tests."""

from collections.abc import Iterator

import pytest

from flowmachine.testing import country, engine, own_country, processes

__all__ = ["country", "engine", "own_country", "processes"]


@pytest.fixture(scope="session")
def spark_url() -> Iterator[str]:
    """Provide the address of a Spark Connect server; Sail stands for Spark."""
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    _, port = server.listening_address
    yield f"sc://127.0.0.1:{port}"
    server.stop()
