"""The definition of the present population."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from ..oracle import FLOOR, Oracle, Row, Spec, by_bytes, definition, ids, ordered, time

_HOUR = timedelta(hours=1)


@definition
def present_population(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = spec["aggregation_unit"]
    numbers = Counter(key for key, _ in present(oracle, spec))
    return ordered(
        (*ids(place, unit), moment, number) for (place, moment), number in numbers.items() if number > FLOOR
    )


def present(oracle: Oracle, spec: Spec) -> list[tuple[tuple[Any, datetime], str]]:
    """Places and points of time, with those who are there."""
    unit = spec["aggregation_unit"]
    tolerance = timedelta(minutes=spec.get("tolerance_minutes", 60))
    point, end = time(spec["start_date"]), time(spec["end_date"])
    # An hour more than the tolerance is read, as the clock may change meanwhile.
    reach = tolerance + _HOUR
    placed = oracle.placed(spec, unit, point - reach, end + reach + timedelta(microseconds=1))
    utc = oracle.stage.utc
    found = []
    while point <= end:
        nearest = {}
        # By time, then place: of what is equally near, the first stays.
        for event, place in sorted(placed, key=lambda found: (utc(found[0].time), by_bytes(found[1]))):
            distance = abs(utc(event.time) - utc(point))
            known = nearest.get(event.subscriber)
            if distance <= tolerance and (known is None or distance < known[0]):
                nearest[event.subscriber] = distance, place
        found += [((place, point), who) for who, (_, place) in nearest.items()]
        point += timedelta(minutes=spec.get("interval_minutes", 720))
    return found
