"""Every quality check's number on a day drawn by hand, from both engines."""

import datetime as dt

import duckdb
import pytest
from psycopg2.sql import Identifier

from flowetl import quality
from flowetl.loading import load_day

DAY = dt.date(2016, 1, 1)
COMMON = {
    "count_added_rows",
    "count_msisdns",
    "count_imeis",
    "count_imsis",
    "count_location_ids",
    "count_locatable_location_ids",
    "count_locatable_events",
    "count_null_imeis",
    "count_null_imsis",
    "count_null_location_ids",
    "count_duplicated",
    "count_duplicates",
    "earliest_timestamp",
    "latest_timestamp",
    "max_msisdns_per_imei",
    "max_msisdns_per_imsi",
}
PARTIES = {
    "count_added_rows_outgoing",
    "count_null_counterparts",
    "count_onnet_msisdns",
    "count_onnet_msisdns_incoming",
    "count_onnet_msisdns_outgoing",
}
DURATIONS = {"count_null_durations", "max_duration", "median_duration"}


def outcomes(operator, cdr_type: str) -> dict[str, str | None]:
    """Return the outcomes of the checks alone."""
    found = _all_outcomes(operator, cdr_type)
    return {name: outcome for name, outcome in found.items() if not name.startswith(quality.REJECTED)}


def _all_outcomes(operator, cdr_type: str) -> dict[str, str | None]:
    return dict(
        operator.rows(
            "SELECT type_of_query_or_check, outcome FROM etl.deduped_post_etl_queries WHERE cdr_type = %s",
            cdr_type,
        )
    )


def test_refused_records_are_outcomes_by_reason(operator) -> None:
    def rejected(*rows) -> dict[str, str | None]:
        operator.write("calls", list(rows))
        load_day(operator.deployment, operator.sources["calls"], operator.day)
        found = _all_outcomes(operator, "calls")
        return {name: outcome for name, outcome in found.items() if name.startswith(quality.REJECTED)}

    good = [operator.call(name, "10:00:00", operator.alice, operator.bob) for name in "abc"]
    timeless, numberless = (operator.call(name, "10:00:00", operator.alice, operator.bob) for name in "de")
    timeless[2], numberless[4] = "soon", ""
    assert rejected(*good) == {"count_rejected_rows": "0"}
    both = rejected(*good, timeless, numberless)
    assert both.pop("count_rejected_rows") == "2"
    assert set(both.values()) == {"1"}
    assert len(both) == 2
    # A reason that the newest load does not have is 0 now, and not what an earlier load said.
    assert rejected(*good) == dict.fromkeys(both, "0") | {"count_rejected_rows": "0"}


def by_partition(operator, cdr_type: str) -> dict[str, str | None]:
    checks = [check for check in quality.discover(cdr_type) if check.packaged]
    table = Identifier("events", f"{cdr_type}_20160101")
    with operator.deployment.connect() as connection, connection.cursor() as cursor:
        connection.autocommit = False
        return quality.ask_database(cursor, table, checks, cdr_type, operator.day)


@pytest.mark.parametrize("cdr_type", ["calls", "sms", "mds", "topups"])
def test_the_checks_of_each_type(cdr_type) -> None:
    specific = {"calls": PARTIES | DURATIONS, "sms": PARTIES}.get(cdr_type, set())
    names = {check.name for check in quality.discover(cdr_type)}
    assert names == COMMON | {f"{name}.{cdr_type}" for name in specific}


def test_every_number_of_a_day_of_calls(operator) -> None:
    operator.rows(
        "INSERT INTO infrastructure.cells (id, version, date_of_first_service, date_of_last_service, geom_point) VALUES "
        "('c1', 0, NULL, '2016-01-01', ST_SetSRID(ST_MakePoint(1, 1), 4326)), "
        "('c1', 1, '2016-01-01', NULL, ST_SetSRID(ST_MakePoint(2, 2), 4326)), "
        "('c2', 0, '2016-01-02', NULL, ST_SetSRID(ST_MakePoint(3, 3), 4326)), "
        "('c3', 0, NULL, NULL, NULL)"
    )
    alice, bob, carol = operator.alice, operator.bob, operator.carol
    rows = [
        operator.call("a", "10:00:00", alice, bob),
        operator.call("b", "10:00:00", alice, bob),
        operator.call("c", "10:00:00", alice, bob),
        operator.call("d", "11:00:00", bob, alice, out=False, cell="c2"),
        operator.call("e", "11:00:00", bob, alice, out=False, cell="c2"),
        operator.call("f", "23:30:00", carol, alice, cell="c3"),
        operator.call("g", "00:10:00", carol, alice, cell=""),
    ]
    rows[3][7] = alice.imei
    rows[4][7] = alice.imei
    rows[5][3], rows[5][5], rows[5][6], rows[5][7] = "", "", "", ""
    rows[6][3] = 125
    operator.write("calls", rows)
    load_day(operator.deployment, operator.sources["calls"], operator.day)
    found = outcomes(operator, "calls")
    assert found == {
        "count_added_rows": "7",
        "count_msisdns": "3",
        "count_imeis": "2",
        "count_imsis": "3",
        "count_location_ids": "4",
        "count_locatable_location_ids": "1",
        "count_locatable_events": "6",
        "count_null_imeis": "1",
        "count_null_imsis": "1",
        "count_null_location_ids": "1",
        "count_duplicated": "2",
        "count_duplicates": "3",
        "earliest_timestamp": "2016-01-01 00:10:00+00",
        "latest_timestamp": "2016-01-01 23:30:00+00",
        "max_msisdns_per_imei": "2",
        "max_msisdns_per_imsi": "1",
        "count_added_rows_outgoing.calls": "5",
        "count_null_counterparts.calls": "1",
        "count_onnet_msisdns.calls": "3",
        "count_onnet_msisdns_incoming.calls": "1",
        "count_onnet_msisdns_outgoing.calls": "2",
        "count_null_durations.calls": "1",
        "max_duration.calls": "125",
        "median_duration.calls": "60",
    }
    assert by_partition(operator, "calls") == found


def test_an_empty_day_and_fractions_read_the_same_from_both_engines(operator) -> None:
    operator.write("topups", [])
    load_day(operator.deployment, operator.sources["topups"], operator.day)
    found = outcomes(operator, "topups")
    assert found["count_added_rows"] == found["count_duplicates"] == found["count_locatable_events"] == "0"
    assert found["earliest_timestamp"] is None
    assert by_partition(operator, "topups") == found

    rows = [operator.call(name, "10:00:00", operator.alice, operator.bob) for name in "ab"]
    rows[0][3], rows[1][3] = 12.25, 13
    operator.write("calls", rows)
    load_day(operator.deployment, operator.sources["calls"], operator.day)
    found = outcomes(operator, "calls")
    assert (found["max_duration.calls"], found["median_duration.calls"]) == ("13", "12.625")
    assert by_partition(operator, "calls") == found


def test_of_our_own_checks_too_a_failing_one_loses_its_own_outcome_only(tmp_path) -> None:
    (tmp_path / "broken.sql").write_text("SELECT no_such_column FROM {{ final_table }}")
    (tmp_path / "sum.sql").write_text("SELECT sum(a) FROM {{ final_table }}")
    checks = [quality.Check(name, tmp_path / f"{name}.sql") for name in ("broken", "sum")]
    with duckdb.connect() as day:
        day.execute("CREATE TABLE numbers AS SELECT unnest([1, 2.5]) AS a")
        found = quality.describe(day, "numbers", checks, "topups", DAY)
        assert found == quality.describe(day, "numbers", checks[1:], "topups", DAY) == {"sum": "3.5"}
        assert quality.describe(day, "numbers", [], "topups", DAY) == {}


def test_an_administrator_s_checks_are_found_hide_ours_and_fail_alone(operator) -> None:
    folder = operator.deployment.sources_folder / "qa_checks"
    (folder / "calls").mkdir(parents=True)
    (folder / "sms").mkdir()
    (folder / "total.sql").write_text(
        "SELECT sum(duration) FROM {{ final_table }} WHERE datetime >= '{{ ds }}';"
    )
    (folder / "calls" / "answer.sql").write_text("SELECT 42 -- of {{ cdr_type }}")
    (folder / "sms" / "unrelated.sql").write_text("SELECT 1")
    (folder / "count_added_rows.sql").write_text("SELECT 'mine'")
    (folder / "broken.sql").write_text("SELECT 1 / 0")
    (folder / "unknown.sql").write_text("SELECT {{ no_such_variable }}")
    operator.write("calls", [operator.call("a", "10:00:00", operator.alice, operator.bob)])
    load_day(operator.deployment, operator.sources["calls"], operator.day)
    found = outcomes(operator, "calls")
    assert (found["total"], found["answer.calls"], found["count_added_rows"]) == ("60", "42", "mine")
    assert len(found) == len(quality.discover("calls")) + 2
