"""The definition of the use of a phone by day."""

from __future__ import annotations

from itertools import pairwise

from ..oracle import Oracle, Row, Spec, definition, group, statistic
from ..world import Event


@definition
def activity_statistic(oracle: Oracle, spec: Spec) -> list[Row]:
    days = group(((event.subscriber, event.time.date()), event) for event in oracle.events(spec))
    found = group((who, measure(oracle, spec, events)) for (who, _), events in days.items())
    rows = []
    for who, measures in found.items():
        known = [value for value in measures if value is not None]
        if known:
            value = statistic(spec.get("statistic", "avg"), known)
            rows.append((who, None if value is None else float(value)))
    return rows


def measure(oracle: Oracle, spec: Spec, events: list[Event]) -> float | None:
    match spec["measure"]:
        case "events":
            return float(len(events))
        case "cells":
            return float(len({event.cell for event in events if event.cell}))
        case "locations":
            return float(
                len({place for event in events for place in oracle.places_of(event, "lon-lat", spec)})
            )
        case "hours":
            return float(len({event.time.hour for event in events}))
    moments = sorted(oracle.stage.utc(event.time) for event in events)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    value: float | None = statistic("avg" if spec["measure"] == "mean_gap" else "stddev", gaps)
    return value
