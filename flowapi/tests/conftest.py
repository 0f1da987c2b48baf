"""Keys and tokens shared by all tests of the API."""

from __future__ import annotations

import pytest

from flowapi.testing import TokenBuilder

SERVER_NAME = "test_server"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def tokens() -> TokenBuilder:
    """Mints tokens that the server under test accepts."""
    return TokenBuilder.create(SERVER_NAME)


@pytest.fixture(scope="session")
def foreign_tokens() -> TokenBuilder:
    """Mints tokens for the same server name with another key."""
    return TokenBuilder.create(SERVER_NAME)
