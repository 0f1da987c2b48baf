"""The commands as an administrator runs them."""

import gzip
import json
import re
import subprocess
import sys
from datetime import timedelta

import pytest


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
    assert list(operator.deployment.columnar.glob("events/*/*/*")) == []
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
    assert done.stdout == "calls 2016-01-01: 24 of 24 checks\n"
    twice = operator.rows(
        "SELECT type_of_query_or_check FROM etl.post_etl_queries GROUP BY 1 "
        "HAVING count(*) <> 2 OR count(DISTINCT outcome) > 1"
    )
    assert twice == []


def test_reconcile_reports_what_only_a_load_can_mend(operator) -> None:
    fill(operator, 1)
    operator.command("run", "--source", "calls", "--date", "2016-01-01")
    path = operator.value("SELECT path FROM etl.columnar_files")
    (operator.deployment.columnar / path).unlink()
    done = operator.command("reconcile", check=False)
    assert done.returncode == 1
    assert f"columnar file missing, run the command repair: {path}" in done.stdout


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
    assert (done.returncode, "FLOWETL_PSEUDONYM_KEY has 40 bits; at least 256 are needed" in done.stderr) == (
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
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["wrong", "good", "wrong", "good"]


def test_loading_by_hand_needs_no_prefect() -> None:
    code = "import sys, flowetl.__main__, flowetl.backfill; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.fixture
def everything(operator) -> str:
    """Every byte that loading leaves anywhere but in the operator's own files, and every word it says."""
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
