"""The definition of displacement by periods."""

from __future__ import annotations

from typing import Any

from ..oracle import Oracle, Row, Spec, definition


@definition
def displacement_status(oracle: Oracle, spec: Spec) -> list[Row]:
    periods = [dict(oracle.answer(child)) for child in spec["locations"]]
    rows = []
    for who, home in oracle.answer(spec["reference_location"]):
        if home is not None:
            places = [located.get(who) for located in periods]
            found = statuses(home, places, spec.get("minimum_periods", 1))
            rows += [(who, home, number, status) for number, status in enumerate(found, start=1)]
    return rows


def statuses(home: Any, places: list[Any], minimum: int) -> list[str]:
    """The status in each period, of which some have no place."""
    found = ["not_seen"] * len(places)
    was_displaced = False
    run: list[int] = []
    for number, place in enumerate(places):
        if place is None:
            continue
        if place != home:
            run.append(number)
            for member in run:
                found[member] = "displaced" if len(run) >= minimum else "away"
        else:
            was_displaced = was_displaced or 0 < minimum <= len(run)
            found[number] = "returned" if was_displaced else "at_home"
            run = []
    return found
