"""Describe scheduled deliveries of mobile money: folders of four files, by day."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from flowetl import paths
from flowetl.errors import ConfigurationError
from flowetl.expressions import Strict
from flowetl.limits import Stability, Wait
from flowetl.schedules import require_cron
from flowetl.source import MONEY_KEY, Source, content_of, described

MONEY: Final = "dfs"
"""What stands for mobile money where events have their type."""


class MoneySource(Strict):
    """Describe the folder with a day's four files.

    ``mobile_money`` names the source of events whose identifiers, clock and limits hold, so that a subscriber has
    one pseudonym in both. ``path`` holds ``{date}`` and is relative to the landing folder. ``timezone`` is that of the
    schedule and of the files' clock: that of the source of events.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    mobile_money: str
    path: str
    schedule: str
    start: dt.date
    end: dt.date | None = None
    stability: Stability = Stability()
    wait: Wait = Wait()
    timezone: str | None = Field(default=None, exclude=True)

    @property
    def cdr_type(self) -> str:
        """Return what stands for its type in records and reports."""
        return MONEY

    @property
    def origin(self) -> str:
        """Return where the files come from, in words."""
        return self.path

    @field_validator("path")
    @classmethod
    def _of_a_day(cls, path: str) -> str:
        if not paths.has_date(paths.require_path(path)) or paths.has_star(path):
            raise ValueError(
                f"{path!r} must hold {{date}}, and no star: it is the folder of a day's four files"
            )
        return path

    @field_validator("schedule")
    @classmethod
    def _cron(cls, schedule: str) -> str:
        return require_cron(schedule)

    @model_validator(mode="after")
    def _in_order(self) -> "MoneySource":
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}")
        return self

    def zone(self, deployment_zone: ZoneInfo) -> ZoneInfo:
        """Return the time zone of the schedule and of the files' clock."""
        return ZoneInfo(self.timezone) if self.timezone else deployment_zone

    def require_day(self, date: dt.date) -> None:
        """Check that the source covers a day; ConfigurationError if not."""
        if date < self.start or (self.end is not None and date > self.end):
            raise ConfigurationError(
                f"{self.name} covers the days from {self.start} to {self.end or 'now on'}, not {date}"
            )

    def folder(self, landing: Path, date: dt.date) -> Path:
        """Return the folder of a day."""
        return landing / paths.expected(self.path, date)


def read_money_source(path: Path, events: Mapping[str, Source]) -> MoneySource:
    """Read the description of one YAML file.

    Raises
    ------
    ConfigurationError
        Naming every wrong key; or the sources of events there are, when it names none of them.
    """
    found = described(path, MoneySource, content_of(path))
    if found.mobile_money not in events:
        raise ConfigurationError(
            f"{path.name}: mobile_money: no source {found.mobile_money!r} of events; there are: {', '.join(events)}"
        )
    if found.name in events:
        raise ConfigurationError(f"{path.name}: name {found.name!r} is taken by another source")
    return found.model_copy(update={"timezone": events[found.mobile_money].timezone})


def describes_money(path: Path) -> bool:
    """Return whether a YAML file describes mobile money."""
    return MONEY_KEY in content_of(path)


def read_money_sources(folder: Path, events: Mapping[str, Source]) -> dict[str, MoneySource]:
    """Read a folder's sources of mobile money; ConfigurationError if one is wrong."""
    found: dict[str, MoneySource] = {}
    for path in filter(describes_money, sorted(folder.glob("*.yml"))):
        money = read_money_source(path, events)
        for other in found.values():
            if other.name == money.name:
                raise ConfigurationError(f"{path.name}: name {money.name!r} is taken by another source")
            if money.start <= (other.end or dt.date.max) and other.start <= (money.end or dt.date.max):
                raise ConfigurationError(
                    f"{path.name}: {money.name} and {other.name} both load mobile money from "
                    f"{max(money.start, other.start)}; a day has one source"
                )
        found[money.name] = money
    return found
