"""Check that the health check names each defect."""

import pytest

from flowdb.check import failures
from flowdb.testing import Database


def test_a_fresh_database_is_fit_for_use_and_stays_as_it_was(database: Database) -> None:
    assert failures(database.deployment) == []
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM cache.cached), (SELECT last_value FROM cache.cache_touches)"
        )
        assert cursor.fetchone() == (0, 1)
        cursor.execute("SELECT to_regclass('cache.x00000000000000000000000000000000')")
        assert cursor.fetchone() == (None,)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("UPDATE schema_migrations SET version_num = '0001'", "migrations are applied (as flowdb)"),
        ("UPDATE flowdb_version SET version = '0.4.9'", "version is recent enough (as flowmachine)"),
        ("UPDATE location_table SET location_table = 'infrastructure.tacs'", "catalogue is readable"),
        ("DROP VIEW etl.deduped_post_etl_queries", "catalogue is readable"),
        ("DROP TABLE events.forwards", "partitions are described"),
        ("REVOKE USAGE ON SCHEMA infrastructure FROM flowmachine", "samples can be drawn"),
        ("DROP VIEW geography.admin2", "api reads boundaries only (as flowapi)"),
        ("DELETE FROM cache.cache_config WHERE key = 'half_life'", "cache is configured"),
        ("REVOKE CREATE ON SCHEMA cache FROM flowmachine", "results can be stored"),
        ("REVOKE TRUNCATE ON cache.cached FROM flowmachine", "cache can be reset"),
        ("DROP EXTENSION tsm_system_rows", "samples can be drawn"),
        ("DROP AGGREGATE hartigan (text, int, int, float, float, int)", "spatial functions work"),
        ("DROP AGGREGATE median (anycompatible)", "statistics functions work"),
        ("REVOKE CREATE ON SCHEMA engine FROM flowmachine", "engine keeps its tables"),
        ("GRANT DELETE ON events.calls TO flowmachine", "engine cannot write events"),
        ("GRANT USAGE ON SCHEMA events TO flowapi; GRANT SELECT ON events.calls TO flowapi", "was allowed"),
        ("ALTER DATABASE {} SET timezone = 'Asia/Kathmandu'", "timezone is set"),
    ],
)
def test_damage_is_named(database: Database, damage: str, complaint: str) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(damage.replace("{}", database.name))
    assert any(complaint in failure for failure in failures(database.deployment))
