"""Hold and judge what a page of data quality shows, as the API answered."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from flowclient.pages.data import WEEK, digest_of

#: Checks whose numbers are drawn. Falls of the second tell of outages.
SERIES = (
    "count_added_rows",
    "count_location_ids",
    "count_msisdns",
    "count_duplicates",
    "count_rejected_rows",
)
LOCATIONS = "count_location_ids"
REJECTED = "count_rejected_rows"
#: Weeks before a day whose same weekdays say what is usual, and the least number of them.
BAND_WEEKS, FEWEST = 8, 3
#: What is farther from the median than each of these is unusual: multiples of the median distance, a share, a number.
_FAR, _SHARE, _LEAST = 4, 0.1, 10


@dataclass(frozen=True)
class Band:
    """Hold what is usual for a day: the median of earlier weeks, and limits."""

    usual: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Return whether a number is usual."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class TypeQuality:
    """Hold one event type: the state of each day, and the numbers of its checks.

    States are ``loaded``, ``again`` (more than once), ``late``, ``missing``, and ``before`` the first day with data.
    ``numbers`` reach back for the weeks that say what is usual.
    """

    name: str
    states: Mapping[datetime.date, str]
    numbers: Mapping[str, Mapping[datetime.date, float]]
    rejects: Mapping[str, Mapping[datetime.date, int]]

    def band(self, check: str, day: datetime.date) -> Band | None:
        """Return what is usual for a check on a day; None where too few weeks are known."""
        known = self.numbers.get(check, {})
        same = [known[day - n * WEEK] for n in range(1, BAND_WEEKS + 1) if day - n * WEEK in known]
        if len(same) < FEWEST:
            return None
        usual = median(same)
        far = max(_FAR * median(abs(each - usual) for each in same), _SHARE * usual, _LEAST)
        return Band(usual, max(0, usual - far), usual + far)

    def unusual(self, check: str) -> list[datetime.date]:
        """Return the shown days whose number is outside the band."""
        known = self.numbers.get(check, {})
        found = []
        for day in self.states:
            band = self.band(check, day) if day in known else None
            if band is not None and not band.holds(known[day]):
                found.append(day)
        return found

    def falls(self) -> list[tuple[datetime.date, int]]:
        """Return days with unusually few locations, and the percent that is lacking."""
        found = []
        for day in self.unusual(LOCATIONS):
            band, value = self.band(LOCATIONS, day), self.numbers[LOCATIONS][day]
            assert band is not None, "an unusual day has a band"
            if value < band.usual:
                found.append((day, int(100 * (band.usual - value) / band.usual)))
        return found


@dataclass(frozen=True)
class Silence:
    """Hold an area of whose expected cells some had no event on a day."""

    day: datetime.date
    pcod: str
    name: str
    cells: int
    silent: int
    #: Events of the day, divided by the usual number.
    ratio: float | None

    @property
    def is_outage(self) -> bool:
        """Return whether half of the cells or more are silent."""
        return 0 < self.cells <= 2 * self.silent


@dataclass(frozen=True)
class QualityData:
    """Hold what a page of data quality draws, from ``first`` to ``last``.

    ``silences`` are of the last week, of areas at one level, and None where they were not asked for.
    """

    title: Mapping[str, str]
    first: datetime.date
    last: datetime.date
    types: tuple[TypeQuality, ...]
    made: datetime.datetime
    versions: Mapping[str, str]
    silences: tuple[Silence, ...] | None = None
    #: Outcomes of checks have no ids.
    query_ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def outages(self) -> list[Silence]:
        """Return the areas with silent cells, the latest day and the most cells first."""
        found = [each for each in self.silences or () if each.is_outage]
        return sorted(found, key=lambda each: (-each.day.toordinal(), -each.silent, each.name))

    @property
    def days(self) -> Sequence[datetime.date]:
        """Return all days that are shown."""
        return [self.first + datetime.timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    def _days_of(self, *states: str) -> dict[str, tuple[datetime.date, ...]]:
        return {
            each.name: tuple(day for day, state in each.states.items() if state in states)
            for each in self.types
        }

    @property
    def days_used(self) -> Mapping[str, tuple[datetime.date, ...]]:
        """Return the days with data, by event type."""
        return self._days_of("loaded", "late", "again")

    @property
    def days_missing(self) -> Mapping[str, tuple[datetime.date, ...]]:
        """Return the days without data, by event type."""
        return self._days_of("missing")

    def facts(self) -> dict[str, Any]:
        """Return everything but the time of making, as plain values."""

        def by_day(values: Mapping[datetime.date, Any]) -> dict[str, Any]:
            return {day.isoformat(): value for day, value in sorted(values.items())}

        return {
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "types": {
                each.name: {
                    "states": by_day(each.states),
                    "numbers": {name: by_day(values) for name, values in sorted(each.numbers.items())},
                    "rejects": {name: by_day(values) for name, values in sorted(each.rejects.items())},
                }
                for each in self.types
            },
            "silences": None
            if self.silences is None
            else [
                [each.day.isoformat(), each.pcod, each.cells, each.silent, each.ratio]
                for each in self.silences
            ],
            "query_ids": dict(self.query_ids),
            "versions": dict(sorted(self.versions.items())),
        }

    @property
    def digest(self) -> str:
        """Return a digest of the facts: equal digests, equal numbers."""
        return digest_of(self.facts())
