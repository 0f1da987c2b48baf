"""Files beyond all bounds are refused without filling the memory."""

import bz2
import gzip
import lzma
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowetl import parquetfile, streams
from flowetl.errors import DataFault
from flowetl.fixedwidth import FixedReader
from flowetl.formats import FileFormat, Place
from flowetl.lines import LineReader
from flowetl.parquetfile import ParquetReader
from flowetl.sizes import Sizes
from flowetl.source import Source

FIELDS = ("a", "b")
MEGABYTE = 1 << 20


def zipped(content: bytes, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("f.csv", content)


PACKED = {
    "f.csv": lambda content, path: path.write_bytes(content),
    "f.csv.gz": lambda content, path: path.write_bytes(gzip.compress(content, 1)),
    "f.csv.bz2": lambda content, path: path.write_bytes(bz2.compress(content, 1)),
    "f.csv.xz": lambda content, path: path.write_bytes(lzma.compress(content, preset=0)),
    "f.csv.zst": lambda content, path: path.write_bytes(pa.compress(content, "zstd", asbytes=True)),
    "f.csv.zip": zipped,
}


def count(path: Path, **sizes: int) -> int:
    """Read a file to its end and return the number of records."""
    reader = LineReader(path, FileFormat(header=False, sizes=Sizes(**sizes)), FIELDS)
    return sum(len(batch.lines) for batch in reader.batches())


@pytest.mark.parametrize("name", PACKED)
def test_one_long_line_is_refused_with_the_cure_and_takes_no_memory(tmp_path, name) -> None:
    path = tmp_path / name
    PACKED[name](b"1,2\n3," + b"4" * (48 * MEGABYTE), path)
    tracemalloc.start()
    with pytest.raises(
        DataFault, match=r"^f\.csv.*: line 2 is longer than 1000000 bytes.*format\.sizes\.line$"
    ):
        count(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 * MEGABYTE


@pytest.mark.parametrize("block_bytes", [512, 1 << 20])
def test_the_limit_of_a_line_is_exact(tmp_path, monkeypatch, block_bytes) -> None:
    """Check at every place of the line among others, whatever the size of a read."""
    monkeypatch.setattr(streams, "MOST_BYTES", block_bytes)
    path = tmp_path / "f.csv"
    for before in (0, 1, 700):
        for after in (b"", b"\n", b"\n1,2\n"):
            longest, line = b"1,2\n" * before, b"1," + b"2" * 998
            path.write_bytes(longest + line + after)
            assert count(path, line=1000) == before + 1 + after.count(b"1")
            path.write_bytes(longest + line + b"2" + after)
            with pytest.raises(DataFault, match=f"line {before + 1} is longer than 1000 bytes"):
                count(path, line=1000)


def test_a_long_line_of_fixed_places_is_refused(tmp_path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(b"1" * 2000)
    places = (Place(**{"name": "a", "from": 1, "to": 2}), Place(**{"name": "b", "from": 3, "to": 4}))
    fixed = FileFormat(kind="fixed", header=False, sizes=Sizes(line=1000))
    with pytest.raises(DataFault, match="line 1 is longer"):
        list(FixedReader(path, fixed, FIELDS, places, only={}, skip={}).batches())


def test_the_old_line_ends_of_macintoshes_are_told_of_a_large_file_too(tmp_path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"1,2\r" * 1000)
    with pytest.raises(DataFault, match="carriage return alone"):
        count(path, line=1000)


@pytest.mark.parametrize("name", PACKED)
def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, name) -> None:
    path = tmp_path / name
    PACKED[name](b"1,2\n" * MEGABYTE, path)
    assert count(path) == MEGABYTE
    with pytest.raises(DataFault, match=r"holds more than 1000000 bytes.*format\.sizes\.file$"):
        count(path, file=1_000_000)
    if name == "f.csv":
        assert count(path, ratio=1, free=0) == MEGABYTE
        return
    with pytest.raises(DataFault, match=r"unpacks to more than 10 times its .*format\.sizes\.ratio$"):
        count(path, ratio=10, free=1_000_000)
    assert count(path, ratio=10, free=4 * MEGABYTE) == MEGABYTE


def test_a_parquet_file_that_unpacks_to_too_much_is_refused_before_it_is_read(tmp_path) -> None:
    path = tmp_path / "f.parquet"
    columns = {name: ["x" * 100_000] * 100 for name in ("day", "caller")}
    pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=False)
    with pytest.raises(DataFault, match="unpacks to more than 10 times"):
        next(ParquetReader(path, of_parquet(ratio=10, free=0)).batches())


@pytest.mark.parametrize("repeated", [True, False])
def test_a_long_record_of_parquet_is_refused_and_takes_no_memory(tmp_path, repeated) -> None:
    """Check that a long text is not written out for each record that has it."""
    path = tmp_path / "f.parquet"
    long = pa.DictionaryArray.from_arrays([0] * 300 + [1] * 400, ["1", "2" * 200_000])
    written = long if repeated else long.dictionary_decode()
    table = pa.table({"day": ["1"] * 700, "caller": written})
    pq.write_table(table, path, compression="zstd", use_dictionary=repeated)
    del table, written
    before = pa.total_allocated_bytes()
    with pytest.raises(DataFault, match=r"record 301 is longer than 100000 bytes.*format\.sizes\.line$"):
        list(ParquetReader(path, of_parquet(line=100_000, ratio=10_000_000)).batches())
    assert pa.total_allocated_bytes() - before < 24 * MEGABYTE


def test_long_texts_of_parquet_come_in_small_batches(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(parquetfile, "BATCH_BYTES", 5_000)
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"day": ["1"] * 30, "caller": [None, "2" * 999, "3" * 2_000] * 10}), path)
    batches = list(ParquetReader(path, of_parquet()).batches())
    assert [len(batch.lines) for batch in batches] == [5, *[3] * 8, 1]
    assert [line for batch in batches for line in batch.lines] == list(range(1, 31))


def of_parquet(**sizes: int) -> Source:
    return Source.model_validate(
        {
            "name": "s",
            "cdr_type": "calls",
            "path": "f_{date}.parquet",
            "schedule": "0 2 * * *",
            "start": "2020-01-01",
            "fields": ["day", "caller"],
            "mapping": {"outgoing": {"constant": True}, "datetime": "day", "msisdn": "caller"},
            "identifiers": {"calling_code": "977", "trunk_prefix": "0", "national_lengths": [8, 10]},
            "format": {"kind": "parquet", "sizes": sizes},
        }
    )


def test_an_xz_file_that_wants_gigabytes_to_unpack_is_refused(tmp_path) -> None:
    path = tmp_path / "f.csv.xz"
    packer = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 16}])
    content = bytearray(packer.compress(b"1,2\n") + packer.flush())
    # The dictionary's size is one byte of the block's header; its check sum is made again.
    place = content.index(bytes([0x21, 0x01]), 12) + 2
    content[place] = 36
    header = 4 * (content[12] + 1)
    content[12 + header - 4 : 12 + header] = zlib.crc32(content[12 : 12 + header - 4]).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DataFault, match="is not a sound xz file"):
        count(path)
