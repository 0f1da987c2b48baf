"""Definitions of the released counts, flows, statistics and calendars."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

from ..oracle import (
    DAY,
    FLOOR,
    Oracle,
    Row,
    Spec,
    by_bytes,
    definition,
    group,
    ids,
    ordered,
    statistic,
    time,
    unit_of,
)


def counted(unit: str, subscribers_at: Iterable[tuple[Any, str]], *descending: int) -> list[Row]:
    """Places with their distinct subscribers, where these are more than the floor."""
    rows = [
        (*ids(place, unit), len(set(subscribers)))
        for place, subscribers in group(subscribers_at).items()
        if len(set(subscribers)) > FLOOR
    ]
    return ordered(rows, *descending)


@definition
def spatial_aggregate(oracle: Oracle, spec: Spec) -> list[Row]:
    located = oracle.answer(spec["locations"])
    return counted(oracle.unit(spec), ((place, subscriber) for subscriber, place in located))


@definition
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
                if spec.get("exclude_stayers") and origin is not None and origin == destination:
                    continue
                found.append((subscriber, origin, destination))
    return found


@definition
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


@definition
def trips_od_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    return paired(spec["aggregation_unit"], trips(oracle, spec))


def trips(oracle: Oracle, spec: Spec) -> dict[Any, list[str]]:
    """Who went from which place to which."""
    pairs = defaultdict(list)
    located = oracle.placed(spec, spec["aggregation_unit"])
    for subscriber, seen in group(
        (event.subscriber, (place, event.time)) for event, place in located
    ).items():
        visits = group(seen)
        for a, first_times in visits.items():
            for b, last_times in visits.items():
                if None not in (a, b) and a != b and min(first_times) < max(last_times):
                    pairs[a, b].append(subscriber)
    return pairs


@definition
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


@definition
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


@definition
def active_at_reference_location_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    return counted(oracle.unit(spec["unique_locations"]), active_at_home(oracle, spec))


def active_at_home(oracle: Oracle, spec: Spec) -> list[tuple[Any, str]]:
    """Places with those who live and were seen there."""
    seen = set(oracle.answer(spec["unique_locations"]))
    home = oracle.answer(spec["reference_locations"])
    return [(place, who) for who, place in home if place is not None and (who, place) in seen]


@definition
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


@definition
def unmoving_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    still = stayed(oracle, spec["locations"])
    return counted(oracle.unit(spec), ((place, who) for who, place in still))


@definition
def unmoving_at_reference_location_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    home = set(oracle.answer(spec["reference_locations"]))
    still = (visit for visit in stayed(oracle, spec["locations"]) if visit[1] is not None and visit in home)
    return counted(oracle.unit(spec), ((place, who) for who, place in still))


@definition
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


def whole_groups(cases: Iterable[tuple[Any, Any, str]]) -> list[tuple[Any, Any, int]]:
    """Count subscribers by (place, label) at places with every label over the floor."""
    counts = Counter((place, label) for place, label, _ in cases)

    def passes(place: Any) -> bool:
        known = place is not None and not (isinstance(place, tuple) and None in place)
        return known and all(count > FLOOR for (other, _), count in counts.items() if other == place)

    return [(place, label, count) for (place, label), count in counts.items() if passes(place)]


@definition
def labelled_spatial_aggregate(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = unit_of(spec)
    labels = dict(oracle.answer(spec["labels"]))
    cases = [(place, labels.get(who), who) for who, place in oracle.answer(spec["locations"])]
    return ordered((*ids(place, unit), label, count) for place, label, count in whole_groups(cases))


@definition
def labelled_flows(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = unit_of(spec)
    labels = dict(oracle.answer(spec["labels"]))
    cases = [((origin, end), labels.get(who), who) for who, origin, end in movements(oracle, spec)]
    # Points of a coalesced location sort by latitude first, so they are turned round to be sorted.
    rows = [
        (*ids(origin, unit)[::-1], *ids(end, unit)[::-1], label, count)
        for (origin, end), label, count in whole_groups(cases)
    ]
    width = len(ids(None, unit))
    return [
        (*row[:width][::-1], *row[width : 2 * width][::-1], *row[2 * width :])
        for row in ordered(rows, 2 * width)
    ]


@definition
def consecutive_trips_od_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = spec["aggregation_unit"]
    pairs = defaultdict(list)
    located = oracle.placed(spec, unit)
    for who, seen in group((event.subscriber, (event.time, place)) for event, place in located).items():
        walk = [place for _, place in sorted(seen, key=lambda visit: (visit[0], by_bytes(visit[1])))]
        for step in set(itertools.pairwise(walk)):
            pairs[step].append(who)
    return paired(unit, pairs)


@definition
def location_introversion(oracle: Oracle, spec: Spec) -> list[Row]:
    unit, direction = spec["aggregation_unit"], spec.get("direction", "both")
    located = oracle.placed(spec | {"direction": "both"}, unit)
    firsts = defaultdict(list)
    for event, place in located:
        if direction != "both" and event.outgoing is not (direction == "out"):
            continue
        for other, there in located:
            if event.id == other.id and {event.outgoing, other.outgoing} == {True, False}:
                firsts[place].append((event.subscriber, place is not None and there == place))
    rows = [
        (*ids(place, unit), sum(within for _, within in found) / len(found))
        for place, found in firsts.items()
        if len({who for who, _ in found}) > FLOOR
    ]
    return ordered(rows, len(ids(None, unit)) - 1)


def calendars(oracle: Oracle, spec: Spec) -> dict[str, list[datetime]]:
    """The starts of the periods in which each subscriber was seen."""
    seen = defaultdict(list)
    length = timedelta(**{spec.get("period_unit", "days"): spec.get("period_length", 1)})
    for start, active in oracle.active_in_periods(spec, length, spec["total_periods"]):
        for who in active:
            seen[who].append(start)
    return seen


@definition
def calendar_activity(oracle: Oracle, spec: Spec) -> list[Row]:
    counts = Counter(map(tuple, calendars(oracle, spec).values()))
    return [(list(seen), count) for seen, count in sorted(counts.items()) if count > FLOOR]


@definition
def localised_calendar_activity(oracle: Oracle, spec: Spec) -> list[Row]:
    unit, seen = unit_of(spec["reference_location"]), calendars(oracle, spec)
    located = oracle.answer(spec["reference_location"])
    cases = [(place, tuple(seen[who]) if who in seen else None, who) for who, place in located]
    rows = ordered((*ids(place, unit), label, count) for place, label, count in whole_groups(cases))
    return [(*row[:-2], row[-2] and list(row[-2]), row[-1]) for row in rows]


@definition
def inflows(oracle: Oracle, spec: Spec) -> list[Row]:
    return ends(oracle, spec, 2)


@definition
def outflows(oracle: Oracle, spec: Spec) -> list[Row]:
    return ends(oracle, spec, 1)
