"""Refuse files of another kind with the cure; read around what is no record."""

import datetime as dt
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from flowetl.errors import ConfigurationError, DataFault
from flowetl.formats import FileFormat
from flowetl.lines import LineReader
from flowetl.loading import load_day
from flowetl.source import read_source

DAY = dt.date(2020, 4, 15)
FIELDS = ("kind", "started", "number", "other", "cell")
BASE = {
    "name": "s",
    "cdr_type": "calls",
    "path": "calls_{date}.csv",
    "schedule": "0 2 * * *",
    "start": "2020-01-01",
    "fields": list(FIELDS),
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


def text(rows: int) -> str:
    lines = [f"MOC,{DAY} 1{n}:00:00,984100000{n},9842000001,c{n}" for n in range(rows)]
    return "\n".join([",".join(FIELDS), *lines, ""])


def archive(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name in names:
            packed.writestr(name, text(3))
    return content.getvalue()


def tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as packed:
        member = tarfile.TarInfo("calls.csv")
        member.size = len(text(3))
        packed.addfile(member, io.BytesIO(text(3).encode()))
    return content.getvalue()


def read(tmp_path: Path, content: bytes, name: str = "f.csv", **file_format) -> list[dict]:
    path = tmp_path / name
    path.write_bytes(content)
    reader = LineReader(path, FileFormat(**file_format), FIELDS)
    return [row for batch in reader.batches() for row in batch.table.to_pylist()]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("f.xlsx", archive("[Content_Types].xml", "xl/workbook.xml"), "is a workbook of a spreadsheet: save"),
        (
            "f.ods",
            archive("mimetype", "content.xml"),
            "is a workbook of a spreadsheet: save its sheet as CSV",
        ),
        ("f.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "is a workbook of a spreadsheet: save"),
        ("f.tar.gz", tar(), "is a tar archive: unpack it"),
        ("f.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99), "is packed in a way that is not read: have it sent with"),
        ("f.csv.lz4", b"\x04\x22\x4d\x18" + bytes(99), "have it sent with gzip"),
        ("f.csv.Z", b"\x1f\x9d\x90" + bytes(99), "have it sent with gzip"),
        ("f.csv", b"PAR1" + bytes(99), "is Parquet: set format to parquet"),
        ("f.csv", b"Obj\x01" + bytes(99), "have it sent as Parquet or CSV"),
        ("f.csv", b"<!DOCTYPE html>\n<html></html>\n", "is a web page"),
        ("f.csv", text(3).encode("utf-32"), "is UTF-32: have it sent as UTF-8"),
        ("f.csv", text(3).encode("utf-16-le"), "set format.encoding to utf-16-le"),
        ("f.csv", text(3).encode("utf-16-be"), "set format.encoding to utf-16-be"),
        ("f.csv.gz", text(3).encode(), "Rename it if it is complete, or have it sent again"),
        ("f.zip", archive(), "holds 0 files"),
        ("f.csv", b"sep=,\n" + text(3).encode(), "set format.skip_lines to 1"),
        ("f.csv", text(3).replace("other", "number", 1).encode(), "missing other; unexpected number"),
    ],
)
def test_what_is_no_file_of_records_is_refused_with_the_cure(tmp_path, name, content, told) -> None:
    with pytest.raises(DataFault) as error:
        read(tmp_path, content, name)
    assert name in str(error.value)
    assert told in str(error.value)


def test_notes_of_systems_in_an_archive_are_passed_over(tmp_path) -> None:
    content = archive("calls.csv", "__MACOSX/._calls.csv", ".DS_Store", "Thumbs.db")
    assert read(tmp_path, content, "f.zip") == read(tmp_path, text(3).encode())


@pytest.mark.parametrize("before", [b"\n", b"\r\n  \n", b"# made by hand\n\n# twice\n"])
def test_blanks_and_notes_before_the_header_are_passed_over(tmp_path, before) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(before + text(3).encode() + b"# end\nMOC\n")
    reader = LineReader(path, FileFormat(skip_lines={"matching": "^#"}), FIELDS)
    (batch,) = reader.batches()
    first = before.count(b"\n") + 2
    assert batch.lines.tolist() == [first, first + 1, first + 2]
    assert [reject.line for reject in batch.rejects] == [first + 4]


MICROS = 1586952000123456


@pytest.mark.parametrize(
    ("form", "written", "moment"),
    [
        ("epoch_us", str(MICROS), "2020-04-15 12:00:00.123456"),
        ("epoch_ns", f"{MICROS}789", "2020-04-15 12:00:00.123457"),
        ("%Y-%m-%d %H:%M:%S.%f", "2020-04-15 12:00:00.123456789", "2020-04-15 12:00:00.123456"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "2020-04-15T12:00:00.1234567Z", "2020-04-15 12:00:00.123456"),
        ("%d-%b-%y %I.%M.%S.%f %p", "15-APR-20 12.00.00.123456000 PM", "2020-04-15 12:00:00.123456"),
    ],
)
def test_fractions_of_any_clock_are_read(operator, form, written, moment) -> None:
    mapping = BASE["mapping"] | {"datetime": {"column": "started", "format": form}}
    day, content = deliver(operator, [written], mapping=mapping, timezone="UTC")
    assert (day.rows, content) == (1, [(dt.datetime.fromisoformat(moment),)])


def deliver(operator, times, **changed):
    sources = operator.deployment.sources_folder
    for other in sources.glob("*.yml"):
        other.unlink()
    (sources / "s.yml").write_text(yaml.safe_dump(BASE | changed))
    lines = [",".join(FIELDS), *(f"MOC,{time},9841000001,9842000001,c1" for time in times), ""]
    (operator.deployment.landing / f"calls_{DAY}.csv").write_text("\n".join(lines))
    loaded = load_day(operator.deployment, operator.sources["s"], DAY)
    return loaded, operator.rows("SELECT datetime AT TIME ZONE 'UTC' FROM events.calls ORDER BY datetime")


def test_a_small_file_of_nothing_readable_says_why(operator) -> None:
    # So few records are never too many refused ones: without the reason nobody knew what to correct.
    with pytest.raises(DataFault) as error:
        deliver(operator, ["43936.5", "43937.25"])
    assert "holds 0 good records" in str(error.value)
    assert "2 are refused: malformed_datetime 2" in str(error.value)
    assert "mapping.datetime must be %Y-%m-%d %H:%M:%S; what came was 5 digits, '.', 1 digit" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"format": {"delimiter": "||"}}, "'||' is not one character. Where a character is repeated"),
        (
            {"mapping": BASE["mapping"] | {"datetime": {"column": "started", "format": "%Y-%m-%d %S.%n"}}},
            "write %f, which reads fractions of up to nine digits",
        ),
    ],
)
def test_what_a_source_cannot_say_has_a_cure(tmp_path, changed, told) -> None:
    path = tmp_path / "s.yml"
    path.write_text(yaml.safe_dump(BASE | changed))
    with pytest.raises(ConfigurationError) as error:
        read_source(path)
    assert told in str(error.value)
