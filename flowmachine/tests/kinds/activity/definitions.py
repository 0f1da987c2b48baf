"""Definitions of the kinds about when and how often subscribers are active."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice, pairwise

from ..oracle import Oracle, Row, Spec, at_places, definition, directed, entropy, group, statistic, within


@definition
def event_count(oracle: Oracle, spec: Spec) -> list[Row]:
    return list(Counter(event.subscriber for event in oracle.events(spec)).items())


@definition
def nocturnal_events(oracle: Oracle, spec: Spec) -> list[Row]:
    night = spec["night_hours"]
    whole_day = night["start_hour"] == night["end_hour"]
    nights = group(
        (event.subscriber, whole_day or within(night, event.time.hour)) for event in oracle.events(spec)
    )
    return [(subscriber, 100 * sum(seen) / len(seen)) for subscriber, seen in nights.items()]


@definition
def total_active_periods(oracle: Oracle, spec: Spec) -> list[Row]:
    length = timedelta(**{spec.get("period_unit", "days"): spec.get("period_length", 1)})
    counts: Counter[str] = Counter()
    for _, active in oracle.active_in_periods(spec, length, spec["total_periods"]):
        counts.update(active)
    return list(counts.items())


PHASES: dict[str, Callable[[datetime], int]] = {
    "second": lambda t: t.second,
    "minute": lambda t: t.minute,
    "hour": lambda t: t.hour,
    "day": lambda t: t.day,
    "dow": lambda t: t.weekday(),
    "isodow": lambda t: t.weekday(),
    "doy": lambda t: t.timetuple().tm_yday,
    "week": lambda t: t.isocalendar().week,
    "month": lambda t: t.month,
    "quarter": lambda t: (t.month - 1) // 3,
    "year": lambda t: t.year,
    "isoyear": lambda t: t.isocalendar().year,
    "decade": lambda t: t.year // 10,
    "century": lambda t: (t.year - 1) // 100,
    "millennium": lambda t: (t.year - 1) // 1000,
}


@definition
def periodic_entropy(oracle: Oracle, spec: Spec) -> list[Row]:
    phase = PHASES[spec.get("phase", "hour")]
    return entropy((event.subscriber, phase(event.time)) for event in oracle.events(spec))


@definition
def per_location_event_stats(oracle: Oracle, spec: Spec) -> list[Row]:
    located = at_places(oracle, oracle.events(spec), spec.get("aggregation_unit", "cell"), spec)
    visits = group((event.subscriber, place) for event, place in located)
    return [
        (who, statistic(spec.get("statistic", "avg"), list(Counter(seen).values())))
        for who, seen in visits.items()
    ]


def gaps(oracle: Oracle, spec: Spec) -> dict[str, list[timedelta]]:
    moments = group(
        (event.subscriber, oracle.stage.utc(event.time)) for event in directed(oracle, spec, "out")
    )
    return {who: [b - a for a, b in pairwise(sorted(times))] for who, times in moments.items()}


@definition
def interevent_interval(oracle: Oracle, spec: Spec) -> list[Row]:
    return [
        (who, statistic(spec.get("statistic", "avg"), [gap.total_seconds() for gap in found]))
        for who, found in gaps(oracle, spec).items()
    ]


UNITS_OF_TIME = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "month": timedelta(days=30),
    "year": timedelta(days=365.25),
}


@definition
def interevent_period(oracle: Oracle, spec: Spec) -> list[Row]:
    name, unit = spec.get("statistic", "avg"), UNITS_OF_TIME[spec.get("time_resolution", "hour")]
    result = []
    for who, found in gaps(oracle, spec).items():
        value = statistic(name, [gap / unit for gap in found])
        whole = value if value is None or name == "count" else math.floor(float(f"{value:.13g}"))
        result.append((who, whole))
    return result


@definition
def unique_subscribers(oracle: Oracle, spec: Spec) -> list[Row]:
    return [(who,) for who in {event.subscriber for event in oracle.events(spec)}]


@definition
def new_subscribers(oracle: Oracle, spec: Spec) -> list[Row]:
    return list(set(oracle.answer(spec["focal"])) - set(oracle.answer(spec["benchmark"])))


@definition
def active_subscribers(oracle: Oracle, spec: Spec) -> list[Row]:
    length = timedelta(**{spec.get("period_unit", "hours"): spec["minor_period_length"]})
    majors: dict[str, int] = defaultdict(int)
    total = spec["total_major_periods"] * spec["minor_periods_per_major_period"]
    periods = oracle.active_in_periods(spec, length, total)
    for _ in range(spec["total_major_periods"]):
        minors: Counter[str] = Counter()
        for _, active in islice(periods, spec["minor_periods_per_major_period"]):
            minors.update(active)
        for who, count in minors.items():
            majors[who] += count >= spec["minor_period_threshold"]
    return [(who,) for who, count in majors.items() if count >= spec["major_period_threshold"]]


@definition
def proportion_event_type(oracle: Oracle, spec: Spec) -> list[Row]:
    everything = Counter(event.subscriber for event in oracle.events(spec))
    directed_so = oracle.events(spec | {"direction": spec["numerator_direction"]})
    part = Counter(event.subscriber for event in directed_so if event.type in spec["numerator"])
    return [(who, part[who] / events) for who, events in everything.items() if part[who]]
