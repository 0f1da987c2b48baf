"""Fixtures of the engine's tests."""

import pytest

from flowmachine.testing import country, engine, own_country, processes

__all__ = ["country", "engine", "own_country", "processes"]


#: A server stops when nothing refers to it.
_RUNNING: list[object] = []


@pytest.fixture(scope="session")
def spark_url() -> str:
    """Start a Spark Connect server and return its address; Sail stands for Spark.

    The server ends with the process, because sessions that end after it would look for it for long.
    """
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    _RUNNING.append(server)
    _, port = server.listening_address
    return f"sc://127.0.0.1:{port}"
