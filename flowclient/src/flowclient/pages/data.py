"""Hold what a crisis page shows: counts by area and period, as the API answered."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

#: The least floor of any deployment: counts up to it are never released.
LOWEST_FLOOR = 15
#: Where a class of change ends, in percent; the middle class holds small changes of both signs.
CHANGE_BREAKS = (-50, -10, 10, 50)
#: A fall that is called emptying, in percent.
EMPTIED = 50
WEEK = datetime.timedelta(days=7)


@dataclass(frozen=True)
class Area:
    """Describe an area: code, name, the area above, shape in degrees (WGS 84)."""

    pcod: str
    name: str
    parent: str | None
    parent_name: str | None
    geometry: Any = field(compare=False, repr=False)


@dataclass(frozen=True)
class Counts:
    """Hold the counts of one period, both of whose days belong to it.

    ``values`` has no entry for a withheld area. It is None if a day of the period is missing, so that nothing
    was asked. ``withheld`` lists the reasons that the result's metadata give; None where the server gives none.
    """

    first: datetime.date
    last: datetime.date
    values: Mapping[str, int] | None
    withheld: tuple[str, ...] | None = None
    query_id: str | None = None
    repeats: tuple[str, ...] = ()

    def bound(self, before: int, floor: int) -> int | None:
        """Return the whole percent that a withheld area fell by more than.

        A bound holds only if the floor is the one reason why rows of the result are withheld.
        """
        if self.withheld is None or set(self.withheld) != {"floor"}:
            return None
        percent = fell_by_more_than(before, floor)
        return percent if percent > 0 else None

    def facts(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "values": None if self.values is None else dict(sorted(self.values.items())),
            "withheld": None if self.withheld is None else sorted(self.withheld),
            "repeats": sorted(self.repeats),
            "query_id": self.query_id,
        }


@dataclass(frozen=True)
class Move:
    """Count subscribers whose home was in one area before and is in another now."""

    origin: str
    target: str
    value: int


@dataclass(frozen=True)
class Movers:
    """Count by area at least how many have their home elsewhere than before.

    ``left`` are those who lived there before, ``arrived`` those who live there now.
    """

    left: Mapping[str, int]
    arrived: Mapping[str, int]

    def at_least(self, moves: tuple[Move, ...]) -> int:
        """Return how many moved: each sum of what is released is at most their number."""
        sums = (self.left.values(), self.arrived.values(), (move.value for move in moves))
        return max(map(sum, sums))

    def facts(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {"left": dict(sorted(self.left.items())), "arrived": dict(sorted(self.arrived.items()))}


#: What became of the residents of an area, as far as a page says.
STATUSES = ("displaced", "returned", "not_seen")


@dataclass(frozen=True)
class Outcome:
    """Say what became of an area's residents by the last complete week.

    ``counts`` has no entry for a withheld status. ``share`` is that of the displaced among those seen, ``usual`` the
    same share in a week before the event.
    """

    counts: Mapping[str, int]
    share: float | None = None
    usual: float | None = None


@dataclass(frozen=True)
class CrisisData:
    """Hold everything that :func:`render` draws; made by :func:`collect_crisis`.

    ``weeks`` are the complete weeks since the event, ``days`` all days from the baseline's first. ``use`` counts
    the subscribers of the whole country by day. ``outcomes`` are by area, and None where no week is complete.
    """

    title: Mapping[str, str]
    unit: str
    event: datetime.date
    floor: int
    areas: tuple[Area, ...]
    before: Counts
    weeks: tuple[Counts, ...]
    days: tuple[Counts, ...]
    use: Mapping[datetime.date, int]
    moves: tuple[Move, ...]
    movers: Movers
    outcomes: Mapping[str, Outcome] | None
    days_used: Mapping[str, tuple[datetime.date, ...]]
    days_missing: Mapping[str, tuple[datetime.date, ...]]
    query_ids: Mapping[str, str]
    made: datetime.datetime
    versions: Mapping[str, str]

    @property
    def after(self) -> Counts | None:
        """Return the last complete week that has all its days."""
        return next((week for week in reversed(self.weeks) if week.values is not None), None)

    @property
    def last(self) -> datetime.date:
        """Return the last day that the page speaks of."""
        return max([day.last for day in self.days] + [week.last for week in self.weeks])

    def usual_use(self, day: datetime.date) -> float | None:
        """Return the median number of subscribers on the day's weekday before the event."""
        same = [n for each, n in self.use.items() if each < self.event and each.weekday() == day.weekday()]
        return median(same) if same else None

    def facts(self) -> dict[str, Any]:
        """Return everything but the shapes and the time of making, as plain values."""
        return {
            "unit": self.unit,
            "event": self.event.isoformat(),
            "floor": self.floor,
            "areas": [[area.pcod, area.name, area.parent, area.parent_name] for area in self.areas],
            "before": self.before.facts(),
            "weeks": [week.facts() for week in self.weeks],
            "days": [day.facts() for day in self.days],
            "use": {day.isoformat(): value for day, value in sorted(self.use.items())},
            "moves": [[move.origin, move.target, move.value] for move in self.moves],
            "movers": self.movers.facts(),
            "outcomes": None
            if self.outcomes is None
            else {
                pcod: [dict(sorted(each.counts.items())), each.share, each.usual]
                for pcod, each in sorted(self.outcomes.items())
            },
            "query_ids": dict(sorted(self.query_ids.items())),
            "versions": dict(sorted(self.versions.items())),
        }

    @property
    def digest(self) -> str:
        """Return a digest of the facts: equal digests, equal numbers."""
        return digest_of(self.facts())


def digest_of(facts: Mapping[str, Any]) -> str:
    """Return a digest that is equal for equal facts."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def change(before: int, after: int) -> float:
    """Return a change in percent."""
    # A tenth is a tenth: 90 / 100 - 1 is a little more than -0.1.
    return 100 * (after - before) / before


def fell_by_more_than(before: int, at_most: int) -> int:
    """Return the largest whole percent below the fall from ``before`` to ``at_most``.

    15 of 143 left is a fall of 89.51 %, hence 89; 15 of 150 is 90 %, hence 89, too.
    """
    return (100 * (before - at_most) - 1) // before


def change_class(before: float, after: float) -> int:
    """Return a change's class, from 0 (fell by half or more) to 4 (rose by half)."""
    # In whole numbers, because the limits themselves belong to a class.
    change_of_hundred, hundredth = 100 * (after - before), before
    low, fell, rose, high = (limit * hundredth for limit in CHANGE_BREAKS)
    if change_of_hundred <= low:
        return 0
    if change_of_hundred <= fell:
        return 1
    if change_of_hundred < rose:
        return 2
    return 3 if change_of_hundred < high else 4


def count_breaks(counts: Counts, floor: int) -> tuple[int, ...]:
    """Return four limits of classes: round fifths of a period's counts."""
    values = sorted((counts.values or {}).values()) or [floor + 1]
    breaks: list[int] = []
    for fifth in range(1, 5):
        limit = _round(values[min(len(values) * fifth // 5, len(values) - 1)])
        least = breaks[-1] if breaks else floor + 1
        breaks.append(limit if limit > least else least + max(1, 10 ** (len(str(least)) - 1) // 2))
    return tuple(breaks)


def _round(value: int) -> int:
    """Round down to one digit and a half, such as 15, 20 and 25, 150 and 200."""
    step = max(1, 10 ** (len(str(value)) - 1) // 2)
    return value // step * step


def count_class(value: int, breaks: tuple[int, ...]) -> int:
    """Return the class of a count, from 0."""
    return sum(value >= limit for limit in breaks)
