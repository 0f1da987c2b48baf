"""Share parts of the kinds' plain-Python definitions, without the engine's SQL.

The definitions of each theme are in ``<theme>/definitions.py``.

``answer`` takes a spec as it is sent and gives, for a nested kind, the rows (subscriber, place) or (subscriber, value);
for a kind that may be submitted, the released rows in order. A place is the region's name, or (longitude, latitude).
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyproj

from .land import MAPPING, PLACES, REGIONS, SITES, Cell, Site
from .world import Event, Stage, World

Spec = dict[str, Any]
Row = tuple[Any, ...]

FLOOR = 15
DAY = timedelta(days=1)
_earth = pyproj.Geod(ellps="WGS84")


class NoData(Exception):
    """Nothing is loaded for a window."""


@dataclass
class Oracle:
    """The definitions, over one world on one stage."""

    stage: Stage
    world: World

    def answer(self, spec: Spec) -> list[Row]:
        """Return the rows of a spec.

        Raises NoData where the engine must refuse the spec for lack of data.
        """
        definition: Callable[[Oracle, Spec], list[Row]] = DEFINITIONS[spec["query_kind"]]
        return definition(self, spec)

    # Events

    def events(self, spec: Spec, start: datetime | None = None, end: datetime | None = None) -> list[Event]:
        """The events that a spec with the usual fields selects."""
        start = start or time(spec["start_date"])
        end = end or time(spec["end_date"])
        types = spec.get("event_types") or ["calls", "sms"]
        days = {(start + n * DAY).date() for n in range((end - start).days + 2)}
        days = {
            day for day in days if start.date() <= day and datetime.combine(day, datetime.min.time()) < end
        }
        if not any((event_type, day) in self.world.loaded for event_type in types for day in days):
            raise NoData
        subset = spec.get("subscriber_subset")
        chosen = None if subset is None else {row[0] for row in self.answer(subset)}
        hours = spec.get("hours")
        direction = spec.get("direction") or "both"
        return [
            event
            for event in self.world.visible
            if event.type in types
            and self.stage.utc(start) <= self.stage.utc(event.time) < self.stage.utc(end)
            and (hours is None or within(hours, event.time.hour))
            and (chosen is None or event.subscriber in chosen)
            and (direction == "both" or event.outgoing is (direction == "out"))
        ]

    def active_in_periods(
        self, spec: Spec, length: timedelta, total: int
    ) -> Iterator[tuple[datetime, set[str]]]:
        """Yield each period's start and who was active in the period.

        Periods are of wall-clock time.
        """
        starts = [time(spec["start_date"]) + number * length for number in range(total)]
        for start in starts:
            # Each must have data by itself.
            self.events(spec, start, start + length)
        seen = self.events(spec, starts[0], starts[-1] + length)
        for start in starts:
            yield start, {event.subscriber for event in seen if start <= event.time < start + length}

    def placed(
        self, spec: Spec, unit: str, start: datetime | None = None, end: datetime | None = None
    ) -> list[tuple[Event, Any]]:
        """Return the events with their places, as many as the event's cell then had."""
        return [
            (event, place)
            for event in self.events(spec, start, end)
            for place in self.places_of(event, unit, spec)
        ]

    def places_of(self, event: Event, unit: str, spec: Spec) -> Iterator[Any]:
        """Yield the places of an event, as many as its cell then had.

        None is a place, where a mapping table names no region.
        """
        if unit == "cell":
            if event.cell:
                yield event.cell
            return
        day = event.time.date()
        for cell in self.stage.cells:
            if cell.id != event.cell:
                continue
            if unit == "versioned-site":
                # Once for each version of the cell, whenever that was in service.
                for site in SITES:
                    if site.id == cell.site and in_service(site, day):
                        yield version(site)
            elif in_service(cell, day):
                yield from self.mapped(cell, unit, spec) if spec.get("mapping_table") else places(cell, unit)

    def mapped(self, cell: Cell, unit: str, spec: Spec) -> list[Any]:
        """The places into which the mapping table puts a cell that it lists."""
        if cell.id not in MAPPING:
            return []
        if unit != "lon-lat":
            name = MAPPING[cell.id][f"{unit}pcod"]
            return [name if name in REGIONS[unit] else None]
        name = MAPPING[cell.id][spec["geom_table_join_column"]]
        by_site = [(other.site, other.point) for other in self.stage.cells]
        named = by_site if spec.get("geom_table") is None else PLACES
        points = {
            point for other, point in named if other == name and other is not None and point is not None
        }
        return list(points) or [None]

    def unit(self, spec: Spec) -> str:
        """The spatial unit of a spec, which a nested one may have to tell."""
        if "aggregation_unit" in spec:
            return str(spec["aggregation_unit"])
        for name in ("locations", "from_location", "reference_location", "reference_locations"):
            if name in spec:
                inner = spec[name]
                return self.unit(inner[0] if isinstance(inner, list) else inner)
        raise LookupError(spec)


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def within(hours: dict[str, int], hour: int) -> bool:
    start, end = hours["start_hour"], hours["end_hour"]
    if start <= end:
        return start <= hour < end
    return hour >= start or hour < end


def in_service(place: Cell | Site, day: date) -> bool:
    return (place.first is None or place.first <= day) and (place.last is None or day <= place.last)


def version(place: Cell | Site) -> tuple[Any, ...]:
    """A version of a cell or a site as a place; its point may be null."""
    return (place.id, place.version, *(place.point or (None, None)))


def places(cell: Cell, unit: str) -> Iterator[Any]:
    if unit == "versioned-cell":
        yield version(cell)
        return
    if cell.point is None:
        return
    if unit == "lon-lat":
        yield cell.point
        return
    x, y = cell.point
    for name, (west, south, east, north) in REGIONS.get(unit, {}).items():
        if west < x < east and south < y < north:
            yield name


def by_bytes(place: Any) -> Any:
    """A key to sort by: texts by their bytes, the null place last."""
    return (place is None, place.encode() if isinstance(place, str) else place)


def ids(place: Any, unit: str) -> tuple[Any, ...]:
    """The id columns of a place."""
    if isinstance(place, tuple):
        return place
    if unit == "lon-lat":
        return (None, None) if place is None else tuple(place)
    return (place,)


def group(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return dict(groups)


def ordered(rows: Iterable[Row], *descending: int) -> list[Row]:
    """Sort rows by their columns, ``descending`` from high to low.

    Texts are compared by bytes; nulls come last.
    """
    found = list(rows)
    width = len(found[0]) if found else 0
    for position in reversed(range(width)):
        known = [row for row in found if row[position] is not None]
        null = [row for row in found if row[position] is None]
        known.sort(key=lambda row: by_bytes(row[position]), reverse=position in descending)
        found = known + null
    return found


def unit_fields(spec: Any) -> Spec:
    """Return the unit fields of the first part that has them.

    The parts of a valid spec agree.
    """
    if isinstance(spec, dict):
        if "aggregation_unit" in spec:
            names = ("aggregation_unit", "mapping_table", "geom_table", "geom_table_join_column")
            return {name: spec[name] for name in names if name in spec}
        spec = list(spec.values())
    return next(filter(None, map(unit_fields, spec)), {}) if isinstance(spec, list) else {}


def metres(a: tuple[float, float], b: tuple[float, float]) -> float:
    return float(_earth.inv(*a, *b)[2])


def equal(found: Any, expected: Any) -> bool:
    """Equal by value: whole numbers exactly, others to a billionth."""
    if isinstance(found, Decimal):
        found = int(found) if found == int(found) else float(found)
    if isinstance(found, float) or isinstance(expected, float):
        if found is None or expected is None:
            return found is expected
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(equal, found, expected))
    if isinstance(found, datetime) and found.tzinfo is None and expected.tzinfo is not None:
        return False
    return bool(found == expected)


def statistic(name: str, values: list[Any]) -> Any:
    values = [value for value in values if value is not None]
    if name == "count":
        return len(values)
    if not values:
        return None
    if name == "mode":
        counts = Counter(values)
        return min((value for value, count in counts.items() if count == max(counts.values())), key=by_bytes)
    if name in ("stddev", "variance"):
        if len(values) < 2:
            return None
        return getattr(statistics, {"stddev": "stdev"}.get(name, name))(values)
    functions: dict[str, Callable[[list[Any]], Any]] = {
        "sum": sum,
        "max": max,
        "min": min,
        "avg": statistics.fmean,
        "median": statistics.median,
    }
    return functions[name](values)


def unit_of(spec: Any) -> str:
    """The unit of a spec."""
    return str(unit_fields(spec)["aggregation_unit"])


def start_of(moment: datetime, period: str) -> datetime:
    if period == "century":
        return datetime((moment.year - 1) // 100 * 100 + 1, 1, 1, tzinfo=moment.tzinfo)
    names = ("year", "month", "day", "hour", "minute", "second")
    kept = names[: names.index(period) + 1]
    return moment.replace(
        **{name: 1 if name in ("month", "day") else 0 for name in names if name not in kept}  # type: ignore[arg-type]
    )


def directed(oracle: Oracle, spec: Spec, default: str, types: list[str] | None = None) -> list[Event]:
    """Return the events of a spec's direction and types, by default its kind's."""
    spec = {"direction": default, **spec}
    return oracle.events(spec if types is None else spec | {"event_types": types})


def entropy(states: Iterable[tuple[str, Hashable]]) -> list[Row]:
    result = []
    for who, seen in group(states).items():
        shares = [count / len(seen) for count in Counter(seen).values()]
        result.append((who, -sum(share * math.log(share) for share in shares)))
    return result


def at_places(oracle: Oracle, events: Iterable[Event], unit: str, spec: Spec) -> list[tuple[Event, Any]]:
    """The events with their places."""
    return [(event, place) for event in events for place in oracle.places_of(event, unit, spec)]


def point(place: Row) -> tuple[float, float]:
    """Return the coordinates of a place of a unit of points."""
    lon, lat = place[-2:]
    return lon, lat


#: The definition of each kind, added by the modules of its theme.
DEFINITIONS: dict[str, Callable[[Oracle, Spec], list[Row]]] = {}


def definition(function: Callable[[Oracle, Spec], list[Row]]) -> Callable[[Oracle, Spec], list[Row]]:
    """Add the definition of the kind that the function is named after."""
    DEFINITIONS[function.__name__] = function
    return function
