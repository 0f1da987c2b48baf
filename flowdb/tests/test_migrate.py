"""Migrations from nothing, again, and by several processes at once."""

from flowdb.testing import Database


def test_a_clone_has_the_schemas(database: Database) -> None:
    with database.connect("flowmachine") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version FROM flowdb_version()")
        assert cursor.fetchall() == [("1.34.0",)]
