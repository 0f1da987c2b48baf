"""Unpack a delivered file and compute its checksum as delivered."""

import bz2
import codecs
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from flowetl.contents import is_system_file, require_lines, require_no_workbook
from flowetl.errors import DataFault
from flowetl.sizes import Sizes

READ_BYTES = 1 << 20
MOST_BYTES = 4 << 20
"""Bytes that one step may unpack, so that a small file cannot fill the memory."""

MOST_LISTED = 4 << 30
"""Bytes of a list of cells or of boundaries, which are read as a whole."""

_XZ_MEMORY = 256 << 20
"""Bytes that unpacking an xz file may take; the strongest usual setting takes 65 MB."""

_MAGIC = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "zstd": b"\x28\xb5\x2f\xfd",
    "xz": b"\xfd7zXZ\0",
    "zip": b"PK\x03\x04",
}
_EMPTY_ARCHIVE = b"PK\x05\x06"
_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd", ".xz": "xz", ".zip": "zip"}


class _Hashed:
    """Hash a file while it is read, so that the checksum costs no second read."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.sha256 = hashlib.sha256()
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self.sha256.update(data)
        return data

    def close(self) -> None:
        """Arrow closes what it reads; the file is closed where it was opened."""


class Stream:
    """Unpack one file; ``sha256`` and ``notes`` are complete at its end.

    Without an encoding the content comes as it is.
    """

    def __init__(self, path: Path, encoding: str | None, sizes: Sizes) -> None:
        self._path = path
        self._encoding = encoding
        self._sizes = sizes
        self.sha256 = ""
        self.notes: list[str] = []

    def chunks(self) -> Iterator[bytes]:
        """Yield the content, a few megabytes at a time.

        Raises
        ------
        DataFault
            When the file is empty, truncated, damaged, too large, or not what its name says.
        """
        if self._path.stat().st_size == 0:
            raise DataFault(f"{self._path.name} is empty (0 bytes)")
        with self._path.open("rb") as raw:
            kind = self._kind(raw)
            hashed = _Hashed(raw)
            try:
                yield from self._recoded(self._limited(self._unpacked(kind, raw, hashed)))
            except EOFError as error:
                raise DataFault(f"{self._path.name} is truncated: its {kind} stream ends early") from error
            except (zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException, OSError) as error:
                if kind == "plain":
                    raise
                raise DataFault(
                    f"{self._path.name} is not a sound {kind} file ({error}): have it sent again"
                ) from error
            while hashed.read(READ_BYTES):
                pass
            self.sha256 = hashed.sha256.hexdigest()

    def _limited(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        delivered, content = self._path.stat().st_size, 0
        for chunk in chunks:
            content += len(chunk)
            self._sizes.require(self._path.name, delivered, content)
            yield chunk

    def _kind(self, raw: IO[bytes]) -> str:
        start = raw.read(8)
        raw.seek(0)
        kind = next((name for name, magic in _MAGIC.items() if start.startswith(magic)), "plain")
        if start.startswith(_EMPTY_ARCHIVE):
            kind = "zip"
        said = _SUFFIXES.get(self._path.suffix, kind)
        if said != kind:
            cut = start.startswith(_MAGIC[said][: len(start)])
            raise DataFault(
                f"{self._path.name} is "
                + (
                    "truncated"
                    if cut
                    else f"not a sound {said} file: its name says {said}, its content is {kind}. Rename it if it "
                    "is complete, or have it sent again"
                )
            )
        return kind

    def _unpacked(self, kind: str, raw: IO[bytes], hashed: _Hashed) -> Iterator[bytes]:
        if kind == "gzip":
            return self._gunzipped(hashed)
        if kind == "bzip2":
            return self._members(hashed, bz2.BZ2Decompressor, _MAGIC["bzip2"])
        if kind == "xz":
            return self._members(hashed, partial(lzma.LZMADecompressor, memlimit=_XZ_MEMORY), _MAGIC["xz"])
        if kind == "zstd":
            return _read_all(pa.CompressedInputStream(pa.PythonFile(hashed, mode="r"), "zstd"))
        if kind == "zip":
            return self._unzipped(raw)
        return _read_all(hashed)

    def _gunzipped(self, hashed: _Hashed) -> Iterator[bytes]:
        """Yield the members of a gzip file; like gunzip, ignore what follows the last."""
        member: Any = None
        complete = False
        rest = b""
        while data := rest + hashed.read(READ_BYTES):
            rest = b""
            while data:
                if member is None:
                    data = data.lstrip(b"\0") if complete else data
                    if len(data) < 2 and data:
                        rest = data
                        more = hashed.read(READ_BYTES)
                        if more:
                            data, rest = rest + more, b""
                            continue
                    if data and not data.startswith(_MAGIC["gzip"]):
                        self.notes.append("what follows the end of its gzip stream was passed over")
                        return
                    if not data:
                        break
                    member = zlib.decompressobj(31)
                yield member.decompress(data, MOST_BYTES)
                data = member.unconsumed_tail
                if member.eof:
                    data, member, complete = member.unused_data, None, True
        if member is not None:
            raise EOFError

    def _members(self, hashed: _Hashed, decompressor: Any, magic: bytes) -> Iterator[bytes]:
        """Yield the unpacked members of a bzip2 or xz file."""
        member: Any = None
        complete = False
        data = b""
        while True:
            if member is None or member.needs_input:
                more = hashed.read(READ_BYTES)
                if not more and not data:
                    break
                data += more
            if member is None:
                data = data.lstrip(b"\0") if complete else data
                if not data:
                    continue
                if complete and not data.startswith(magic[: len(data)]):
                    self.notes.append("what follows the end of its stream was passed over")
                    return
                member = decompressor()
            yield member.decompress(data, MOST_BYTES)
            data = b""
            if member.eof:
                data, member, complete = member.unused_data, None, True
        if member is not None:
            raise EOFError

    def _unzipped(self, raw: IO[bytes]) -> Iterator[bytes]:
        with zipfile.ZipFile(raw) as archive:
            require_no_workbook(self._path.name, archive.namelist())
            members = [
                member
                for member in archive.infolist()
                if not member.is_dir() and not is_system_file(member.filename)
            ]
            if len(members) != 1:
                raise DataFault(
                    f"{self._path.name} holds {len(members)} files; one is read: send each by itself, and give path a star"
                )
            if members[0].flag_bits & 1:
                raise DataFault(
                    f"{self._path.name} is encrypted: decrypt it before it comes to the landing folder"
                )
            with archive.open(members[0]) as content:
                yield from _read_all(content)
        # The checksum is that of the whole file, of which an archive is read in another order.
        raw.seek(0)

    def _recoded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the text in an encoding whose lines end in one byte."""
        if self._encoding is None:
            yield from chunks
            return
        if not self._encoding.lower().startswith("utf-16"):
            first = next(chunks, b"")
            require_lines(self._path.name, first)
            yield first
            yield from chunks
            return
        decoder = codecs.getincrementaldecoder(self._encoding)()
        try:
            for chunk in chunks:
                yield decoder.decode(chunk).encode()
            yield decoder.decode(b"", final=True).encode()
        except UnicodeError:
            raise DataFault(
                f"{self._path.name} is not {self._encoding}: set format.encoding to that of the file"
            ) from None


def content_of(path: Path) -> bytes:
    """Return the whole content of a list or of boundaries, unpacked.

    Raises
    ------
    DataFault
        When the file is empty, truncated or damaged, is an archive of several files, or is too large.
    """
    return b"".join(Stream(path, None, Sizes(file=MOST_LISTED)).chunks())


def _read_all(source: Any) -> Iterator[bytes]:
    while data := source.read(MOST_BYTES):
        yield data
