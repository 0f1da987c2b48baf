"""Load days from tables and views of an operator's PostgreSQL."""

import datetime as dt
import secrets
from pathlib import Path

import pytest
import yaml

from flowetl import databases
from flowetl.backfill import missing_days
from flowetl.errors import ConfigurationError, NotReady, Unreachable
from flowetl.loading import load_day
from flowetl.readers import place_of, reader_of

from .test_forms import BASE, DAY, given, refused, subscribers, text

ROLE = f"mediation_reader_{secrets.token_hex(4)}"
TABLE = {"dsn_secret": "FLOWETL_DSN_MEDIATION", "schema": "mediation", "name": "calls", "day": "started"}


@pytest.fixture
def mediation(operator, monkeypatch):
    """An operator's database: a table of calls, and a role that may read it."""
    server = operator.database.deployment
    operator.rows(
        f"CREATE ROLE {ROLE} LOGIN PASSWORD 'in-a-test'; GRANT CONNECT ON DATABASE {operator.database.name} TO {ROLE}; CREATE SCHEMA mediation; GRANT USAGE ON SCHEMA mediation TO {ROLE}; "
        "CREATE TABLE mediation.calls (kind text, started timestamp, number numeric(16, 1), other text, cell integer, "
        f"secret text); GRANT SELECT (kind, started, number, other, cell) ON mediation.calls TO {ROLE}"
    )
    dsn = f"host={server.host} port={server.port} dbname={operator.database.name} user={ROLE} password=in-a-test"
    monkeypatch.setenv("FLOWETL_DSN_MEDIATION", dsn)
    operator.environment["FLOWETL_DSN_MEDIATION"] = dsn
    yield operator
    operator.rows(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def insert(operator, first: int, rows: int, begin: str = f"{DAY} 00:00:00", step: str = "1 minute") -> None:
    operator.rows(
        "INSERT INTO mediation.calls SELECT 'MOC', %s::timestamp + n * %s::interval, 9841000000 + %s + n, '9842000001', n %% 3 "
        "FROM generate_series(0, %s - 1) AS n",
        begin,
        step,
        first,
        rows,
    )


def source(operator, **changed):
    table = TABLE | changed.pop("table", {})
    return given(operator, path=None, table={key: value for key, value in table.items() if value}, **changed)


def test_a_table_gives_the_same_day_as_a_file(mediation) -> None:
    insert(mediation, 0, 30)
    insert(mediation, 100, 5, f"{DAY + dt.timedelta(days=1)} 00:00:00")
    loaded = load_day(mediation.deployment, source(mediation), DAY)
    assert (loaded.rows, loaded.rejects) == (30, 0)
    from_table = mediation.rows("SELECT msisdn, datetime, location_id FROM events.calls ORDER BY 1, 2")
    lines = [",".join(BASE["fields"])] + [
        f"MOC,{DAY} 00:{n:02}:00,{9841000000 + n},9842000001,{n % 3}" for n in range(30)
    ]
    (mediation.deployment.landing / f"calls_{DAY}.csv").write_text("\n".join(lines))
    assert load_day(mediation.deployment, given(mediation), DAY).rows == 30
    assert from_table == mediation.rows(
        "SELECT msisdn, datetime, location_id FROM events.calls ORDER BY 1, 2"
    )
    assert mediation.rows("SELECT uri, size, mtime FROM etl.source_files ORDER BY uri")[1] == (
        "table mediation.calls",
        30,
        None,
    )


def test_no_raw_number_is_stored(mediation) -> None:
    insert(mediation, 0, 30)
    load_day(mediation.deployment, source(mediation), DAY)
    (path,) = mediation.deployment.columnar.glob("events/*/*/*.parquet")
    stored = str(mediation.rows("SELECT * FROM events.calls")) + str(
        mediation.rows("SELECT * FROM etl.loads")
    )
    assert "9841000" not in stored
    assert "9842000001" not in stored
    assert b"9841000" not in path.read_bytes()


def test_a_view_with_a_condition_by_text(mediation) -> None:
    insert(mediation, 0, 30)
    mediation.rows(
        "CREATE VIEW mediation.texts AS SELECT kind, to_char(started, 'DD.MM.YYYY HH24:MI:SS') AS started, number::text, other, "
        f"cell::text, to_char(started, 'YYYYMMDD') AS day FROM mediation.calls; GRANT SELECT ON mediation.texts TO {ROLE}"
    )
    mapping = BASE["mapping"] | {"datetime": {"column": "started", "format": "%d.%m.%Y %H:%M:%S"}}
    table = {"name": "texts", "day": None, "where": "day LIKE '{date:%Y%m%d}%' AND cell <> '2'"}
    # Of a text nothing is known: 9841000001.0 is no number.
    view = source(mediation, table=table, mapping=mapping, rejects={"maximum_rate": 1}, minimum_rows=0)
    loaded = load_day(mediation.deployment, view, DAY)
    assert (loaded.rows, loaded.rejects) == (0, 20)
    mediation.rows(
        "CREATE OR REPLACE VIEW mediation.texts AS SELECT kind, to_char(started, 'DD.MM.YYYY HH24:MI:SS') AS started, "
        "trunc(number)::text AS number, other, cell::text, to_char(started, 'YYYYMMDD') AS day FROM mediation.calls"
    )
    loaded = load_day(mediation.deployment, view, DAY)
    assert (loaded.rows, loaded.rejects) == (20, 0)


@pytest.mark.parametrize(
    ("column", "first_second"),
    [("timestamp", "2020-04-15 06:00:00"), ("timestamptz", "2020-04-15 00:00:00+00")],
)
def test_a_day_is_the_deployments_whatever_the_clock(mediation, column, first_second) -> None:
    # The file's clock is six hours ahead of the deployment's, which is UTC.
    mediation.rows(f"ALTER TABLE mediation.calls ALTER started TYPE {column}")
    begin = dt.datetime.fromisoformat(first_second)
    for number, second in enumerate((-1, 0, 86_399, 86_400)):
        mediation.rows(
            "INSERT INTO mediation.calls VALUES ('MOC', %s, %s, '9842000001', 1)",
            begin + dt.timedelta(seconds=second),
            9841000000 + number,
        )
    assert load_day(mediation.deployment, source(mediation, timezone="Asia/Dhaka"), DAY).rows == 2
    assert mediation.rows("SELECT datetime AT TIME ZONE 'UTC' FROM events.calls ORDER BY 1") == [
        (dt.datetime(2020, 4, 15),),
        (dt.datetime(2020, 4, 15, 23, 59, 59),),
    ]


def test_texts_of_every_kind_come_as_they_are(mediation) -> None:
    mediation.rows("ALTER TABLE mediation.calls ALTER cell TYPE text")
    for number, cell in enumerate(('a"b', "a,b", " two\nlines ", "", None, "\\N", "é")):
        mediation.rows(
            "INSERT INTO mediation.calls VALUES ('MOC', %s, %s, '9842000001', %s)",
            f"{DAY} 10:00:{number}",
            9841000000 + number,
            cell,
        )
    load_day(mediation.deployment, source(mediation, minimum_known_cells=0), DAY)
    assert [cell for (cell,) in mediation.rows("SELECT location_id FROM events.calls ORDER BY datetime")] == [
        'a"b',
        "a,b",
        "two\nlines",
        None,
        None,
        "\\N",
        "é",
    ]


def test_a_day_without_a_row_is_missing_and_one_that_grows_is_due(mediation) -> None:
    # At any time of day its first run is over, and no longer waits.
    date = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=3)
    calls = source(mediation)
    with pytest.raises(NotReady, match=rf"mediation.calls has no row of {date}"):
        load_day(mediation.deployment, calls, date)
    told = mediation.command("status", "--days", "3").stdout
    assert f"s {date} missing: mediation.calls has no row of {date}" in told
    insert(mediation, 0, 10, f"{date} 00:00:00")
    assert (
        "mediation.calls is there and the next run loads it"
        in mediation.command("status", "--days", "3").stdout
    )
    load_day(mediation.deployment, calls, date)
    assert date not in missing_days(mediation.deployment, calls, date, date).days
    insert(mediation, 50, 1, f"{date} 10:00:00")
    assert missing_days(mediation.deployment, calls, date, date).days == [date]


def test_a_database_that_is_down_stops_no_other_source(mediation, monkeypatch) -> None:
    insert(mediation, 0, 10)
    calls = source(mediation)
    load_day(mediation.deployment, calls, DAY)
    (mediation.deployment.sources_folder / "files.yml").write_text(
        yaml.safe_dump(BASE | {"name": "files", "cdr_type": "sms"})
    )
    (mediation.deployment.landing / f"calls_{DAY}.csv").write_text(text(5))
    mediation.environment["FLOWETL_DSN_MEDIATION"] = (
        "host=127.0.0.1 port=1 user=x dbname=x password=in-a-test"
    )
    after = DAY + dt.timedelta(days=1)
    done = mediation.command(
        "backfill",
        "--source",
        "all",
        "--start",
        str(DAY),
        "--end",
        str(after),
        "--max-parallel",
        "1",
        check=False,
    )
    assert "1 days loaded, 1 already there, 2 failed: 5 rows" in done.stdout
    assert f"failed: s {after}: the database of mediation.calls does not answer" in done.stdout
    assert "in-a-test" not in done.stdout + done.stderr


def test_rows_by_arrival_join_the_day_of_their_record(mediation) -> None:
    mediation.rows(
        f"ALTER TABLE mediation.calls ADD arrived date; GRANT SELECT (arrived) ON mediation.calls TO {ROLE}"
    )
    insert(mediation, 0, 10)
    # Every other row comes a day late.
    mediation.rows("UPDATE mediation.calls SET arrived = started::date + (number::bigint %% 2)::integer")
    calls = source(mediation, table={"day": "arrived"}, days="by_record", late={"days": 1, "early": 0})
    assert load_day(mediation.deployment, calls, DAY).rows == 10
    named = source(mediation, table={"day": "arrived"})
    assert load_day(mediation.deployment, named, DAY).rows == 5


def test_rows_are_read_ahead_by_a_few_blocks_only(mediation, monkeypatch) -> None:
    monkeypatch.setattr(databases, "_BLOCK_BYTES", 1000)
    insert(mediation, 0, 1400)
    place = place_of(mediation.deployment, source(mediation), DAY)
    (item,) = place.look()
    batches = reader_of(item, place.source).batches()
    first = next(batches)
    assert first.table.num_rows < 40
    # One that is not read to its end leaves no statement behind.
    batches.close()
    assert mediation.value("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", ROLE) == 0
    reader = reader_of(item, place.source)
    lines = [int(line) for batch in reader.batches() for line in batch.lines]
    assert lines == list(range(1, 1401))
    assert len(reader.sha256) == 64


def test_a_role_that_may_change_something_is_refused(mediation, monkeypatch) -> None:
    mediation.rows(f"GRANT INSERT ON mediation.calls TO {ROLE}")
    with pytest.raises(
        ConfigurationError, match=rf"the role {ROLE} of FLOWETL_DSN_MEDIATION may change mediation.calls"
    ):
        load_day(mediation.deployment, source(mediation), DAY)
    monkeypatch.setenv("FLOWETL_DSN_MEDIATION", mediation.deployment.dsn)
    with pytest.raises(ConfigurationError, match="the role flowdb of FLOWETL_DSN_MEDIATION may change"):
        load_day(mediation.deployment, source(mediation), DAY)


def test_what_is_wrong_with_the_table_is_told(mediation, monkeypatch) -> None:
    insert(mediation, 0, 3)

    def told(**changed) -> str:
        with pytest.raises(ConfigurationError) as error:
            load_day(mediation.deployment, source(mediation, **changed), DAY)
        return str(error.value)

    assert "mediation.nothing is not in the database of FLOWETL_DSN_MEDIATION" in told(
        table={"name": "nothing"}
    )
    assert "table.day: 'kind' of mediation.calls is no date or time" in told(table={"day": "kind"})
    assert 'column "nothing" does not exist' in told(table={"where": "nothing = 1"})
    fields = [*BASE["fields"], "secret"]
    assert "fields secret are not in mediation.calls, or its role may not read them" in told(fields=fields)
    monkeypatch.setenv("FLOWETL_DSN_MEDIATION", "my secret words")
    text = told()
    assert "FLOWETL_DSN_MEDIATION is no connection string" in text
    assert "words" not in text
    monkeypatch.delenv("FLOWETL_DSN_MEDIATION")
    assert "FLOWETL_DSN_MEDIATION is not set" in told()
    monkeypatch.setenv("FLOWETL_DSN_MEDIATION", "host=127.0.0.1 port=1 user=x dbname=x password=in-a-test")
    with pytest.raises(Unreachable, match=r"the database of mediation.calls does not answer") as error:
        load_day(mediation.deployment, source(mediation), DAY)
    assert "in-a-test" not in str(error.value)


def test_source_check_reads_the_newest_day(mediation) -> None:
    insert(mediation, 0, 12)
    source(mediation)
    done = mediation.command(
        "source", "check", str(mediation.deployment.sources_folder / "s.yml"), check=False
    )
    assert f"mediation.calls as s (calls) of {DAY}" in done.stdout, done.stdout + done.stderr
    assert "12 records in all: 12 would be loaded, 0 refused" in done.stdout
    assert "9841000" not in done.stdout
    shown = mediation.command("preview", "--source", "s", "--date", str(DAY), "--rows", "2").stdout
    assert shown.count('"msisdn"') == 2
    assert subscribers(mediation) == 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"path": "", "table": None}, "needs either path, for files, or table"),
        ({"table": TABLE}, "needs either path, for files, or table"),
        ({"path": "", "table": TABLE | {"day": None}}, "neither day nor where chooses the rows of a day"),
        (
            {"path": "", "table": TABLE | {"day": None, "where": "d = '{date}'"}, "days": "by_record"},
            "days: by_record needs table.day",
        ),
        ({"path": "", "table": TABLE | {"dsn_secret": "FLOWDB_POSTGRES_PASSWORD"}}, "table.dsn_secret"),
    ],
)
def test_a_source_of_a_table_is_whole(tmp_path: Path, changed, told) -> None:
    assert told in refused(tmp_path, **changed)
