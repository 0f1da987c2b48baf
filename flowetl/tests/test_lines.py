"""Reading delimited files line by line."""

import gzip
from pathlib import Path

import pytest

from flowetl import streams
from flowetl.errors import DataFault
from flowetl.formats import FileFormat
from flowetl.lines import LineReader

FIELDS = ("a", "b")


def read(path: Path, content: bytes, **options: object) -> tuple[list[tuple], list[tuple[int, str]]]:
    """The (line, a, b) of every record, and the (line, reason) of every reject."""
    path.write_bytes(content)
    reader = LineReader(path, FileFormat(**options), FIELDS)
    records, rejects = [], []
    for batch in reader.batches():
        rows = zip(
            batch.lines.tolist(), *(batch.table.column(name).to_pylist() for name in FIELDS), strict=True
        )
        records += rows
        rejects += [(reject.line, reject.reason) for reject in batch.rejects]
    assert reader.records == len(records) + len(rejects)
    return sorted(records), sorted(rejects)


@pytest.mark.parametrize("block_bytes", [4, 1 << 20])
def test_records_rejects_and_their_line_numbers(tmp_path, monkeypatch, block_bytes) -> None:
    monkeypatch.setattr(streams, "MOST_BYTES", block_bytes)
    content = b'a,b\n1,2\n\n3\n"x,y",5\n"open,6\n7,\n8,9,10\r\n11,12'
    records, rejects = read(tmp_path / "f.csv", content)
    assert records == [(2, "1", "2"), (5, "x,y", "5"), (7, "7", None), (9, "11", "12")]
    assert rejects == [(4, "wrong_number_of_fields"), (6, "broken_quotes"), (8, "wrong_number_of_fields")]


def test_gzip_windows_line_ends_mark_and_another_order_of_columns(tmp_path) -> None:
    records, rejects = read(tmp_path / "f.csv.gz", gzip.compress(b"\xef\xbb\xbfb,a\r\n1,2\r\n"))
    assert (records, rejects) == ([(2, "2", "1")], [])


def test_a_plain_block_and_one_split_by_hand_give_the_same(tmp_path) -> None:
    plain = b"1\n2,b\nUndefined,\n4,d,e\n,f\r\n6,\t g\r\n7"
    found = []
    for content in (plain, b'"q",0\n' + plain):
        path = tmp_path / "f.csv"
        path.write_bytes(content)
        csv_format = FileFormat(header=False, nulls=("", "Undefined"))
        shift = content.count(b"\n") - plain.count(b"\n")
        records, rejects = {}, {}
        for batch in LineReader(path, csv_format, FIELDS).batches():
            for row, values in enumerate(batch.table.to_pylist()):
                records[int(batch.lines[row]) - shift] = (*values.values(), batch.content(row))
            rejects |= {reject.line - shift: (reject.reason, reject.content) for reject in batch.rejects}
        found.append((records, rejects))
    assert found[1][0].pop(0) == ("q", "0", '"q",0')
    assert found[0] == found[1]
    assert found[0] == (
        {
            2: ("2", "b", "2,b"),
            3: (None, None, "Undefined,"),
            5: (None, "f", ",f"),
            6: ("6", "g", "6,\t g"),
        },
        {line: ("wrong_number_of_fields", text) for line, text in {1: "1", 4: "4,d,e", 7: "7"}.items()},
    )


def test_encodings_and_characters_that_cannot_be_stored(tmp_path) -> None:
    content = b"1,\xe9\n2,b\n3,\x00\n"
    assert read(tmp_path / "f.csv", content, header=False) == (
        [(2, "2", "b")],
        [(1, "not_utf-8"), (3, "null_character")],
    )
    assert read(tmp_path / "f.csv", content, header=False, encoding="latin-1") == (
        [(1, "1", "é"), (2, "2", "b")],
        [(3, "null_character")],
    )


def test_delimiter_and_null_strings(tmp_path) -> None:
    records, _ = read(
        tmp_path / "f.csv", b"1;Undefined\n;2\n", header=False, delimiter=";", nulls=["", "Undefined"]
    )
    assert records == [(1, "1", None), (2, None, "2")]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("f.csv", b"", "f.csv is empty (0 bytes)"),
        ("f.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:-40], "f.csv.gz is truncated"),
        ("f.csv.gz", b"a,b\n1,2\n", "f.csv.gz is not a sound gzip file"),
        ("f.csv", b"a,c\n1,2\n", "wrong header: missing b; unexpected c; expected a,b"),
        ("f.csv", b"9779812345601,x\n1,2\n", "missing a, b; unexpected values that are not names"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_without_its_content(tmp_path, name, content, told) -> None:
    with pytest.raises(DataFault) as raised:
        read(tmp_path / name, content)
    assert told in str(raised.value)
    assert "9779812345601" not in str(raised.value)
