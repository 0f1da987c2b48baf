"""Share fixtures among the database package's tests."""

from collections.abc import Iterator

import psycopg2.extensions
import pytest

from flowdb.testing import Database


@pytest.fixture
def superuser(module_database: Database) -> Iterator[psycopg2.extensions.cursor]:
    """Provide a superuser's cursor whose changes are rolled back."""
    connection = module_database.connect("flowdb")
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
