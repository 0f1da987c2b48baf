"""Describe how a column is made from the fields of an operator's file."""

import datetime as dt
import re
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1000, "epoch_us": 1, "epoch_ns": 0.001}
"""The forms of times that count from 1970, and the microseconds of what they count."""


class Strict(BaseModel):
    """Base parts of a source file: no unknown keys, immutable after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class NumberFormat(Strict):
    """Hold a number's decimal and thousands separators."""

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""

    @model_validator(mode="after")
    def _two_marks(self) -> "NumberFormat":
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; they must differ")
        return self


class Expression(Strict):
    """Describe how one target column comes from the raw fields.

    Exactly one of these is given: ``column`` (a raw field), ``join`` (several fields, joined ``with`` a
    text), ``when`` (a field whose text chooses among others), ``sum`` (several fields, added) and
    ``constant``. ``values`` translates the text of ``column``; any other text is refused. ``divide_by``
    scales a number: 1000000 turns bytes into megabytes. ``format`` has strptime patterns of a timestamp,
    ``epoch_s``, ``epoch_ms``, ``epoch_us`` or ``epoch_ns``, tried in order; or a number's separators. ``form: clock`` reads ``00:01:05``
    as seconds. ``served`` says that a field named after the caller holds the served party.
    """

    column: str | None = None
    join: tuple[str, ...] = ()
    with_: str = Field(default=" ", alias="with", max_length=8)
    when: str | None = None
    cases: dict[str, str] = Field(default_factory=dict)
    sum: tuple[str, ...] = ()
    constant: str | float | bool | None = None
    values: dict[str, str | float | bool] = Field(default_factory=dict)
    divide_by: float = Field(default=1, gt=0)
    format: tuple[str, ...] | NumberFormat = ("%Y-%m-%d %H:%M:%S",)
    form: Literal["number", "clock"] = "number"
    served: bool = False

    @model_validator(mode="before")
    @classmethod
    def _cases_beside_when(cls, given: Any) -> Any:
        """Read ``{when: kind, MOC: calling, MTC: called}``.

        A key that is not ours is a text of the field.
        """
        if not isinstance(given, dict) or "when" not in given or "cases" in given:
            return given
        own = {key: value for key, value in given.items() if key in ("when", "served")}
        return own | {"cases": {str(key): value for key, value in given.items() if key not in own}}

    @field_validator("format", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @field_validator("values", mode="before")
    @classmethod
    def _texts(cls, given: Any) -> Any:
        """Turn numbers into text: YAML reads a bare 20 as a number, but the file has text."""
        return {str(key): value for key, value in given.items()} if isinstance(given, dict) else given

    @field_validator("format")
    @classmethod
    def _tells_the_day(cls, given: tuple[str, ...] | NumberFormat) -> tuple[str, ...] | NumberFormat:
        if isinstance(given, tuple):
            if not given:
                raise ValueError("names no pattern")
            for pattern in given:
                if pattern not in EPOCHS:
                    _require_day(pattern)
        return given

    @model_validator(mode="after")
    def _one_origin(self) -> "Expression":
        origins = ("column", "join", "when", "sum", "constant")
        given = [name for name in origins if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            raise ValueError(
                f"needs exactly one of {', '.join(origins[:-1])} and constant, not {given or 'none'}"
            )
        if self.values and self.column is None:
            raise ValueError("values can only translate a column")
        if self.when is not None and not self.cases:
            raise ValueError(f"when {self.when!r} names no text and its field, such as MOC: calling")
        if self.join and len(self.join) < 2:
            raise ValueError("join needs two fields or more")
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """Return the forms of a timestamp, in the order in which they are tried."""
        return self.format if isinstance(self.format, tuple) else ()

    @property
    def marks(self) -> NumberFormat:
        """Return the number's separators."""
        return self.format if isinstance(self.format, NumberFormat) else NumberFormat()

    @property
    def raw_fields(self) -> tuple[str, ...]:
        """Return the fields whose text becomes part of the column."""
        if self.when is not None:
            return tuple(dict.fromkeys(self.cases.values()))
        return (self.column,) if self.column else self.join or self.sum

    @property
    def all_fields(self) -> tuple[str, ...]:
        """Return every field that is read."""
        return (*self.raw_fields, self.when) if self.when is not None else self.raw_fields

    @property
    def has_text(self) -> bool:
        """Return whether the column is made of one text.

        The text is a field's, several joined, or chosen by another field.
        """
        return bool(self.column or self.join or self.when)


def has_offset(pattern: str) -> bool:
    """Return whether a time of this form includes its offset."""
    return pattern in EPOCHS or any(found in ("%z", "%Z") for found in re.findall(r"%-?.", pattern))


def has_literal_z(pattern: str) -> bool:
    """Return whether a pattern has a literal Z and thus ignores its meaning."""
    return pattern not in EPOCHS and re.sub(r"%-?.", "", pattern).endswith("Z")


@lru_cache(maxsize=64)
def _require_day(pattern: str) -> None:
    if "%n" in pattern:
        raise ValueError(f"{pattern!r}: write %f, which reads fractions of up to nine digits")
    # Imported here, so that reading the sources does not load DuckDB.
    import duckdb

    moment = dt.datetime(2016, 12, 31, 22, 58, 59, tzinfo=dt.UTC)
    try:
        there_and_back = "SELECT strptime(strftime($1, $2), $2)::DATE = $1::DATE"
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            ((told,),) = connection.execute(there_and_back, [moment, pattern]).fetchall()
    except duckdb.Error as error:
        raise ValueError(f"{pattern!r} is not a strptime pattern: {str(error).splitlines()[0]}") from None
    if not told:
        raise ValueError(f"{pattern!r} does not tell the day; such as %Y-%m-%d %H:%M:%S does")


def shorthand(value: Any) -> Any:
    """Expand a bare name to a column."""
    return {"column": value} if isinstance(value, str) else value
