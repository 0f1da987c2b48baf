"""Definitions of the kinds about the network's own places."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from ..land import CELLS, PLACES, SITES
from ..oracle import (
    FLOOR,
    Oracle,
    Row,
    Spec,
    definition,
    group,
    ids,
    metres,
    ordered,
    point,
    start_of,
    version,
)
from ..oracle import statistic as statistic_of


@definition
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


@definition
def aggregate_network_objects(oracle: Oracle, spec: Spec) -> list[Row]:
    counts = oracle.answer(spec["total_network_objects"])
    periods = group(((row[:-2], start_of(row[-1], spec["aggregate_by"])), row[-2]) for row in counts)
    rows = [
        (*place, period, statistic_of(spec["statistic"], found)) for (place, period), found in periods.items()
    ]
    return [(*row[:-2], row[-1], row[-2]) for row in ordered(rows)]


@definition
def distance_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    found = {
        "lon-lat": {point for _, point in PLACES} if spec.get("geom_table") else {c.point for c in CELLS},
        "versioned-cell": {version(cell) for cell in CELLS},
        "versioned-site": {version(site) for site in SITES},
    }[spec.get("aggregation_unit", "versioned-cell")]
    known = [place for place in found if place is not None and place[-1] is not None]
    return [(a, b, metres(point(a), point(b)) / 1000) for a in known for b in known]
