"""The commands as an administrator runs them."""

import errno
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from flowetl.backfill import missing_days
from flowetl.errors import DataFault, UnexpectedFault
from flowetl.quality import REJECTED, discover
from flowetl.records import day_lock
from flowetl.withdrawal import drop_day


def fill(operator, days: int = 3) -> None:
    for offset in range(days):
        day = operator.day + timedelta(days=offset)
        rows = [operator.call(f"{day}", "10:00:00", operator.alice, operator.bob, day=day), ["broken"]]
        operator.write("calls", rows, day)
        operator.write("topups", [], day)


def backfill(operator, *more: str, check: bool = True):
    return operator.command("backfill", "--start", "2016-01-01", "--end", "2016-01-03", *more, check=check)


def test_a_backfill_loads_in_parallel_skips_what_is_there_and_can_be_forced(operator) -> None:
    fill(operator)
    done = backfill(operator, "--source", "calls", "--max-parallel", "2")
    assert done.stdout.startswith("3 days loaded, 0 already there, 0 failed: 3 rows, 3 rejected")
    lines = [line for line in done.stderr.splitlines() if "days" in line]
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all(re.search(r"rows/s  calls 2016-01-0\d: 1 rows, 1 rejected", line) for line in lines)
    assert operator.value("SELECT count(*) FROM events.calls") == 3
    statistics = operator.value(
        "SELECT count(*) FROM pg_stats WHERE schemaname = 'events' AND tablename = 'calls'"
    )
    assert statistics == 3

    assert backfill(operator, "--source", "calls").stdout.startswith("0 days loaded, 3 already there")
    assert backfill(operator, "--source", "calls", "--force", "--max-parallel", "1").stdout.startswith(
        "3 days loaded"
    )
    assert operator.value("SELECT count(*) FROM etl.loads WHERE state = 'superseded'") == 3


def test_one_bad_day_does_not_stop_the_others(operator) -> None:
    fill(operator)
    operator.write_bytes("calls", b"", operator.day + timedelta(days=1))
    done = backfill(operator, "--source", "all", check=False)
    assert done.returncode == 1
    assert "failed: calls 2016-01-02: calls_2016-01-02.csv.gz is empty (0 bytes)" in done.stdout
    assert "failed: sms 2016-01-03: sms_2016-01-03.csv.gz is not in cdr/ of the landing folder" in done.stdout
    assert operator.rows("SELECT cdr_type, count(*) FROM etl.available_dates GROUP BY 1 ORDER BY 1") == [
        ("calls", 2),
        ("topups", 3),
    ]
    found = json.loads(operator.command("status", "--json").stdout)
    calls = found[0]
    assert (calls["cdr_type"], calls["days"], calls["rows"], calls["rejects"]) == ("calls", 2, 2, 2)
    assert calls["problems"][0]["state"] == "failed"
    assert "calls: 2 days, 2016-01-01 to 2016-01-03, 2 rows, 2 rejected" in operator.command("status").stdout


def test_a_dropped_day_is_gone_from_both_stores_and_can_be_loaded_again(operator) -> None:
    fill(operator, 1)
    operator.command("run", "--source", "calls", "--date", "2016-01-01")
    drop = ("drop", "--cdr-type", "calls", "--date", "2016-01-01", "--reason", "wrong switch")
    operator.command(*drop)
    assert operator.value("SELECT count(*) FROM etl.available_dates") == 0
    assert operator.value("SELECT count(*) FROM events.calls") == 0
    assert operator.day_files() == set()
    assert operator.rows("SELECT state, note FROM etl.etl_records ORDER BY id DESC LIMIT 1") == [
        ("dropped", "wrong switch")
    ]
    again = operator.command(*drop, check=False)
    assert (again.returncode, again.stderr) == (1, "flowetl: calls of 2016-01-01 is not loaded\n")
    operator.command("run", "--source", "calls", "--date", "2016-01-01")
    assert operator.value("SELECT count(*) FROM events.calls") == 1


def test_quality_checks_can_be_run_again(operator) -> None:
    fill(operator, 1)
    operator.command("run", "--source", "calls", "--date", "2016-01-01")
    done = operator.command("qa", "--cdr-type", "calls", "--start", "2016-01-01", "--end", "2016-01-05")
    checks = len(discover("calls"))
    assert done.stdout == f"calls 2016-01-01: {checks} of {checks} checks\n"
    # Refused records are counted by a load only.
    twice = operator.rows(
        "SELECT type_of_query_or_check FROM etl.post_etl_queries WHERE NOT starts_with(type_of_query_or_check, %s) "
        "GROUP BY 1 HAVING count(*) <> 2 OR count(DISTINCT outcome) > 1",
        REJECTED,
    )
    assert twice == []


def test_reconcile_reports_what_only_a_load_can_mend(operator) -> None:
    fill(operator, 1)
    operator.command("run", "--source", "calls", "--date", "2016-01-01")
    (paths,) = operator.rows("SELECT path, tally_path FROM etl.columnar_files")
    for path in paths:
        (operator.deployment.columnar / path).rename(
            (operator.deployment.columnar / path).with_name("other.parquet")
        )
    done = operator.command("reconcile", check=False)
    assert done.returncode == 1
    for path in paths:
        assert f"columnar file missing, run the command repair: {path}" in done.stdout
        assert f"removed orphan: {Path(path).with_name('other.parquet')}" in done.stdout


def test_wrong_use_is_told(operator) -> None:
    for arguments, told in [
        (
            ("run", "--source", "fax", "--date", "2016-01-01"),
            "flowetl: no source 'fax'; there are: calls, mds, sms, topups",
        ),
        (
            ("run", "--source", "calls", "--date", "1.1.2016"),
            "'1.1.2016' is not a date of the form YYYY-MM-DD",
        ),
        (
            ("backfill", "--source", "all", "--start", "2016-01-02", "--end", "2016-01-01"),
            "--end 2016-01-01 is before",
        ),
    ]:
        done = operator.command(*arguments, check=False)
        assert done.returncode == 2
        assert told in done.stderr
    operator.environment["FLOWETL_PSEUDONYM_KEY"] = "short"
    done = operator.command("run", "--source", "calls", "--date", "2016-01-01", check=False)
    assert (
        done.returncode,
        "FLOWETL_PSEUDONYM_KEY cannot be used: it must be 256 bits or more" in done.stderr,
    ) == (
        2,
        True,
    )


def test_every_wrong_source_is_told_at_once(operator) -> None:
    for name, old, new in (
        ("calls.yml", "cdr_type: calls", "cdr_type: fax"),
        ("sms.yml", "10 2 * * *", "soon"),
    ):
        path = operator.deployment.sources_folder / name
        path.write_text(path.read_text().replace(old, new))
    done = operator.command("validate-config", check=False)
    assert done.returncode == 2
    told = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert [word for word in told if word != "note"] == ["wrong", "good", "wrong", "good"]


def test_loading_by_hand_needs_no_prefect() -> None:
    code = "import sys, flowetl.__main__, flowetl.backfill; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.fixture
def everything(operator) -> str:
    """Return every byte that loading leaves outside the operator's files, and output."""
    rows = [
        operator.call("a", "10:00:00", operator.alice, operator.bob),
        [*operator.call("b", "10:00:00", operator.bob, operator.alice)[:5], '"unbalanced'],
        [operator.carol.msisdn],
        [
            *operator.call("c", "10:00:00", operator.carol, operator.alice)[:4],
            operator.carol.msisdn + "#",
            1,
            2,
            3,
            4,
        ],
        operator.call("d", operator.carol.msisdn, operator.carol, operator.alice),
    ]
    said = []
    operator.write("calls", rows)
    operator.write("calls", rows[2:], operator.day + timedelta(days=1))
    operator.write("sms", [[operator.alice.msisdn] * 3] * 50)
    operator.write("mds", [[operator.alice.msisdn, operator.alice.imsi]], header=False)
    (operator.deployment.sources_folder / "qa_checks").mkdir()
    (operator.deployment.sources_folder / "qa_checks" / "bad.sql").write_text(
        "SELECT msisdn::integer FROM {{ final_table }}"
    )
    for command in (
        "backfill --source all --start 2016-01-01 --end 2016-01-02",
        "preview --source calls --date 2016-01-01",
        "status",
        "reconcile",
        "qa --cdr-type calls --start 2016-01-01 --end 2016-01-01",
    ):
        done = operator.command(*command.split(), check=False)
        said += [done.stdout, done.stderr]
    tables = operator.rows(
        "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables "
        "WHERE schemaname IN ('events', 'etl', 'etl_private', 'public', 'cache') AND tablename <> 'spatial_ref_sys'"
    )
    for (table,) in tables:
        said += [str(row) for row in operator.rows(f"SELECT t::text FROM {table} AS t")]
    for path in operator.folder.rglob("*"):
        if path.is_file() and operator.deployment.landing not in path.parents:
            content = path.read_bytes()
            said += [
                str(path),
                (gzip.decompress(content) if path.suffix == ".gz" else content).decode("latin-1"),
            ]
    return "\n".join(said)


def test_no_raw_identifier_is_anywhere(operator, everything) -> None:
    import pyarrow.parquet

    assert operator.value("SELECT count(*) FROM events.calls") == 1
    parquet = [
        str(pyarrow.parquet.read_table(path).to_pylist())
        for path in operator.deployment.columnar.rglob("*.parquet")
    ]
    assert len(parquet) >= 2
    everything += "\n".join(parquet)
    for person in (operator.alice, operator.bob, operator.carol):
        for raw in (person.msisdn, person.imsi, person.imei, person.msisdn.removeprefix("977")):
            assert raw not in everything
            assert raw.encode().hex() not in everything
            assert f"{int(raw):x}" not in everything


def test_a_dropped_day_stays_away_until_it_is_asked_for(operator) -> None:
    fill(operator)
    backfill(operator, "--source", "calls", "--max-parallel", "1")
    operator.command("drop", "--cdr-type", "calls", "--date", "2016-01-02", "--reason", "retention")
    done = backfill(operator, "--source", "calls")
    assert done.stdout.startswith("0 days loaded, 2 already there, 0 failed")
    assert "1 dropped days left alone: run loads one of them again, --force all" in done.stdout
    assert operator.value("SELECT count(*) FROM etl.available_dates") == 2
    forced = backfill(operator, "--source", "calls", "--force", "--max-parallel", "1")
    assert forced.stdout.startswith("3 days loaded")
    assert "dropped" not in forced.stdout


def test_a_zone_that_is_not_the_database_s_is_refused(operator) -> None:
    fill(operator, 1)
    operator.environment["FLOWDB_TIMEZONE"] = "Asia/Kathmandu"
    done = operator.command("run", "--source", "calls", "--date", "2016-01-01", check=False)
    assert done.returncode == 2
    assert "FLOWDB_TIMEZONE is 'Asia/Kathmandu', but the days of the database begin in 'UTC'" in done.stderr
    assert operator.value("SELECT count(*) FROM etl.loads") == 0


def test_the_last_days_have_a_state_and_its_reason(operator) -> None:
    """Check the states: loaded, failed, dropped, absent, killed, due and missing."""
    operator.rows(
        "INSERT INTO infrastructure.cells (id, version, geom_point) "
        "VALUES ('c1', 0, ST_SetSRID(ST_MakePoint(1, 1), 4326))"
    )
    today = datetime.now(UTC).date()
    ago = {number: today - timedelta(days=number) for number in range(1, 9)}
    for path in operator.deployment.sources_folder.glob("*.yml"):
        if path.stem != "calls":
            path.unlink()
    config = operator.deployment.sources_folder / "calls.yml"
    text = config.read_text().replace("start: 2016-01-01", f"start: {ago[7]}")
    # The first run was long ago, at whatever time of day this runs.
    config.write_text(text.replace('"0 2 * * *"', '"0 0 * * *"').replace("timeout: 5,", "timeout: 0,"))

    def write(number: int) -> None:
        call = operator.call("a", "10:00:00", operator.alice, operator.bob, day=ago[number])
        operator.write("calls", [call], ago[number])

    for number in (7, 5, 2):
        write(number)
    for number in (7, 5):
        operator.load(day=ago[number])
    drop_day(operator.deployment, "calls", ago[5], "wrong switch")
    operator.write_bytes("calls", b"", ago[6])
    with pytest.raises(DataFault):
        operator.load(day=ago[6])
    calls = ["--cdr-type", "calls", "--date"]
    operator.command("absent", *calls, str(ago[4]), "--reason", "the switch was renewed")
    operator.rows(
        "INSERT INTO etl.loads (load_id, source, cdr_type, cdr_date, state) "
        "VALUES (gen_random_uuid(), 'calls', 'calls', %s, 'loading')",
        ago[3],
    )

    def told() -> dict:
        status = json.loads(operator.command("status", "--json").stdout)
        calls = next(entry for entry in status if entry["cdr_type"] == "calls")
        return {day["date"]: (day["state"], day["reason"]) for day in calls["calendar"]}

    name = {number: f"calls_{ago[number]}.csv.gz" for number in ago}
    expected = {
        7: ("loaded", None),
        6: ("failed", f"{name[6]} is empty (0 bytes)"),
        5: ("dropped", "withdrawn; the command run loads it again"),
        4: ("absent", "the switch was renewed"),
        3: ("failed", "its process was stopped; the day is as it was before, and the next run loads it"),
        2: ("due", f"{name[2]} is there and the next run loads it"),
        1: ("missing", f"{name[1]} is not in cdr/ of the landing folder"),
    }
    assert told() == {str(ago[number]): state for number, state in expected.items()}
    with operator.deployment.connect() as connection, day_lock(connection, "calls", ago[3]):
        assert told()[str(ago[3])] == ("loading", None)
    assert f"  calls {ago[4]} absent: the switch was renewed" in operator.command("status").stdout

    missing = missing_days(operator.deployment, operator.sources["calls"], ago[7], ago[1])
    assert missing.days == [ago[1], ago[2], ago[3], ago[6]]
    operator.command("absent", *calls, str(ago[4]), "--undo")
    assert told()[str(ago[4])][0] == "missing"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, "No space left", "/columnar/x"),
            "the disk is full: make room (/columnar/x) and load",
        ),
        (
            PermissionError(errno.EACCES, "no", "/landing/x"),
            "/landing/x may not be read or written by the loader",
        ),
        (MemoryError(), "memory ran out: load fewer days at once"),
        (psycopg2.OperationalError("gone 9812345601"), "the connection to the database was lost"),
    ],
)
def test_a_fault_of_the_machine_is_told_with_its_cure(error: Exception, told: str) -> None:
    assert told in str(UnexpectedFault(error))
    assert "9812345601" not in str(UnexpectedFault(error))


def test_a_database_that_is_away_is_told_in_a_line(operator) -> None:
    operator.environment["FLOWDB_PORT"] = "1"
    for command in (
        ("status",),
        ("reconcile",),
        ("run", "--source", "calls", "--date", "2016-01-01"),
        ("backfill", "--source", "all", "--start", "2016-01-01", "--end", "2016-01-01"),
    ):
        done = operator.command(*command, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("flowetl: the database does not answer: ")


def test_a_day_of_another_source_is_refused(operator) -> None:
    done = operator.command("run", "--source", "calls", "--date", "2015-12-31", check=False)
    assert done.returncode == 2
    assert "calls covers the days from 2016-01-01 to now on, not 2015-12-31" in done.stderr


def test_what_reconcile_finds_unrecorded_can_be_dropped(operator) -> None:
    for table in ("calls_20160101", "calls_old"):
        day = "2016-01-01" if table == "calls_20160101" else "2016-02-01"
        operator.rows(
            f"CREATE TABLE events.{table} PARTITION OF events.calls "
            f"FOR VALUES FROM ('{day}') TO (date '{day}' + 1)"
        )
    done = operator.command("reconcile", check=False)
    assert "partition without a record, load the day again or drop it: calls_20160101" in done.stdout
    assert "detach or drop it in the database: calls_old" in done.stdout
    operator.command("drop", "--cdr-type", "calls", "--date", "2016-01-01", "--reason", "not ours")
    operator.rows("DROP TABLE events.calls_old")
    assert operator.command("reconcile").stdout == "both stores agree with the records\n"
    assert operator.rows("SELECT cdr_type, cdr_date, state, note FROM etl.etl_records") == [
        ("calls", operator.day, "dropped", "not ours")
    ]


def test_a_killed_process_costs_the_backfill_its_own_day_only(operator) -> None:
    fill(operator)
    # The name of a partition is taken by a transaction that does not end: loads of these days wait at it.
    holders = {}
    for name in ("calls_20160102", "calls_20160103"):
        holders[name] = operator.database.connect()
        holders[name].cursor().execute(f"CREATE TABLE events.{name} ()")
    command = "-m flowetl backfill --source calls --start 2016-01-01 --end 2016-01-03 --max-parallel 2"
    running = subprocess.Popen(
        [sys.executable, *command.split()],
        env=operator.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        kill_when_waiting(operator, running, 2)
        holders["calls_20160102"].rollback()
        kill_when_waiting(operator, running, 1)
        told, _ = running.communicate(timeout=120)
    finally:
        running.kill()
        running.communicate()
        for holder in holders.values():
            holder.close()
    assert running.returncode == 1
    assert told.startswith("2 days loaded, 0 already there, 1 failed")
    assert "failed: calls 2016-01-03: its process was killed twice" in told


def kill_when_waiting(operator, running: subprocess.Popen, loads: int) -> None:
    """Kill the loading processes as soon as ``loads`` loads wait for a transaction."""
    deadline = time.monotonic() + 120
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'flowetl' AND wait_event = 'transactionid'"
    )
    while operator.value(waiting) != loads:
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.05)
    for pid in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)
    # The server learns of it only when it has something to say, and holds the days till then.
    operator.rows(waiting.replace("count(*)", "pg_terminate_backend(pid)"))
