"""The definition of silent cells."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from ..oracle import FLOOR, NoData, Oracle, Row, Spec, definition, ids, in_service, ordered, time
from ..world import Event


@definition
def network_silence(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = spec["aggregation_unit"]
    types = spec.get("event_types") or ["calls", "sms"]
    first, end = (time(spec[name]).date() for name in ("start_date", "end_date"))
    weeks = [timedelta(weeks=number + 1) for number in range(spec.get("lookback_weeks", 4))]
    loaded = {day for event_type, day in oracle.world.loaded if event_type in types}
    window = sorted(day for day in loaded if first <= day < end)
    before = [day for day in loaded if first - weeks[-1] <= day < first]
    if not window or not before:
        raise NoData
    rows = []
    for day in window:
        days = [day - week for week in weeks if day - week in loaded]
        for place, cells in cells_at(oracle, spec, unit, day).items():
            found = region(oracle, types, cells, day, days, spec.get("minimum_baseline", 10.0))
            if found is not None:
                rows.append((*ids(place, unit), day, *found))
    return ordered(rows)


def cells_at(oracle: Oracle, spec: Spec, unit: str, day: date) -> dict[Any, set[str]]:
    """The cells at each place on a day."""
    found: dict[Any, set[str]] = {}
    noon = datetime.combine(day, datetime.min.time())
    for cell in {cell.id for cell in oracle.stage.cells}:
        for place in oracle.places_of(Event("nobody", noon, cell), unit, spec):
            if place is not None:
                found.setdefault(place, set()).add(cell)
    return found


def region(
    oracle: Oracle, types: list[str], cells: set[str], day: date, days: list[date], minimum: float
) -> Row | None:
    """The numbers of a place on a day, or None if there are none or they stand on few."""
    numbers, silent, before, on_day = [], 0, set(), []
    for cell in cells:
        served = [
            other
            for other in days
            if any(version.id == cell and in_service(version, other) for version in oracle.stage.cells)
        ]
        if len(served) < 2:
            continue
        at_cell = [event for event in oracle.world.visible if event.type in types and event.cell == cell]
        usual = [event for event in at_cell if event.time.date() in served]
        today = [event for event in at_cell if event.time.date() == day]
        numbers.append(len(usual) / len(served))
        silent += numbers[-1] >= minimum and not today
        before |= {event.subscriber for event in usual}
        on_day += today
    present = {event.subscriber for event in on_day}
    if len(before) <= FLOOR or 0 < len(present) <= FLOOR:
        return None
    return sum(number >= minimum for number in numbers), silent, sum(numbers), len(on_day) / sum(numbers)
