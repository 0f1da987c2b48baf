"""Rebuild lost or altered columnar files from the database under the same load."""

import dataclasses
import datetime as dt
import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from flowetl.deployment import Deployment
from flowetl.errors import Busy
from flowetl.loading import load_day
from flowetl.records import day_lock
from flowetl.repair import examine, repair, watch

TIMES = ("00:00:00", "01:30:00", "01:30:00", "02:30:00", "23:59:59")


def fill(operator) -> None:
    """Load a day of each type with nulls, ties, empty and odd texts, long fractions."""
    day, nobody = operator.day, dataclasses.replace(operator.bob, msisdn="")
    cells = ("c1", "", '"c ""2"""', "c1", "ç3")
    called = [
        operator.call(f'"id, {n}"', time, operator.alice, operator.bob, out=n % 2 == 0, cell=cell, day=day)
        for n, (time, cell) in enumerate(zip(TIMES, cells, strict=True))
    ]
    called.append(operator.call("alone", "12:00:00", operator.carol, nobody, day=day))
    operator.write("calls", called, day)
    bob = operator.bob
    bought = [
        (
            f"t{number}",
            f"{day} {time}",
            "shop",
            amount,
            "0.1",
            "",
            "1e-7",
            "12345678.9",
            bob.msisdn,
            "",
            "",
            "c1",
        )
        for number, (time, amount) in enumerate(
            zip(TIMES, ("0.1", "", "1e6", "3.3333333333333335", "7"), strict=True)
        )
    ]
    operator.write("topups", bought, day)


def load(operator, deployment=None) -> None:
    for name in ("calls", "topups"):
        load_day(deployment or operator.deployment, operator.sources[name], operator.day)


def file_of(operator, cdr_type: str = "calls", folder: str = "events") -> Path:
    (path,) = (operator.deployment.columnar / f"{folder}/type={cdr_type}").glob("*/*.parquet")
    return path


def delete(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = [(delete, "missing"), (shorten, "damaged"), (flip, "damaged")]


def content(path: Path) -> pa.Table:
    """Rows in an order of their own: events at one instant have none."""
    table = pa.parquet.read_table(path)
    return table.sort_by([(name, "ascending") for name in table.column_names])


def records(operator) -> list[tuple]:
    """Everything that says which load a day is, and what its file is."""
    return [
        *operator.rows("SELECT * FROM etl.current_loads ORDER BY 1, 2"),
        *operator.rows(
            "SELECT cdr_type, cdr_date, load_id, path, rows FROM etl.columnar_files ORDER BY 1, 2"
        ),
        *operator.rows("SELECT load_id, state FROM etl.loads ORDER BY 1"),
    ]


def manifest_is_right(operator) -> bool:
    return all(
        (size, digest) == ((file := operator.deployment.columnar / path).stat().st_size, sha256(file))
        for path, size, digest in operator.rows(
            "SELECT path, bytes, sha256 FROM etl.columnar_files "
            "UNION ALL SELECT tally_path, tally_bytes, tally_sha256 FROM etl.columnar_files"
        )
    )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("damage", "fault"), DAMAGES)
def test_a_file_is_rebuilt_as_it_was(operator, damage: Callable[[Path], None], fault: str) -> None:
    fill(operator)
    load(operator)
    path = file_of(operator)
    before, told, schema = content(path), records(operator), pa.parquet.read_schema(path)
    assert before.num_rows == len(TIMES) + 1
    assert before.column("cell").null_count == 1
    damage(path)

    listed = operator.command("repair", "--dry-run", check=False)
    assert (listed.returncode, listed.stdout) == (
        1,
        f"{fault}: {path.relative_to(operator.deployment.columnar)}\n",
    )
    done = operator.command("repair")
    assert done.stdout.splitlines()[0] == f"rebuilt: {path.relative_to(operator.deployment.columnar)}"
    assert content(path).equals(before)
    assert pa.parquet.read_schema(path).equals(schema)
    assert records(operator) == told
    assert manifest_is_right(operator)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert operator.command("repair", "--dry-run").stdout == "every columnar file is as it was written\n"


def forget(operator) -> None:
    """Make the day one that was loaded before there were tallies."""
    path = file_of(operator, folder="tallies")
    path.unlink()
    operator.rows(
        "UPDATE etl.columnar_files SET tally_path = NULL, tally_bytes = NULL, tally_sha256 = NULL "
        "WHERE cdr_type = 'calls'"
    )


@pytest.mark.parametrize("damage", [delete, shorten, flip, None])
def test_a_tally_is_made_again_from_the_days_file(operator, damage: Callable[[Path], None] | None) -> None:
    fill(operator)
    load(operator)
    path, day = file_of(operator, folder="tallies"), file_of(operator)
    before, told = path.read_bytes(), records(operator)
    assert operator.tallies_are_right()
    if damage is None:
        forget(operator)
    else:
        damage(path)
    written = day.stat().st_mtime_ns
    # Nothing of the database is needed.
    operator.rows("DELETE FROM events.calls")

    done = operator.command("repair")
    assert done.stdout.splitlines()[0] == f"rebuilt: {path.relative_to(operator.deployment.columnar)}"
    assert path.read_bytes() == before
    assert day.stat().st_mtime_ns == written
    assert records(operator) == told
    assert manifest_is_right(operator)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_both_files_of_a_day_are_made_again(operator) -> None:
    fill(operator)
    load(operator)
    paths = [file_of(operator, folder=folder) for folder in ("events", "tallies")]
    for path in paths:
        flip(path)
    done = operator.command("repair")
    shown = [path.relative_to(operator.deployment.columnar) for path in paths]
    assert done.stdout.splitlines()[:2] == [f"rebuilt: {path}" for path in shown]
    assert manifest_is_right(operator)


def test_every_type_and_clock(cluster, operator, monkeypatch) -> None:
    """On the day the clocks are set back, an hour comes twice."""
    autumn = dt.date(2016, 11, 6)
    with cluster.database("America/New_York") as database:
        for name, value in database.environment().items():
            monkeypatch.setenv(name, value)
        operator = dataclasses.replace(
            operator, day=autumn, database=database, deployment=Deployment.from_settings()
        )
        fill(operator)
        load(operator)
        paths = [file_of(operator, cdr_type) for cdr_type in ("calls", "topups")]
        before = [content(path) for path in paths]
        assert operator.tallies_are_right()
        clocks = before[0].select(["time", "local_time"]).to_pylist()
        assert len({clock["time"] - clock["local_time"] for clock in clocks}) == 2
        for path in paths:
            path.unlink()
        assert [fault for _, fault in repair(operator.deployment)] == [None, None]
        assert [content(path) for path in paths] == before
        assert operator.tallies_are_right()


def test_an_empty_day(operator) -> None:
    operator.write("topups", [])
    load_day(operator.deployment, operator.sources["topups"], operator.day)
    path = file_of(operator, "topups")
    before = content(path)
    path.unlink()
    assert [fault for _, fault in repair(operator.deployment)] == [None]
    assert content(path).equals(before)
    assert before.num_rows == 0


def test_what_the_database_does_not_have_any_more_is_not_made_up(operator) -> None:
    fill(operator)
    load(operator)
    path = file_of(operator)
    path.unlink()
    operator.rows("DELETE FROM events.calls WHERE id = 'alone'")
    done = operator.command("repair", check=False)
    assert done.returncode == 1
    assert "calls_20160101 has 5 rows where 6 were loaded; load the day again" in done.stdout
    assert not path.exists()
    operator.rows("DROP TABLE events.calls_20160101")
    assert "calls_20160101 is gone; load the day again" in operator.command("repair", check=False).stdout


def test_a_day_that_is_being_loaded_is_left_to_its_loader(operator) -> None:
    fill(operator)
    load(operator)
    file_of(operator).unlink()
    with operator.deployment.connect() as connection, day_lock(connection, "calls", operator.day):
        ((_, fault),) = repair(operator.deployment)
    assert isinstance(fault, Busy)
    assert [fault for _, fault in repair(operator.deployment)] == [None]


def listed(operator) -> list[tuple]:
    return operator.rows("SELECT cdr_type, cdr_date FROM etl.damaged_files ORDER BY 1")


def report(operator, *days: tuple[str, dt.date]) -> None:
    """As the engine does it."""
    for day in days:
        operator.rows("INSERT INTO etl.damaged_files (cdr_type, cdr_date) VALUES (%s, %s)", *day)


def test_the_watch_mends_what_was_listed_before_it_began_and_what_is_listed_later(operator) -> None:
    fill(operator)
    load(operator)
    calls, topups = file_of(operator), file_of(operator, "topups")
    flip(calls)
    # An intact file, or an unknown day, is removed from the list.
    report(operator, ("calls", operator.day), ("topups", operator.day), ("sms", operator.day))
    stopping = threading.Event()
    watching = threading.Thread(target=watch, args=(operator.deployment, stopping))
    watching.start()
    try:
        wait_for(lambda: listed(operator) == [])
        assert manifest_is_right(operator)
        topups.unlink()
        report(operator, ("topups", operator.day))
        wait_for(lambda: listed(operator) == [])
        assert manifest_is_right(operator)
    finally:
        stopping.set()
        watching.join()
    assert [day.faults for day in examine(operator.deployment)] == [{}, {}]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
