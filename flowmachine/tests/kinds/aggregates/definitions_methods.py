"""Definitions of durations of stays by home, and of migration between homes."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any

from ..movement.definitions_stays import stayed
from ..oracle import FLOOR, Oracle, Row, Spec, by_bytes, definition
from ..places.definitions_permanence import labels_of


def as_ids(place: Any) -> Row:
    return place if isinstance(place, tuple) else (place,)


def in_order(rows: list[Row], keys: int) -> list[Row]:
    return sorted(rows, key=lambda row: [by_bytes(part) for part in row[:keys]])


@definition
def stay_durations(oracle: Oracle, spec: Spec) -> list[Row]:
    seconds = stayed(oracle, spec)
    hours = defaultdict(list)
    for who, home in oracle.answer(spec["home_location"]):
        at = seconds.get(who)
        if at and home is not None:
            place = min(at, key=lambda place: (-at[place], by_bytes(place)))
            if at[place] >= 60 * spec.get("minimum_minutes", 0):
                hours[home, place].append(at[place] / 3600)
    rows = [
        (*as_ids(home), *as_ids(place), len(found), statistics.fmean(found), statistics.stdev(found))
        for (home, place), found in hours.items()
        if len(found) > FLOOR
    ]
    return in_order(rows, len(rows[0]) - 3 if rows else 0)


@definition
def internal_migration(oracle: Oracle, spec: Spec) -> list[Row]:
    before, after = (
        {
            who: labels["home"]
            for who, (labels, _) in labels_of(oracle, spec | {"daily_permanence": spec[name]}).items()
        }
        for name in ("previous", "new")
    )
    shares: dict[tuple[Any, Any], list[float]] = defaultdict(list)
    for who in before.keys() & after.keys():
        old, new = before[who], after[who]
        if old and new and 2 * len(old & new) / (len(old) + len(new)) < spec.get("migration_threshold", 0.5):
            for one in old:
                for other in new - {one}:
                    shares[one, other].append(1 / len(old) / len(new))
    rows = []
    for (one, other), found in shares.items():
        value = float(f"{sum(found):.12g}")
        if value > FLOOR:
            rows.append((*as_ids(one), *as_ids(other), value, len(found)))
    return in_order(rows, len(rows[0]) - 2 if rows else 0)
