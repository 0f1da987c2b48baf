"""Try each role's rights for real and roll back."""

from collections.abc import Iterator

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from flowdb.testing import Database

EVENT_TABLES = ("calls", "sms", "forwards", "mds", "topups", "location_ids")
QUERY_ID = "0" * 32


@pytest.fixture(scope="module")
def stored(module_database: Database) -> Database:
    """Provide a loaded day, a released and an unreleased result and a staging table."""
    with module_database.connect("flowdb") as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE events.calls_20160101 PARTITION OF events.calls FOR VALUES FROM ('2016-01-01') TO ('2016-01-02')"
        )
        cursor.execute("CREATE TABLE etl.by_the_loader (value INT)")
        cursor.execute("CREATE TABLE etl_private.staging (msisdn TEXT)")
        cursor.execute("CREATE TABLE geography.districts (geom geometry)")
        cursor.execute("INSERT INTO cache.cached (query_id, class) VALUES (%s, 'DailyLocation')", (QUERY_ID,))
        cursor.execute("CREATE TABLE cache.x_by_the_superuser AS SELECT 1 AS value")
    with module_database.connect("flowmachine") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE cache.x_released AS SELECT 1 AS value")
        cursor.execute("GRANT SELECT ON cache.x_released TO flowapi")
        cursor.execute("CREATE TABLE cache.x_subscribers AS SELECT 'a' AS subscriber")
    return module_database


@pytest.fixture(params=["flowmachine", "flowapi"])
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def attempt(stored: Database) -> Iterator["Attempt"]:
    attempt = Attempt(stored)
    yield attempt
    attempt.close()


class Attempt:
    """Return a function that runs one statement as a role and undoes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connections: list[psycopg2.extensions.connection] = []

    def __call__(self, role: str, statement: str) -> None:
        connection = self._database.connect(role)
        self._connections.append(connection)
        with connection.cursor() as cursor:
            cursor.execute(statement)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


ALLOWED = [
    *(("flowmachine", f"SELECT * FROM events.{table}") for table in EVENT_TABLES),
    ("flowmachine", "SELECT * FROM events.calls_20160101"),
    ("flowmachine", "SELECT * FROM infrastructure.cells, infrastructure.sites, infrastructure.tacs"),
    ("flowmachine", "SELECT * FROM infrastructure.cell_info, infrastructure.cells_table_versions"),
    ("flowmachine", "SELECT * FROM geography.admin3, geography.geoms, geography.districts"),
    ("flowmachine", "SELECT * FROM dfs.transactions, dfs.subscribers, dfs.transactions_metadata"),
    ("flowmachine", "SELECT * FROM etl.available_dates, etl.deduped_post_etl_queries, etl.ingest_state"),
    (
        "flowmachine",
        "SELECT * FROM etl.current_loads, etl.columnar_files, etl.location_keys, etl.subscriber_keys",
    ),
    (
        "flowmachine",
        "SELECT * FROM etl.loads, etl.cells_version, etl.versions, etl.unit_tables, etl.by_the_loader",
    ),
    ("flowmachine", "INSERT INTO etl.damaged_files (cdr_type, cdr_date) VALUES ('calls', '2016-01-01')"),
    ("flowmachine", "SELECT cdr_type, cdr_date FROM etl.damaged_files"),
    ("flowmachine", "SELECT last_value FROM etl.etl_records_id_seq"),
    ("flowmachine", "CREATE TEMPORARY TABLE scratch (value INT)"),
    ("flowmachine", "CREATE TABLE cache.x (value INT)"),
    ("flowmachine", "CREATE UNLOGGED TABLE cache.i AS SELECT * FROM events.calls"),
    ("flowmachine", "DROP TABLE cache.x_released"),
    ("flowmachine", "DROP TABLE cache.x_by_the_superuser"),
    ("flowmachine", "GRANT SELECT ON cache.x_subscribers TO flowapi"),
    ("flowmachine", "INSERT INTO cache.cached (query_id) VALUES ('1')"),
    ("flowmachine", "UPDATE cache.cached SET access_count = 1"),
    ("flowmachine", "DELETE FROM cache.cached"),
    ("flowmachine", "TRUNCATE cache.cached, cache.dependencies"),
    ("flowmachine", "UPDATE cache.cache_config SET value = '1'"),
    ("flowmachine", "SELECT setval('cache.cache_touches', 1), nextval('cache.cache_touches')"),
    ("flowmachine", f"SELECT touch_cache('{QUERY_ID}')"),
    ("flowmachine", "SELECT table_size('calls_20160101', 'events')"),
    ("flowmachine", "CREATE TABLE engine.work (id INT)"),
    ("flowmachine", "SELECT * FROM flowdb_version(), location_table(), available_tables()"),
    ("flowapi", "SELECT * FROM cache.x_released"),
    ("flowapi", "SELECT * FROM geography.admin0, geography.admin1, geography.admin2, geography.admin3"),
    ("flowapi", "SELECT * FROM geography.geoms, geography.districts"),
]

REFUSED_TO_THE_ENGINE = [
    *(f"INSERT INTO events.{table} SELECT * FROM events.{table}" for table in EVENT_TABLES),
    *(f"DELETE FROM events.{table}" for table in EVENT_TABLES),
    *(f"TRUNCATE events.{table}" for table in EVENT_TABLES),
    *(f"DROP TABLE events.{table}" for table in EVENT_TABLES),
    "UPDATE events.calls SET duration = 0",
    "UPDATE events.calls_20160101 SET duration = 0",
    "ALTER TABLE events.calls DETACH PARTITION events.calls_20160101",
    "CREATE TABLE events.work (value INT)",
    "CREATE TABLE infrastructure.work (value INT)",
    "UPDATE infrastructure.cells SET version = 0",
    "CREATE TABLE geography.work (value INT)",
    "DELETE FROM geography.geoms",
    "DELETE FROM dfs.transactions",
    "INSERT INTO etl.etl_records (cdr_type) VALUES ('calls')",
    "DELETE FROM etl.columnar_files",
    "UPDATE etl.cells_version SET version = 1",
    "UPDATE etl.versions SET version = 1",
    "DELETE FROM etl.damaged_files",
    "SELECT * FROM etl_private.staging",
    "CREATE TABLE etl_private.work (value INT)",
    "DROP TABLE cache.cached CASCADE",
    "DROP TABLE cache.dependencies",
    "DROP TABLE cache.cache_config",
    "ALTER TABLE cache.cached ADD COLUMN value INT",
    "INSERT INTO cache.cache_config VALUES ('key', 'value')",
    "UPDATE available_tables SET has_counterparts = true",
    "CREATE FUNCTION public.work() RETURNS INT LANGUAGE sql AS 'SELECT 1'",
]

REFUSED_TO_THE_API = [
    *(f"SELECT FROM events.{table}" for table in EVENT_TABLES),
    "SELECT FROM events.calls_20160101",
    "SELECT FROM infrastructure.cells",
    "SELECT FROM infrastructure.sites",
    "SELECT FROM infrastructure.tacs",
    "SELECT FROM dfs.subscribers",
    "SELECT FROM dfs.transactions_metadata",
    "SELECT FROM etl.subscriber_keys",
    "SELECT FROM etl.location_keys",
    "SELECT FROM etl.etl_records",
    "SELECT FROM etl.available_dates",
    "SELECT FROM etl_private.staging",
    "SELECT FROM engine.jobs",
    "SELECT FROM engine.ledger_results",
    "SELECT FROM engine.ledger_rows",
    "SELECT FROM engine.ledger_subsets",
    "SELECT FROM engine.ledger_totals",
    "SELECT FROM engine.ledger_sums",
    "SELECT FROM engine.ledger_margins",
    "SELECT FROM engine.ledger_places",
    "SELECT FROM engine.ledger_forms",
    "SELECT FROM engine.ledger_inputs",
    "SELECT FROM cache.cached",
    "SELECT FROM cache.dependencies",
    "SELECT FROM cache.cache_config",
    "SELECT FROM cache.x_subscribers",
    "SELECT FROM cache.x_by_the_superuser",
    "SELECT nextval('cache.cache_touches')",
    "INSERT INTO cache.x_released VALUES (2)",
    "DELETE FROM cache.x_released",
    "DROP TABLE cache.x_released",
    "CREATE TABLE cache.x (value INT)",
    "CREATE TABLE geography.work (value INT)",
    "DELETE FROM geography.geoms",
    "CREATE TABLE events.work (value INT)",
    "DROP TABLE events.calls",
    "CREATE TEMPORARY TABLE scratch (value INT)",
    "SELECT touch_cache('0')",
    "SELECT cache_max_size()",
    "SELECT table_size('calls_20160101', 'events')",
]


@pytest.mark.parametrize(("user", "statement"), ALLOWED)
def test_allowed(attempt: Attempt, user: str, statement: str) -> None:
    attempt(user, statement)


@pytest.mark.parametrize("statement", REFUSED_TO_THE_ENGINE)
def test_refused_to_the_engine(attempt: Attempt, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        attempt("flowmachine", statement)


@pytest.mark.parametrize("statement", REFUSED_TO_THE_API)
def test_refused_to_the_api(attempt: Attempt, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        attempt("flowapi", statement)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE SCHEMA work",
        "CREATE TABLE public.work (value INT)",
        "CREATE ROLE work",
        "SET ROLE flowdb",
        "CREATE EXTENSION hstore",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/work'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
        "CREATE FOREIGN TABLE cache.file (line TEXT) SERVER csv_fdw OPTIONS (filename '/etc/passwd')",
    ],
)
def test_refused_to_both(attempt: Attempt, role: str, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        attempt(role, statement)


def test_the_api_reads_no_table_but_these(stored: Database) -> None:
    """Check that new relations are denied until they are listed here."""
    with stored.connect("flowdb") as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT nspname || '.' || relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname NOT IN ('pg_catalog', 'information_schema')"
            " AND has_schema_privilege('flowapi', n.oid, 'USAGE')"
            " AND has_table_privilege('flowapi', c.oid, 'SELECT')"
        )
        readable = {name for (name,) in cursor}
    assert {name for name in readable if not name.startswith("geography.")} == {
        "cache.x_released",
        "public.available_tables",
        "public.d_date",
        "public.d_time",
        "public.flowdb_version",
        "public.geography_columns",
        "public.geometry_columns",
        "public.location_table",
        "public.spatial_ref_sys",
    }


def test_the_engine_writes_nowhere_but_here(stored: Database) -> None:
    with stored.connect("flowdb") as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE relkind IN ('r', 'p', 'v', 'f') AND has_schema_privilege('flowmachine', n.oid, 'USAGE')"
            " AND has_table_privilege('flowmachine', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')"
            " AND nspname NOT IN ('pg_catalog', 'information_schema')"
        )
        # The engine can only add to the audit trail and to the list of damaged files.
        assert {name for (name,) in cursor} == {"audit", "cache", "engine", "etl"}


@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET status = ''", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"]
)
def test_nobody_changes_the_audit_trail(attempt: Attempt, role: str, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        attempt(role, statement.format("audit.engine_requests"))


def test_roles_have_no_attributes_but_login(stored: Database, role: str) -> None:
    with stored.connect(role) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolcanlogin, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls,"
            " ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = pg_roles.oid)"
            " FROM pg_roles WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (True, False, [])


def test_nobody_else_connects(stored: Database) -> None:
    with stored.connect("flowdb") as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest((SELECT datacl FROM pg_database"
            " WHERE datname = current_database())) AS acl"
        )
        assert cursor.fetchone() == (["flowapi=c/flowdb", "flowdb=CTc/flowdb", "flowmachine=Tc/flowdb"],)


def test_functions_with_their_owners_rights_are_the_engines(stored: Database) -> None:
    with stored.connect("flowdb") as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, has_function_privilege('flowapi', oid, 'EXECUTE'), proconfig::text FROM pg_proc"
            " WHERE prosecdef AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')"
        )
        found = cursor.fetchall()
    assert {name for name, callable_, _ in found if callable_} == {"flowdb_version"}
    assert {path for _, _, path in found} == {'{"search_path=public, pg_temp"}'}
