"""Shared by the tests of the database package."""

from collections.abc import Iterator

import psycopg2.extensions
import pytest

from flowdb.testing import Database


@pytest.fixture
def superuser(module_database: Database) -> Iterator[psycopg2.extensions.cursor]:
    """A superuser's cursor in the module's database; whatever the test does is rolled back."""
    connection = module_database.connect("flowdb")
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
