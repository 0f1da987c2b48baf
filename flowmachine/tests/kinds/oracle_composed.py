"""More definitions in plain Python: kinds made of others, of calendars, of networks and of clusters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from .oracle import DEFINITIONS, FLOOR, Oracle, Row, Spec, by_bytes, group, ids, movements, ordered, paired
from .oracle import statistic as statistic_of


def unit_of(spec: Any) -> str:
    """The unit of a spec: that of the first part that has one, for the parts of a valid spec agree."""
    if isinstance(spec, dict):
        if "aggregation_unit" in spec:
            return str(spec["aggregation_unit"])
        return next(filter(None, map(unit_of, spec.values())), "")
    return next(filter(None, map(unit_of, spec)), "") if isinstance(spec, list) else ""


# Locations of subscribers


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


def location_visits(oracle: Oracle, spec: Spec) -> list[Row]:
    visits: Counter[Row] = Counter()
    for child in spec["locations"]:
        visits.update(oracle.answer(child))
    return [(who, place, count) for (who, place), count in visits.items()]


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


def coalesced_location(oracle: Oracle, spec: Spec) -> list[Row]:
    preferred = dict(oracle.answer(spec["preferred_location"]))
    weights = {
        (who, place): weight for who, place, weight in oracle.answer(spec["subscriber_location_weights"])
    }
    fallback = {
        who: place
        for who, place in oracle.answer(spec["fallback_location"])
        if (who, place) in weights and weights[who, place] >= spec["weight_threshold"]
    }
    return [
        (who, fallback.get(who) if preferred.get(who) is None else preferred[who])
        for who in preferred.keys() | fallback.keys()
    ]


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


# Released results


def whole_groups(cases: Iterable[tuple[Any, Any, str]]) -> list[tuple[Any, Any, int]]:
    """Counts of subscribers by (place, label), of the named places where every label has more than the floor."""
    counts = Counter((place, label) for place, label, _ in cases)

    def passes(place: Any) -> bool:
        known = place is not None and not (isinstance(place, tuple) and None in place)
        return known and all(count > FLOOR for (other, _), count in counts.items() if other == place)

    return [(place, label, count) for (place, label), count in counts.items() if passes(place)]


def labelled_spatial_aggregate(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = unit_of(spec)
    labels = dict(oracle.answer(spec["labels"]))
    cases = [(place, labels.get(who), who) for who, place in oracle.answer(spec["locations"])]
    return ordered((*ids(place, unit), label, count) for place, label, count in whole_groups(cases))


def labelled_flows(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = unit_of(spec)
    labels = dict(oracle.answer(spec["labels"]))
    cases = [((origin, end), labels.get(who), who) for who, origin, end in movements(oracle, spec)]
    rows = [
        (*ids(origin, unit), *ids(end, unit), label, count)
        for (origin, end), label, count in whole_groups(cases)
    ]
    return ordered(rows, 2 * len(ids(None, unit)))


def consecutive_trips_od_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = spec["aggregation_unit"]
    pairs = defaultdict(list)
    located = oracle.placed(spec, unit)
    for who, seen in group((event.subscriber, (event.time, place)) for event, place in located).items():
        walk = [place for _, place in sorted(seen, key=lambda visit: (visit[0], by_bytes(visit[1])))]
        for step in set(zip(walk, walk[1:], strict=False)):
            pairs[step].append(who)
    return paired(unit, pairs)


def location_introversion(oracle: Oracle, spec: Spec) -> list[Row]:
    unit, direction = spec["aggregation_unit"], spec.get("direction", "both")
    located = oracle.placed(spec | {"direction": "both"}, unit)
    firsts = defaultdict(list)
    for event, place in located:
        if direction != "both" and event.outgoing is not (direction == "out"):
            continue
        for other, there in located:
            if event.id == other.id and {event.outgoing, other.outgoing} == {True, False}:
                firsts[place].append((event.subscriber, there == place))
    rows = [
        (*ids(place, unit), sum(within for _, within in found) / len(found))
        for place, found in firsts.items()
        if len({who for who, _ in found}) > FLOOR
    ]
    return ordered(rows, len(ids(None, unit)) - 1)


def start_of(moment: datetime, period: str) -> datetime:
    if period == "century":
        return datetime((moment.year - 1) // 100 * 100 + 1, 1, 1, tzinfo=moment.tzinfo)
    names = ("year", "month", "day", "hour", "minute", "second")
    kept = names[: names.index(period) + 1]
    return moment.replace(
        **{name: 1 if name in ("month", "day") else 0 for name in names if name not in kept}  # type: ignore[arg-type]
    )


def aggregate_network_objects(oracle: Oracle, spec: Spec) -> list[Row]:
    counts = oracle.answer(spec["total_network_objects"])
    periods = group(((row[:-2], start_of(row[-1], spec["aggregate_by"])), row[-2]) for row in counts)
    rows = [
        (*place, period, statistic_of(spec["statistic"], found)) for (place, period), found in periods.items()
    ]
    return [(*row[:-2], row[-1], row[-2]) for row in ordered(rows)]


_COMPOSED: dict[str, Callable[[Oracle, Spec], list[Row]]] = {
    "visited_most_days": visited_most_days,
    "location_visits": location_visits,
    "majority_location": majority_location,
    "coalesced_location": coalesced_location,
    "mobility_classification": mobility_classification,
    "labelled_spatial_aggregate": labelled_spatial_aggregate,
    "labelled_flows": labelled_flows,
    "consecutive_trips_od_matrix": consecutive_trips_od_matrix,
    "location_introversion": location_introversion,
    "aggregate_network_objects": aggregate_network_objects,
}
DEFINITIONS.update(_COMPOSED)
