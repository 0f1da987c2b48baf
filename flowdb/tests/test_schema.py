"""Check the schema that published clients reflect.

Columns in order, types, collations, indexes and partitions are compared.
"""

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor

IDENTITIES = [
    ("msisdn", 'text "C" not null'),
    ("msisdn_counterpart", 'text "C"'),
    ("location_id", "text"),
    ("imsi", 'text "C"'),
    ("imei", 'text "C"'),
    ("tac", "numeric(8,0)"),
    ("operator_code", "numeric"),
    ("country_code", "numeric"),
]
START = [("id", "text"), ("outgoing", "boolean"), ("datetime", "timestamp with time zone not null")]
WITHOUT_COUNTERPART = [column for column in IDENTITIES if column[0] != "msisdn_counterpart"]

EVENTS = {
    "calls": [*START, ("duration", "numeric"), ("network", "text"), *IDENTITIES],
    "sms": [*START, ("network", "text"), *IDENTITIES],
    "forwards": [*START, ("network", "text"), *IDENTITIES],
    "mds": [
        START[0],
        START[2],
        ("duration", "numeric"),
        ("volume_total", "numeric"),
        ("volume_upload", "numeric"),
        ("volume_download", "numeric"),
        *WITHOUT_COUNTERPART,
    ],
    "topups": [
        START[0],
        START[2],
        ("type", "text"),
        ("recharge_amount", "numeric"),
        ("airtime_fee", "numeric"),
        ("tax_and_fee", "numeric"),
        ("pre_event_balance", "numeric"),
        ("post_event_balance", "numeric"),
        *WITHOUT_COUNTERPART,
    ],
}


@pytest.mark.parametrize("table", EVENTS)
def test_event_columns(superuser: Cursor, table: str) -> None:
    superuser.execute(
        "SELECT attname, format_type(atttypid, atttypmod)"
        " || CASE WHEN collname = 'C' THEN ' \"C\"' ELSE '' END || CASE WHEN attnotnull THEN ' not null' ELSE '' END"
        " FROM pg_attribute LEFT JOIN pg_collation AS c ON c.oid = attcollation"
        " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        (f"events.{table}",),
    )
    assert superuser.fetchall() == EVENTS[table]


@pytest.mark.parametrize("table", EVENTS)
def test_event_tables_are_partitioned_by_time_without_indexes(superuser: Cursor, table: str) -> None:
    superuser.execute(
        "SELECT pg_get_partkeydef(%s::regclass), (SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass)",
        (f"events.{table}", f"events.{table}"),
    )
    assert superuser.fetchone() == ("RANGE (datetime)", 0)


def test_a_row_outside_every_day_is_rejected(superuser: Cursor) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation, match="no partition"):
        superuser.execute("INSERT INTO events.sms (datetime, msisdn) VALUES ('2016-01-01', 'a')")


def test_a_query_on_one_day_touches_one_partition(superuser: Cursor) -> None:
    for day in (1, 2, 3):
        superuser.execute(
            f"CREATE TABLE events.sms_2016010{day} PARTITION OF events.sms"
            f" FOR VALUES FROM ('2016-01-0{day}') TO ('2016-01-0{day + 1}')"
        )
    superuser.execute(
        "EXPLAIN SELECT * FROM events.sms WHERE datetime >= '2016-01-02'::timestamptz AND datetime < '2016-01-03'::timestamptz"
    )
    plan = "\n".join(line for (line,) in superuser)
    assert "sms_20160102" in plan
    assert "sms_20160101" not in plan
    assert "sms_20160103" not in plan


def test_indexes_of_cells_and_sites(superuser: Cursor) -> None:
    superuser.execute(
        'SELECT tablename, array_agg(indexname::text ORDER BY indexname::text COLLATE "C") FROM pg_indexes'
        " WHERE schemaname = 'infrastructure' AND tablename IN ('cells', 'sites') GROUP BY 1 ORDER BY 1"
    )
    assert superuser.fetchall() == [
        (
            "cells",
            [
                "cells_id_idx",
                "cells_id_version_key",
                "cells_pkey",
                "cells_site_id_idx",
                "infrastructure_cells_geom_point_index",
                "infrastructure_cells_geom_polygon_index",
            ],
        ),
        (
            "sites",
            [
                "infrastructure_sites_geom_point_index",
                "infrastructure_sites_geom_polygon_index",
                "sites_id_idx",
                "sites_id_version_key",
                "sites_pkey",
            ],
        ),
    ]


def test_available_tables_begin_without_any_flag(superuser: Cursor) -> None:
    superuser.execute("SELECT * FROM available_tables() ORDER BY 1")
    assert superuser.fetchall() == [
        (name, False, False, False) for name in ("calls", "forwards", "location_ids", "mds", "sms", "topups")
    ]


def test_two_included_records_of_a_cell_cannot_overlap(superuser: Cursor) -> None:
    superuser.execute("INSERT INTO infrastructure.cells_table_versions (id) VALUES (1)")

    def insert(dates: str, included: bool) -> None:
        superuser.execute(
            "INSERT INTO infrastructure.cell_info (cells_table_version, mno_cell_id, dates_of_service, to_include,"
            " longitude, latitude, included_in_latest_file) VALUES (1, 'a', %s, %s, 85, 28, true)",
            (dates, included),
        )

    insert("[2016-01-01, 2016-02-01)", True)
    insert("[2016-02-01, 2016-03-01)", True)
    insert("[2016-01-15, 2016-02-15)", False)
    superuser.execute("SELECT DISTINCT ST_AsText(geom_point) FROM infrastructure.cell_info")
    assert superuser.fetchall() == [("POINT(85 28)",)]
    with pytest.raises(psycopg2.errors.ExclusionViolation):
        insert("[2016-01-15, 2016-02-15)", True)


def test_a_place_code_names_one_boundary_of_its_level(superuser: Cursor) -> None:
    statement = "INSERT INTO geography.geoms (short_name, spatial_resolution) VALUES (%s, %s)"
    superuser.execute(statement, ("A", 1))
    superuser.execute(statement, ("A", 2))
    with pytest.raises(psycopg2.errors.UniqueViolation):
        superuser.execute(statement, ("A", 1))


def test_metadata_of_the_cache_goes_with_its_query(superuser: Cursor) -> None:
    superuser.execute("INSERT INTO cache.cached (query_id) VALUES ('a'), ('b'), ('c')")
    superuser.execute("INSERT INTO cache.dependencies VALUES ('b', 'a'), ('c', 'b')")
    superuser.execute("DELETE FROM cache.cached WHERE query_id = 'b'")
    superuser.execute("SELECT count(*) FROM cache.dependencies")
    assert superuser.fetchone() == (0,)
