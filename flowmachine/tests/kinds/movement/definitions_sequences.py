"""Definitions of distances and entropies along sequences of events."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from ..oracle import Oracle, Row, Spec, definition, group, metres, statistic, time

#: A moment in UTC and the place then.
Stop = tuple[datetime, tuple[float, float]]


def sequences(oracle: Oracle, spec: Spec) -> dict[str, list[Stop]]:
    """Each subscriber's stops in order, from the days to look back on."""
    start = time(spec["start_date"]) - timedelta(days=spec.get("look_back_days", 0))
    found = []
    for event in oracle.events(spec, start, time(spec["end_date"])):
        places = sorted(oracle.places_of(event, "lon-lat", spec))
        if places:
            found.append((event.subscriber, (oracle.stage.utc(event.time), places[0])))
    ordered = {who: sorted(stops) for who, stops in group(found).items()}
    return {who: cleaned(stops) for who, stops in ordered.items()} if spec.get("clean") else ordered


def cleaned(stops: list[Stop]) -> list[Stop]:
    return cleaned_by(stops, lambda stop: stop[1])


def cleaned_by(stops: list[Any], point_of: Callable[[Any], Any]) -> list[Any]:
    """Leave out stops that are too far and too fast from both neighbours.

    A stop begins with its moment.
    """

    def too_fast(number: int) -> bool:
        one, other = stops[number - 1 : number + 1]
        (before, here), (after, there) = ((stop[0], point_of(stop)) for stop in (one, other))
        if here is None or there is None:
            return False
        away = metres(here, there)
        return away > 10_000 and away > 55 * (after - before).total_seconds()

    inner = range(1, len(stops) - 1)
    wrong = {number for number in inner if too_fast(number) and too_fast(number + 1)}
    return [stop for number, stop in enumerate(stops) if number not in wrong]


def jumps(oracle: Oracle, spec: Spec) -> dict[str, list[float]]:
    """The jumps in km of everybody with an event in the window."""
    start = oracle.stage.utc(time(spec["start_date"]))
    longest = spec.get("max_gap_hours")
    found: dict[str, list[float]] = {}
    for who, stops in sequences(oracle, spec).items():
        if stops[-1][0] < start:
            continue
        found[who] = [
            metres(here, there) / 1000
            for (before, here), (after, there) in pairwise(stops)
            if after >= start and (longest is None or (after - before).total_seconds() <= longest * 3600)
        ]
    return found


@definition
def jump_lengths(oracle: Oracle, spec: Spec) -> list[Row]:
    rows = []
    for who, lengths in jumps(oracle, spec).items():
        counted = [km for km in lengths if km > 0 or not spec.get("exclude_zero")]
        if counted:
            value = statistic(spec["statistic"], counted)
            rows.append((who, None if value is None else float(value)))
    return rows


@definition
def distance_travelled(oracle: Oracle, spec: Spec) -> list[Row]:
    return [(who, math.fsum(lengths)) for who, lengths in jumps(oracle, spec).items()]


@definition
def k_radius_of_gyration(oracle: Oracle, spec: Spec) -> list[Row]:
    rows = []
    for who, stops in sequences(oracle, spec).items():
        first: dict[Any, datetime] = {}
        for moment, place in stops:
            first.setdefault(place, moment)
        events = Counter(place for _, place in stops)
        most = sorted(events, key=lambda place: (-events[place], first[place], place))[: spec.get("k", 2)]
        total = sum(events[place] for place in most)
        lon, lat = (sum(place[axis] * events[place] for place in most) / total for axis in (0, 1))
        squares = sum(events[place] * metres(place, (lon, lat)) ** 2 for place in most)
        rows.append((who, math.sqrt(squares / total) / 1000))
    return rows


@definition
def mobility_entropy(oracle: Oracle, spec: Spec) -> list[Row]:
    rows = []
    for who, stops in sequences(oracle, spec).items():
        events = Counter(place for _, place in stops)
        random = math.log2(len(events))
        shares = [count / len(stops) for count in events.values()]
        value = sum(share * math.log2(1 / share) for share in shares)
        if spec.get("entropy") == "random":
            value = random
        elif spec.get("normalise"):
            value = value / random if len(events) > 1 else 0.0
        rows.append((who, value))
    return rows
