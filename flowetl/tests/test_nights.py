"""Check hooks, retention, opt-out and the report of a night."""

import dataclasses
import datetime as dt
import http.server
import json
import threading
from pathlib import Path

import duckdb
import pytest

from flowetl import hooks, nightreport, retention
from flowetl.backfill import missing_days
from flowetl.errors import ConfigurationError, DataFault, Held, NotReady
from flowetl.loading import load_day
from flowetl.optout import remove


def test_a_command_is_told_of_a_day_that_was_not_loaded(operator, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FLOWDB_POSTGRES_PASSWORD", "a-secret")
    told = tmp_path / "told"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ncat > {told}\nenv >> {told}\n")
    hook.chmod(0o700)
    source = operator.sources["calls"]
    for error, state in (
        (DataFault("is cut"), "failed"),
        (Held("is half"), "held"),
        (NotReady("is not"), "missing"),
    ):
        hooks.tell(str(hook), source, operator.day, error)
        content, _ = json.JSONDecoder().raw_decode(told.read_text())
        assert content == {
            "source": "calls",
            "cdr_type": "calls",
            "date": "2016-01-01",
            "state": state,
            "cause": str(error),
        }
    assert "a-secret" not in told.read_text()


def test_an_address_is_told_and_a_broken_hook_stops_nothing(operator, tmp_path) -> None:
    received = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if len(received) == 3:
                self.wfile.write(b"no reply of this protocol\r\n")
                return
            self.send_response(200 if len(received) == 1 else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    source = operator.sources["calls"]
    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        answering = threading.Thread(target=server.serve_forever)
        answering.start()
        for _ in range(3):
            hooks.tell(f"http://127.0.0.1:{server.server_port}/", source, operator.day, DataFault("x"))
        server.shutdown()
        answering.join()
    assert [content["cause"] for content in received] == ["x", "x", "x"]
    for hook in (None, "", f"http://127.0.0.1:{server.server_port}/", str(tmp_path / "absent")):
        hooks.tell(hook, source, operator.day, DataFault("x"))


@pytest.mark.parametrize(
    ("today", "months", "first"),
    [
        ("2016-03-31", 1, "2016-02-29"),
        ("2016-03-15", 3, "2015-12-15"),
        ("2016-03-15", 24, "2014-03-15"),
        ("2016-01-01", 13, "2014-12-01"),
    ],
)
def test_the_first_day_that_is_kept(today, months, first) -> None:
    assert retention.first_kept(dt.date.fromisoformat(today), months) == dt.date.fromisoformat(first)


def test_old_days_are_dropped_from_both_stores(operator) -> None:
    today = dt.datetime.now(operator.deployment.zone).date()
    kept = retention.first_kept(today, 24)
    for day in (kept, kept - dt.timedelta(1)):
        operator.write("calls", [operator.call("a", "10:00:00", operator.alice, operator.bob, day=day)], day)
        operator.load(day=day)
    assert "would be dropped" in operator.command("retain", "--months", "24", "--dry-run").stdout
    assert operator.value("SELECT count(*) FROM events.calls") == 2
    operator.environment["FLOWETL_RETAIN_MONTHS"] = "24"
    assert f"calls {kept - dt.timedelta(1)}: dropped" in operator.command("retain").stdout
    assert operator.rows("SELECT cdr_date FROM etl.available_dates") == [(kept,)]
    assert len(operator.day_files()) == 2
    keeping = dataclasses.replace(operator.deployment, retain_months=24)
    missing = missing_days(keeping, operator.sources["calls"], kept - dt.timedelta(9), kept + dt.timedelta(1))
    assert missing.days == [kept + dt.timedelta(1)]
    operator.environment["FLOWETL_RETAIN_MONTHS"] = "0"
    assert "FLOWETL_RETAIN_MONTHS" in operator.command("retain", check=False).stderr


def listed(operator, *numbers: str) -> Path:
    path = operator.folder / "opt-out.txt"
    path.write_text("\n".join(["# those who wrote to us", "", *numbers, ""]))
    return path


def stored(operator) -> tuple[list, list]:
    """The rows of both stores, each as whose and whether the other party is known."""
    in_database = operator.rows(
        "SELECT subscriber_key(msisdn), subscriber_key(msisdn_counterpart) FROM events.calls ORDER BY 1, 2"
    )
    paths = [
        str(operator.deployment.columnar / path)
        for (path,) in operator.rows("SELECT path FROM etl.columnar_files")
    ]
    in_files = duckdb.sql(
        "SELECT subscriber, counterpart FROM read_parquet($1) ORDER BY 1, 2", params=[paths]
    )
    return in_database, in_files.fetchall()


def test_nobody_who_opted_out_is_stored_or_stays(operator) -> None:
    local = operator.alice.msisdn.removeprefix("977")
    wishing = dataclasses.replace(
        operator.deployment, opt_out=listed(operator, f"+977 {local[:4]}-{local[4:]}")
    )
    operator.write("calls", operator.two_calls())
    day = operator.day + dt.timedelta(1)
    operator.write("calls", [operator.call("z", "10:00:00", operator.bob, operator.carol, day=day)], day)
    load_day(wishing, operator.sources["calls"], operator.day)
    at_once = stored(operator)
    assert len(at_once[0]) == 2
    assert all(counterpart is None for _, counterpart in at_once[0])
    assert "1 records of subscribers who opted out were left out" in operator.value(
        "SELECT note FROM etl.loads"
    )

    operator.load()
    operator.load(day=day)
    before = operator.value("SELECT load_id FROM etl.current_loads WHERE cdr_date = %s", operator.day)
    assert [tuple(removed) for removed in remove(wishing)] == [("calls", operator.day, 1)]
    in_database, in_files = stored(operator)
    assert in_database == in_files
    (bob_and_carol,) = [row for row in in_database if row[1] is not None]
    assert sorted(at_once[0]) == sorted(row for row in in_database if row != bob_and_carol)
    assert operator.value("SELECT load_id FROM etl.current_loads WHERE cdr_date = %s", operator.day) != before
    assert (
        operator.value(
            "SELECT rows FROM etl.loads JOIN etl.current_loads USING (load_id) WHERE current_loads.cdr_date = %s",
            operator.day,
        )
        == 2
    )
    assert len(operator.day_files()) == 4
    assert operator.tallies_are_right()
    assert list(remove(wishing)) == []


def test_a_list_that_cannot_be_read_lets_no_day_in(operator) -> None:
    operator.write("calls", operator.two_calls())
    secret = "98123456.0"
    for path, told in (
        (operator.folder / "absent", "absent cannot be read"),
        (listed(operator, operator.alice.msisdn, secret), "entry 2 cannot be read as a number"),
    ):
        with pytest.raises(ConfigurationError, match=told) as error:
            load_day(
                dataclasses.replace(operator.deployment, opt_out=path),
                operator.sources["calls"],
                operator.day,
            )
        assert secret not in str(error.value)
    assert operator.value("SELECT count(*) FROM events.calls") == 0
    assert "FLOWETL_OPT_OUT is not set" in operator.command("opt-out", check=False).stderr


def test_the_report_is_one_file_that_asks_nobody(operator) -> None:
    today = dt.datetime.now(operator.deployment.zone).date()
    for name in ("c1", "<silent>"):
        operator.rows(
            "INSERT INTO infrastructure.cells (id, version, geom_point) VALUES (%s, 0, ST_SetSRID(ST_MakePoint(1, 1), 4326))",
            name,
        )
    for path in operator.deployment.sources_folder.glob("*.yml"):
        text = path.read_text().replace("start: 2016-01-01", f"start: {today - dt.timedelta(20)}")
        # The first run was long ago, at whatever time of day this runs.
        path.write_text(text.replace('"0 2 * * *"', '"0 0 * * *"').replace("timeout: 5,", "timeout: 0,"))
    for ago in range(2, 10):
        day = today - dt.timedelta(ago)
        calls = [
            operator.call(str(n), f"{n:02}:00:00", operator.alice, operator.bob, day=day) for n in range(9)
        ]
        operator.write("calls", [*calls[: 2 if ago == 4 else 9], ["broken"]], day)
        operator.load(day=day)
    page = operator.folder / "page.html"
    operator.command("report", "--output", str(page))
    text = page.read_text()
    assert f"anomalies: {today - dt.timedelta(4)}" in text
    assert "share of located events, up to 1" in text
    assert "<td>wrong_number_of_fields</td><td>8</td>" in text
    assert "<td>&lt;silent&gt;</td><td>never</td>" in text
    assert "<td>c1</td>" not in text
    assert f"{today - dt.timedelta(1)} missing" in text
    assert operator.alice.msisdn not in text
    assert "http" not in text
    assert list(operator.folder.glob(".page*")) == []


def test_anomalies_need_a_series() -> None:
    day = dt.date(2016, 1, 1)
    series = [(day + dt.timedelta(n), value) for n, value in enumerate([10.0, 11, 10, 9, 10, 50])]
    assert nightreport.anomalies(series) == {day + dt.timedelta(5)}
    assert nightreport.anomalies(series[:2] + series[-1:]) == set()
    assert nightreport.anomalies([(date, 7.0) for date, _ in series]) == set()
