"""Every kind's definition in plain Python loops, sharing nothing with the engine's SQL.

``answer`` takes a spec as it is sent and gives, for a nested kind, the rows (subscriber, place) or (subscriber, value);
for a kind that may be submitted, the released rows in order. A place is the region's name, or (longitude, latitude).
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pyproj

from .world import DEVICES, MAPPING, PLACES, REGIONS, SITES, Cell, Event, Site, Stage, World

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
        """The rows of a spec; raises NoData where the engine must refuse it for lack of data."""
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
        """The start of each period of wall-clock time, and who was active while the clock showed its times."""
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
        """The events with their places; an event is at as many places as its cell then had."""
        return [
            (event, place)
            for event in self.events(spec, start, end)
            for place in self.places_of(event, unit, spec)
        ]

    def places_of(self, event: Event, unit: str, spec: Spec) -> Iterator[Any]:
        """The places of an event: as many as its cell then had. None is a place, where a mapping table says no region."""
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
    """Rows by their columns from the left, ``descending`` ones from high to low; texts by bytes, nulls last."""
    found = list(rows)
    width = len(found[0]) if found else 0
    for position in reversed(range(width)):
        known = [row for row in found if row[position] is not None]
        null = [row for row in found if row[position] is None]
        known.sort(key=lambda row: by_bytes(row[position]), reverse=position in descending)
        found = known + null
    return found


# Locations of subscribers


def last(located: Iterable[tuple[Event, Any]]) -> list[Row]:
    result = []
    for subscriber, seen in group(
        (event.subscriber, (event.time, place)) for event, place in located
    ).items():
        latest = max(moment for moment, _ in seen)
        result.append((subscriber, min((place for moment, place in seen if moment == latest), key=by_bytes)))
    return result


def most_common(located: Iterable[tuple[Event, Any]]) -> list[Row]:
    result = []
    for subscriber, seen in group(
        (event.subscriber, (event.time, place)) for event, place in located
    ).items():
        visits = group((place, moment) for moment, place in seen)
        best = max((len(times), max(times)) for times in visits.values())
        tied = [place for place, times in visits.items() if (len(times), max(times)) == best]
        result.append((subscriber, min(tied, key=by_bytes)))
    return result


def daily_location(oracle: Oracle, spec: Spec) -> list[Row]:
    start = time(spec["date"])
    located = oracle.placed(spec, spec["aggregation_unit"], start, start + DAY)
    return last(located) if spec["method"] == "last" else most_common(located)


def most_frequent_location(oracle: Oracle, spec: Spec) -> list[Row]:
    return most_common(oracle.placed(spec, spec["aggregation_unit"]))


def modal_location(oracle: Oracle, spec: Spec) -> list[Row]:
    return modal(
        (subscriber, time(daily["date"]), place)
        for daily in spec["locations"]
        for subscriber, place in oracle.answer(daily)
    )


def modal(stays: Iterable[tuple[str, datetime, Any]]) -> list[Row]:
    result = []
    for subscriber, seen in group((who, (day, place)) for who, day, place in stays).items():
        visits = group((place, day) for day, place in seen)
        best = max((len(days), max(days)) for days in visits.values())
        tied = [place for place, days in visits.items() if (len(days), max(days)) == best]
        result.append((subscriber, min(tied, key=by_bytes)))
    return result


def unique_locations(oracle: Oracle, spec: Spec) -> list[Row]:
    located = oracle.placed(spec, spec["aggregation_unit"])
    return list({(event.subscriber, place): None for event, place in located})


def unit_fields(spec: Any) -> Spec:
    """The fields of a spec's unit: those of the first part that has them, for the parts of a valid spec agree."""
    if isinstance(spec, dict):
        if "aggregation_unit" in spec:
            names = ("aggregation_unit", "mapping_table", "geom_table", "geom_table_join_column")
            return {name: spec[name] for name in names if name in spec}
        spec = list(spec.values())
    return next(filter(None, map(unit_fields, spec)), {}) if isinstance(spec, list) else {}


# Metrics of subscribers


def event_count(oracle: Oracle, spec: Spec) -> list[Row]:
    return list(Counter(event.subscriber for event in oracle.events(spec)).items())


def metres(a: tuple[float, float], b: tuple[float, float]) -> float:
    return float(_earth.inv(*a, *b)[2])


def radius_of_gyration(oracle: Oracle, spec: Spec) -> list[Row]:
    result = []
    located = oracle.placed(spec, "lon-lat")
    for subscriber, points in group((event.subscriber, place) for event, place in located).items():
        centre = (
            statistics.fmean(lon for lon, _ in points),
            statistics.fmean(lat for _, lat in points),
        )
        squares = [metres(point, centre) ** 2 for point in points]
        result.append((subscriber, math.sqrt(statistics.fmean(squares)) / 1000))
    return result


def subscriber_degree(oracle: Oracle, spec: Spec) -> list[Row]:
    contacts = defaultdict(set)
    for event in oracle.events(spec):
        if event.counterpart not in (None, event.subscriber):
            contacts[event.subscriber].add(event.counterpart)
    return [(subscriber, len(others)) for subscriber, others in contacts.items()]


def unique_location_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    return list(Counter(subscriber for subscriber, _ in unique_locations(oracle, spec)).items())


def nocturnal_events(oracle: Oracle, spec: Spec) -> list[Row]:
    night = spec["night_hours"]
    whole_day = night["start_hour"] == night["end_hour"]
    nights = group(
        (event.subscriber, whole_day or within(night, event.time.hour)) for event in oracle.events(spec)
    )
    return [(subscriber, 100 * sum(seen) / len(seen)) for subscriber, seen in nights.items()]


def displacement(oracle: Oracle, spec: Spec) -> list[Row]:
    home = dict(oracle.answer(spec["reference_location"]))

    def apart(one: Any, other: Any) -> float:
        return 0.0 if one is None or other is None else metres(one, other) / 1000

    distances = group(
        (event.subscriber, apart(home[event.subscriber], place))
        for event, place in oracle.placed(spec | unit_fields(spec["reference_location"]), "lon-lat")
        if event.subscriber in home
    )
    return [(subscriber, statistic(spec["statistic"], found)) for subscriber, found in distances.items()]


def pareto_interactions(oracle: Oracle, spec: Spec) -> list[Row]:
    result = []
    proportion = Fraction(repr(spec["proportion"]))
    contacts = group((event.subscriber, event.counterpart) for event in oracle.events(spec))
    for subscriber, others in contacts.items():
        wanted = math.ceil(len(others) * proportion)
        counts = sorted(Counter(others).values(), reverse=True)
        needed = 0
        while sum(counts[:needed]) < wanted:
            needed += 1
        result.append((subscriber, needed / len(counts)))
    return result


def handset(oracle: Oracle, spec: Spec) -> list[Row]:
    position = ("hnd_type", "brand", "model", "software_os_name", "software_os_vendor").index(
        spec["characteristic"]
    )
    known: dict[Any, Any] = {device[0]: device[1 + position] for device in DEVICES}
    used = group(
        (event.subscriber, (event.time, event.tac)) for event in oracle.events(spec) if event.tac is not None
    )
    result = []
    for subscriber, seen in used.items():
        if spec["method"] == "last":
            latest = max(moment for moment, _ in seen)
            value = known.get(min(tac for moment, tac in seen if moment == latest))
        else:
            value = statistic("mode", [known.get(tac) for _, tac in seen])
        result.append((subscriber, value))
    return result


def topups(oracle: Oracle, spec: Spec) -> dict[str, list[Event]]:
    found = oracle.events(spec | {"event_types": ["topups"]})
    return group((event.subscriber, event) for event in found)


def topup_amount(oracle: Oracle, spec: Spec) -> list[Row]:
    return [
        (subscriber, statistic(spec["statistic"], [event.recharge_amount for event in events]))
        for subscriber, events in topups(oracle, spec).items()
    ]


def topup_balance(oracle: Oracle, spec: Spec) -> list[Row]:
    result = []
    for subscriber, events in topups(oracle, spec).items():
        if spec["statistic"] == "count":
            result.append((subscriber, len(events)))
            continue
        known = sorted(
            (oracle.stage.utc(event.time), event.pre_event_balance, event.post_event_balance)
            for event in events
            if event.pre_event_balance is not None and event.post_event_balance is not None
        )
        if not known:
            continue
        if spec["statistic"] in ("max", "min"):
            balances = [balance for _, before, after in known for balance in (before, after)]
            result.append((subscriber, statistic(spec["statistic"], balances)))
            continue
        segments = []
        start, end = (oracle.stage.utc(time(spec[edge])) for edge in ("start_date", "end_date"))
        for number, (moment, before, _) in enumerate(known):
            if number == 0:
                segments.append((moment - start, before))
            else:
                previous, _, left = known[number - 1]
                segments.append((moment - previous, (before + left) / 2))
        segments += [(end - moment, after) for moment, _, after in known if moment == known[-1][0]]
        weighted = [(length.total_seconds(), level) for length, level in segments]
        result.append((subscriber, weighted_statistic(spec["statistic"], weighted)))
    return result


def weighted_statistic(name: str, segments: list[tuple[float, float]]) -> float:
    total = sum(weight for weight, _ in segments)
    held = sum(weight * level for weight, level in segments)
    if name == "sum":
        return held
    if name == "avg":
        return held / total
    if name in ("variance", "stddev"):
        squares = sum(weight * (level - held / total) ** 2 for weight, level in segments)
        variance = squares / (total - 1)
        return math.sqrt(variance) if name == "stddev" else variance
    if name == "median":
        running = 0.0
        for weight, level in sorted(segments):
            running += weight
            if running >= total / 2:
                return level
    by_level: dict[float, float] = defaultdict(float)
    for weight, level in segments:
        by_level[level] += weight
    return min(level for level, weight in by_level.items() if weight == max(by_level.values()))


def total_active_periods(oracle: Oracle, spec: Spec) -> list[Row]:
    length = timedelta(**{spec.get("period_unit", "days"): spec.get("period_length", 1)})
    counts: Counter[str] = Counter()
    for _, active in oracle.active_in_periods(spec, length, spec["total_periods"]):
        counts.update(active)
    return list(counts.items())


# Released results


def counted(unit: str, subscribers_at: Iterable[tuple[Any, str]], *descending: int) -> list[Row]:
    """Places with their distinct subscribers, where these are more than the floor."""
    rows = [
        (*ids(place, unit), len(set(subscribers)))
        for place, subscribers in group(subscribers_at).items()
        if len(set(subscribers)) > FLOOR
    ]
    return ordered(rows, *descending)


def spatial_aggregate(oracle: Oracle, spec: Spec) -> list[Row]:
    located = oracle.answer(spec["locations"])
    return counted(oracle.unit(spec), ((place, subscriber) for subscriber, place in located))


def unique_subscriber_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = spec["aggregation_unit"]
    return counted(unit, ((place, event.subscriber) for event, place in oracle.placed(spec, unit)))


def movements(oracle: Oracle, spec: Spec) -> list[tuple[str, Any, Any]]:
    origins, destinations = (group(oracle.answer(spec[name])) for name in ("from_location", "to_location"))
    join = spec.get("join_type", "inner")
    found = []
    for subscriber in origins.keys() | destinations.keys():
        if subscriber not in origins and join not in ("right", "right outer", "full outer"):
            continue
        if subscriber not in destinations and join not in ("left", "left outer", "full outer"):
            continue
        for origin in origins.get(subscriber, [None]):
            for destination in destinations.get(subscriber, [None]):
                found.append((subscriber, origin, destination))
    return found


def flows(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = oracle.unit(spec)
    pairs = group(((origin, destination), who) for who, origin, destination in movements(oracle, spec))
    return paired(unit, pairs)


def paired(unit: str, pairs: dict[Any, list[str]]) -> list[Row]:
    rows = [
        (*ids(origin, unit), *ids(destination, unit), len(who))
        for (origin, destination), who in pairs.items()
        if len(set(who)) > FLOOR
    ]
    return ordered(rows, 2 * len(ids(None, unit)) - 1)


def ends(oracle: Oracle, spec: Spec, position: int) -> list[Row]:
    unit = oracle.unit(spec)
    moved = group((movement[position], movement[0]) for movement in movements(oracle, spec))
    rows = [(*ids(place, unit), len(who)) for place, who in moved.items() if len(set(who)) > FLOOR]
    return ordered(rows, len(ids(None, unit)) - 1)


def trips_od_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = spec["aggregation_unit"]
    pairs = defaultdict(list)
    located = oracle.placed(spec, unit)
    for subscriber, seen in group(
        (event.subscriber, (place, event.time)) for event, place in located
    ).items():
        visits = group(seen)
        for a, first_times in visits.items():
            for b, last_times in visits.items():
                if None not in (a, b) and a != b and min(first_times) < max(last_times):
                    pairs[a, b].append(subscriber)
    return paired(unit, pairs)


def location_event_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    unit, interval = spec["aggregation_unit"], spec["interval"]
    step = {"day": DAY, "hour": timedelta(hours=1), "min": timedelta(minutes=1)}[interval]
    start, end = time(spec["start_date"]), time(spec["end_date"])

    def label(moment: datetime) -> Row:
        parts = (moment.date().isoformat(), moment.hour, moment.minute)
        return parts[: {"day": 1, "hour": 2, "min": 3}[interval]]

    given = set()
    while start + step <= end:
        given.add(label(start))
        start += step
    start = time(spec["start_date"])
    counts: dict[Any, list[str]] = defaultdict(list)
    while True:
        for event, place in oracle.placed(spec, unit, start, start + DAY):
            if label(event.time) in given:
                counts[*ids(place, unit), *label(event.time)].append(event.subscriber)
        start += DAY
        if start + DAY > end:
            break
    return ordered((*key, len(who)) for key, who in counts.items() if len(set(who)) > FLOOR)


def total_network_objects(oracle: Oracle, spec: Spec) -> list[Row]:
    unit, by = spec["aggregation_unit"], spec.get("total_by", "day")
    kept = ("year", "month", "day", "hour", "minute", "second")
    kept = kept[: kept.index(by) + 1]
    seen = defaultdict(list)
    for event, place in oracle.placed(spec, unit):
        period = datetime(
            *(getattr(event.time, part) if part in kept else 1 for part in ("year", "month", "day"))
        )
        period = period.replace(**{part: getattr(event.time, part) for part in kept[3:]})
        seen[place, period.replace(tzinfo=oracle.stage.zone)].append((event.cell, event.subscriber))
    rows = [
        (*ids(place, unit), period, len({cell for cell, _ in found}))
        for (place, period), found in seen.items()
        if len({who for _, who in found}) > FLOOR
    ]
    return [(*row[:-2], row[-1], row[-2]) for row in ordered(rows)]


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


def joined_spatial_aggregate(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = oracle.unit(spec)
    metric = dict(oracle.answer(spec["metric"]))
    at = group(
        (place, metric[subscriber])
        for subscriber, place in oracle.answer(spec["locations"])
        if subscriber in metric and place is not None
    )
    if spec["method"] == "distr":
        rows = []
        for place, values in at.items():
            told = {key: count for key, count in Counter(values).items() if count > FLOOR}
            untold = len(values) - sum(told.values())
            if untold == 0 or untold > FLOOR:
                rows += [
                    (*ids(place, unit), "value", key, count / len(values)) for key, count in told.items()
                ]
        return ordered(rows)
    return ordered(
        (*ids(place, unit), statistic(spec["method"], values))
        for place, values in at.items()
        if sum(value is not None for value in values) > FLOOR
    )


def active_at_reference_location_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    seen = set(oracle.answer(spec["unique_locations"]))
    home = oracle.answer(spec["reference_locations"])
    at_home = ((place, who) for who, place in home if place is not None and (who, place) in seen)
    return counted(oracle.unit(spec["unique_locations"]), at_home)


def unique_visitor_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    active, everyone = (
        {row[:-1]: row[-1] for row in oracle.answer(spec[name])}
        for name in ("active_at_reference_location_counts", "unique_subscriber_counts")
    )
    differences = {place: everyone[place] - active[place] for place in active.keys() & everyone.keys()}
    return ordered((*place, value) for place, value in differences.items() if value > FLOOR)


def stayed(oracle: Oracle, spec: Spec) -> list[Row]:
    visits = group(oracle.answer(spec))
    return [(who, places[0]) for who, places in visits.items() if len(places) == 1]


def unmoving_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    still = stayed(oracle, spec["locations"])
    return counted(oracle.unit(spec), ((place, who) for who, place in still))


def unmoving_at_reference_location_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    home = set(oracle.answer(spec["reference_locations"]))
    still = (visit for visit in stayed(oracle, spec["locations"]) if visit[1] is not None and visit in home)
    return counted(oracle.unit(spec), ((place, who) for who, place in still))


def histogram_aggregate(oracle: Oracle, spec: Spec) -> list[Row]:
    numbers = [value for _, value in oracle.answer(spec["metric"]) if value is not None]
    values = [Fraction(f"{value:.15g}" if isinstance(value, float) else value) for value in numbers]
    bins: list[list[Any]]
    if "bin_list" in spec["bins"]:
        edges = [Fraction(str(edge)) for edge in spec["bins"]["bin_list"]]
        bins = [
            [sum(lower <= value < upper for value in values), lower, upper]
            for lower, upper in pairwise(edges)
        ]
    else:
        count = spec["bins"]["n_bins"]
        if "range" in spec:
            found = spec["range"]
            pair = found if isinstance(found, list) else [found["lower_bound"], found["upper_bound"]]
            low, high = (Fraction(f"{bound:.15g}") for bound in pair)
        elif values:
            low, high = min(values), max(values)
        else:
            return [(None, None, None)]
        if low == high:
            count = 1
        width = (high - low) / count
        # Of two numbers that are equal in fifteen digits one may be so much smaller than the other.
        slack = max(abs(low), abs(high)) * Fraction(5, 10**15)
        bins = [[0, low + number * width, low + (number + 1) * width] for number in range(count)]
        for value in values:
            if low <= value <= high:
                number = 0 if low == high else math.floor((value + slack - low) / width)
                bins[min(number, count - 1)][0] += 1
    if any(value <= FLOOR for value, _, _ in bins):
        return [(None, None, None)]
    return [(value, float(lower), float(upper)) for value, lower, upper in bins]


DEFINITIONS: dict[str, Callable[[Oracle, Spec], list[Row]]] = {
    "daily_location": daily_location,
    "modal_location": modal_location,
    "most_frequent_location": most_frequent_location,
    "unique_locations": unique_locations,
    "event_count": event_count,
    "radius_of_gyration": radius_of_gyration,
    "subscriber_degree": subscriber_degree,
    "unique_location_counts": unique_location_counts,
    "nocturnal_events": nocturnal_events,
    "displacement": displacement,
    "pareto_interactions": pareto_interactions,
    "handset": handset,
    "topup_amount": topup_amount,
    "topup_balance": topup_balance,
    "total_active_periods": total_active_periods,
    "spatial_aggregate": spatial_aggregate,
    "unique_subscriber_counts": unique_subscriber_counts,
    "flows": flows,
    "inflows": lambda oracle, spec: ends(oracle, spec, 2),
    "outflows": lambda oracle, spec: ends(oracle, spec, 1),
    "trips_od_matrix": trips_od_matrix,
    "location_event_counts": location_event_counts,
    "total_network_objects": total_network_objects,
    "joined_spatial_aggregate": joined_spatial_aggregate,
    "active_at_reference_location_counts": active_at_reference_location_counts,
    "unique_visitor_counts": unique_visitor_counts,
    "unmoving_counts": unmoving_counts,
    "unmoving_at_reference_location_counts": unmoving_at_reference_location_counts,
    "histogram_aggregate": histogram_aggregate,
}
