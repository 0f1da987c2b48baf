"""Describe a source, one feed of one event type, by one YAML file."""

import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from flowetl import paths
from flowetl.errors import ConfigurationError
from flowetl.events import COLUMNS, TAC_DIGITS, CdrType, column_names
from flowetl.expressions import Expression, Strict, has_literal_z, shorthand
from flowetl.faults import faults_of
from flowetl.formats import DatabaseTable, FileFormat, Layouts, Place, named
from flowetl.limits import Gate, Rejects, Stability, Wait, Window
from flowetl.schedules import require_cron
from flowetl.spelled import Identifiers

MONEY_KEY: Final = "mobile_money"
"""The key that only descriptions of mobile money have."""

_PARTIES = {
    "caller": re.compile(
        r"(?i)calling|caller|originat|(^|_)from($|_)|(^|_)a_?(number|num|no|party|msisdn|subscriber)($|_)"
    ),
    "called": re.compile(
        r"(?i)called|callee|dial|terminat|(^|_)to($|_)|(^|_)b_?(number|num|no|party|msisdn|subscriber)($|_)"
    ),
}
"""Names of fields that hold one party of a call, whichever way it went."""


def _lists(given: Any) -> Any:
    """Return texts by field; a single text or number becomes a list of one text."""
    if not isinstance(given, dict):
        return given
    return {
        str(field): [str(text) for text in (texts if isinstance(texts, list | tuple) else [texts])]
        for field, texts in given.items()
    }


Words = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_lists)]


def _of_kind(given: Any, kind: str) -> Any:
    # Files of fixed places seldom have a header.
    return (
        {"kind": kind, "header": False} | (given or {}) if given is None or isinstance(given, dict) else given
    )


_TYPED_TIMES = ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f%z")
"""How times of a Parquet file or a table that are no text are read."""


class Source(Strict):
    """Describe one feed of one event type: files below the landing folder, or a table.

    ``fields`` are names; of a file of fixed places also where they stand; of one with several ``layouts`` they are
    taken from those. With ``days: by_record`` the records tell their day, and a file may hold some of ``late.days`` days
    before its own and ``late.early`` days after. ``only`` and ``skip`` say which records are wanted by the text of a field; others are passed over.

    ``path`` holds ``{date}`` and is relative to the landing folder; ``table`` stands instead of it. ``timezone`` is that of the file's clock,
    by default the deployment's. ``minimum_rows`` refuses a day with fewer valid records. ``minimum_share``
    holds back a day with less than this share of its weekday's usual rows. ``minimum_known_cells`` (by
    default the deployment's) holds back a day whose cells are not in the cell list. ``gates`` does so by the
    outcomes of quality checks. ``indexes`` are the B-trees of each day's partition.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    cdr_type: CdrType
    path: str = ""
    table: DatabaseTable | None = None
    timezone: str | None = None
    schedule: str
    start: dt.date
    end: dt.date | None = None
    format: Annotated[FileFormat, BeforeValidator(named)] = FileFormat()
    fields: tuple[str, ...] = Field(min_length=2)
    places: tuple[Place, ...] = ()
    layouts: Layouts | None = None
    only: Words = Field(default_factory=dict)
    skip: Words = Field(default_factory=dict)
    mapping: dict[str, Annotated[Expression, BeforeValidator(shorthand)]]
    identifiers: Identifiers = Identifiers()
    days: Literal["named", "by_record"] = "named"
    late: Window = Window()
    stability: Stability = Stability()
    wait: Wait = Wait()
    rejects: Rejects = Rejects()
    minimum_rows: int = Field(default=1, ge=0)
    minimum_share: float = Field(default=0.5, ge=0, le=1)
    minimum_known_cells: float | None = Field(default=None, ge=0, le=1)
    gates: dict[str, Gate] = Field(default_factory=dict)
    indexes: tuple[str, ...] = ("msisdn", "location_id")

    @field_validator("path")
    @classmethod
    def _has_date(cls, path: str) -> str:
        return paths.require_path(path)

    @model_validator(mode="after")
    def _days_told(self) -> "Source":
        if bool(self.path) == (self.table is not None):
            raise ValueError("needs either path, for files, or table, for a table of a database")
        if self.table is not None:
            if self.days == "by_record" and self.table.day is None:
                raise ValueError("days: by_record needs table.day, the column whose days are read")
        elif self.days == "named" and not paths.has_date(self.path):
            raise ValueError(
                f"path: {self.path!r} holds no {{date}}, so that the day of a file is not known: put {{date}} or its form, such as "
                "{date:%Y%m%d}, in; or let the records tell their day with days: by_record"
            )
        if self.days == "named" and self.late != Window():
            raise ValueError(
                "late: only with days: by_record, which lets the records of a file tell their day"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _fields_as_names(cls, given: Any) -> Any:
        """Take the names of fields from places and layouts."""
        if not isinstance(given, dict):
            return given
        fields, layouts = given.get("fields"), given.get("layouts")
        if isinstance(fields, list) and any(isinstance(field, dict) for field in fields):
            names = [field.get("name") if isinstance(field, dict) else field for field in fields]
            return given | {
                "fields": names,
                "places": fields,
                "format": _of_kind(given.get("format"), "fixed"),
            }
        if fields is None and isinstance(layouts, dict):
            # What is wrong with the layouts is told of them.
            lists = [names for names in layouts.get("kinds", layouts).values() if isinstance(names, list)]
            return given | {"fields": list(dict.fromkeys(name for names in lists for name in names))}
        return given

    @model_validator(mode="after")
    def _form_fits(self) -> "Source":
        kind = self.format.kind
        if (kind == "fixed") != bool(self.places) or (self.places and len(self.places) != len(self.fields)):
            raise ValueError(
                "fields: of a file of fixed places each is written {name: NAME, from: FIRST, to: LAST}; of any other by its name"
            )
        if self.layouts is not None and (kind != "delimited" or set(self.fields) != set(self.layouts.fields)):
            raise ValueError("layouts: only for delimited files, and instead of fields")
        for key, words in (("only", self.only), ("skip", self.skip)):
            for field in words:
                if field not in self.fields:
                    raise ValueError(f"{key}: {field!r} is not among fields: {', '.join(self.fields)}")
        return self

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in available_timezones():
            raise ValueError(f"{zone!r} is not a time zone of the IANA database, such as Asia/Kathmandu")
        return zone

    @field_validator("schedule")
    @classmethod
    def _cron(cls, schedule: str) -> str:
        return require_cron(schedule)

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
            for field in expression.all_fields:
                if field not in self.fields:
                    raise ValueError(
                        f"mapping.{target}: {field!r} is not among fields: {', '.join(self.fields)}"
                    )
        for column in COLUMNS[self.cdr_type]:
            given = self.mapping.get(column.name)
            if column.required and given is None:
                raise ValueError(f"mapping.{column.name} is missing; every event needs it")
            if column.kind in ("identifier", "timestamp") and given and not given.has_text:
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
            field: column.name
            for column in COLUMNS[self.cdr_type]
            if column.kind == "identifier" and column.name in self.mapping
            for field in self.mapping[column.name].raw_fields
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
    def advice(self) -> tuple[str, ...]:
        """Return warnings: settings that are valid but may be meant differently."""
        told = []
        given = self.identifiers
        numbers = given.pseudonymise == "here" and given.msisdn.form in ("number", "national")
        if numbers and not given.calling_code:
            told.append(
                "identifiers.calling_code is not given: numbers are taken as they are written, so that a national number and the "
                "same number with its country in front are two subscribers"
            )
        if numbers and given.calling_code and not given.national_lengths:
            told.append(
                "identifiers.national_lengths is not given: a national number that begins with "
                f"{given.calling_code} is taken for an international one, and its subscriber for another"
            )
        if self._both_parties and "outgoing" not in self.mapping:
            told.append(
                "both parties are mapped and no direction: every record is given to the one of mapping.msisdn, at the "
                "cell of the record. If the file holds incoming calls, map outgoing, and msisdn with when"
            )
        return tuple(told)

    @property
    def _both_parties(self) -> bool:
        return "msisdn" in self.mapping and "msisdn_counterpart" in self.mapping

    @model_validator(mode="after")
    def _served_party(self) -> "Source":
        """Check that a record belongs to the served party.

        The caller is not the served party of an incoming call.
        """
        served, direction = self.mapping["msisdn"], self.mapping.get("outgoing")
        both_ways = direction is not None and direction.constant is None
        if not (self._both_parties and both_ways) or served.served or served.column is None:
            return self
        name = next((party for party, pattern in _PARTIES.items() if pattern.search(served.column)), None)
        if name is not None:
            raise ValueError(
                f"mapping.msisdn: {served.column!r} names the {name}, who is not the served party of every record: "
                "write {when: <field of the kind of record>, MOC: <field of the caller>, MTC: <field of the called>}, "
                "and mapping.msisdn_counterpart the other way round; or "
                f"{{column: {served.column}, served: true}} if the field holds the served party in every record"
            )
        return self

    @property
    def mapping_version(self) -> str:
        """Return a text that changes with everything that shapes the loaded rows."""
        shaping = self.model_dump_json(
            include={
                *(("table",) if self.table else ()),
                "cdr_type",
                "timezone",
                "format",
                "fields",
                "places",
                "layouts",
                "only",
                "skip",
                "mapping",
                "identifiers",
            }
        )
        return hashlib.sha256(shaping.encode()).hexdigest()[:16]

    def zone(self, deployment_zone: ZoneInfo) -> ZoneInfo:
        """Return the time zone of the file's clock."""
        return ZoneInfo(self.timezone) if self.timezone else deployment_zone

    def require_clock(self, deployment_zone: ZoneInfo) -> None:
        """Check that every time is read in the zone that its text states.

        Raises
        ------
        ConfigurationError
            When a format passes over a Z, which says UTC, while the file's clock is another.
        """
        zone = self.zone(deployment_zone).key
        for pattern in self.time_patterns:
            if has_literal_z(pattern) and zone not in ("UTC", "Etc/UTC"):
                raise ConfigurationError(
                    f"{self.name}: mapping.datetime.format {pattern!r} passes over the Z, which says UTC, while the clock "
                    f"is that of {zone}. Write {pattern[:-1] + '%z'!r}, which reads it"
                )

    def require_day(self, date: dt.date) -> None:
        """Check that the source covers a day.

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
        """Where the operator puts the file of one day; of several, with stars in its name."""
        return landing / paths.expected(self.path, date)

    def files(self, landing: Path, date: dt.date) -> list[Path]:
        """Return the files that may hold a day's records; none without the day's own."""
        own = paths.files_of(landing, self.path, date)
        if self.days == "named" or not own or not paths.has_date(self.path):
            return own
        around = days(date - dt.timedelta(self.late.early), date + dt.timedelta(self.late.days))
        return [path for named_day in around for path in paths.files_of(landing, self.path, named_day)]

    @property
    def may_grow(self) -> bool:
        """Whether a file may come that belongs to a day which is loaded already."""
        return self.days == "by_record" or self.table is not None or paths.has_star(self.path)

    @property
    def origin(self) -> str:
        """Where the records come from, in words."""
        return self.table.full_name if self.table else self.path

    @property
    def time_patterns(self) -> tuple[str, ...]:
        """The forms of the time of a record, in the order in which they are tried."""
        given = self.mapping["datetime"].patterns
        return (*given, *_TYPED_TIMES) if self.table or self.format.kind == "parquet" else given


Described = TypeVar("Described", bound=Strict)


def content_of(path: Path) -> dict[str, Any]:
    """Read the keys of one YAML file; ConfigurationError if it has none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        # A ValueError is a date that does not exist, or a byte that is no text.
        raise ConfigurationError(f"{path.name}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path.name}: must be a mapping of keys to values")
    return content


def described(path: Path, kind: type[Described], content: dict[str, Any]) -> Described:
    """Return what a file describes.

    Raises
    ------
    ConfigurationError
        Naming the file and every wrong key, with the value found and what is allowed.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(f"{path.name}: {faults_of(error, kind, 'source')}") from error


def read_source(path: Path) -> Source:
    """Read the source of one YAML file.

    Raises
    ------
    ConfigurationError
        Naming the file and every wrong key, with the value found and what is allowed.
    """
    content = content_of(path)
    if MONEY_KEY in content:
        raise ConfigurationError(
            f"{path.name} describes mobile money, which has no records to preview or check: the command run loads a day of it"
        )
    return described(path, Source, content)


def has_sources(folder: Path) -> bool:
    """Return whether a folder has any description of a source, sound or not."""
    return any(folder.glob("*.yml"))


def read_sources(folder: Path) -> dict[str, Source]:
    """Read a folder's sources of events (``*.yml``), in order of file name.

    Raises
    ------
    ConfigurationError
        When a file is wrong, two share a name, or the folder holds none.
    """
    sources: dict[str, Source] = {}
    for path in sorted(folder.glob("*.yml")):
        if MONEY_KEY in content_of(path):
            continue
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
        raise ConfigurationError(
            f"{folder} holds no source (*.yml): describe one, or correct FLOWETL_SOURCES"
        )
    return sources


def _share_days(one: Source, other: Source) -> bool:
    return one.start <= (other.end or dt.date.max) and other.start <= (one.end or dt.date.max)


def days(start: dt.date, end: dt.date) -> Iterator[dt.date]:
    """Yield every day from start to end, inclusive."""
    for offset in range((end - start).days + 1):
        yield start + dt.timedelta(days=offset)
