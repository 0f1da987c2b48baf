"""Load every form in which an operator may deliver."""

import bz2
import datetime as dt
import gzip
import io
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from flowetl import paths, streams
from flowetl.errors import ConfigurationError, DataFault, NotReady
from flowetl.formats import FileFormat
from flowetl.lines import LineReader
from flowetl.loading import load_day
from flowetl.sizes import Sizes
from flowetl.source import Source, read_source

DAY = dt.date(2020, 4, 15)
BASE = {
    "name": "s",
    "cdr_type": "calls",
    "path": "calls_{date}.csv",
    "schedule": "0 2 * * *",
    "start": "2020-01-01",
    "fields": ["kind", "started", "number", "other", "cell"],
    "mapping": {
        "outgoing": {"column": "kind", "values": {"MOC": True, "MTC": False}},
        "datetime": "started",
        "msisdn": "number",
        "msisdn_counterpart": "other",
        "location_id": "cell",
    },
    "identifiers": {"calling_code": "977", "trunk_prefix": "0", "national_lengths": [8, 10]},
    "stability": {"pause": 0},
}


def zstd(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


def zipped(data: bytes, *more: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("calls.csv", *more):
            archive.writestr(name, data)
    return content.getvalue()


PACKED = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd, ".zip": zipped}


def text(rows: int, day: dt.date = DAY, first: int = 0, sep: str = ",", header: bool = True) -> str:
    lines = [sep.join(BASE["fields"])] if header else []
    lines += [
        sep.join(("MOC", f"{day} {n % 24:02}:00:00", f"98410{n:05}", "9842000001", f"c{n % 3}"))
        for n in range(first, first + rows)
    ]
    return "\n".join([*lines, ""])


@pytest.fixture
def deliver(operator):
    """Put files into the landing folder and load a day of a source."""

    def load(files: dict[str, bytes | str], day: dt.date = DAY, **changed: Any):
        source = given(operator, **changed)
        for name, content in files.items():
            path = operator.deployment.landing / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_day(operator.deployment, source, day)

    return load


def given(operator, **changed: Any) -> Source:
    content = {key: value for key, value in (BASE | changed).items() if value is not None}
    path = operator.deployment.sources_folder / "s.yml"
    for other in path.parent.glob("*.yml"):
        other.unlink()
    path.write_text(yaml.safe_dump(content))
    return operator.sources["s"]


def refused(tmp_path: Path, **changed: Any) -> str:
    path = tmp_path / "s.yml"
    path.write_text(yaml.safe_dump(BASE | changed))
    with pytest.raises(ConfigurationError) as error:
        read_source(path)
    return str(error.value)


def subscribers(operator) -> int:
    return operator.value("SELECT count(DISTINCT msisdn) FROM events.calls")


@pytest.mark.parametrize("suffix", [*PACKED, ""])
def test_every_compression_gives_the_same_day(operator, deliver, suffix) -> None:
    content = PACKED.get(suffix, bytes)(text(30).encode())
    assert deliver({f"calls_{DAY}.csv{suffix}": content}, path=f"calls_{{date}}.csv{suffix}").rows == 30
    assert subscribers(operator) == 30


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst", ".zip"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_file_is_refused_whole(operator, deliver, suffix, damage) -> None:
    content = bytearray(PACKED[suffix](text(3000).encode()))
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        for place in range(len(content) // 2, len(content) // 2 + 40):
            content[place] ^= 0xFF
    with pytest.raises(DataFault, match=rf"calls_{DAY}.csv\{suffix} is (truncated|not a sound)"):
        deliver({f"calls_{DAY}.csv{suffix}": bytes(content)}, path=f"calls_{{date}}.csv{suffix}")
    assert operator.value("SELECT count(*) FROM events.calls") == 0


def test_members_and_garbage_behind_them(operator, deliver) -> None:
    data = text(20).encode()
    members = gzip.compress(data[:100]) + gzip.compress(data[100:]) + b"\0" * 512 + b"trailing garbage"
    assert deliver({f"calls_{DAY}.csv.gz": members}, path="calls_{date}.csv.gz").rows == 20
    assert "what follows the end of its gzip stream was passed over" in operator.value(
        "SELECT note FROM etl.loads"
    )


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_stream_may_be_read_in_any_pieces(tmp_path, monkeypatch, size) -> None:
    monkeypatch.setattr(streams, "READ_BYTES", size)
    monkeypatch.setattr(streams, "MOST_BYTES", size)
    data = text(20).encode()
    for suffix, pack in PACKED.items():
        path = tmp_path / f"f{suffix}"
        path.write_bytes(pack(data) if suffix in (".zip", ".zst") else pack(data[:60]) + pack(data[60:]))
        stream = streams.Stream(path, "utf-8", Sizes())
        assert b"".join(stream.chunks()) == data, suffix
        assert (len(stream.sha256), stream.notes) == (64, [])


def test_what_a_name_says_and_what_a_file_is(deliver) -> None:
    with pytest.raises(DataFault, match="its name says gzip, its content is plain"):
        deliver({f"calls_{DAY}.csv.gz": text(3)}, path="calls_{date}.csv.gz")
    with pytest.raises(DataFault, match="holds 2 files; one is read"):
        deliver({f"calls_{DAY}.zip": zipped(b"x", "y")}, path="calls_{date}.zip")
    with pytest.raises(DataFault, match=r"is UTF-16: set format.encoding to utf-16"):
        deliver({f"calls_{DAY}.csv": text(3).encode("utf-16")})


@pytest.mark.parametrize(
    ("encoding", "content"),
    [("utf-16", text(3).encode("utf-16")), ("utf-16-le", text(3).encode("utf-16-le")), ("cp1252", text(3))],
)
def test_encodings(deliver, encoding, content) -> None:
    assert deliver({f"calls_{DAY}.csv": content}, format={"encoding": encoding}).rows == 3


@pytest.mark.parametrize("sep", [";", "\t", "|", " "])
@pytest.mark.parametrize("header", [True, False])
def test_separators_with_a_header_and_without(deliver, sep, header) -> None:
    content = (
        text(5, sep=sep, header=header).replace(" ", "_") if sep == " " else text(5, sep=sep, header=header)
    )
    if sep == " ":
        content = text(5, sep="\0", header=header).replace(" ", "_").replace("\0", " ")
    when = {"column": "started", "format": ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d_%H:%M:%S"]}
    file_format = {"delimiter": sep, "header": header}
    loaded = deliver(
        {f"calls_{DAY}.csv": content}, format=file_format, mapping=BASE["mapping"] | {"datetime": when}
    )
    assert loaded.rows == 5


def test_blanks_around_values_and_lines_that_are_no_records(operator, deliver) -> None:
    lines = text(4).replace(",", " , ").splitlines()
    content = "\n".join(["REPORT of calls", "", *lines[:3], "# a page", *lines[3:], "END 4", "sum 4", ""])
    skip = {"first": 2, "last": 2, "matching": "^#"}
    assert deliver({f"calls_{DAY}.csv": content}, format={"skip_lines": skip}).rows == 4
    assert operator.rows("SELECT DISTINCT location_id FROM events.calls ORDER BY 1") == [
        ("c0",),
        ("c1",),
        ("c2",),
    ]
    assert operator.rows("SELECT * FROM etl.rejects") == []


def test_quoted_blanks_stay(tmp_path) -> None:
    path = tmp_path / "f"
    path.write_text('a,b\n x ," y "\n')
    (batch,) = LineReader(path, FileFormat(), ("a", "b")).batches()
    assert batch.table.to_pylist() == [{"a": "x", "b": " y "}]
    path.write_text("a,b\n x , y \n")
    (batch,) = LineReader(path, FileFormat(strip=False), ("a", "b")).batches()
    assert batch.table.to_pylist() == [{"a": " x ", "b": " y "}]


def test_a_date_of_another_form_and_several_files_a_day(operator, deliver) -> None:
    files = {f"in/CDR{DAY:%Y%m%d}_{part:02}.csv": text(10, first=10 * part) for part in range(3)}
    files[f"in/.CDR{DAY:%Y%m%d}_03.csv"] = "half sent"
    files["in/CDR20200416_00.csv"] = text(10, DAY + dt.timedelta(1))
    assert deliver(files, path="in/CDR{date:%Y%m%d}_*.csv").rows == 30
    assert operator.rows("SELECT uri, rows FROM etl.source_files ORDER BY 1") == [
        (f"in/CDR20200415_0{part}.csv", 10) for part in range(3)
    ]


def test_rejects_of_several_files_name_the_file(operator, deliver) -> None:
    files = {f"a_{DAY}_{part}.csv": text(3, first=3 * part) + "x\n" for part in range(2)}
    assert deliver(files, path="a_{date}_*.csv").rejects == 2
    told = gzip.decompress((operator.deployment.rejects / "s" / f"{DAY}.csv.gz").read_bytes()).decode()
    header, *lines = told.splitlines()
    assert header == "line,reason,line_hash,file"
    assert sorted(line.rpartition(",")[2] for line in lines) == [f"a_{DAY}_0.csv", f"a_{DAY}_1.csv"]


def test_a_file_that_comes_later_makes_the_day_due(operator, deliver) -> None:
    name = "a_2020-04-15_{}.csv"
    deliver({name.format(0): text(5)}, path="a_{date}_*.csv")
    backfill = ("backfill", "--source", "all", "--start", str(DAY), "--end", str(DAY))
    assert "0 days loaded, 1 already there" in operator.command(*backfill).stdout
    (operator.deployment.landing / name.format(1)).write_text(text(5, first=5))
    assert "1 days loaded" in operator.command(*backfill).stdout
    assert subscribers(operator) == 10


def test_a_star_finds_nothing(deliver) -> None:
    with pytest.raises(NotReady, match=r"a_2020-04-15_\*.csv is not in the landing folder$"):
        deliver({}, path="a_{date}_*.csv")


@pytest.mark.parametrize("day", [DAY, DAY + dt.timedelta(1), DAY + dt.timedelta(2)])
def test_late_records_join_the_day_that_they_are_of(operator, deliver, day) -> None:
    """A file of each arrival holds the last records of the day before."""
    days = [DAY + dt.timedelta(number) for number in range(4)]
    files = {
        f"calls_{arrival}.csv": text(4, arrival, first=10 * number)
        + text(3, arrival - dt.timedelta(1), first=10 * number + 4, header=False)
        for number, arrival in enumerate(days)
    }
    loaded = deliver(files, day, days="by_record")
    assert (loaded.rows, loaded.rejects) == (7, 0)


def test_a_late_file_is_merged_into_the_day_that_is_there(operator, deliver) -> None:
    arrival = DAY + dt.timedelta(1)
    assert deliver({f"calls_{DAY}.csv": text(4)}, days="by_record").rows == 4
    (operator.deployment.landing / f"calls_{arrival}.csv").write_text(
        text(4, arrival, first=20) + text(2, DAY, first=10, header=False)
    )
    told = operator.command("backfill", "--source", "all", "--start", str(DAY), "--end", str(arrival)).stdout
    assert "2 days loaded" in told
    counted = "SELECT datetime::date, count(*) FROM events.calls GROUP BY 1 ORDER BY 1"
    assert operator.rows(counted) == [(DAY, 6), (arrival, 4)]
    assert (
        "0 days loaded, 2 already there"
        in operator.command("backfill", "--source", "all", "--start", str(DAY), "--end", str(arrival)).stdout
    )


def test_a_record_of_another_day_is_left_to_that_day_before_its_number_is_read(operator, deliver) -> None:
    after = DAY + dt.timedelta(1)
    wrong = f"MOC,{after} 10:00:00,98410x0001,9842000001,c1\n"
    files = {f"calls_{DAY}.csv": text(4) + wrong, f"calls_{after}.csv": text(3, after)}
    # Of the second day, every record of the first file is of another day but one.
    assert [
        (loaded.rows, loaded.rejects)
        for loaded in (deliver(files, day, days="by_record") for day in (DAY, after))
    ] == [(4, 0), (3, 1)]


def test_records_that_no_day_looks_for_are_told(operator, deliver) -> None:
    old = text(2, DAY - dt.timedelta(9), header=False)
    deliver({f"calls_{DAY}.csv": text(4) + old}, days="by_record")
    note = operator.value("SELECT note FROM etl.loads")
    assert "2 records from 2020-04-06 to 2020-04-06 are loaded with no day, because late.days is 1" in note


def test_one_file_for_many_days(operator, deliver) -> None:
    content = text(4) + text(5, DAY + dt.timedelta(1), header=False)
    assert deliver({"month.csv": content}, path="month.csv", days="by_record").rows == 4
    assert load_day(operator.deployment, operator.sources["s"], DAY + dt.timedelta(1)).rows == 5


def test_a_clock_of_another_zone_makes_a_day_of_two_files(operator, deliver) -> None:
    """Noon of a clock 14 hours ahead is ten in the evening of the day before."""
    arrival = DAY + dt.timedelta(1)
    files = {f"calls_{day}.csv": text(24, day) for day in (DAY, arrival)}
    loaded = deliver(files, days="by_record", timezone="Pacific/Kiritimati")
    assert (loaded.rows, loaded.rejects) == (24, 0)
    assert operator.rows("SELECT rows FROM etl.source_files ORDER BY uri") == [(10,), (14,)]


def test_only_and_skip_are_counted_apart(operator, deliver) -> None:
    content = text(4) + "CF,x,y\n" + text(2, first=7, header=False).replace("MOC", "VOID")
    loaded = deliver({f"calls_{DAY}.csv": content}, skip={"kind": ["CF", "VOID"]})
    assert (loaded.rows, loaded.rejects) == (4, 0)
    assert "3 records passed over" in operator.value("SELECT note FROM etl.loads")
    quoted = content.replace("CF,", '"CF",')
    assert deliver({f"calls_{DAY}.csv": quoted}, only={"kind": "MOC"}).rejects == 0


def test_a_file_of_fixed_places(operator, deliver) -> None:
    lines = [
        f"{kind:<4}{DAY:%Y%m%d}{hour:02}0000{'98410000' + str(10 + hour):>12}{'9842000001':>12}{'c' + str(hour % 2):<6}"
        for kind in ("MOC", "MTC")
        for hour in range(5)
    ]
    fields = [
        {"name": name, "from": first, "to": last}
        for name, first, last in (
            ("kind", 1, 4),
            ("started", 5, 18),
            ("number", 19, 30),
            ("other", 31, 42),
            ("cell", 43, 48),
        )
    ]
    mapping = BASE["mapping"] | {"datetime": {"column": "started", "format": "%Y%m%d%H%M%S"}}
    content = "\n".join([*(line.rstrip() for line in lines), "", "short", ""])
    loaded = deliver({f"calls_{DAY}.csv": content}, fields=fields, mapping=mapping)
    assert (loaded.rows, loaded.rejects, subscribers(operator)) == (10, 1, 5)
    assert operator.rows("SELECT DISTINCT location_id FROM events.calls ORDER BY 1") == [("c0",), ("c1",)]


@pytest.mark.parametrize("zone", [None, "Asia/Kathmandu"])
@pytest.mark.parametrize("numbers", ["text", "integers", "floats"])
def test_a_parquet_file(operator, deliver, zone, numbers) -> None:
    times = [dt.datetime(2020, 4, 15, hour, 30, 5, 250) for hour in range(4)]
    if zone:
        times = [time.replace(tzinfo=dt.UTC) for time in times]
    number = [9841000001 + place for place in range(4)]
    kinds = {"text": pa.string(), "integers": pa.int64(), "floats": pa.float64()}
    table = pa.table(
        {
            "kind": pa.array(["MOC"] * 4).dictionary_encode(),
            "started": pa.array(times, pa.timestamp("ns", zone)),
            "number": pa.array([str(n) if numbers == "text" else n for n in number], kinds[numbers]),
            "other": pa.array([9842000001, None, 9842000003, None], pa.float64()),
            "cell": pa.array([1, 2, 3, None], pa.int32()),
            "unused": pa.array([1, 2, 3, 4]),
        }
    )
    content = io.BytesIO()
    pq.write_table(table, content)
    loaded = deliver(
        {f"calls_{DAY}.parquet": content.getvalue()}, path="calls_{date}.parquet", format="parquet"
    )
    assert (loaded.rows, loaded.rejects, subscribers(operator)) == (4, 0, 4)
    assert operator.value("SELECT min(datetime) FROM events.calls") == times[0].replace(tzinfo=dt.UTC)
    assert operator.rows("SELECT DISTINCT location_id FROM events.calls ORDER BY 1") == [
        ("1",),
        ("2",),
        ("3",),
        (None,),
    ]
    assert operator.value("SELECT count(msisdn_counterpart) FROM events.calls") == 2


def test_what_is_no_parquet_file(deliver) -> None:
    parquet = {"path": "c_{date}.parquet", "format": "parquet"}
    with pytest.raises(DataFault, match="is not a sound Parquet file"):
        deliver({f"c_{DAY}.parquet": b"PAR1 and no more"}, **parquet)
    content = io.BytesIO()
    pq.write_table(pa.table({"kind": ["MOC"], "cell": [1]}), content)
    with pytest.raises(
        DataFault, match="fields started, number, other are not in the file, which has kind, cell"
    ):
        deliver({f"c_{DAY}.parquet": content.getvalue()}, **parquet)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"path": "calls_*.csv"}, "holds no {date}"),
        ({"path": "{date:%H}.csv"}, "%H is no part of a date; allowed: %Y, %y, %m, %d, %j, %b"),
        ({"path": "{date:%Y%m}.csv"}, "'%Y%m' does not tell the day; such as %Y%m%d does"),
        ({"path": "{date}{date}"}, "must hold {date} once"),
        ({"path": "../{date}"}, "stay inside it"),
        ({"late": {"days": 2}}, "late: only with days: by_record"),
        ({"days": "by_guess"}, "days: Input should be 'named' or 'by_record'"),
        ({"format": "excel"}, "format.kind: Input should be 'delimited', 'fixed' or 'parquet'"),
        ({"format": {"delimiter": '"'}}, "delimiter and quote are both"),
        ({"format": {"encoding": "utf-32"}}, "such as utf-8 or latin-1, nor one of utf-16"),
        ({"format": {"skip_lines": {"matching": "("}}}, "format.skip_lines.matching: '(' is not a regular"),
        ({"format": "fixed"}, "each is written {name: NAME, from: FIRST, to: LAST}"),
        (
            {"fields": [{"name": "kind", "from": 3, "to": 1}, {"name": "x", "from": 1, "to": 2}]},
            "to 1 is before from 3",
        ),
        ({"only": {"sort": ["x"]}}, "only: 'sort' is not among fields: kind, started"),
        (
            {"fields": None, "layouts": {"by": 3, "A": ["x", "y"]}},
            "'A' has 2 fields; the kind of a record is in place 3",
        ),
    ],
)
def test_wrong_descriptions_are_told(tmp_path, changed, told) -> None:
    assert told in refused(tmp_path, **changed)


@pytest.mark.parametrize(
    ("path", "name", "day"),
    [
        ("cdr/CDR{date:%Y%m%d}_*.csv.gz", "CDR20200415_0001.csv.gz", DAY),
        ("calls_{date}.csv", "calls_2020-04-15.csv", DAY),
        ("calls_{date}.csv", "calls_2020-13-15.csv", None),
        ("calls_{date}.csv", "scalls_2020-04-15.csv", None),
        ("{date:%d%b%Y}*", "15Apr2020.x", DAY),
        ("month.csv", "month.csv", None),
    ],
)
def test_the_day_of_a_name(path, name, day) -> None:
    assert paths.day_of(paths.require_path(path), name) == day
    assert paths.fits(path, name) is (day is not None or path == name)


def test_source_check_tells_without_writing(operator) -> None:
    given(operator)
    lines = [*text(40).splitlines(), "MOC,2020-04-15 10:00:00,9841000001.0,9842000001,c1", "broken"]
    path = operator.folder / f"calls_{DAY}.csv"
    path.write_text("\n".join([*lines, ""]))
    told = operator.command("source", "check", str(path)).stdout
    assert f"calls_{DAY}.csv as s (calls) of {DAY}" in told
    assert "42 records in all: 40 would be loaded, 2 refused, 0 passed over" in told
    assert "line 42: malformed_msisdn: mapping.msisdn read 10 digits, '.', 1 digit" in told
    assert "line 43: wrong_number_of_fields" in told
    assert "doubt: every record goes one way" in told
    assert "doubt: no cell list is loaded" in told
    assert "98410" not in told
    for table in ("loads", "etl_records", "subscriber_keys", "location_keys"):
        assert operator.value(f"SELECT count(*) FROM etl.{table}") == 0
    assert not operator.deployment.rejects.exists()


def test_source_check_of_a_description_takes_the_newest_file(operator) -> None:
    given(operator)
    (operator.deployment.landing / f"calls_{DAY}.csv").write_text(text(3))
    newest = DAY + dt.timedelta(1)
    (operator.deployment.landing / f"calls_{newest}.csv").write_text("MOC,x\n" * 30)
    told = operator.command("source", "check", str(operator.deployment.sources_folder / "s.yml"), check=False)
    assert told.returncode == 1
    assert "wrong header: missing kind, started, number, other, cell" in told.stderr
    assert "as none" not in told.stdout
    unknown = operator.command("source", "check", str(operator.folder / "x.csv"), check=False)
    assert "x.csv is not there, neither among the sources" in unknown.stderr
