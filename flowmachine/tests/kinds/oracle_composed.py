"""More definitions in plain Python: kinds made of others, of calendars, of networks and of clusters."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .oracle import (
    DEFINITIONS,
    FLOOR,
    Oracle,
    Row,
    Spec,
    by_bytes,
    group,
    ids,
    metres,
    movements,
    ordered,
    paired,
    places,
    time,
    unit_fields,
)
from .oracle import statistic as statistic_of
from .world import SITES, Cell, Event, Site


def unit_of(spec: Any) -> str:
    """The unit of a spec."""
    return str(unit_fields(spec)["aggregation_unit"])


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
        if place is not None and (who, place) in weights and weights[who, place] >= spec["weight_threshold"]
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
    # Points of a coalesced location sort by latitude first, so they are turned round to be sorted.
    rows = [
        (*ids(origin, unit)[::-1], *ids(end, unit)[::-1], label, count)
        for (origin, end), label, count in whole_groups(cases)
    ]
    width = len(ids(None, unit))
    return [
        (*row[:width][::-1], *row[width : 2 * width][::-1], *row[2 * width :])
        for row in ordered(rows, 2 * width)
    ]


def consecutive_trips_od_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    unit = spec["aggregation_unit"]
    pairs = defaultdict(list)
    located = oracle.placed(spec, unit)
    for who, seen in group((event.subscriber, (event.time, place)) for event, place in located).items():
        walk = [place for _, place in sorted(seen, key=lambda visit: (visit[0], by_bytes(visit[1])))]
        for step in set(itertools.pairwise(walk)):
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
                firsts[place].append((event.subscriber, place is not None and there == place))
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


def calendars(oracle: Oracle, spec: Spec) -> dict[str, list[datetime]]:
    """The starts of the periods in which each subscriber was seen."""
    seen = defaultdict(list)
    length = timedelta(**{spec.get("period_unit", "days"): spec.get("period_length", 1)})
    for start, active in oracle.active_in_periods(spec, length, spec["total_periods"]):
        for who in active:
            seen[who].append(start)
    return seen


def calendar_activity(oracle: Oracle, spec: Spec) -> list[Row]:
    counts = Counter(map(tuple, calendars(oracle, spec).values()))
    return [(list(seen), count) for seen, count in sorted(counts.items()) if count > FLOOR]


def localised_calendar_activity(oracle: Oracle, spec: Spec) -> list[Row]:
    unit, seen = unit_of(spec["reference_location"]), calendars(oracle, spec)
    located = oracle.answer(spec["reference_location"])
    cases = [(place, tuple(seen[who]) if who in seen else None, who) for who, place in located]
    rows = ordered((*ids(place, unit), label, count) for place, label, count in whole_groups(cases))
    return [(*row[:-2], row[-2] and list(row[-2]), row[-1]) for row in rows]


# Meaningful locations

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass
class Cluster:
    lon: float
    lat: float
    days: int
    sites: list[Site]


def clusters(visits: dict[Site, list[Event]], radius: float) -> list[Cluster]:
    """The sites of a subscriber, those seen on most days first, each in the first cluster whose centre is near enough."""
    days = {site: len({event.time.date() for event in events}) for site, events in visits.items()}
    found: list[Cluster] = []
    for site in sorted(visits, key=lambda site: (-days[site], site.id.encode(), site.version)):
        assert site.point is not None
        lon, lat = site.point
        for cluster in found:
            if metres((cluster.lon, cluster.lat), site.point) < radius * 1000:
                total = cluster.days + days[site]
                cluster.lon = (cluster.lon * cluster.days + lon * days[site]) / total
                cluster.lat = (cluster.lat * cluster.days + lat * days[site]) / total
                cluster.days = total
                cluster.sites.append(site)
                break
        else:
            found.append(Cluster(lon, lat, days[site], [site]))
    return found


def label_of(x: float, y: float, areas: dict[str, Any]) -> str:
    """The label of the area around a point; the areas drawn are rectangles, given by their corners."""
    for label, area in areas.items():
        xs, ys = zip(*area["coordinates"][0], strict=True)
        if min(xs) < x < max(xs) and min(ys) < y < max(ys):
            return label
    return "unknown"


def meaningful(
    oracle: Oracle, spec: Spec, label: str, window: str = ""
) -> dict[str, list[tuple[Any, float]]]:
    """For each subscriber the regions of the clusters with a label, with 1 / the number of these clusters."""
    visits: dict[str, dict[Site, list[Event]]] = defaultdict(lambda: defaultdict(list))
    for event in oracle.events(spec, time(spec[f"start_date{window}"]), time(spec[f"end_date{window}"])):
        day = event.time.date()
        for cell in oracle.stage.cells:
            for site in SITES:
                serves = (site.first is None or site.first <= day) and (site.last is None or day <= site.last)
                if cell.id == event.cell and site.id == cell.site and site.point and serves:
                    # Once for each version of the cell, whenever that was in service.
                    visits[event.subscriber][site].append(event)
    result = {}
    for who, seen in visits.items():
        centres = []
        for cluster in clusters(seen, spec["tower_cluster_radius"]):
            scores = [
                (
                    statistics.fmean(spec["tower_hour_of_day_scores"][e.time.hour] for e in seen[site]),
                    statistics.fmean(
                        spec["tower_day_of_week_scores"][WEEKDAYS[e.time.weekday()]] for e in seen[site]
                    ),
                )
                for site in cluster.sites
            ]
            x, y = (statistics.fmean(score) for score in zip(*scores, strict=True))
            enough = cluster.days >= spec["tower_cluster_call_threshold"]
            if enough and label_of(x, y, spec["labels"]) == label:
                centres.append((cluster.lon, cluster.lat))
        regions = [
            (region, 1 / len(centres))
            for centre in centres
            for region in list(places(Cell("", centre), spec["aggregation_unit"])) or [None]
        ]
        if regions:
            result[who] = regions
    return result


def meaningful_locations_aggregate(oracle: Oracle, spec: Spec) -> list[Row]:
    at = group(
        (region, (who, share))
        for who, regions in meaningful(oracle, spec, spec["label"]).items()
        for region, share in regions
    )
    return ordered(
        (spec["label"], region, sum(share for _, share in found))
        for region, found in at.items()
        if len({who for who, _ in found}) > FLOOR
    )


def meaningful_pairs(oracle: Oracle, spec: Spec, a: tuple[str, str], b: tuple[str, str]) -> list[Row]:
    origins, ends = meaningful(oracle, spec, *a), meaningful(oracle, spec, *b)
    pairs = group(
        ((origin, end), (who, share * other))
        for who in origins.keys() & ends.keys()
        for origin, share in origins[who]
        for end, other in ends[who]
    )
    return ordered(
        (a[0], b[0], origin, end, sum(share for _, share in found))
        for (origin, end), found in pairs.items()
        if len({who for who, _ in found}) > FLOOR
    )


def meaningful_locations_between_label_od_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    return meaningful_pairs(oracle, spec, (spec["label_a"], ""), (spec["label_b"], ""))


def meaningful_locations_between_dates_od_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    return meaningful_pairs(oracle, spec, (spec["label"], "_a"), (spec["label"], "_b"))


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
    "meaningful_locations_aggregate": meaningful_locations_aggregate,
    "meaningful_locations_between_label_od_matrix": meaningful_locations_between_label_od_matrix,
    "meaningful_locations_between_dates_od_matrix": meaningful_locations_between_dates_od_matrix,
    "calendar_activity": calendar_activity,
    "localised_calendar_activity": localised_calendar_activity,
    "aggregate_network_objects": aggregate_network_objects,
}
DEFINITIONS.update(_COMPOSED)
