"""Check that the engine, the API and the loader can use this database.

Each check performs the real action in a transaction that is rolled back. Actions that a transaction cannot
undo (sequences) or that block others (``TRUNCATE``) are checked by privilege instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import cursor as Cursor

from flowdb.deployment import Deployment, Login
from flowdb.migrate import head

OLDEST_VERSION = "0.5.0"
EVENT_TABLES = ("calls", "sms", "forwards", "mds", "topups")
_PROBE = "x00000000000000000000000000000000"


class CheckFailed(Exception):
    """Report what was found instead of what is needed."""


def failures(deployment: Deployment) -> list[str]:
    """List failed checks, one line each; empty when the database is usable.

    A server that cannot be reached or refuses a login is a failure like any other.
    """
    found = []
    for login, checks in (
        (deployment.superuser, (migrations_are_applied, timezone_is_set(deployment.timezone))),
        (deployment.engine, ENGINE_CHECKS),
        (deployment.api, API_CHECKS),
    ):
        for check in checks:
            try:
                with _undone(deployment, login) as cursor:
                    check(cursor)
            except (CheckFailed, psycopg2.Error) as error:
                reason = str(error).strip().splitlines()[0]
                found.append(f"{check.__name__.replace('_', ' ')} (as {login.user}): {reason}")
    return found


@contextmanager
def _undone(deployment: Deployment, login: Login) -> Iterator[Cursor]:
    connection = psycopg2.connect(
        host=deployment.host,
        port=deployment.port,
        dbname=deployment.database,
        user=login.user,
        password=login.password,
        application_name="flowdb-check",
        connect_timeout=10,
    )
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.rollback()
        connection.close()


def migrations_are_applied(cursor: Cursor) -> None:
    cursor.execute("SELECT version_num FROM public.schema_migrations")
    _expect(cursor.fetchall(), [(head(),)])


def timezone_is_set(timezone: str) -> Callable[[Cursor], None]:
    def timezone_is_set(cursor: Cursor) -> None:
        cursor.execute("SHOW timezone")
        _expect(cursor.fetchall(), [(timezone,)])

    return timezone_is_set


def version_is_recent_enough(cursor: Cursor) -> None:
    cursor.execute("SELECT version FROM flowdb_version()")
    (version,) = cursor.fetchone() or ("",)
    if version.replace("v", "") < OLDEST_VERSION:
        raise CheckFailed(f"version {version!r} sorts before {OLDEST_VERSION}")


def catalogue_is_readable(cursor: Cursor) -> None:
    cursor.execute("SELECT * FROM available_tables()")
    _expect(
        [column.name for column in cursor.description or ()],
        ["table_name", "has_locations", "has_subscribers", "has_counterparts"],
    )
    cursor.execute("SELECT location_table()")
    (location_table,) = cursor.fetchone() or ("",)
    relation = sql.Identifier(*location_table.split("."))
    columns = "id, date_of_first_service, date_of_last_service, geom_point, site_id, version"
    cursor.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(sql.SQL(columns), relation))
    for name in (
        "available_dates",
        "deduped_post_etl_queries",
        "current_loads",
        "ingest_state",
        "versions",
        "damaged_files",
        "unit_tables",
    ):
        cursor.execute(sql.SQL("SELECT * FROM etl.{} LIMIT 0").format(sql.Identifier(name)))
    cursor.execute("SELECT cells_version()")


def schemas_are_visible(cursor: Cursor) -> None:
    cursor.execute(
        "SELECT DISTINCT table_schema FROM information_schema.tables JOIN information_schema.columns"
        " USING (table_schema, table_name)"
        " WHERE table_schema IN ('events', 'infrastructure', 'geography', 'cache')"
    )
    _expect({name for (name,) in cursor}, {"events", "infrastructure", "geography", "cache"})


def partitions_are_described(cursor: Cursor) -> None:
    cursor.execute(
        "SELECT parent.relname FROM pg_class AS parent LEFT JOIN pg_inherits ON inhparent = parent.oid"
        " LEFT JOIN pg_class AS child ON child.oid = inhrelid"
        " WHERE parent.relnamespace = 'events'::regnamespace AND parent.relkind = 'p'"
        " GROUP BY parent.relname HAVING coalesce(sum(child.reltuples), 0) IS NOT NULL"
    )
    _expect({name for (name,) in cursor}, set(EVENT_TABLES))


def boundaries_are_readable(cursor: Cursor) -> None:
    for level in range(4):
        view = sql.Identifier("geography", f"admin{level}")
        columns = sql.SQL("gid, {}, {}, geom").format(
            sql.Identifier(f"admin{level}pcod"), sql.Identifier(f"admin{level}name")
        )
        cursor.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(columns, view))


def cache_is_configured(cursor: Cursor) -> None:
    cursor.execute("SELECT cache_half_life(), cache_max_size(), cache_protected_period()")
    values = cursor.fetchone() or ()
    if len(values) != 3 or any(value is None for value in values):
        raise CheckFailed(f"half life, size and protected period are {values}")


def results_can_be_stored(cursor: Cursor) -> None:
    table = sql.Identifier("cache", _PROBE)
    for statement in (
        "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) CREATE TABLE {} AS SELECT 'cell' AS location_id, 1 AS value",
        "ALTER TABLE {} OWNER TO flowmachine",
        "CREATE INDEX ON {} (location_id) WITH (fillfactor = 100)",
        "ANALYZE {}",
        "GRANT SELECT ON {} TO flowapi",
    ):
        cursor.execute(sql.SQL(statement).format(table))
    # Class "Table" is touched without advancing the sequence of touches.
    cursor.execute(
        "INSERT INTO cache.cached (query_id, version, query, created, access_count, last_accessed, compute_time,"
        " cache_score_multiplier, class, schema, tablename, obj) VALUES (%s, '0', '', now(), 0, now(), 1000, 0,"
        " 'Table', 'cache', %s, '') ON CONFLICT (query_id) DO UPDATE SET last_accessed = now()",
        (_PROBE[1:], _PROBE),
    )
    cursor.execute("INSERT INTO cache.dependencies VALUES (%s, %s)", (_PROBE[1:], _PROBE[1:]))
    cursor.execute("SELECT touch_cache(%s)", (_PROBE[1:],))
    _expect(cursor.fetchall(), [(0.0,)])


def cache_can_be_reset(cursor: Cursor) -> None:
    cursor.execute(
        "SELECT has_table_privilege('cache.cached', 'TRUNCATE'),"
        " has_table_privilege('cache.dependencies', 'TRUNCATE'),"
        " has_table_privilege('cache.cache_config', 'UPDATE'),"
        " has_sequence_privilege('cache.cache_touches', 'UPDATE')"
    )
    _expect(cursor.fetchone(), (True, True, True, True))
    cursor.execute("DELETE FROM cache.cached WHERE false")


def samples_can_be_drawn(cursor: Cursor) -> None:
    for method in ("SYSTEM (10)", "BERNOULLI (10)", "SYSTEM_ROWS (10)"):
        statement = sql.SQL("SELECT count(*) FROM infrastructure.tacs TABLESAMPLE {}")
        cursor.execute(statement.format(sql.SQL(method)))
    cursor.execute("SELECT count(DISTINCT id) FROM random_ints(0.5, 5, 100)")
    _expect(cursor.fetchall(), [(5,)])


def spatial_functions_work(cursor: Cursor) -> None:
    cursor.execute(
        "SELECT ST_NumGeometries(makegrid_2d(ST_MakeEnvelope(0, 0, 10, 10, 3857), 1)),"
        " (SELECT (hartigan(id, version, 1, 1.0, 0.0, 0)).rank FROM infrastructure.sites WHERE false)"
    )
    _expect(cursor.fetchall(), [(121, None)])
    cursor.execute(
        "CREATE TEMPORARY TABLE slopes ON COMMIT DROP AS SELECT 'cell' AS location_id,"
        " ST_SetSRID(ST_Point(0, 0), 4326) AS geom_point, 'line' AS od_line_identifier,"
        " ST_SetSRID(ST_Point(0, 0), 4326) AS geom, 1.0 AS distance, 0.0 AS slope"
    )
    cursor.execute("SELECT visible FROM viewshed('slopes'::regclass)")
    _expect(cursor.fetchall(), [(True,)])


def statistics_functions_work(cursor: Cursor) -> None:
    cursor.execute(
        "SELECT median(number), percentile_cont(0.5) WITHIN GROUP (ORDER BY number) FROM"
        " (VALUES (1), (2), (4)) AS numbers (number)"
    )
    _expect(cursor.fetchall(), [(2.0, 2.0)])


def engine_keeps_its_tables(cursor: Cursor) -> None:
    cursor.execute("CREATE TABLE engine.probe (query_id TEXT)")


def engine_cannot_write_events(cursor: Cursor) -> None:
    _expect_refused(cursor, "DELETE FROM events.calls")


def api_reads_boundaries_only(cursor: Cursor) -> None:
    boundaries_are_readable(cursor)
    for relation in (
        "events.calls",
        "cache.cached",
        "etl.subscriber_keys",
        "infrastructure.cells",
        "dfs.subscribers",
    ):
        _expect_refused(cursor, f"SELECT FROM {relation}")


ENGINE_CHECKS: tuple[Callable[[Cursor], None], ...] = (
    version_is_recent_enough,
    catalogue_is_readable,
    schemas_are_visible,
    partitions_are_described,
    boundaries_are_readable,
    cache_is_configured,
    results_can_be_stored,
    cache_can_be_reset,
    samples_can_be_drawn,
    spatial_functions_work,
    statistics_functions_work,
    engine_keeps_its_tables,
    engine_cannot_write_events,
)
API_CHECKS: tuple[Callable[[Cursor], None], ...] = (api_reads_boundaries_only,)


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise CheckFailed(f"found {found!r}, not {wanted!r}")


def _expect_refused(cursor: Cursor, statement: str) -> None:
    cursor.execute("SAVEPOINT attempt")
    try:
        cursor.execute(statement)
    except InsufficientPrivilege:
        cursor.execute("ROLLBACK TO SAVEPOINT attempt")
    else:
        raise CheckFailed(f"{statement!r} was allowed")
