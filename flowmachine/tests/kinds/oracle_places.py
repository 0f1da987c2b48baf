"""More definitions in plain Python: kinds of direct use about where subscribers were and how far places are apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .oracle import (
    DAY,
    DEFINITIONS,
    Oracle,
    Row,
    Spec,
    by_bytes,
    group,
    last,
    metres,
    modal,
    most_common,
    statistic,
    time,
    version,
)
from .oracle_composed import start_of
from .world import CELLS, PLACES, SITES


def placed_or_not(oracle: Oracle, spec: Spec, unit: str) -> list[tuple[Any, Any]]:
    """The events with their places; those at no place, too, if the spec says so."""
    return [
        (event, place)
        for event in oracle.events(spec)
        for place in (
            list(oracle.places_of(event, unit, spec)) or ([] if spec.get("ignore_nulls", True) else [None])
        )
    ]


def subscriber_locations(oracle: Oracle, spec: Spec) -> list[Row]:
    located = placed_or_not(oracle, spec, spec.get("aggregation_unit", "cell"))
    return [(event.subscriber, event.time, place) for event, place in located]


def first_location(oracle: Oracle, spec: Spec) -> list[Row]:
    wanted = spec.get("location") or "any"
    names = [wanted] if isinstance(wanted, str) else wanted
    times = defaultdict(list)
    for event, place in oracle.placed(spec, spec.get("aggregation_unit", "cell")):
        name = place[0] if isinstance(place, tuple) else place
        if wanted == "any" or name in names:
            times[event.subscriber].append(event.time)
    return [(who, min(seen)) for who, seen in times.items()]


def last_location(oracle: Oracle, spec: Spec) -> list[Row]:
    result = []
    located = placed_or_not(oracle, spec, spec.get("aggregation_unit", "admin3"))
    for who, seen in group((event.subscriber, (event.time, place)) for event, place in located).items():
        latest = max(moment for moment, _ in seen)
        found = [place for moment, place in seen if moment == latest and place is not None]
        result.append((who, min(found, key=by_bytes, default=None)))
    return result


def call_days(oracle: Oracle, spec: Spec) -> list[Row]:
    days = defaultdict(set)
    for who, moment, place in oracle.answer(spec["subscriber_locations"]):
        if place is not None:
            days[who, place].add(moment.date())
    return [(who, place, len(found)) for (who, place), found in days.items()]


def subscriber_location_subset(oracle: Oracle, spec: Spec) -> list[Row]:
    located = oracle.placed(spec | {"event_types": ["calls"]}, spec["aggregation_unit"])
    calls = Counter((event.subscriber, place) for event, place in located)
    return [(who, place) for (who, place), count in calls.items() if count >= spec["min_calls"]]


def day_trajectories(oracle: Oracle, spec: Spec) -> list[Row]:
    return [
        (who, place, time(daily["date"]))
        for daily in spec["locations"]
        for who, place in oracle.answer(daily)
    ]


def point(place: Row) -> tuple[float, float]:
    """Where a place of a unit of points is."""
    lon, lat = place[-2:]
    return lon, lat


def distance_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    found = {
        "lon-lat": {point for _, point in PLACES} if spec.get("geom_table") else {c.point for c in CELLS},
        "versioned-cell": {version(cell) for cell in CELLS},
        "versioned-site": {version(site) for site in SITES},
    }[spec.get("aggregation_unit", "versioned-cell")]
    known = [place for place in found if place is not None and place[-1] is not None]
    return [(a, b, metres(point(a), point(b)) / 1000) for a in known for b in known]


def population_weighted_opportunities(oracle: Oracle, spec: Spec) -> list[Row]:
    unit, rate = spec.get("aggregation_unit", "versioned-site"), spec.get("departure_rate", 0.1)
    day, stays = time(spec["start_date"]), []
    while day <= time(spec["end_date"]):
        located = oracle.placed(spec, unit, day, day + DAY)
        daily = last(located) if spec.get("method", "last") == "last" else most_common(located)
        stays.append((day, daily))
        day += DAY
    homes = modal((who, day, place) for day, daily in stays for who, place in daily)
    population = Counter(place for _, place in homes if place is not None and place[-1] is not None)
    everybody = sum(population.values())

    def apart(a: Row, b: Row) -> int:
        return round(metres(point(a), point(b)) * 1000)

    def pull(i: Row, j: Row) -> float:
        nearer = [k for k in population if k != j and apart(k, j) <= apart(i, j)]
        rivals = sum(population[k] for k in nearer) + population[j] - population[i]
        return population[j] * (1 / rivals - 1 / everybody)

    result = []
    for i in population:
        others = [j for j in population if j != i]
        pulls = {j: pull(i, j) for j in others}
        for j in others:
            trips = rate * population[i] * pulls[j] / sum(pulls.values())
            result.append((i, j, trips, trips / (rate * population[i]) if rate else 0.0))
    return result


def distance_series(oracle: Oracle, spec: Spec) -> list[Row]:
    bucket = spec.get("time_bucket", "day")
    homes = (
        None if spec.get("reference_location") is None else dict(oracle.answer(spec["reference_location"]))
    )
    distances = defaultdict(list)
    for who, moment, place in oracle.answer(spec["subscriber_locations"]):
        period = start_of(moment, bucket)
        if place is None or place[-1] is None:
            continue
        if homes is None:
            distance = metres(point(place), tuple(spec.get("reference_point", (0, 0))))
        elif who in homes and homes[who] is not None and homes[who][-1] is not None:
            distance = metres(point(place), point(homes[who])) / 1000
        else:
            continue
        distances[who, period if bucket in ("second", "minute", "hour") else period.date()].append(distance)
    return [
        (who, period, statistic(spec.get("statistic", "avg"), found))
        for (who, period), found in distances.items()
    ]


def imputed_distance_series(oracle: Oracle, spec: Spec) -> list[Row]:
    inner, size = spec["distance_series"], spec.get("window_size", 3)
    seen, bucket = inner["subscriber_locations"], inner.get("time_bucket", "day")
    periods, moment = [], time(seen["start_date"])
    while moment < time(seen["end_date"]):
        period = start_of(moment, bucket)
        periods.append(period if bucket == "hour" else period.date())
        moment = period + (timedelta(hours=1) if bucket == "hour" else DAY)
    result = []
    for who, series in group((who, (period, value)) for who, period, value in oracle.answer(inner)).items():
        known = {period: float(value) for period, value in series if value is not None}
        if len(known) <= size:
            continue
        for number, period in enumerate(periods):
            around = periods[max(number - size // 2, 0) : number + size // 2 + 1]
            values = [known[other] for other in around if other in known]
            result.append((who, period, known.get(period, statistic("median", values))))
    return result


_PLACES: dict[str, Callable[[Oracle, Spec], list[Row]]] = {
    "subscriber_locations": subscriber_locations,
    "first_location": first_location,
    "last_location": last_location,
    "call_days": call_days,
    "subscriber_location_subset": subscriber_location_subset,
    "day_trajectories": day_trajectories,
    "distance_matrix": distance_matrix,
    "population_weighted_opportunities": population_weighted_opportunities,
    "distance_series": distance_series,
    "imputed_distance_series": imputed_distance_series,
}
DEFINITIONS.update(_PLACES)
