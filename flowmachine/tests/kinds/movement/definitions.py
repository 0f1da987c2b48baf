"""Definitions of the kinds about how subscribers move."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

from ..oracle import (
    DAY,
    Oracle,
    Row,
    Spec,
    at_places,
    definition,
    entropy,
    group,
    metres,
    point,
    start_of,
    statistic,
    time,
    unit_fields,
)
from ..places.definitions import last, modal, most_common


@definition
def radius_of_gyration(oracle: Oracle, spec: Spec) -> list[Row]:
    result = []
    located = oracle.placed(spec, "lon-lat")
    for subscriber, points in group((event.subscriber, place) for event, place in located).items():
        centre = (
            statistics.fmean(lon for lon, _ in points),
            statistics.fmean(lat for _, lat in points),
        )
        squares = [metres(point, centre) ** 2 for point in points]
        result.append((subscriber, math.sqrt(statistics.fmean(squares)) / 1000))
    return result


@definition
def displacement(oracle: Oracle, spec: Spec) -> list[Row]:
    home = dict(oracle.answer(spec["reference_location"]))

    def apart(one: Any, other: Any) -> float:
        return 0.0 if one is None or other is None else metres(one, other) / 1000

    distances = group(
        (event.subscriber, apart(home[event.subscriber], place))
        for event, place in oracle.placed(spec | unit_fields(spec["reference_location"]), "lon-lat")
        if event.subscriber in home
    )
    return [(subscriber, statistic(spec["statistic"], found)) for subscriber, found in distances.items()]


@definition
def mobility_classification(oracle: Oracle, spec: Spec) -> list[Row]:
    inputs = [dict(oracle.answer(child)) for child in spec["locations"]]
    result = []
    for who, now in inputs[-1].items():
        series = [places[who] for places in inputs if who in places]
        longest = run = 0
        for position, place in enumerate(series):
            run = run + 1 if position and series[position - 1] == place else 1
            longest = max(longest, run)
        if now is None:
            label = "unlocated"
        elif len(series) < len(inputs):
            label = "irregular"
        elif None in series:
            label = "not_always_locatable"
        else:
            label = "mobile" if longest < spec["stay_length_threshold"] else "stable"
        result.append((who, label))
    return result


@definition
def location_entropy(oracle: Oracle, spec: Spec) -> list[Row]:
    located = at_places(oracle, oracle.events(spec), spec.get("aggregation_unit", "cell"), spec)
    return entropy((event.subscriber, place) for event, place in located)


@definition
def day_trajectories(oracle: Oracle, spec: Spec) -> list[Row]:
    return [
        (who, place, time(daily["date"]))
        for daily in spec["locations"]
        for who, place in oracle.answer(daily)
    ]


@definition
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


@definition
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


@definition
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
