"""Test allowing and forbidding unit tables and noticing their changes."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg2
import pytest

from flowdb.__main__ import main
from flowdb.testing import Database
from flowdb.unit_tables import UnitTableError, change_unit_tables

CELLS = "infrastructure.cells"


@pytest.fixture
def tables(database: Database) -> Database:
    """Provide tables in readable and unreadable schemas, and objects of other types."""
    execute(
        database,
        "CREATE TABLE geography.ids (id TEXT, admin3pcod TEXT)",
        "CREATE SCHEMA private",
        'CREATE TABLE private."Ids" (id TEXT)',
        "CREATE VIEW geography.view AS SELECT * FROM geography.ids",
        'CREATE TABLE geography."a.b" (id TEXT)',
    )
    return database


def execute(database: Database, *statements: str) -> None:
    with closing(database.connect("flowdb")) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def fetch(database: Database, statement: str, role: str = "flowdb") -> list[tuple[Any, ...]]:
    with closing(database.connect(role)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def versions(database: Database) -> dict[str, int]:
    return dict(fetch(database, "SELECT subject, version FROM etl.versions", "flowmachine"))


def test_nothing_but_the_cells_is_allowed_at_first(database: Database) -> None:
    assert list(change_unit_tables(database.deployment)) == [CELLS]
    assert fetch(database, "SELECT name FROM etl.unit_tables", "flowmachine") == [(CELLS,)]


def test_allowing_and_forbidding(tables: Database) -> None:
    allowed = change_unit_tables(tables.deployment, allow=["geography.ids", "private.Ids"])
    assert {name: allowed[name] for name in allowed if name != CELLS} == {
        "geography.ids": ["id", "admin3pcod"],
        "private.Ids": ["id"],
    }
    assert fetch(tables, 'SELECT * FROM private."Ids"', "flowmachine") == []
    assert list(change_unit_tables(tables.deployment, forbid=["geography.ids", "private.Ids"])) == [CELLS]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        fetch(tables, 'SELECT * FROM private."Ids"', "flowmachine")
    # The engine reads every table of this schema anyway.
    assert fetch(tables, "SELECT * FROM geography.ids", "flowmachine") == []


def test_every_change_of_a_table_advances_its_version_alone(tables: Database) -> None:
    change_unit_tables(tables.deployment, allow=["geography.ids", "private.Ids"])
    before = versions(tables)
    for statement in (
        "INSERT INTO geography.ids VALUES ('a', 'b')",
        "UPDATE geography.ids SET admin3pcod = 'c'",
        "DELETE FROM geography.ids",
        "TRUNCATE geography.ids",
    ):
        execute(tables, statement)
        after = versions(tables)
        assert after == before | {"geography.ids": before["geography.ids"] + 1}, statement
        before = after


def test_a_version_never_falls(tables: Database) -> None:
    name = "geography.ids"
    change_unit_tables(tables.deployment, allow=[name])
    first = versions(tables)[name]
    change_unit_tables(tables.deployment, forbid=[name])
    change_unit_tables(tables.deployment, allow=[name])
    second = versions(tables)[name]
    execute(tables, f"DROP TABLE {name} CASCADE", f"CREATE TABLE {name} (id TEXT)")
    change_unit_tables(tables.deployment, allow=[name])
    assert first < second < versions(tables)[name]


@pytest.mark.parametrize(
    ("change", "name", "reason"),
    [
        ("allow", "geography.nothing", "geography.nothing is not a table"),
        ("allow", "ids", "ids is not a table"),
        ("allow", "private.ids", "private.ids is not a table"),
        ("allow", "geography.view", "is not an ordinary table"),
        ("allow", "events.calls", "is not an ordinary table"),
        ("forbid", "geography.ids", "geography.ids is not allowed"),
        ("forbid", CELLS, f"{CELLS} is not allowed"),
    ],
)
def test_refused_changes_leave_all_as_it_is(tables: Database, change: str, name: str, reason: str) -> None:
    with pytest.raises(UnitTableError, match=reason):
        change_unit_tables(tables.deployment, **{"allow": ["private.Ids"], change: ["private.Ids", name]})
    assert list(change_unit_tables(tables.deployment)) == [CELLS]


def test_a_dot_in_a_name_is_refused(tables: Database) -> None:
    with pytest.raises(psycopg2.errors.InvalidName, match="has a dot in its name"):
        execute(tables, "SELECT etl.allow_unit_table('geography.\"a.b\"')")


@pytest.mark.parametrize("role", ["flowmachine", "flowapi"])
@pytest.mark.parametrize("function", ["allow_unit_table", "forbid_unit_table"])
def test_only_an_administrator_changes_the_list(tables: Database, role: str, function: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        fetch(tables, f"SELECT etl.{function}('geography.geoms')", role)


def test_the_command(
    tables: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for role in ("flowdb", "flowmachine", "flowapi"):
        for name, value in tables.environment(role).items():
            monkeypatch.setenv(name, value)
    assert main(["unit-tables", "--allow", "geography.ids", "--allow", "private.Ids"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[0] == "geography.ids (id, admin3pcod)"
    assert listed[1].startswith(f"{CELLS} (")
    assert listed[2:] == ["private.Ids (id)"]
    assert main(["unit-tables", "--forbid", "geography.ids"]) == 0
    assert [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()] == [CELLS, "private.Ids"]
    assert main(["unit-tables", "--forbid", "geography.ids"]) == 1
    assert capsys.readouterr().err == "geography.ids is not allowed, so it cannot be forbidden.\n"
