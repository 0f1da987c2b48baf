"""Fixtures of the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from flowdb.testing import Database as TestDatabase


@pytest.fixture
def engine(database: TestDatabase) -> Iterator[sa.Engine]:
    """Connections to a fresh database as the engine's role."""
    engine = sa.create_engine(database.url("flowmachine"), pool_size=5, max_overflow=30)
    yield engine
    engine.dispose()
