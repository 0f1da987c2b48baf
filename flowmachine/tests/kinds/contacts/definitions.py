"""Definitions of the kinds about whom subscribers are in contact with."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from ..oracle import Oracle, Row, Spec, at_places, definition, directed, entropy, group, metres, statistic
from ..world import Event


@definition
def subscriber_degree(oracle: Oracle, spec: Spec) -> list[Row]:
    contacts = defaultdict(set)
    for event in oracle.events(spec):
        if event.counterpart not in (None, event.subscriber):
            contacts[event.subscriber].add(event.counterpart)
    return [(subscriber, len(others)) for subscriber, others in contacts.items()]


@definition
def pareto_interactions(oracle: Oracle, spec: Spec) -> list[Row]:
    result = []
    proportion = Fraction(repr(spec["proportion"]))
    contacts = group((event.subscriber, event.counterpart) for event in oracle.events(spec))
    for subscriber, others in contacts.items():
        wanted = math.ceil(len(others) * proportion)
        counts = sorted(Counter(others).values(), reverse=True)
        needed = 0
        while sum(counts[:needed]) < wanted:
            needed += 1
        result.append((subscriber, needed / len(counts)))
    return result


def contacts(oracle: Oracle, spec: Spec) -> dict[str, list[str]]:
    """Everybody's counterparts, one for each event."""
    return group(
        (event.subscriber, event.counterpart)
        for event in oracle.events(spec)
        if event.counterpart is not None
        and not (spec.get("exclude_self_calls", True) and event.counterpart == event.subscriber)
    )


@definition
def contact_entropy(oracle: Oracle, spec: Spec) -> list[Row]:
    return entropy((who, other) for who, others in contacts(oracle, spec).items() for other in others)


@definition
def contact_balance(oracle: Oracle, spec: Spec) -> list[Row]:
    return [
        (who, other, events, events / len(others))
        for who, others in contacts(oracle, spec).items()
        for other, events in Counter(others).items()
    ]


@definition
def counterparts_subset(oracle: Oracle, spec: Spec) -> list[Row]:
    found = set()
    for who, other, *_ in oracle.answer(spec["contact_balance"]):
        found.add(other)
        if spec.get("include_subscribers", False):
            found.add(who)
    return [(who,) for who in found]


@definition
def contact_reciprocal(oracle: Oracle, spec: Spec) -> list[Row]:
    ways = {way: contacts(oracle, spec | {"direction": way}) for way in ("in", "out")}
    result = []
    for who in ways["in"].keys() | ways["out"].keys():
        came, went = ways["in"].get(who, []), ways["out"].get(who, [])
        for other in {*came, *went}:
            events_in, events_out = came.count(other), went.count(other)
            shares = (events_in / len(came) if came else 0.0, events_out / len(went) if went else 0.0)
            result.append((who, other, events_in, events_out, *shares, events_in > 0 and events_out > 0))
    return result


@definition
def proportion_contact_reciprocal(oracle: Oracle, spec: Spec) -> list[Row]:
    rows = oracle.answer(spec["contact_reciprocal"])
    found = group((row[0], row[-1]) for row in rows)
    return [(who, sum(reciprocal) / len(reciprocal)) for who, reciprocal in found.items()]


@definition
def proportion_event_reciprocal(oracle: Oracle, spec: Spec) -> list[Row]:
    reciprocal = {(row[0], row[1]) for row in oracle.answer(spec["contact_reciprocal"]) if row[-1]}
    events = directed(oracle, spec, "out")
    found = group((event.subscriber, (event.subscriber, event.counterpart) in reciprocal) for event in events)
    return [(who, sum(with_them) / len(with_them)) for who, with_them in found.items()]


@definition
def per_contact_event_stats(oracle: Oracle, spec: Spec) -> list[Row]:
    counts = group((row[0], row[2]) for row in oracle.answer(spec["contact_balance"]))
    return [(who, statistic(spec.get("statistic", "avg"), events)) for who, events in counts.items()]


def both_ends(oracle: Oracle, spec: Spec, events: list[Event], unit: str) -> list[tuple[Event, Any, Any]]:
    """Return events with both parties' places, where the other's row is located."""
    everybody = oracle.events(
        spec
        | {"direction": "both", "subscriber_subset": None, "event_types": sorted({e.type for e in events})}
    )
    result = []
    for event, place in at_places(oracle, events, unit, spec):
        others = [
            other
            for other in everybody
            if (other.type, other.id, other.subscriber) == (event.type, event.id, event.counterpart)
            and {other.outgoing, event.outgoing} == {True, False}
        ]
        result += [(event, place, there) for _, there in at_places(oracle, others, unit, spec)]
    return result


@definition
def distance_counterparts(oracle: Oracle, spec: Spec) -> list[Row]:
    events = oracle.events(spec)
    if spec.get("exclude_self_calls", True):
        events = [event for event in events if event.counterpart != event.subscriber]
    found = group(
        (event.subscriber, metres(here, there) / 1000)
        for event, here, there in both_ends(oracle, spec, events, "lon-lat")
    )
    return [(who, statistic(spec.get("statistic", "avg"), distances)) for who, distances in found.items()]


def durations(spec: Spec, calls: Iterable[tuple[Row, float | None]]) -> list[Row]:
    return [(*key, statistic(spec.get("statistic", "sum"), lasted)) for key, lasted in group(calls).items()]


@definition
def subscriber_call_durations(oracle: Oracle, spec: Spec) -> list[Row]:
    calls = directed(oracle, spec, "out", ["calls"])
    return durations(spec, (((call.subscriber,), call.duration) for call in calls))


@definition
def per_location_subscriber_call_durations(oracle: Oracle, spec: Spec) -> list[Row]:
    calls = directed(oracle, spec, "out", ["calls"])
    located = at_places(oracle, calls, spec.get("aggregation_unit", "admin3"), spec)
    return durations(spec, (((call.subscriber, place), call.duration) for call, place in located))


@definition
def paired_subscriber_call_durations(oracle: Oracle, spec: Spec) -> list[Row]:
    calls = [call for call in directed(oracle, spec, "out", ["calls"]) if call.counterpart is not None]
    return durations(spec, (((call.subscriber, call.counterpart), call.duration) for call in calls))


@definition
def paired_per_location_subscriber_call_durations(oracle: Oracle, spec: Spec) -> list[Row]:
    calls = directed(oracle, spec, "out", ["calls"])
    ends = both_ends(oracle, spec, calls, spec.get("aggregation_unit", "admin3"))
    return durations(
        spec,
        (((call.subscriber, here, call.counterpart, there), call.duration) for call, here, there in ends),
    )


@definition
def contact_reference_locations_stats(oracle: Oracle, spec: Spec) -> list[Row]:
    homes = {who: place for who, place in oracle.answer(spec["contact_locations"]) if place is not None}
    distances = group(
        (who, metres(homes[who], homes[other]) / 1000)
        for who, other, *_ in oracle.answer(spec["contact_balance"])
        if who in homes and other in homes
    )
    return [(who, statistic(spec.get("statistic", "avg"), found)) for who, found in distances.items()]
