"""Describe how an operator's file is written and which lines and records count."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from flowetl import paths
from flowetl.expressions import Strict
from flowetl.sizes import Sizes

_WIDE = ("utf-16", "utf-16-le", "utf-16-be")
"""Encodings that do not extend ASCII and are read all the same."""


def regular(pattern: str) -> str:
    """A regular expression that can be compiled."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return pattern


class SkippedLines(Strict):
    """Name lines that are no records: ``first``, ``last``, and ``matching`` lines."""

    first: int = Field(default=0, ge=0, le=1000)
    last: int = Field(default=0, ge=0, le=1000)
    matching: str = ""

    @field_validator("matching")
    @classmethod
    def _readable(cls, pattern: str) -> str:
        return regular(pattern)


def _skipped(given: Any) -> Any:
    """A bare number is that of the first lines."""
    return {"first": given} if isinstance(given, int) and not isinstance(given, bool) else given


class FileFormat(Strict):
    """Say how a file is written. One line is one record, also inside quotes.

    ``kind``: ``delimited`` text, ``fixed`` (each field in its places, which ``fields`` gives) or ``parquet``. ``strip``
    takes the blanks around unquoted values off.
    """

    kind: Literal["delimited", "fixed", "parquet"] = "delimited"
    delimiter: str = ","
    quote: str = Field(default='"', min_length=1, max_length=1)
    encoding: str = "utf-8"
    header: bool = True
    nulls: tuple[str, ...] = ("",)
    strip: bool = True
    sizes: Sizes = Sizes()
    skip_lines: Annotated[SkippedLines, BeforeValidator(_skipped)] = SkippedLines()

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, delimiter: str) -> str:
        if len(delimiter) != 1:
            raise ValueError(
                f"{delimiter!r} is not one character. Where a character is repeated, as in '||', write it once, and name "
                "the empty fields between in fields"
            )
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _extends_ascii(cls, encoding: str) -> str:
        ascii_text = "".join(map(chr, range(128)))
        try:
            if encoding.lower() in _WIDE or ascii_text.encode(encoding) == ascii_text.encode("ascii"):
                return encoding
        except (LookupError, UnicodeError):
            pass
        raise ValueError(
            f"{encoding!r} is not an encoding that extends ASCII, such as utf-8 or latin-1, nor one of {', '.join(_WIDE)}"
        )

    @model_validator(mode="after")
    def _two_marks(self) -> "FileFormat":
        if self.delimiter == self.quote:
            raise ValueError(f"delimiter and quote are both {self.quote!r}; they must differ")
        return self

    @property
    def line_encoding(self) -> str:
        """The encoding of the lines once the file is read: wide ones are recoded."""
        return "utf-8" if self.encoding.lower() in _WIDE else self.encoding


def named(given: Any) -> Any:
    """A bare name is the kind of a file."""
    return {"kind": given} if isinstance(given, str) else given


class Place(Strict):
    """Place a field at characters ``from`` to ``to`` of a line, counted from 1."""

    name: str = Field(min_length=1)
    from_: int = Field(alias="from", ge=1)
    to: int = Field(ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> "Place":
        if self.to < self.from_:
            raise ValueError(f"to {self.to} is before from {self.from_}")
        return self


class Layouts(Strict):
    """Choose a record's fields by the text in place ``by``, counted from 1.

    Records of other kinds are passed over.
    """

    by: int = Field(ge=1)
    kinds: dict[str, tuple[str, ...]] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _kinds_beside_by(cls, given: Any) -> Any:
        """``{by: 1, "20": [...]}``: what is no key of ours is a kind of record."""
        if not isinstance(given, dict) or "kinds" in given:
            return given
        return {
            "by": given.get("by"),
            "kinds": {str(key): value for key, value in given.items() if key != "by"},
        }

    @model_validator(mode="after")
    def _each_knows_its_kind(self) -> "Layouts":
        for kind, fields in self.kinds.items():
            if len(fields) < self.by:
                raise ValueError(
                    f"{kind!r} has {len(fields)} fields; the kind of a record is in place {self.by}"
                )
            if len(set(fields)) != len(fields):
                raise ValueError(f"{kind!r} names a field twice")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field of every kind, once."""
        return tuple(dict.fromkeys(field for fields in self.kinds.values() for field in fields))


DSN_PREFIX = "FLOWETL_DSN_"
"""What the names of secrets with connection strings begin with, so that a source can name no other secret."""


class DatabaseTable(Strict):
    """Name a table or view of a PostgreSQL database, and the rows of one day.

    ``dsn_secret`` is the setting with the connection string. ``day`` is the column with the time or date of a record;
    ``where`` is a condition in SQL, in which ``{date}`` or its form, such as ``{date:%Y%m%d}``, is the day.
    """

    dsn_secret: str = Field(pattern=rf"^{DSN_PREFIX}[A-Z0-9_]{{1,40}}$")
    schema_name: str = Field(default="public", alias="schema", min_length=1)
    name: str = Field(min_length=1)
    day: str | None = None
    where: str = ""

    @model_validator(mode="after")
    def _day_is_chosen(self) -> "DatabaseTable":
        if self.day is None and not paths.has_date(self.where):
            raise ValueError(
                "neither day nor where chooses the rows of a day: name the column of the time of a record with day, or "
                "use {date} in where, such as call_day = '{date:%Y%m%d}'"
            )
        return self

    @property
    def full_name(self) -> str:
        """The name with its schema."""
        return f"{self.schema_name}.{self.name}"
