"""A source: one feed of one event type, described by one YAML file."""

import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from flowetl.errors import ConfigurationError
from flowetl.events import COLUMNS, TAC_DIGITS, CdrType, column_names

_CRON_FIELD = r"[0-9*,/\-A-Za-z]+"
_CRON = re.compile(rf"{_CRON_FIELD}(\s+{_CRON_FIELD}){{4,5}}")


_CRON_RANGES = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
    ("second", 0, 59),
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expression(_Strict):
    """How one target column comes from the raw fields.

    Exactly one of ``column`` (a raw field), ``sum`` (several, added up) and ``constant``. ``values`` translates
    the text of ``column``; any other text is rejected. ``divide_by`` scales a number: 1000000 makes bytes megabytes.
    ``format`` is the strptime pattern of a timestamp.
    """

    column: str | None = None
    sum: tuple[str, ...] = ()
    constant: str | float | bool | None = None
    values: dict[str, str | float | bool] = Field(default_factory=dict)
    divide_by: float = Field(default=1, gt=0)
    format: str = "%Y-%m-%d %H:%M:%S"

    @model_validator(mode="after")
    def _one_origin(self) -> "Expression":
        given = [name for name in ("column", "sum", "constant") if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of column, sum and constant, not {given or 'none'}")
        if self.values and self.column is None:
            raise ValueError("values can only translate a column")
        return self

    @field_validator("format")
    @classmethod
    def _tells_the_day(cls, format: str) -> str:
        # Imported here, because who only reads the sources need not wait for it.
        import duckdb

        moment = dt.datetime(2016, 12, 31, 22, 58, 59, tzinfo=dt.UTC)
        try:
            there_and_back = "SELECT strptime(strftime($1, $2), $2)::DATE = $1::DATE"
            with duckdb.connect() as connection:
                connection.execute("SET TimeZone = 'UTC'")
                ((told,),) = connection.execute(there_and_back, [moment, format]).fetchall()
        except duckdb.Error as error:
            raise ValueError(f"{format!r} is not a strptime pattern: {str(error).splitlines()[0]}") from None
        if not told:
            raise ValueError(f"{format!r} does not tell the day; such as %Y-%m-%d %H:%M:%S does")
        return format

    @property
    def has_offset(self) -> bool:
        """Whether the text of a timestamp says its offset from UTC."""
        return any(directive in ("%z", "%Z") for directive in re.findall(r"%-?.", self.format))

    @property
    def raw_fields(self) -> tuple[str, ...]:
        return (self.column,) if self.column else self.sum


def _shorthand(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class CsvFormat(_Strict):
    """How a file is delimited. One line is one record: a line break inside quotes is not supported."""

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    encoding: str = "utf-8"
    header: bool = True
    nulls: tuple[str, ...] = ("",)

    @field_validator("encoding")
    @classmethod
    def _extends_ascii(cls, encoding: str) -> str:
        ascii_text = "".join(map(chr, range(128)))
        try:
            if ascii_text.encode(encoding) == ascii_text.encode("ascii"):
                return encoding
        except (LookupError, UnicodeError):
            pass
        raise ValueError(f"{encoding!r} is not an encoding that extends ASCII, such as utf-8 or latin-1")


class Identifiers(_Strict):
    """How subscribers and devices become pseudonyms.

    ``calling_code`` is the country's (``977``): national numbers get it put in front. ``trunk_prefix`` and
    ``national_lengths`` tell a national number from an international one; see ``Numbering``. ``key_id`` names the secret's
    period of use: a new secret needs a new one. ``upstream`` means the operator delivers pseudonyms already.
    """

    pseudonymise: Literal["here", "upstream"] = "here"
    calling_code: str = Field(default="", pattern=r"^[0-9]{0,3}$")
    trunk_prefix: str | None = Field(default=None, pattern=r"^[0-9]{0,3}$")
    national_lengths: tuple[Annotated[int, Field(ge=7, le=14)], ...] = ()
    key_id: str = Field(default="1", pattern=r"^[A-Za-z0-9_.-]{1,32}$")


class Stability(_Strict):
    """A file is complete once size and modification time have not changed for ``pause`` seconds."""

    pause: float = Field(default=5, ge=0)
    timeout: float = Field(default=6 * 3600, ge=0)


class Wait(_Strict):
    """How long, and how often, a scheduled load looks for its file, in seconds."""

    timeout: float = Field(default=6 * 3600, ge=0)
    poll: float = Field(default=60, gt=0)


class Rejects(_Strict):
    """The largest share of a file's records that may be malformed before the whole file is refused.

    A share says little about a small file, so ``tolerated`` records never refuse one.
    """

    maximum_rate: float = Field(default=0.01, ge=0, le=1)
    tolerated: int = Field(default=20, ge=0)


class Source(_Strict):
    """One feed of one event type. ``path`` holds ``{date}`` and is relative to the landing folder.

    ``timezone`` is that of the file's clock, by default the deployment's. ``minimum_rows`` refuses a day that
    holds fewer good records. ``indexes`` are the B-trees of each day's partition.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    cdr_type: CdrType
    path: str
    timezone: str | None = None
    schedule: str
    start: dt.date
    end: dt.date | None = None
    format: CsvFormat = CsvFormat()
    fields: tuple[str, ...] = Field(min_length=2)
    mapping: dict[str, Annotated[Expression, BeforeValidator(_shorthand)]]
    identifiers: Identifiers = Identifiers()
    stability: Stability = Stability()
    wait: Wait = Wait()
    rejects: Rejects = Rejects()
    minimum_rows: int = Field(default=1, ge=0)
    indexes: tuple[str, ...] = ("msisdn", "location_id")

    @field_validator("path")
    @classmethod
    def _has_date(cls, path: str) -> str:
        if path.count("{date}") != 1 or re.search(r"[{}]", path.replace("{date}", "")):
            raise ValueError(f"{path!r} must hold {{date}} exactly once and no other placeholder")
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ValueError(f"{path!r} must be relative to the landing folder and stay inside it")
        return path

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in available_timezones():
            raise ValueError(f"{zone!r} is not a time zone of the IANA database, such as Asia/Kathmandu")
        return zone

    @field_validator("schedule")
    @classmethod
    def _cron(cls, schedule: str) -> str:
        if not _CRON.fullmatch(schedule.strip()):
            raise ValueError(f"{schedule!r} is not a cron expression of five fields (or six, seconds last)")
        for (name, first, last), given in zip(_CRON_RANGES, schedule.split(), strict=False):
            # A step, after the slash, may be any number.
            numbers = re.findall(r"[0-9]+", re.sub(r"/[0-9]+", "", given))
            for number in numbers:
                if not first <= int(number) <= last:
                    raise ValueError(f"{schedule!r}: {name} {number} is not within {first} to {last}")
        return schedule.strip()

    @field_validator("fields")
    @classmethod
    def _distinct(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        if len({field.casefold() for field in fields}) != len(fields):
            raise ValueError("names a field twice; names that differ by case alone are the same")
        return fields

    @model_validator(mode="after")
    def _mapping_fits(self) -> "Source":
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}")
        allowed = column_names(self.cdr_type)
        for target, expression in self.mapping.items():
            if target not in allowed:
                raise ValueError(
                    f"mapping.{target}: no such column of {self.cdr_type}; allowed: {', '.join(allowed)}"
                )
            for field in expression.raw_fields:
                if field not in self.fields:
                    raise ValueError(
                        f"mapping.{target}: {field!r} is not among fields: {', '.join(self.fields)}"
                    )
        for column in COLUMNS[self.cdr_type]:
            given = self.mapping.get(column.name)
            if column.required and given is None:
                raise ValueError(f"mapping.{column.name} is missing; every event needs it")
            if column.kind in ("identifier", "timestamp") and given and given.column is None:
                raise ValueError(f"mapping.{column.name} must name a column")
        if (
            self.identifiers.pseudonymise == "upstream"
            and "tac" not in self.mapping
            and "imei" in self.mapping
        ):
            raise ValueError(
                "mapping.tac is missing: it cannot be taken from an imei that is a pseudonym already"
            )
        identifying = {
            self.mapping[column.name].column: column.name
            for column in COLUMNS[self.cdr_type]
            if column.kind == "identifier" and column.name in self.mapping
        }
        for column in COLUMNS[self.cdr_type]:
            given = self.mapping.get(column.name)
            if given is None or column.kind == "identifier":
                continue
            for field in given.raw_fields:
                if field in identifying:
                    raise ValueError(
                        f"mapping.{column.name}: {field!r} is the raw identifier of mapping.{identifying[field]} "
                        "and would be stored as it is"
                    )
            if (
                column.kind == "integer"
                and given.constant is not None
                and not re.fullmatch(rf"[0-9]{{1,{TAC_DIGITS}}}", str(given.constant))
            ):
                raise ValueError(
                    f"mapping.{column.name}: {given.constant!r} is not a number of 1 to {TAC_DIGITS} digits"
                )
        for index in self.indexes:
            if index not in allowed:
                raise ValueError(
                    f"indexes: no column {index!r} of {self.cdr_type}; allowed: {', '.join(allowed)}"
                )
        return self

    @property
    def advice(self) -> str | None:
        """What is not wrong but may be meant otherwise."""
        given = self.identifiers
        if given.pseudonymise == "here" and given.calling_code and not given.national_lengths:
            return (
                "identifiers.national_lengths is not given: a national number that begins with "
                f"{given.calling_code} is taken for an international one, and its subscriber for another"
            )
        return None

    @property
    def mapping_version(self) -> str:
        """Changes whenever anything that shapes the loaded rows changes."""
        shaping = self.model_dump_json(
            include={"cdr_type", "timezone", "format", "fields", "mapping", "identifiers"}
        )
        return hashlib.sha256(shaping.encode()).hexdigest()[:16]

    def zone(self, deployment_zone: ZoneInfo) -> ZoneInfo:
        """The time zone of the file's clock."""
        return ZoneInfo(self.timezone) if self.timezone else deployment_zone

    def require_day(self, date: dt.date) -> None:
        """Check that a day is among those the source covers.

        Raises
        ------
        ConfigurationError
            When it is not: another source may be the one of that day.
        """
        if date < self.start or (self.end is not None and date > self.end):
            raise ConfigurationError(
                f"{self.name} covers the days from {self.start} to {self.end or 'now on'}, not {date}"
            )

    def file(self, landing: Path, date: dt.date) -> Path:
        """Where the operator puts the file of one day."""
        return landing / self.path.replace("{date}", date.isoformat())


def read_source(path: Path) -> Source:
    """The source described by one YAML file.

    Raises
    ------
    ConfigurationError
        Naming the file and every wrong key, with the value found and what is allowed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path.name}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path.name}: must be a mapping of keys to values")
    try:
        return Source.model_validate(content)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'source'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False)
        ]
        raise ConfigurationError(f"{path.name}: " + "; ".join(faults)) from error


def read_sources(folder: Path) -> dict[str, Source]:
    """Every source of a folder (``*.yml``), by name, in order of file name.

    Raises
    ------
    ConfigurationError
        When a file is wrong, two share a name, or the folder holds none.
    """
    sources: dict[str, Source] = {}
    for path in sorted(folder.glob("*.yml")):
        source = read_source(path)
        if source.name in sources:
            raise ConfigurationError(f"{path.name}: name {source.name!r} is taken by another source")
        for other in sources.values():
            if other.cdr_type == source.cdr_type and _share_days(source, other):
                raise ConfigurationError(
                    f"{path.name}: {source.name} and {other.name} both load {source.cdr_type} "
                    f"from {max(source.start, other.start)}; a day of a type has one source"
                )
        sources[source.name] = source
    if not sources:
        raise ConfigurationError(f"{folder} holds no source (*.yml)")
    return sources


def _share_days(one: Source, other: Source) -> bool:
    return one.start <= (other.end or dt.date.max) and other.start <= (one.end or dt.date.max)


def days(start: dt.date, end: dt.date) -> Iterator[dt.date]:
    """Every day from start to end, both inclusive."""
    for offset in range((end - start).days + 1):
        yield start + dt.timedelta(days=offset)
