"""Refuse contents that are no records, with what to do about them."""

import codecs
from typing import NoReturn

from flowetl.errors import DataFault

_WORKBOOK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PACKED = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x04\x22\x4d\x18", b"\x1f\x9d")
"""The beginnings of 7-Zip, RAR, LZ4 and compress."""
_TABLES = (b"ORC", b"Obj\x01")
_PAGES = (b"<!doctype", b"<html")
_TAR_MARK = slice(257, 262)
_LOOKED_AT = 64


def require_lines(name: str, beginning: bytes) -> None:
    """Check that content may be lines of text whose characters are single bytes.

    Raises
    ------
    DataFault
        When it is of a known kind that is none.
    """
    if beginning.startswith(_WORKBOOK):
        _refuse_workbook(name)
    if beginning.startswith(_PACKED):
        raise DataFault(f"{name} is packed in a way that is not read: have it sent with gzip")
    if beginning[_TAR_MARK] == b"ustar":
        raise DataFault(f"{name} is a tar archive: unpack it, and send each file by itself")
    if beginning.startswith(b"PAR1"):
        raise DataFault(f"{name} is Parquet: set format to parquet")
    if beginning.startswith(_TABLES):
        raise DataFault(f"{name} is ORC or Avro: have it sent as Parquet or CSV")
    if beginning.lower().startswith(_PAGES):
        raise DataFault(f"{name} is a web page, as a failed download leaves one: fetch the file again")
    if beginning.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise DataFault(f"{name} is UTF-32: have it sent as UTF-8")
    if encoding := _wide_encoding(beginning):
        raise DataFault(f"{name} is UTF-16: set format.encoding to {encoding}")


def _wide_encoding(beginning: bytes) -> str | None:
    """Return the encoding of text of two bytes a character, or None."""
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    part = beginning[:_LOOKED_AT]
    # Without a mark: of letters and digits, each other byte is zero.
    if len(part) > 1 and part.strip(b"\0"):
        if not part[1::2].strip(b"\0"):
            return "utf-16-le"
        if not part[::2].strip(b"\0"):
            return "utf-16-be"
    return None


def require_no_workbook(name: str, members: list[str]) -> None:
    """Check that an archive with files of these names is not what a spreadsheet saves.

    Raises
    ------
    DataFault
        When it is.
    """
    if "[Content_Types].xml" in members or "mimetype" in members:
        _refuse_workbook(name)


def _refuse_workbook(name: str) -> NoReturn:
    raise DataFault(
        f"{name} is a workbook of a spreadsheet: save its sheet as CSV (UTF-8), and look whether long numbers keep all their digits"
    )


def is_system_file(name: str) -> bool:
    """Return whether a file in an archive is a note of a system's own."""
    own = name.rpartition("/")[2]
    return name.startswith("__MACOSX/") or own.startswith(".") or own == "Thumbs.db"
