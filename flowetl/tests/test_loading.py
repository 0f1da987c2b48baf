"""Load a day: both stores' contents, and the traces of a wrong file."""

import datetime as dt
import gzip
import hashlib
import hmac
import os
import stat
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import duckdb
import pytest

from flowetl import columnar, loading, partitions, staging
from flowetl.deployment import Deployment
from flowetl.errors import Busy, Changed, ConfigurationError, DataFault, NotReady, UnexpectedFault
from flowetl.events import CDR_TYPES, COLUMNS
from flowetl.loading import load_day
from flowetl.partitions import NewPartition
from flowetl.records import day_lock
from flowetl.spill import remove_abandoned, spill_folder
from flowetl.withdrawal import Drift, reconcile

KEY = bytes.fromhex("05405135639dac4945ee8ce31a67c8ff45b1cc9abf553f2a173b6378acfe0ac9")


def pseudonym(label: str, normal: str) -> str:
    return hmac.new(KEY, f"{label}:{normal}".encode(), hashlib.sha256).hexdigest()


def columnar_files(operator) -> list[str]:
    return sorted(
        str(path.relative_to(operator.folder)) for path in operator.deployment.columnar.rglob("*.parquet")
    )


def test_a_day_reaches_the_partition_with_pseudonyms_and_typed_columns(operator) -> None:
    operator.write("calls", operator.two_calls())
    loaded = operator.load()
    assert (loaded.rows, loaded.rejects) == (3, 0)
    row = operator.rows("SELECT * FROM events.calls_20160101 WHERE id = 'a' AND outgoing")[0]
    alice, bob = operator.alice, operator.bob
    assert row == (
        "a",
        True,
        dt.datetime(2016, 1, 1, 10, tzinfo=dt.UTC),
        60,
        None,
        pseudonym("msisdn", alice.msisdn),
        pseudonym("msisdn", bob.msisdn),
        "c1",
        pseudonym("imsi", alice.imsi),
        pseudonym("imei", alice.imei),
        35123456,
        None,
        None,
    )
    legs = operator.rows(
        "SELECT msisdn, msisdn_counterpart FROM events.calls WHERE id = 'a' ORDER BY outgoing"
    )
    assert legs[0] == legs[1][::-1]


def test_a_published_day_is_recorded_everywhere(operator) -> None:
    operator.write("calls", operator.two_calls())
    operator.load()
    day = operator.day
    assert operator.rows("SELECT cdr_type, cdr_date FROM etl.available_dates") == [("calls", day)]
    assert operator.rows("SELECT * FROM events.location_ids ORDER BY 1") == [
        ("c1", "calls", day, day),
        ("c2", "calls", day, day),
    ]
    assert operator.rows("SELECT * FROM available_tables WHERE table_name = 'calls'") == [
        ("calls", True, True, True)
    ]
    states = [state for (state,) in operator.rows("SELECT state FROM etl.etl_records ORDER BY id")]
    assert states == ["waiting", "loading", "ingested"]
    path, sha256 = operator.rows("SELECT path, sha256 FROM etl.columnar_files")[0]
    assert hashlib.sha256((operator.deployment.columnar / path).read_bytes()).hexdigest() == sha256
    load_id = operator.value("SELECT load_id FROM etl.current_loads")
    dictionary = duckdb.read_parquet(
        str(operator.deployment.columnar / "subscribers" / f"{load_id}.parquet")
    ).fetchall()
    assert sorted(dictionary) == sorted(
        operator.rows("SELECT subscriber_key, pseudonym FROM etl.subscriber_keys")
    )
    assert len(dictionary) == 3
    indexes = operator.rows("SELECT indexname FROM pg_indexes WHERE tablename = 'calls_20160101' ORDER BY 1")
    assert indexes == [("calls_20160101_location_id_idx",), ("calls_20160101_msisdn_idx",)]
    assert operator.value("SELECT reltuples FROM pg_class WHERE relname = 'calls_20160101'") == 3
    assert operator.value("SELECT reloptions FROM pg_class WHERE relname = 'calls_20160101'") == [
        "autovacuum_enabled=off"
    ]
    analysed = operator.rows("SELECT attname FROM pg_stats WHERE tablename = 'calls_20160101' ORDER BY 1")
    assert analysed == [
        (name,) for name in ("datetime", "location_id", "msisdn", "msisdn_counterpart", "outgoing", "tac")
    ]
    assert operator.rows("SELECT algorithm, from_date, to_date FROM etl.pseudonym_epochs") == [
        ("HMAC-SHA-256", day, day)
    ]


SQL_OF = {
    "subscriber": "subscriber_key(msisdn)",
    "time": "datetime AT TIME ZONE 'UTC'",
    "local_time": "datetime AT TIME ZONE 'Asia/Kathmandu'",
    "cell": "(SELECT location_key FROM etl.location_keys AS k WHERE k.location_id = e.location_id)",
    "tac": "tac::integer",
    "counterpart": "subscriber_key(msisdn_counterpart)",
    "event_id": "subscriber_key(id)",
}


@pytest.mark.parametrize("cdr_type", CDR_TYPES)
def test_both_stores_hold_the_same_rows(cluster, operator, monkeypatch, cdr_type) -> None:
    who = operator.alice
    identity = [who.msisdn, who.imsi, who.imei, "c1"]
    rows = {
        "calls": operator.two_calls(),
        "sms": [
            ["m1", "SMMO", "2016-01-01 00:00:00", who.msisdn, operator.bob.msisdn, who.imsi, who.imei, "c1"]
        ],
        "mds": [
            ["d1", "2016-01-01 12:00:00", 12.5, 1234567, 1, *identity],
            ["d2", "2016-01-01 13:00:00", "", 0, 0, *identity],
        ],
        "topups": [["t1", "2016-01-01 09:00:00", "app", 20, 0.4, 2.6, 9.11, 26.11, *identity]],
    }[cdr_type]
    with cluster.database("Asia/Kathmandu") as database:
        for name, value in database.environment().items():
            monkeypatch.setenv(name, value)
        operator.deployment, operator.database = Deployment.from_settings(), database
        operator.write(cdr_type, rows)
        operator.load(cdr_type)
        found = duckdb.sql(
            f"SELECT * FROM '{operator.deployment.columnar}/events/type={cdr_type}/date=2016-01-01/*.parquet'"
        )
        columns = [name for name in found.columns if name not in ("type", "date")]
        expressions = ", ".join(
            SQL_OF.get(name, f"{name}::float8" if name != "outgoing" else name) for name in columns
        )
        expected = operator.rows(f"SELECT {expressions} FROM events.{cdr_type} AS e ORDER BY 1, 2")
        assert found.select(*columns).fetchall() == expected
        assert len(expected) == len(rows)
        assert operator.tallies_are_right()
        lower = operator.value("SELECT min(datetime) FROM events." + cdr_type)
        assert lower >= dt.datetime(2015, 12, 31, 18, 15, tzinfo=dt.UTC)


def test_reloading_replaces_the_day_in_both_stores(operator) -> None:
    operator.write("calls", operator.two_calls())
    operator.load()
    first = operator.value("SELECT load_id FROM etl.current_loads")
    operator.write("calls", operator.two_calls()[:1])
    operator.load()
    assert operator.value("SELECT count(*) FROM events.calls") == 1
    assert len(operator.parquet()) == 1
    assert operator.value("SELECT load_id FROM etl.current_loads") != first
    assert operator.value("SELECT state FROM etl.loads WHERE load_id = %s", first) == "superseded"
    states = [state for (state,) in operator.rows("SELECT state FROM etl.etl_records ORDER BY id")]
    assert states[3:] == ["waiting", "loading", "superseded", "ingested"]
    assert len(operator.day_files()) == 2
    assert operator.tallies_are_right()
    assert (operator.deployment.columnar / "subscribers" / f"{first}.parquet").exists()


def test_a_query_in_progress_is_not_disturbed_by_a_reload(operator, monkeypatch) -> None:
    monkeypatch.setattr("flowetl.partitions.LOCK_TIMEOUT", "100ms")
    operator.write("calls", operator.two_calls())
    operator.load()
    reader = operator.database.connect("flowmachine")
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM events.calls")
        thread = threading.Thread(target=operator.load)
        thread.start()
        thread.join(1.5)
        assert thread.is_alive()
        cursor.execute("SELECT count(*) FROM events.calls")
        assert cursor.fetchone() == (3,)
        reader.commit()
        thread.join(30)
    reader.close()
    assert operator.value("SELECT count(*) FROM etl.etl_records WHERE state = 'ingested'") == 2


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (None, NotReady, "calls_2016-01-01.csv.gz is not in cdr/ of the landing folder"),
        (b"", DataFault, "calls_2016-01-01.csv.gz is empty (0 bytes)"),
        (b"call_id,msisdn\n", DataFault, "is not a sound gzip file"),
        (gzip.compress(b"x" * 99999, mtime=0)[:-12], DataFault, "is truncated"),
        (gzip.compress(b"call_id,msisdn\nx,y\n", mtime=0), DataFault, "wrong header: missing record_type"),
        (
            gzip.compress(
                b"call_id,record_type,start_time,duration,calling,called,imsi,imei,cell_id\n", mtime=0
            ),
            DataFault,
            "holds 0 good records; minimum_rows is 1",
        ),
    ],
)
def test_a_wrong_file_has_its_own_message_and_state(operator, content, error, told) -> None:
    if content is not None:
        operator.write_bytes("calls", content)
    with pytest.raises(error) as raised:
        operator.load()
    assert told in str(raised.value)
    assert operator.rows("SELECT state, note FROM etl.loads") == [("failed", str(raised.value))]
    assert operator.value("SELECT count(*) FROM etl.available_dates") == 0
    assert operator.value("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'calls\\_2016%%'") == 0
    assert columnar_files(operator) == []


def test_a_file_that_comes_late_is_waited_for(operator) -> None:
    timer = threading.Timer(0.5, operator.write, ("calls", operator.two_calls()))
    timer.start()
    assert operator.load(wait=True).rows == 3
    timer.join()


def test_a_growing_file_is_not_loaded_until_it_stops_growing(operator, tmp_path: Path) -> None:
    path = operator.write("calls", operator.two_calls()[:1])
    whole = gzip.compress(
        gzip.decompress(path.read_bytes()) + ",".join(map(str, operator.two_calls()[2])).encode()
    )
    path.write_bytes(whole[:20])
    timer = threading.Timer(0.1, path.write_bytes, (whole,))
    timer.start()
    assert operator.load().rows == 2
    timer.join()


def test_a_file_that_never_stops_growing_is_told(operator, monkeypatch) -> None:
    path = operator.write("calls", operator.two_calls())
    grows = iter(range(1000))
    # However long the machine takes, it was written a moment ago.
    os.utime(path, (4e9, 4e9))
    monkeypatch.setattr("flowetl.arrival.time.sleep", lambda _: path.write_bytes(b"x" * (next(grows) + 1)))
    source = operator.sources["calls"]
    impatient = source.model_copy(update={"stability": source.stability.model_copy(update={"timeout": 0})})
    with pytest.raises(NotReady, match="is still being written"):
        load_day(operator.deployment, impatient, operator.day)


def test_a_file_that_changes_while_it_is_read_is_not_loaded(operator, monkeypatch) -> None:
    path = operator.write("calls", operator.two_calls())
    stage = loading.StagedDay.stage

    def touch_and_stage(self, prepared) -> None:
        os.utime(path)
        stage(self, prepared)

    monkeypatch.setattr(loading.StagedDay, "stage", touch_and_stage)
    with pytest.raises(Changed, match="changed while it was read"):
        operator.load()


def test_one_loader_at_a_time_works_on_a_day(operator) -> None:
    operator.write("calls", operator.two_calls())
    with operator.deployment.connect() as connection, day_lock(connection, "calls", operator.day):
        with pytest.raises(Busy, match="calls of 2016-01-01 is being loaded by another process"):
            operator.load()
        assert operator.value("SELECT count(*) FROM etl.loads") == 0
    operator.load()


def test_a_changed_secret_needs_a_new_key_id(operator, monkeypatch) -> None:
    operator.write("calls", operator.two_calls())
    operator.load()
    monkeypatch.setenv(
        "FLOWETL_PSEUDONYM_KEY", "20af2e45e35866cd1f34e50fd5eafda74d788071bf14617e65e375692704c7a7"
    )
    with pytest.raises(ConfigurationError, match="is not the secret that key id '1' stood for"):
        operator.load()
    source = operator.sources["calls"]
    renewed = source.model_copy(update={"identifiers": source.identifiers.model_copy(update={"key_id": "2"})})
    load_day(operator.deployment, renewed, operator.day)
    assert operator.value("SELECT count(*) FROM etl.pseudonym_epochs") == 2


def test_what_a_process_keeps_from_day_to_day(operator) -> None:
    """Check that the dictionary grows by new pairs and a lost connection reopens."""
    next_day = operator.day + dt.timedelta(days=1)
    alice, bob, carol = operator.alice, operator.bob, operator.carol
    operator.write("calls", [operator.call("a", "10:00:00", alice, bob)])
    operator.write("calls", [operator.call("b", "10:00:00", carol, alice, day=next_day)], next_day)
    operator.load()
    operator.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'flowetl'"
    )
    operator.load(day=next_day)
    dictionaries = {
        day: duckdb.read_parquet(str(operator.deployment.columnar / "subscribers" / f"{load_id}.parquet"))
        .select("pseudonym")
        .fetchall()
        for day, load_id in operator.rows("SELECT cdr_date, load_id FROM etl.current_loads")
    }
    assert sorted(dictionaries[operator.day]) == sorted(
        (pseudonym("msisdn", who.msisdn),) for who in (alice, bob)
    )
    assert dictionaries[next_day] == [(pseudonym("msisdn", carol.msisdn),)]
    assert operator.value("SELECT count(*) FROM etl.subscriber_keys") == 3


def test_a_failed_day_s_subscribers_are_not_taken_for_known(operator, monkeypatch) -> None:
    operator.write("calls", operator.two_calls())
    with monkeypatch.context() as patched, pytest.raises(DataFault, match="stopped"):
        patched.setattr("flowetl.loading._record_metrics", stop)
        operator.load()
    operator.load()
    assert operator.value("SELECT count(*) FROM etl.subscriber_keys") == 3


def stop(*_) -> None:
    raise DataFault("stopped")


def test_a_database_in_memory_that_has_spilled_is_not_used_again(monkeypatch) -> None:
    monkeypatch.setattr(staging, "MEMORY_LIMIT", "16MB")
    monkeypatch.setattr(staging, "_idle", [])
    with staging._empty_database(1) as small:
        small.execute("CREATE TABLE day AS SELECT 1 AS a")
    with staging._empty_database(1) as large:
        assert large is small
        ((folder,),) = large.execute("SELECT current_setting('temp_directory')").fetchall()
        large.execute("CREATE TABLE day AS SELECT hash(range) AS a FROM range(5_000_000)")
        assert any(Path(folder).iterdir())
    assert not Path(folder).exists()
    with staging._empty_database(1) as fresh:
        assert fresh is not large
    with pytest.raises(ValueError, match="wrong"), staging._empty_database(1):
        raise ValueError("wrong")
    assert staging._idle == []


def test_every_column_of_a_type_is_the_database_s(operator) -> None:
    for cdr_type, columns in COLUMNS.items():
        there = operator.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'events' AND table_name = %s "
            "ORDER BY ordinal_position",
            cdr_type,
        )
        assert [name for (name,) in there] == [column.name for column in columns]


def test_what_fails_after_the_day_is_visible_does_not_fail_the_load(operator, monkeypatch) -> None:
    operator.write("calls", operator.two_calls())
    with monkeypatch.context() as patched:
        patched.setattr("flowetl.loading._remove_other_versions", stop)
        assert operator.load().rows == 3
    assert operator.rows("SELECT state FROM etl.loads") == [("ingested",)]
    states = [state for (state,) in operator.rows("SELECT state FROM etl.etl_records ORDER BY id")]
    assert states == ["waiting", "loading", "ingested"]


def test_reconcile_keeps_the_dictionary_of_what_was_ever_visible(operator) -> None:
    operator.write("calls", operator.two_calls())
    operator.load()
    operator.rows("UPDATE etl.loads SET state = 'failed'")
    assert reconcile(operator.deployment) == Drift()
    assert len(list(operator.deployment.columnar.glob("subscribers/*.parquet"))) == 1


def test_a_connection_lost_on_the_way_is_told_as_what_it_is_and_may_be_tried_again(
    operator, monkeypatch
) -> None:
    operator.write("calls", operator.two_calls())
    attach = NewPartition.attach

    def lose_and_attach(self, columns) -> None:
        operator.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'flowetl'"
        )
        attach(self, columns)

    with monkeypatch.context() as patched, pytest.raises(UnexpectedFault) as raised:
        patched.setattr(NewPartition, "attach", lose_and_attach)
        operator.load()
    assert raised.value.transient
    assert "unexpected OperationalError" in str(raised.value)
    operator.load()
    records = operator.rows("SELECT state, note FROM etl.etl_records ORDER BY id")
    assert records[2] == ("failed", "interrupted")
    assert records[-1][0] == "ingested"


def test_only_the_owner_may_read_the_columnar_files(operator) -> None:
    operator.write("calls", operator.two_calls())
    operator.load()
    for path in operator.deployment.columnar.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_file_that_could_not_be_written_leaves_nothing(operator, tmp_path) -> None:
    def write(path: Path) -> None:
        path.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        columnar.publish_file(tmp_path / "columnar", "events/day.parquet", write)
    assert [path for path in (tmp_path / "columnar").rglob("*") if path.is_file()] == []


def test_spilled_folders_of_killed_processes_are_removed_and_others_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = (
        "import os, signal; from flowetl.spill import spill_folder\n"
        "with spill_folder() as folder: os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60)
    (abandoned,) = tmp_path.glob("flowetl-*")
    os.utime(abandoned, (1e9, 1e9))
    with spill_folder() as held:
        assert not abandoned.exists()
        os.utime(held, (1e9, 1e9))
        remove_abandoned()
        assert Path(held).exists()
    assert not Path(held).exists()


def test_an_own_check_sees_the_day_that_was_loaded(operator) -> None:
    folder = operator.deployment.sources_folder / "qa_checks"
    folder.mkdir()
    for name, table in (("own", "final_table"), ("parent", "parent_table"), ("named", "table_name")):
        qualified = "events.{{ table_name }}" if name == "named" else "{{ " + table + " }}"
        (folder / f"{name}.sql").write_text(f"SELECT count(*) FROM {qualified}")
    found = []
    for rows in (operator.two_calls(), operator.two_calls()[:1]):
        operator.write("calls", rows)
        operator.load()
        found.append(
            operator.rows(
                "SELECT type_of_query_or_check, outcome FROM etl.deduped_post_etl_queries "
                "WHERE type_of_query_or_check IN ('own', 'parent', 'named') ORDER BY 1"
            )
        )
    assert found == [[("named", n), ("own", n), ("parent", n)] for n in ("3", "1")]
    # A check that fails on the new load must not go on telling what the old one was like.
    (folder / "own.sql").write_text("SELECT 1 / 0")
    operator.load()
    assert (
        operator.value(
            "SELECT outcome FROM etl.deduped_post_etl_queries WHERE type_of_query_or_check = 'own'"
        )
        is None
    )


def test_two_loads_that_replace_days_do_not_wait_for_each_other(operator, monkeypatch) -> None:
    monkeypatch.setattr(partitions, "SWAP_DEADLINE_SECONDS", 0.0)
    operator.write("calls", operator.two_calls())
    operator.load()
    other = operator.database.connect()
    try:
        # Another load is at its copy: its transaction is open.
        day = operator.day + dt.timedelta(days=1)
        with other.cursor() as cursor:
            new = partitions.NewPartition(cursor, "calls", day, operator.deployment.zone, uuid.uuid4())
            new.create()
            operator.load()
        other.commit()
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM (SELECT attname, atttypid, atttypmod, attnotnull, attcollation FROM pg_attribute "
                "WHERE attnum > 0 AND attrelid = 'events.calls'::regclass EXCEPT SELECT attname, atttypid, atttypmod, "
                "attnotnull, attcollation FROM pg_attribute WHERE attrelid = %s::regclass) AS different",
                (new.table.as_string(cursor),),
            )
            assert cursor.fetchone() == (0,)
    finally:
        other.close()
