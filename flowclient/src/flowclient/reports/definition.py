"""Read what a report is: one YAML file each."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from cronsim import CronSim, CronSimError
from pydantic import (
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from flowclient.pages.languages import LOCALES
from flowclient.reports.arguments import Strict
from flowclient.reports.contents import CONTENTS, Language, NotebookParameters, PageParameters, Parameters

_NAME = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"
Name = Annotated[str, Field(pattern=_NAME)]
EventType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
#: Characters of a person's note.
_LONGEST_NOTE = 4000


class DefinitionError(ValueError):
    """Report a file that defines no report, with each field and what is wrong with it."""


class Body(Strict):
    """Name the page that the report draws, or the notebook that draws its pages.

    The notebook lies beside the definition. Of a notebook the definition says what cannot be seen: the ``scopes`` that it needs, and how many ``days`` before
    the period's end it reads; all, unless given.
    """

    page: str | None = None
    notebook: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][\w.-]{0,99}\.ipynb$")
    scopes: tuple[str, ...] = ()
    days: int | None = Field(default=None, ge=1)

    @field_validator("page")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in CONTENTS:
            raise ValueError(f"must be one of {', '.join(CONTENTS)}")
        return value

    @field_validator("scopes", mode="before")
    @classmethod
    def _tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one(self) -> Body:
        if (self.page is None) == (self.notebook is None):
            raise ValueError("must have 'page' or 'notebook'")
        if self.page is not None and (self.scopes or self.days is not None):
            raise ValueError("'scopes' and 'days' go with 'notebook' alone")
        return self


class Trigger(Strict):
    """Say when a period's report is due; exactly one of the three is given.

    ``days_loaded``: once the period's last day is loaded for these event types, or after the hour ``late`` of the
    day after it, with gaps. ``complete``: once all its days are. ``cron``: at these times, for the last period that
    is over.
    """

    days_loaded: tuple[EventType, ...] | None = Field(default=None, min_length=1)
    late: datetime.time | None = None
    complete: tuple[EventType, ...] | None = Field(default=None, min_length=1)
    cron: str | None = None

    @field_validator("days_loaded", "complete", mode="before")
    @classmethod
    def _tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("late", mode="before")
    @classmethod
    def _hour(cls, value: Any) -> Any:
        try:
            return datetime.time.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError("must be a time of day in quotes, such as '18:00'") from None

    @field_validator("cron")
    @classmethod
    def _expression(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                CronSim(value, datetime.datetime(2016, 1, 1))
            except CronSimError as error:
                raise ValueError(f"must be a cron expression of five fields: {error}") from None
        return value

    @model_validator(mode="after")
    def _one(self) -> Trigger:
        given = [name for name in ("days_loaded", "complete", "cron") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("must have exactly one of 'days_loaded', 'complete', 'cron'")
        if self.late is not None and self.days_loaded is None:
            raise ValueError("'late' goes with 'days_loaded' alone")
        return self


class Limits(Strict):
    """Bound the process that makes a page."""

    minutes: int = Field(default=30, ge=1, le=240)
    memory_mb: int = Field(default=2048, ge=256)
    page_kb: int = Field(default=1000, ge=50, le=1000)
    queries: int = Field(default=400, ge=1)


class Keep(Strict):
    """Say how many versions of a period, and how many periods, ``prune`` leaves."""

    versions: int = Field(default=3, ge=1)
    periods: int = Field(default=400, ge=1)


class Definition(Strict):
    """Hold a report's definition; unknown keys are refused."""

    name: Name
    body: Body
    period: Literal["day", "week", "month"]
    trigger: Trigger = Field(default_factory=lambda: Trigger(days_loaded=("calls", "sms")))
    parameters: SerializeAsAny[Parameters]
    languages: tuple[Language, ...] = Field(default=tuple(LOCALES), min_length=1)
    recipients: Name
    #: Server and role of the service user that asks; without them, the token of the settings asks.
    server: str | None = Field(default=None, min_length=1, max_length=75)
    role: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_]{1,75}$")
    #: A program and its arguments, run without a shell; ``{report}``, ``{period}`` and ``{reason}`` are replaced.
    on_failure: tuple[str, ...] = ()
    publish: Literal["at-once", "by-hand"] = "at-once"
    limits: Limits = Field(default_factory=Limits)
    keep: Keep = Field(default_factory=Keep)
    #: Folder of the definition, of its notebook and of the folder ``notes``.
    _folder: Path = PrivateAttr(default=Path())

    @field_validator("parameters", mode="plain")
    @classmethod
    def _of_the_body(cls, value: Any, info: ValidationInfo) -> Any:
        body = info.data.get("body")
        # Of a page that is not known, which is refused itself, nothing can be said.
        if body is None:
            return value
        return (NotebookParameters if body.page is None else CONTENTS[body.page]).model_validate(value)

    @model_validator(mode="after")
    def _period_of_the_page(self) -> Definition:
        only = self.parameters.period
        if only is not None and self.period != only:
            raise ValueError(f"a page '{self.body.page}' has 'period: {only}'")
        return self

    @model_validator(mode="after")
    def _server_and_role(self) -> Definition:
        if (self.server is None) != (self.role is None):
            raise ValueError("'server' and 'role' go together")
        return self

    @field_validator("on_failure")
    @classmethod
    def _known_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            try:
                part.format_map({"report": "", "period": "", "reason": ""})
            except (KeyError, IndexError, ValueError):
                raise ValueError(f"{part!r} may name only {{report}}, {{period}} and {{reason}}") from None
        return value

    def period_of(self, day: datetime.date) -> str:
        """Return the period that a day lies in: 2016-02-14, 2016-W06 or 2016-02."""
        if self.period == "day":
            return day.isoformat()
        if self.period == "month":
            return f"{day:%Y-%m}"
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}"

    def end_of(self, period: str) -> datetime.date:
        """Return the first day after a period.

        Raises
        ------
        ValueError
            If the text is no period of this report.
        """
        try:
            if self.period == "day" and re.fullmatch(r"\d{4}-\d\d-\d\d", period):
                return datetime.date.fromisoformat(period) + datetime.timedelta(days=1)
            if self.period == "week" and (found := re.fullmatch(r"(\d{4})-W(\d\d)", period)):
                first = datetime.date.fromisocalendar(int(found[1]), int(found[2]), 1)
                return first + datetime.timedelta(days=7)
            if self.period == "month" and (found := re.fullmatch(r"(\d{4})-(\d\d)", period)):
                return (datetime.date(int(found[1]), int(found[2]), 28) + datetime.timedelta(days=4)).replace(
                    day=1
                )
        except ValueError:
            pass
        example = {"day": "2016-02-14", "week": "2016-W06", "month": "2016-02"}[self.period]
        raise ValueError(f"period = '{period}': must be a {self.period}, such as {example}.")

    def start_of(self, period: str) -> datetime.date:
        """Return the first day of a period; raises as :meth:`end_of`."""
        last = self.end_of(period) - datetime.timedelta(days=1)
        if self.period == "day":
            return last
        return last.replace(day=1) if self.period == "month" else last - datetime.timedelta(days=6)

    def folder(self, out: Path) -> Path:
        """Return the folder of the report's periods."""
        return out / self.recipients / self.name

    @property
    def notebook(self) -> Path | None:
        """Return the file of the notebook; None if the report draws a page."""
        return None if self.body.notebook is None else self._folder / self.body.notebook

    @property
    def event_types(self) -> tuple[str, ...] | None:
        """Return the event types whose loads decide what the report says; None is all."""
        if isinstance(self.parameters, PageParameters):
            return self.parameters.event_types
        return self.trigger.days_loaded or self.trigger.complete or self.parameters.event_types

    def reads_from(self, period: str) -> datetime.date:
        """Return the first day that the report of a period reads."""
        end = self.end_of(period)
        if isinstance(self.parameters, PageParameters):
            return self.parameters.reads_from(self.start_of(period), end)
        return datetime.date.min if self.body.days is None else end - datetime.timedelta(days=self.body.days)

    def scopes(self) -> list[str]:
        """Return the rights that the report needs."""
        if isinstance(self.parameters, PageParameters):
            return self.parameters.scopes()
        return list(self.body.scopes)

    def notes(self, period: str) -> dict[str, str]:
        """Return a person's words for a period, by language.

        They are in ``notes/<report>/<period>.<language>.txt``.

        Raises
        ------
        ValueError
            If one cannot be read or is too long.
        """
        found = {}
        for language in self.languages:
            file = self._folder / "notes" / self.name / f"{period}.{language}.txt"
            try:
                text = file.read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{file}: the note cannot be read ({type(error).__name__}).") from None
            if len(text) > _LONGEST_NOTE:
                raise ValueError(f"{file}: a note has at most {_LONGEST_NOTE} characters.")
            if text:
                found[language] = text
        return found


def read_definition(path: Path) -> Definition:
    """Return the definition in a file.

    Raises
    ------
    DefinitionError
        If it is none: each field, its value, and what is allowed.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DefinitionError(f"{path.name} cannot be read: {error}") from None
    try:
        # YAML has lists and dates of its own; whole numbers and texts have to be what they are.
        definition = Definition.model_validate(_with_tuples(content))
    except ValidationError as error:
        lines = [
            f"{path.name}: {'.'.join(map(str, fault['loc'])) or 'the file'} = {fault['input']!r}: {fault['msg']}."
            for fault in error.errors()
        ]
        raise DefinitionError("\n".join(lines)) from None
    if definition.name != path.stem:
        raise DefinitionError(
            f"{path.name}: name = '{definition.name}': must be '{path.stem}', as the file is."
        )
    definition._folder = path.parent.resolve()
    if definition.notebook is not None and not definition.notebook.is_file():
        raise DefinitionError(
            f"{path.name}: body.notebook = '{definition.body.notebook}': there is no such file beside it."
        )
    return definition


def _with_tuples(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    lists = {name: tuple(value) for name, value in content.items() if isinstance(value, list)}
    return {**content, **lists}


def read_definitions(folder: Path) -> list[Definition]:
    """Return all definitions of a folder, by name."""
    return [read_definition(path) for path in sorted(folder.glob("*.yml"))]
