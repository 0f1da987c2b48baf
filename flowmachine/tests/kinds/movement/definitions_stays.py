"""Definitions of stays and of what is counted from them."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

from ..oracle import DAY, Oracle, Row, Spec, by_bytes, definition, statistic, time, unit_of
from .definitions_sequences import cleaned_by

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def sequences(oracle: Oracle, spec: Spec) -> dict[str, list[tuple[datetime, Any]]]:
    """Each subscriber's events in UTC with their places, in order."""
    unit = unit_of(spec)
    found = defaultdict(list)
    for event in oracle.events(spec):
        known = [place for place in oracle.places_of(event, unit, spec) if place is not None]
        if known:
            points = sorted(oracle.places_of(event, "lon-lat", {}))
            place = min(known, key=by_bytes)
            found[event.subscriber].append(
                (oracle.stage.utc(event.time), place, points[0] if points else None)
            )
    result = {}
    for who, stops in found.items():
        stops.sort(key=lambda stop: (stop[0], by_bytes(stop[1]), stop[2] or ()))
        if spec.get("clean"):
            stops = cleaned_by(stops, lambda stop: stop[2])
        result[who] = [(moment, place) for moment, place, _ in stops]
    return result


@definition
def stays(oracle: Oracle, spec: Spec) -> list[Row]:
    begin, end = (oracle.stage.utc(time(spec[name])) for name in ("start_date", "end_date"))
    shortest = spec.get("min_stay_minutes", 15) * MINUTE
    longest_hold = spec.get("max_stay_gap_hours", 12) * HOUR
    longest_move = spec.get("max_move_gap_hours", 2) * HOUR
    pad = spec.get("pad_minutes", 5) * MINUTE
    rows: list[Row] = []
    for who, stops in sequences(oracle, spec).items():
        first = stops[0][0]
        lead = min(pad, half(first - begin))
        rows.append((who, begin, first - lead, "unknown", None))
        start = first - lead
        for number, (moment, place) in enumerate(stops):
            following = stops[number + 1] if number + 1 < len(stops) else None
            gap = following[0] - moment if following else None
            if following and following[1] == place and gap <= longest_hold:
                continue
            state = "stay" if moment - start > shortest else "undetermined"
            if following is None:
                rows += [(who, start, moment, state, place), (who, moment, end, "unknown", None)]
            elif following[1] != place and gap <= longest_move:
                middle = moment + half(gap)
                rows += [
                    (who, start, moment, state, place),
                    (who, moment, middle, "move", place),
                    (who, middle, following[0], "move", following[1]),
                ]
                start = following[0]
            else:
                rows += [
                    (who, start, moment + pad, state, place),
                    (who, moment + pad, following[0] - pad, "unknown", None),
                ]
                start = following[0] - pad
    return [row for row in rows if row[1] < row[2]]


def half(length: timedelta) -> timedelta:
    return length // 2


def stayed(oracle: Oracle, spec: Spec) -> dict[str, Counter[Any]]:
    """Each subscriber's seconds of stays by place, in the day of a spec."""
    start = time(spec["date"]) + spec.get("day_start_hour", 0) * HOUR
    start, end = oracle.stage.utc(start), oracle.stage.utc(start + DAY)
    found: dict[str, Counter[Any]] = defaultdict(Counter)
    for who, begin, stop, state, place in oracle.answer(spec["stays"]):
        inside = (min(stop, end) - max(begin, start)).total_seconds()
        if state == "stay" and inside > 0:
            found[who][place] += inside
    return found


@definition
def longest_stay(oracle: Oracle, spec: Spec) -> list[Row]:
    rows = []
    for who, seconds in stayed(oracle, spec).items():
        place = min(seconds, key=lambda place: (-seconds[place], by_bytes(place)))
        if seconds[place] >= 60 * spec.get("minimum_minutes", 0):
            rows.append((who, place))
    return rows


@definition
def overnight_location(oracle: Oracle, spec: Spec) -> list[Row]:
    night = time(spec["date"]) + DAY + spec.get("functional_midnight", 4) * HOUR
    midnight = oracle.stage.utc(night)
    shortest = spec.get("min_night_minutes", 300) * MINUTE
    return [
        (who, place)
        for who, begin, stop, state, place in oracle.answer(spec["stays"])
        if state == "stay" and begin <= midnight < stop and stop - begin >= shortest
    ]


@definition
def stay_time(oracle: Oracle, spec: Spec) -> list[Row]:
    hours = defaultdict(list)
    for who, begin, stop, state, _ in oracle.answer(spec["stays"]):
        if state == "stay":
            hours[who].append((stop - begin) / HOUR)
    rows = []
    for who, found in hours.items():
        value = statistic(spec["statistic"], found)
        rows.append((who, None if value is None else float(value)))
    return rows
