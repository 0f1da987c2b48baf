"""Test users and passwords in a private cluster.

The shared cluster's roles serve other test processes.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from flowdb.check import failures
from flowdb.deployment import SUPERUSER, Deployment, Login
from flowdb.migrate import migrate
from flowdb.testing import FAST_AND_UNSAFE, Database, cluster_tool

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Any]:
    tool = cluster_tool(pytestconfig.rootpath)
    own = tool.Cluster(tmp_path_factory.mktemp("cluster"), tool.free_port())
    try:
        own.start(FAST_AND_UNSAFE)
        yield own
    finally:
        own.destroy()


@pytest.fixture
def deployment(own_cluster: Any) -> Deployment:
    """Set up roles again, whatever another test left."""
    deployment = Deployment(
        host="127.0.0.1",
        port=own_cluster.port,
        superuser=Login(SUPERUSER, own_cluster.password()),
        engine=Login("flowmachine", "engine's first"),
        api=Login("flowapi", "API's first"),
    )
    migrate(deployment)
    return deployment


@pytest.fixture
def cluster_log(own_cluster: Any) -> Path:
    return Path(own_cluster.log)


def test_the_settings_set_and_rotate_passwords(deployment: Deployment) -> None:
    assert failures(deployment) == []
    rotated = replace(
        deployment, engine=Login("flowmachine", "engine's second"), api=Login("flowapi", "API's second")
    )
    migrate(rotated)
    assert failures(rotated) == []
    for login in (deployment.engine, deployment.api):
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(
                host=deployment.host,
                port=deployment.port,
                dbname="flowdb",
                user=login.user,
                password=login.password,
            )


def test_passwords_are_stored_as_scram_only(deployment: Deployment) -> None:
    with Database(deployment).connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolpassword IS NOT NULL"
        )
        stored = dict(cursor.fetchall())
    assert stored.keys() >= {"flowapi", "flowdb", "flowmachine"}
    assert all(stored.values())


def test_passwords_reach_neither_the_log_nor_the_statistics(
    cluster_log: Path, deployment: Deployment
) -> None:
    connection = Database(deployment).connect()
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET log_statement = 'all'")
        cursor.execute("SELECT pg_reload_conf(), pg_stat_statements_reset()")
    migrate(deployment)
    with Database(deployment).connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(query, ' ') FROM pg_stat_statements")
        (statistics,) = cursor.fetchone() or ("",)
    log = cluster_log.read_text()
    assert "pg_db_role_setting" in statistics
    assert "schema_migrations" in log
    for text in (statistics, log):
        assert "SCRAM-SHA-256$" not in text
        assert deployment.engine.password not in text


def test_users_under_other_names_become_members(deployment: Deployment) -> None:
    """Check that a renamed login gets every right through membership.

    Grants name the literal roles.
    """
    renamed = replace(deployment, engine=Login("analysis", "one"), api=Login("gateway", "two"))
    migrate(renamed)
    assert failures(renamed) == []
    with pytest.raises(psycopg2.OperationalError, match="not permitted to log in"):
        Database(deployment).connect("flowmachine")
    migrate(deployment)
    assert failures(deployment) == []


def test_a_result_that_a_member_stores_belongs_to_the_engine(deployment: Deployment) -> None:
    renamed = replace(deployment, engine=Login("analysis", "one"))
    migrate(renamed)
    connection = psycopg2.connect(
        host=renamed.host, port=renamed.port, dbname="flowdb", user="analysis", password="one"
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE cache.by_definition (value INT)")
            cursor.execute("CREATE TABLE cache.by_query AS SELECT 1 AS value")
            cursor.execute(
                "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'cache' AND tablename LIKE 'by%'"
                " ORDER BY tablename"
            )
            assert cursor.fetchall() == [("by_definition", "flowmachine"), ("by_query", "flowmachine")]
    finally:
        connection.close()
        migrate(deployment)
