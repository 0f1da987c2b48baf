"""Migrate from nothing, again, concurrently and with other users."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg2
import pytest
from psycopg2 import sql

from flowdb.check import failures
from flowdb.deployment import Deployment, Login
from flowdb.migrate import MigrationError, administration, head, migrate
from flowdb.testing import Database, TestCluster
from flowsettings import SettingError


@pytest.fixture
def absent(cluster: TestCluster) -> Iterator[Deployment]:
    """Return a deployment whose database does not exist yet."""
    deployment = cluster.deployment.named(f"test_{os.getpid()}_{secrets.token_hex(4)}")
    yield deployment
    with administration(deployment) as connection, connection.cursor() as cursor:
        name = sql.Identifier(deployment.database)
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def connect(deployment: Deployment, login: Login) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host=deployment.host,
        port=deployment.port,
        dbname=deployment.database,
        user=login.user,
        password=login.password,
    )


def schema_of(deployment: Deployment) -> list[tuple[object, ...]]:
    """List every column, function and privilege of our schemas."""
    with connect(deployment, deployment.superuser) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname, c.relname, c.relkind::text, c.relowner::regrole::text, c.relacl::text,"
            " array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace"
            " JOIN pg_attribute AS a ON attrelid = c.oid"
            " WHERE nspname !~ '^(pg_|information_schema)' GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2"
        )
        return cursor.fetchall()


def test_from_nothing_and_again(absent: Deployment) -> None:
    assert migrate(absent) == head()
    assert failures(absent) == []
    once = schema_of(absent)
    assert migrate(absent) == head()
    assert schema_of(absent) == once


def test_jobs_of_the_previous_revision_are_kept_and_any_store_is_allowed(absent: Deployment) -> None:
    """A third executor needs no migration, and an upgrade needs no empty tables."""
    add = "INSERT INTO engine.jobs (query_id, store, kind, spec, state) VALUES (%s, %s, 'flows', '{}', %s)"
    stores = ("duckdb", "postgres", "released")
    migrate(absent, "0010")
    with connect(absent, absent.engine) as connection, connection.cursor() as cursor:
        cursor.executemany(add, [("a" * 32, store, "completed") for store in stores])
        with pytest.raises(psycopg2.errors.CheckViolation):
            cursor.execute(add, ("b" * 32, "spark", "queued"))
    with connect(absent, absent.engine) as connection, connection.cursor() as cursor:
        cursor.executemany(add, [("a" * 32, store, "completed") for store in stores])
        cursor.execute("INSERT INTO etl.damaged_files (cdr_type, cdr_date) VALUES ('calls', '2016-01-01')")
    with connect(absent, absent.superuser) as connection, connection.cursor() as cursor:
        cursor.execute("REVOKE SELECT ON etl.damaged_files FROM flowmachine")
    migrate(absent)
    assert failures(absent) == []
    with connect(absent, absent.engine) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT store FROM engine.jobs ORDER BY store")
        assert cursor.fetchall() == [(store,) for store in stores]
        cursor.execute("SELECT cdr_type FROM etl.damaged_files")
        assert cursor.fetchall() == [("calls",)]
        cursor.execute(add, ("b" * 32, "spark", "queued"))
        with pytest.raises(psycopg2.errors.CheckViolation):
            cursor.execute(add, ("c" * 32, "no store", "queued"))


def test_services_that_start_together_take_turns(absent: Deployment) -> None:
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(migrate, [absent] * 3)) == [head()] * 3
    assert failures(absent) == []


def test_the_clone_of_the_tests_is_like_a_migrated_database(database: Database, absent: Deployment) -> None:
    migrate(absent)
    assert schema_of(database.deployment) == schema_of(absent)
    assert failures(database.deployment) == []


def test_the_command_migrates_and_checks(absent: Deployment, cluster: TestCluster) -> None:
    environment = {"PATH": os.environ["PATH"], "FLOWDB_TIMEZONE": "Asia/Kathmandu"}
    for role in ("flowdb", "flowmachine", "flowapi"):
        environment = Database(absent).environment(role) | environment

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flowdb", command], env=environment, capture_output=True, text=True
        )

    refused = run("check")
    assert refused.returncode == 1
    assert f'database "{absent.database}" does not exist' in refused.stderr
    migrated = run("migrate")
    assert (migrated.returncode, migrated.stderr) == (0, "")
    assert migrated.stdout == f"Database {absent.database} is at revision {head()}.\n"
    assert run("check").returncode == 0
    environment["FLOWDB_TIMEZONE"] = "UTC"
    wrong = run("check")
    assert wrong.returncode == 1
    assert "timezone is set" in wrong.stderr
    del environment["FLOWAPI_FLOWDB_PASSWORD"]
    missing = run("migrate")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("FLOWAPI_FLOWDB_PASSWORD is not set")


def test_the_time_zone_is_kept_once_days_are_loaded(database: Database) -> None:
    elsewhere = replace(database.deployment, timezone="Asia/Kathmandu")
    migrate(elsewhere)
    with connect(elsewhere, elsewhere.engine) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW timezone")
        assert cursor.fetchone() == ("Asia/Kathmandu",)
    with connect(elsewhere, elsewhere.superuser) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE events.sms_20160101 PARTITION OF events.sms FOR VALUES FROM ('2016-01-01') TO ('2016-01-02')"
        )
    migrate(elsewhere)
    with pytest.raises(MigrationError, match=r"FLOWDB_TIMEZONE is UTC.*loaded in Asia/Kathmandu"):
        migrate(database.deployment)


def test_cache_settings_are_kept_unless_given(absent: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    def configured() -> tuple[object, ...] | None:
        with connect(absent, absent.engine) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT cache_half_life(), cache_max_size(), cache_protected_period()")
            return cursor.fetchone()

    monkeypatch.setenv("CACHE_SIZE", "123456789")
    migrate(absent)
    assert configured() == (1000.0, 123456789, 86400)
    monkeypatch.delenv("CACHE_SIZE")
    monkeypatch.setenv("CACHE_HALF_LIFE", "2")
    migrate(absent)
    assert configured() == (2.0, 123456789, 86400)


def test_a_database_of_newer_code_is_left_alone(database: Database) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE schema_migrations SET version_num = '9999'")
    with pytest.raises(MigrationError, match="newer code than this"):
        migrate(database.deployment)


def test_a_failed_migration_leaves_nothing_behind(
    absent: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_HALF_LIFE", "long")
    with pytest.raises(SettingError, match="CACHE_HALF_LIFE is 'long'; it must be a whole number"):
        migrate(absent)
    with connect(absent, absent.superuser) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname IN ('events', 'cache')")
        assert cursor.fetchone() == (0,)
    monkeypatch.delenv("CACHE_HALF_LIFE")
    assert migrate(absent) == head()


def test_a_ledger_of_the_previous_revision_is_kept(absent: Deployment) -> None:
    """Rows keep what they are compared by, and the totals that they are part of."""
    release = (
        "INSERT INTO engine.ledger_results (query_id, kind, form, measure, statistic)"
        " VALUES (%s, 'spatial_aggregate', %s, 'subscribers', 'count')"
    )
    row = (
        "INSERT INTO engine.ledger_rows (row_key, whole, part0, part1, part2, part3, thin64, thin4096, release,"
        " subscribers, repeats, served, value, parts_of)"
        " VALUES (%s, 1, 2, 3, 4, 5, 6, 7, %s, 20, %s, true, 'a', %s)"
    )
    keep = "SELECT row_key, whole, part0, thin4096, release, subscribers, repeats, served, value"
    migrate(absent, "0017")
    with connect(absent, absent.engine) as connection, connection.cursor() as cursor:
        cursor.executemany(release, [("a" * 32, "pcod"), ("b" * 32, "pcod"), ("c" * 32, "site")])
        rows = [
            (-5, 1, None, [7, None]),
            (6, 1, None, [7, 8]),
            (6, 2, 1, [7, 8]),
            (7, 2, None, [7, 8]),
            (8, 2, None, [7, 8]),
            (8, 3, None, None),
        ]
        cursor.executemany(row, rows)
        cursor.execute(
            f"{keep}, coalesce(parts_of, '{{}}') FROM engine.ledger_rows ORDER BY release, row_key"
        )
        before = cursor.fetchall()
    migrate(absent)
    assert failures(absent) == []
    with connect(absent, absent.engine) as connection, connection.cursor() as cursor:
        # Sizes are numbers of binary digits of 2, 3 and 1 rows.
        cursor.execute("SELECT DISTINCT release, size FROM engine.ledger_rows ORDER BY release")
        assert cursor.fetchall() == [(1, 2), (2, 2), (3, 1)]
        cursor.execute(
            f"{keep.replace('row_key', 'rows.row_key')}, parts_of FROM engine.ledger_rows AS rows"
            " JOIN engine.ledger_places USING (place) ORDER BY release, row_key"
        )
        assert cursor.fetchall() == before
        cursor.execute(
            "SELECT form, places, fewest[:3], cardinality(fewest) FROM engine.ledger_forms ORDER BY form"
        )
        assert cursor.fetchall() == [("pcod", 4, [None, 2, None], 31), ("site", 1, [1, None, None], 31)]
