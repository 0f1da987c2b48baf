"""Definitions of the kinds that say where subscribers are."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ..oracle import DAY, Oracle, Row, Spec, by_bytes, definition, group, time
from ..world import Event


def last(located: Iterable[tuple[Event, Any]]) -> list[Row]:
    result = []
    for subscriber, seen in group(
        (event.subscriber, (event.time, place)) for event, place in located
    ).items():
        latest = max(moment for moment, _ in seen)
        result.append((subscriber, min((place for moment, place in seen if moment == latest), key=by_bytes)))
    return result


def most_common(located: Iterable[tuple[Event, Any]]) -> list[Row]:
    result = []
    for subscriber, seen in group(
        (event.subscriber, (event.time, place)) for event, place in located
    ).items():
        visits = group((place, moment) for moment, place in seen)
        best = max((len(times), max(times)) for times in visits.values())
        tied = [place for place, times in visits.items() if (len(times), max(times)) == best]
        result.append((subscriber, min(tied, key=by_bytes)))
    return result


@definition
def daily_location(oracle: Oracle, spec: Spec) -> list[Row]:
    start = time(spec["date"])
    located = oracle.placed(spec, spec["aggregation_unit"], start, start + DAY)
    return last(located) if spec["method"] == "last" else most_common(located)


@definition
def most_frequent_location(oracle: Oracle, spec: Spec) -> list[Row]:
    return most_common(oracle.placed(spec, spec["aggregation_unit"]))


@definition
def modal_location(oracle: Oracle, spec: Spec) -> list[Row]:
    return modal(
        (subscriber, time(daily["date"]), place)
        for daily in spec["locations"]
        for subscriber, place in oracle.answer(daily)
    )


def modal(stays: Iterable[tuple[str, datetime, Any]]) -> list[Row]:
    result = []
    for subscriber, seen in group((who, (day, place)) for who, day, place in stays).items():
        visits = group((place, day) for day, place in seen)
        best = max((len(days), max(days)) for days in visits.values())
        tied = [place for place, days in visits.items() if (len(days), max(days)) == best]
        result.append((subscriber, min(tied, key=by_bytes)))
    return result


@definition
def unique_locations(oracle: Oracle, spec: Spec) -> list[Row]:
    located = oracle.placed(spec, spec["aggregation_unit"])
    return list({(event.subscriber, place): None for event, place in located})


@definition
def unique_location_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    return list(Counter(subscriber for subscriber, _ in unique_locations(oracle, spec)).items())


@definition
def visited_most_days(oracle: Oracle, spec: Spec) -> list[Row]:
    result = []
    located = oracle.placed(spec, spec["aggregation_unit"])
    for who, seen in group((event.subscriber, (place, event.time)) for event, place in located).items():
        scores = {
            place: (len({moment.date() for moment in times}), len(times), max(times))
            for place, times in group(seen).items()
        }
        tied = [place for place, score in scores.items() if score == max(scores.values())]
        result.append((who, min(tied, key=by_bytes)))
    return result


@definition
def location_visits(oracle: Oracle, spec: Spec) -> list[Row]:
    visits: Counter[Row] = Counter()
    for child in spec["locations"]:
        visits.update(oracle.answer(child))
    return [(who, place, count) for (who, place), count in visits.items()]


@definition
def majority_location(oracle: Oracle, spec: Spec) -> list[Row]:
    result: list[Row] = []
    weights = oracle.answer(spec["subscriber_location_weights"])
    for who, own in group((who, (place, weight)) for who, place, weight in weights).items():
        half = max(sum(weight for _, weight in own), spec.get("minimum_total_weight", 0.0)) / 2
        winners = [place for place, weight in own if weight > half]
        if winners:
            result.append((who, winners[0]))
        elif spec.get("include_unlocatable", False):
            result.append((who, None))
    return result


@definition
def coalesced_location(oracle: Oracle, spec: Spec) -> list[Row]:
    preferred = dict(oracle.answer(spec["preferred_location"]))
    weights = {
        (who, place): weight for who, place, weight in oracle.answer(spec["subscriber_location_weights"])
    }
    fallback = {
        who: place
        for who, place in oracle.answer(spec["fallback_location"])
        if place is not None and (who, place) in weights and weights[who, place] >= spec["weight_threshold"]
    }
    return [
        (who, fallback.get(who) if preferred.get(who) is None else preferred[who])
        for who in preferred.keys() | fallback.keys()
    ]


def placed_or_not(oracle: Oracle, spec: Spec, unit: str) -> list[tuple[Any, Any]]:
    """The events with their places; those at no place, too, if the spec says so."""
    return [
        (event, place)
        for event in oracle.events(spec)
        for place in (
            list(oracle.places_of(event, unit, spec)) or ([] if spec.get("ignore_nulls", True) else [None])
        )
    ]


@definition
def subscriber_locations(oracle: Oracle, spec: Spec) -> list[Row]:
    located = placed_or_not(oracle, spec, spec.get("aggregation_unit", "cell"))
    return [(event.subscriber, event.time, place) for event, place in located]


@definition
def first_location(oracle: Oracle, spec: Spec) -> list[Row]:
    wanted = spec.get("location") or "any"
    names = [wanted] if isinstance(wanted, str) else wanted
    times = defaultdict(list)
    for event, place in oracle.placed(spec, spec.get("aggregation_unit", "cell")):
        name = place[0] if isinstance(place, tuple) else place
        if wanted == "any" or name in names:
            times[event.subscriber].append(event.time)
    return [(who, min(seen)) for who, seen in times.items()]


@definition
def last_location(oracle: Oracle, spec: Spec) -> list[Row]:
    result = []
    located = placed_or_not(oracle, spec, spec.get("aggregation_unit", "admin3"))
    for who, seen in group((event.subscriber, (event.time, place)) for event, place in located).items():
        latest = max(moment for moment, _ in seen)
        found = [place for moment, place in seen if moment == latest and place is not None]
        result.append((who, min(found, key=by_bytes, default=None)))
    return result


@definition
def call_days(oracle: Oracle, spec: Spec) -> list[Row]:
    days = defaultdict(set)
    for who, moment, place in oracle.answer(spec["subscriber_locations"]):
        if place is not None:
            days[who, place].add(moment.date())
    return [(who, place, len(found)) for (who, place), found in days.items()]


@definition
def subscriber_location_subset(oracle: Oracle, spec: Spec) -> list[Row]:
    located = oracle.placed(spec | {"event_types": ["calls"]}, spec["aggregation_unit"])
    calls = Counter((event.subscriber, place) for event, place in located)
    return [(who, place) for (who, place), count in calls.items() if count >= spec["min_calls"]]


@definition
def filtered_reference_location(oracle: Oracle, spec: Spec) -> list[Row]:
    visits = {row[:-1]: row[-1] for row in oracle.answer(spec["visits"])}
    lower, upper = spec.get("lower_bound", -math.inf), spec.get("upper_bound", math.inf)
    return [
        (who, place)
        for who, place in oracle.answer(spec["reference_location"])
        if place is not None and lower <= visits.get((who, place), math.nan) <= upper
    ]
