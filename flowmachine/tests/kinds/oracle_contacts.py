"""More definitions in plain Python: kinds of direct use about contacts, gaps, durations and who is active."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any

from .oracle import DEFINITIONS, Oracle, Row, Spec, group, metres, statistic
from .world import Event


def directed(oracle: Oracle, spec: Spec, default: str, types: list[str] | None = None) -> list[Event]:
    """The events of a spec whose direction, where it names none, is not both, or whose event types are its kind's."""
    spec = {"direction": default, **spec}
    return oracle.events(spec if types is None else spec | {"event_types": types})


# Entropy


def entropy(states: Iterable[tuple[str, Hashable]]) -> list[Row]:
    result = []
    for who, seen in group(states).items():
        shares = [count / len(seen) for count in Counter(seen).values()]
        result.append((who, -sum(share * math.log(share) for share in shares)))
    return result


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


def periodic_entropy(oracle: Oracle, spec: Spec) -> list[Row]:
    phase = PHASES[spec.get("phase", "hour")]
    return entropy((event.subscriber, phase(event.time)) for event in oracle.events(spec))


def at_places(oracle: Oracle, events: Iterable[Event], unit: str, spec: Spec) -> list[tuple[Event, Any]]:
    """The events with their places."""
    return [(event, place) for event in events for place in oracle.places_of(event, unit, spec)]


def location_entropy(oracle: Oracle, spec: Spec) -> list[Row]:
    located = at_places(oracle, oracle.events(spec), spec.get("aggregation_unit", "cell"), spec)
    return entropy((event.subscriber, place) for event, place in located)


# Contacts


def contacts(oracle: Oracle, spec: Spec) -> dict[str, list[str]]:
    """Everybody's counterparts, one for each event."""
    return group(
        (event.subscriber, event.counterpart)
        for event in oracle.events(spec)
        if event.counterpart is not None
        and not (spec.get("exclude_self_calls", True) and event.counterpart == event.subscriber)
    )


def contact_entropy(oracle: Oracle, spec: Spec) -> list[Row]:
    return entropy((who, other) for who, others in contacts(oracle, spec).items() for other in others)


def contact_balance(oracle: Oracle, spec: Spec) -> list[Row]:
    return [
        (who, other, events, events / len(others))
        for who, others in contacts(oracle, spec).items()
        for other, events in Counter(others).items()
    ]


def counterparts_subset(oracle: Oracle, spec: Spec) -> list[Row]:
    found = set()
    for who, other, *_ in oracle.answer(spec["contact_balance"]):
        found.add(other)
        if spec.get("include_subscribers", False):
            found.add(who)
    return [(who,) for who in found]


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


def proportion_contact_reciprocal(oracle: Oracle, spec: Spec) -> list[Row]:
    rows = oracle.answer(spec["contact_reciprocal"])
    found = group((row[0], row[-1]) for row in rows)
    return [(who, sum(reciprocal) / len(reciprocal)) for who, reciprocal in found.items()]


def proportion_event_reciprocal(oracle: Oracle, spec: Spec) -> list[Row]:
    reciprocal = {(row[0], row[1]) for row in oracle.answer(spec["contact_reciprocal"]) if row[-1]}
    events = directed(oracle, spec, "out")
    found = group((event.subscriber, (event.subscriber, event.counterpart) in reciprocal) for event in events)
    return [(who, sum(with_them) / len(with_them)) for who, with_them in found.items()]


def per_contact_event_stats(oracle: Oracle, spec: Spec) -> list[Row]:
    counts = group((row[0], row[2]) for row in oracle.answer(spec["contact_balance"]))
    return [(who, statistic(spec.get("statistic", "avg"), events)) for who, events in counts.items()]


def per_location_event_stats(oracle: Oracle, spec: Spec) -> list[Row]:
    located = at_places(oracle, oracle.events(spec), spec.get("aggregation_unit", "cell"), spec)
    visits = group((event.subscriber, place) for event, place in located)
    return [
        (who, statistic(spec.get("statistic", "avg"), list(Counter(seen).values())))
        for who, seen in visits.items()
    ]


# Both parties of an event


def both_ends(oracle: Oracle, spec: Spec, events: list[Event], unit: str) -> list[tuple[Event, Any, Any]]:
    """The events with their own and the other party's place, wherever the other party's row is there and located."""
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


def distance_counterparts(oracle: Oracle, spec: Spec) -> list[Row]:
    events = oracle.events(spec)
    if spec.get("exclude_self_calls", True):
        events = [event for event in events if event.counterpart != event.subscriber]
    found = group(
        (event.subscriber, metres(here, there) / 1000)
        for event, here, there in both_ends(oracle, spec, events, "lon-lat")
    )
    return [(who, statistic(spec.get("statistic", "avg"), distances)) for who, distances in found.items()]


# Durations and volumes


def durations(spec: Spec, calls: Iterable[tuple[Row, float | None]]) -> list[Row]:
    return [(*key, statistic(spec.get("statistic", "sum"), lasted)) for key, lasted in group(calls).items()]


def subscriber_call_durations(oracle: Oracle, spec: Spec) -> list[Row]:
    calls = directed(oracle, spec, "out", ["calls"])
    return durations(spec, (((call.subscriber,), call.duration) for call in calls))


def per_location_subscriber_call_durations(oracle: Oracle, spec: Spec) -> list[Row]:
    calls = directed(oracle, spec, "out", ["calls"])
    located = at_places(oracle, calls, spec.get("aggregation_unit", "admin3"), spec)
    return durations(spec, (((call.subscriber, place), call.duration) for call, place in located))


def paired_subscriber_call_durations(oracle: Oracle, spec: Spec) -> list[Row]:
    calls = [call for call in directed(oracle, spec, "out", ["calls"]) if call.counterpart is not None]
    return durations(spec, (((call.subscriber, call.counterpart), call.duration) for call in calls))


def paired_per_location_subscriber_call_durations(oracle: Oracle, spec: Spec) -> list[Row]:
    calls = directed(oracle, spec, "out", ["calls"])
    ends = both_ends(oracle, spec, calls, spec.get("aggregation_unit", "admin3"))
    return durations(
        spec,
        (((call.subscriber, here, call.counterpart, there), call.duration) for call, here, there in ends),
    )


def mds_volume(oracle: Oracle, spec: Spec) -> list[Row]:
    sessions = oracle.events(spec | {"event_types": ["mds"]})
    name = f"volume_{spec.get('volume', 'total')}"
    volumes = group((session.subscriber, getattr(session, name)) for session in sessions)
    return [(who, statistic(spec.get("statistic", "sum"), found)) for who, found in volumes.items()]


# Gaps


def gaps(oracle: Oracle, spec: Spec) -> dict[str, list[timedelta]]:
    moments = group(
        (event.subscriber, oracle.stage.utc(event.time)) for event in directed(oracle, spec, "out")
    )
    return {who: [b - a for a, b in pairwise(sorted(times))] for who, times in moments.items()}


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


def interevent_period(oracle: Oracle, spec: Spec) -> list[Row]:
    name, unit = spec.get("statistic", "avg"), UNITS_OF_TIME[spec.get("time_resolution", "hour")]
    result = []
    for who, found in gaps(oracle, spec).items():
        value = statistic(name, [gap / unit for gap in found])
        whole = value if value is None or name == "count" else math.floor(float(f"{value:.13g}"))
        result.append((who, whole))
    return result


# Who is active


def unique_subscribers(oracle: Oracle, spec: Spec) -> list[Row]:
    return [(who,) for who in {event.subscriber for event in oracle.events(spec)}]


def new_subscribers(oracle: Oracle, spec: Spec) -> list[Row]:
    return list(set(oracle.answer(spec["focal"])) - set(oracle.answer(spec["benchmark"])))


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


_DIRECT: dict[str, Callable[[Oracle, Spec], list[Row]]] = {
    "periodic_entropy": periodic_entropy,
    "location_entropy": location_entropy,
    "contact_entropy": contact_entropy,
    "contact_balance": contact_balance,
    "counterparts_subset": counterparts_subset,
    "contact_reciprocal": contact_reciprocal,
    "proportion_contact_reciprocal": proportion_contact_reciprocal,
    "proportion_event_reciprocal": proportion_event_reciprocal,
    "per_contact_event_stats": per_contact_event_stats,
    "per_location_event_stats": per_location_event_stats,
    "distance_counterparts": distance_counterparts,
    "subscriber_call_durations": subscriber_call_durations,
    "per_location_subscriber_call_durations": per_location_subscriber_call_durations,
    "paired_subscriber_call_durations": paired_subscriber_call_durations,
    "paired_per_location_subscriber_call_durations": paired_per_location_subscriber_call_durations,
    "mds_volume": mds_volume,
    "interevent_interval": interevent_interval,
    "interevent_period": interevent_period,
    "unique_subscribers": unique_subscribers,
    "new_subscribers": new_subscribers,
    "active_subscribers": active_subscribers,
}
DEFINITIONS.update(_DIRECT)
