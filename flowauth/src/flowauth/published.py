"""Read the folder of published reports; everything in it was written by others.

``<folder>/<recipients>/<report>/index.json`` lists periods with versions, and
``<period>/v<n>/page.<language>.html`` is a page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_PERIOD = re.compile(r"\d{4}-(?:W\d\d|\d\d(?:-\d\d)?)")
_VERSION = re.compile(r"v\d{1,9}")
_LANGUAGE = re.compile(r"[a-z]{2}")
#: Bounds against a folder that is not ours.
_LARGEST_INDEX, _LARGEST_PAGE, _MOST_FOLDERS = 4_000_000, 4_000_000, 1000
#: Report's folder to its index's state and the report as it was read then; the maker replaces the index at each change.
_read: dict[Path, tuple[tuple[int, int, int], Report]] = {}


@dataclass(frozen=True)
class Version:
    """Hold a published version: ``v<n>``, why it was made and when."""

    name: str
    because: str
    made: datetime
    languages: tuple[str, ...]

    @property
    def number(self) -> str:
        return self.name[1:]

    def language_for(self, reader: str) -> str:
        """Return the reader's language if there is a page in it, else the first."""
        return reader if reader in self.languages else self.languages[0]


@dataclass(frozen=True)
class Period:
    """Hold a period, its versions, the latest first, and the failure of its last run."""

    name: str
    versions: tuple[Version, ...]
    failed_because: str | None = None
    failed_at: datetime | None = None


@dataclass(frozen=True)
class Report:
    """Hold a report: recipients' folder, name, title, and periods, the latest first."""

    recipients: str
    name: str
    titles: Mapping[str, str]
    periods: tuple[Period, ...]

    def title(self, language: str) -> str:
        return self.titles.get(language) or self.name

    @property
    def last_good(self) -> Period | None:
        """Return the latest period with a version."""
        return next((period for period in self.periods if period.versions), None)

    @property
    def failing(self) -> tuple[Period, ...]:
        """Return the periods whose last run failed."""
        return tuple(period for period in self.periods if period.failed_because)


class Published:
    """Read the reports of a folder; without a folder there are none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def recipients(self) -> list[str]:
        """Return the names of all recipients."""
        return _folders(self._folder, NAME)

    def reports(self, recipients: str) -> list[Report]:
        """Return the recipients' reports that can be read, by name."""
        if self._folder is None or not NAME.fullmatch(recipients):
            return []
        place = self._folder / recipients
        found = (self.report(recipients, name) for name in _folders(place, NAME))
        return [report for report in found if report is not None]

    def report(self, recipients: str, name: str) -> Report | None:
        """Return a report; None if there is none of this name."""
        if self._folder is None or not (NAME.fullmatch(recipients) and NAME.fullmatch(name)):
            return None
        place = self._folder / recipients / name
        try:
            status = (place / "index.json").stat()
        except OSError:
            return None
        state = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = _read.get(place)
        if known is not None and known[0] == state:
            return known[1]
        report, is_whole = _report(place, recipients, name)
        # What is still being copied into the folder is looked for again.
        if report is not None and is_whole:
            if len(_read) >= _MOST_FOLDERS:
                _read.clear()
            _read[place] = state, report
        return report

    def page(self, recipients: str, name: str, period: str, version: str, language: str) -> bytes | None:
        """Return a page; None if no such page is published."""
        patterns = (NAME, NAME, _PERIOD, _VERSION, _LANGUAGE)
        parts = (recipients, name, period, version, language)
        if self._folder is None or not all(
            pattern.fullmatch(part) for pattern, part in zip(patterns, parts, strict=True)
        ):
            return None
        path = self._folder.joinpath(*parts[:4], f"page.{language}.html")
        return _content(self._folder, path, _LARGEST_PAGE)


def _folders(place: Path | None, pattern: re.Pattern[str]) -> list[str]:
    try:
        found = (
            [one.name for one in place.iterdir() if pattern.fullmatch(one.name) and one.is_dir()]
            if place
            else []
        )
    except OSError:
        return []
    return sorted(found)[:_MOST_FOLDERS]


def _content(folder: Path, path: Path, most: int) -> bytes | None:
    """Return a file below the folder that is no larger than it may be."""
    try:
        # A link could lead out of the folder.
        if not path.resolve().is_relative_to(folder.resolve()) or path.stat().st_size > most:
            return None
        return path.read_bytes()
    except OSError:
        return None


def _json(path: Path) -> dict[str, Any]:
    content = _content(path.parent, path, _LARGEST_INDEX)
    try:
        found = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _report(place: Path, recipients: str, name: str) -> tuple[Report | None, bool]:
    """Return the report of a folder, and whether all that its index lists is there."""
    index = _json(place / "index.json")
    listed = index.get("periods")
    if not isinstance(listed, list):
        return None, False
    titles = index.get("titles")
    periods = [_period(place, each) for each in listed]
    report = Report(
        recipients,
        name,
        {str(key): str(text)[:200] for key, text in titles.items()} if isinstance(titles, dict) else {},
        tuple(period for period, _ in periods if period is not None),
    )
    return report, all(is_whole for _, is_whole in periods)


def _period(place: Path, each: Any) -> tuple[Period | None, bool]:
    name = each.get("period") if isinstance(each, dict) else None
    if not isinstance(name, str) or not _PERIOD.fullmatch(name):
        return None, True
    listed, failure = each.get("versions"), each.get("failure")
    versions = [_version(place / name, one) for one in listed] if isinstance(listed, list) else []
    failed = failure if isinstance(failure, dict) else {}
    period = Period(
        name,
        tuple(one for one in versions if one is not None),
        str(failed["reason"])[:40] if "reason" in failed else None,
        _moment(failed.get("since")),
    )
    return period, None not in versions


def _version(place: Path, each: Any) -> Version | None:
    name = each.get("version") if isinstance(each, dict) else None
    if not isinstance(name, str) or not _VERSION.fullmatch(name):
        return None
    try:
        pages = sorted((place / name).glob("page.??.html"))
        made = datetime.fromtimestamp((place / name / "manifest.json").stat().st_mtime, UTC)
    except OSError:
        return None
    if not pages:
        return None
    languages = tuple(page.name.split(".")[1] for page in pages)
    return Version(name, str(each.get("because"))[:40], made.replace(microsecond=0), languages)


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
