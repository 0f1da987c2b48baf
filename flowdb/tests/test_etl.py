"""Check visibility from load records and the version that moves with cells."""

from contextlib import closing
from uuid import UUID

import pytest
from psycopg2.extensions import cursor as Cursor

from flowdb.testing import Database

LOAD_A, LOAD_B = (str(UUID(int=number)) for number in (1, 2))


def record(cursor: Cursor, *states: str, load_id: str | None = None, date: str = "2016-01-01") -> None:
    """Append the states in order in one transaction and thus with one timestamp."""
    for state in states:
        cursor.execute(
            "INSERT INTO etl.etl_records (cdr_type, cdr_date, state, timestamp, load_id)"
            " VALUES ('calls', %s, %s, now(), %s)",
            (date, state, load_id),
        )


def available(cursor: Cursor) -> list[str]:
    cursor.execute("SELECT cdr_date::text FROM etl.available_dates WHERE cdr_type = 'calls' ORDER BY 1")
    return [date for (date,) in cursor]


@pytest.mark.parametrize(
    ("states", "visible"),
    [
        (["expected"], False),
        (["expected", "waiting", "loading", "checking"], False),
        (["loading", "failed"], False),
        (["loading", "checking", "held"], False),
        (["loading", "ingested"], True),
        (["ingested", "dropped"], False),
        (["ingested", "dropped", "loading"], False),
        (["ingested", "dropped", "ingested"], True),
        (["ingested", "expected", "waiting", "loading", "checking"], True),
        (["ingested", "ingesting"], True),
        (["ingested", "loading", "failed"], True),
        (["ingested", "loading", "held"], True),
        (["ingested", "superseded", "ingested"], True),
        (["ingested", "superseded"], False),
        (["ingested", "a word nobody foresaw"], False),
    ],
)
def test_the_newest_terminal_state_decides(superuser: Cursor, states: list[str], visible: bool) -> None:
    record(superuser, *states)
    assert available(superuser) == (["2016-01-01"] if visible else [])


def test_time_comes_before_the_order_of_writing(superuser: Cursor) -> None:
    superuser.execute(
        "INSERT INTO etl.etl_records (cdr_type, cdr_date, state, timestamp) VALUES"
        " ('calls', '2016-01-01', 'dropped', '2016-02-02'), ('calls', '2016-01-01', 'ingested', '2016-02-01')"
    )
    assert available(superuser) == []


def test_days_and_types_are_separate(superuser: Cursor) -> None:
    record(superuser, "ingested", date="2016-01-02")
    record(superuser, "ingested", "dropped", date="2016-01-01")
    superuser.execute(
        "INSERT INTO etl.etl_records (cdr_type, cdr_date, state) VALUES ('sms', '2016-01-03', 'ingested')"
    )
    assert available(superuser) == ["2016-01-02"]


def test_the_newest_record_is_shown_under_both_names(superuser: Cursor) -> None:
    record(superuser, "ingested", "loading", "checking")
    for view in ("ingest_state", "ingested_state"):
        superuser.execute(f"SELECT cdr_type, cdr_date::text, state, timestamp = now() FROM etl.{view}")
        assert superuser.fetchall() == [("calls", "2016-01-01", "checking", True)]


def current_load(cursor: Cursor) -> list[str]:
    cursor.execute("SELECT load_id::text FROM etl.current_loads")
    return [load_id for (load_id,) in cursor]


def test_the_current_load_is_the_one_that_became_visible_last(superuser: Cursor) -> None:
    record(superuser, "loading", "ingested", load_id=LOAD_A)
    record(superuser, "loading", "failed", load_id=LOAD_B)
    assert current_load(superuser) == [LOAD_A]
    record(superuser, "superseded", "ingested", load_id=LOAD_B)
    assert current_load(superuser) == [LOAD_B]
    record(superuser, "dropped", load_id=LOAD_B)
    assert current_load(superuser) == []


def test_a_load_without_an_id_is_told_from_the_next(superuser: Cursor) -> None:
    record(superuser, "ingested")
    first = current_load(superuser)
    assert current_load(superuser) == first
    record(superuser, "ingested")
    second = current_load(superuser)
    assert len(first) == len(second) == 1
    assert first != second


def test_only_the_newest_outcome_of_a_visible_day_is_shown(superuser: Cursor) -> None:
    superuser.execute(
        "INSERT INTO etl.post_etl_queries (cdr_date, cdr_type, type_of_query_or_check, outcome, timestamp) VALUES"
        " ('2016-01-01', 'calls', 'count', '1', '2016-02-01'), ('2016-01-01', 'calls', 'count', '2', '2016-02-02'),"
        " ('2016-01-01', 'calls', 'nulls', '0', '2016-02-01'), ('2016-01-02', 'calls', 'count', '3', '2016-02-01')"
    )
    record(superuser, "ingested")
    superuser.execute("SELECT type_of_query_or_check, outcome FROM etl.deduped_post_etl_queries ORDER BY 1")
    assert superuser.fetchall() == [("count", "2"), ("nulls", "0")]


POINT = "ST_SetSRID(ST_Point(0, 0), 4326)"
SQUARE = "ST_Multi(ST_MakeEnvelope(0, 0, 1, 1, 4326))"


@pytest.mark.parametrize(
    ("table", "insert"),
    [
        ("infrastructure.cells", f"(id, version, geom_point) VALUES ('a', 0, {POINT})"),
        ("infrastructure.sites", f"(id, version, geom_point) VALUES ('a', 0, {POINT})"),
        ("geography.geoms", f"(short_name, spatial_resolution, geom) VALUES ('A', 3, {SQUARE})"),
    ],
)
def test_every_change_of_the_map_advances_the_version(superuser: Cursor, table: str, insert: str) -> None:
    def version() -> int:
        superuser.execute("SELECT cells_version()")
        row = superuser.fetchone()
        assert row is not None
        return int(row[0])

    seen = [version()]
    for statement in (
        f"INSERT INTO {table} {insert}",
        f"UPDATE {table} SET date_of_last_service = now()"
        if table != "geography.geoms"
        else f"UPDATE {table} SET long_name = 'Area'",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
    ):
        superuser.execute(statement)
        seen.append(version())
    assert seen == sorted(set(seen))


def test_other_tables_leave_the_version_alone(superuser: Cursor) -> None:
    superuser.execute("SELECT cells_version()")
    before = superuser.fetchone()
    superuser.execute("INSERT INTO infrastructure.tacs (id) VALUES (1)")
    record(superuser, "ingested")
    superuser.execute("SELECT cells_version()")
    assert superuser.fetchone() == before


@pytest.mark.parametrize(
    ("subject", "table", "insert", "column"),
    [
        ("devices", "infrastructure.tacs", "(id) VALUES (1)", "brand"),
        ("mobile_money", "dfs.transactions", "(id) VALUES (1)", "amount"),
        ("mobile_money", "dfs.subscribers", "(id) VALUES (1)", "msisdn"),
        (
            "mobile_money",
            "dfs.transactions_metadata",
            "(cell_id, cell_version) SELECT id, version FROM infrastructure.cells",
            "is_outgoing",
        ),
    ],
)
def test_every_change_of_a_subject_advances_its_version_alone(
    superuser: Cursor, subject: str, table: str, insert: str, column: str
) -> None:
    superuser.execute("INSERT INTO infrastructure.cells (id, version) VALUES ('a', 0)")

    def versions() -> dict[str, int]:
        superuser.execute("SELECT subject, version FROM etl.versions UNION SELECT 'cells', cells_version()")
        return dict(superuser.fetchall())

    before = versions()
    for step, statement in enumerate(
        (
            f"INSERT INTO {table} {insert}",
            f"UPDATE {table} SET {column} = NULL",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}"
            + ("" if table.endswith(("tacs", "metadata")) else ", dfs.transactions_metadata"),
        ),
        start=1,
    ):
        superuser.execute(statement)
        after = versions()
        assert after.pop(subject) >= before[subject] + step
        assert after == {name: version for name, version in before.items() if name != subject}


def test_a_reported_damage_is_told_at_once(database: Database) -> None:
    with closing(database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute("LISTEN flowetl_damaged_files")
        cursor.execute("INSERT INTO etl.damaged_files (cdr_type, cdr_date) VALUES ('calls', '2016-01-01')")
        connection.commit()
        assert [notice.channel for notice in connection.notifies] == ["flowetl_damaged_files"]


def test_boundaries_appear_at_their_level_with_their_parent(superuser: Cursor) -> None:
    superuser.execute(
        "INSERT INTO geography.geoms (short_name, long_name, spatial_resolution, additional_metadata, geom)"
        f" VALUES ('C', 'Country', 0, NULL, {SQUARE}), ('C1', 'Region', 1, '{{\"parent\": \"C\"}}', {SQUARE})"
    )
    superuser.execute("SELECT admin0pcod, admin0name, parent_pcod, ST_AsText(geom) FROM geography.admin0")
    assert superuser.fetchall() == [("C", "Country", None, "MULTIPOLYGON(((0 0,0 1,1 1,1 0,0 0)))")]
    superuser.execute(
        "SELECT admin1pcod, admin1name, parent_pcod, pg_typeof(gid)::text FROM geography.admin1"
    )
    assert superuser.fetchall() == [("C1", "Region", "C", "integer")]
    superuser.execute("SELECT count(*) FROM geography.admin2")
    assert superuser.fetchall() == [(0,)]
