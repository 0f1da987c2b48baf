"""Definitions of the aggregates over clusters of sites with a label."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from ..land import SITES, Cell, Site
from ..oracle import FLOOR, Oracle, Row, Spec, definition, group, metres, ordered, places, time, version
from ..world import Event

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass
class Cluster:
    lon: float
    lat: float
    days: int
    sites: list[Site]


def clusters(seen: dict[Site, list[Event]], radius: float) -> list[Cluster]:
    """Cluster a subscriber's sites, most days first, by the nearest leader in reach."""
    days = {site: len({event.time.date() for event in events}) for site, events in seen.items()}
    found: list[Cluster] = []
    for site in sorted(seen, key=lambda site: (-days[site], site.id.encode(), site.version)):
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
    """Return the label of the area around a point.

    The areas drawn are rectangles, given by their corners.
    """
    for label, area in areas.items():
        xs, ys = zip(*area["coordinates"][0], strict=True)
        if min(xs) < x < max(xs) and min(ys) < y < max(ys):
            return label
    return "unknown"


def visits(oracle: Oracle, spec: Spec, window: str = "") -> dict[str, dict[Site, list[Event]]]:
    """Return the events of each subscriber at each site."""
    found: dict[str, dict[Site, list[Event]]] = defaultdict(lambda: defaultdict(list))
    for event in oracle.events(spec, time(spec[f"start_date{window}"]), time(spec[f"end_date{window}"])):
        day = event.time.date()
        for cell in oracle.stage.cells:
            for site in SITES:
                serves = (site.first is None or site.first <= day) and (site.last is None or day <= site.last)
                if cell.id == event.cell and site.id == cell.site and site.point and serves:
                    # Once for each version of the cell, whenever that was in service.
                    found[event.subscriber][site].append(event)
    return found


def scores(spec: Spec, events: list[Event]) -> tuple[float, float]:
    """Return the mean scores of the hours and of the weekdays of events."""
    hours, weekdays = spec["tower_hour_of_day_scores"], spec["tower_day_of_week_scores"]
    return (
        statistics.fmean(hours[event.time.hour] for event in events),
        statistics.fmean(weekdays[WEEKDAYS[event.time.weekday()]] for event in events),
    )


def labelled(
    oracle: Oracle, spec: Spec, window: str = ""
) -> dict[str, list[tuple[Cluster, str, tuple[float, float]]]]:
    """Return each subscriber's clusters of enough days with their labels and scores."""
    result: dict[str, list[tuple[Cluster, str, tuple[float, float]]]] = defaultdict(list)
    for who, seen in visits(oracle, spec, window).items():
        for cluster in clusters(seen, spec["tower_cluster_radius"]):
            of_sites = [scores(spec, seen[site]) for site in cluster.sites]
            x, y = (statistics.fmean(score) for score in zip(*of_sites, strict=True))
            if cluster.days >= spec["tower_cluster_call_threshold"]:
                result[who].append((cluster, label_of(x, y, spec["labels"]), (x, y)))
    return result


@definition
def event_score(oracle: Oracle, spec: Spec) -> list[Row]:
    return [
        (who, version(site), len({event.time.date() for event in events}), *scores(spec, events))
        for who, seen in visits(oracle, spec).items()
        for site, events in seen.items()
    ]


@definition
def meaningful_locations(oracle: Oracle, spec: Spec) -> list[Row]:
    return [
        (who, cluster.lon, cluster.lat, label, *found)
        for who, of_subscriber in labelled(oracle, spec).items()
        for cluster, label, found in of_subscriber
    ]


def meaningful(
    oracle: Oracle, spec: Spec, label: str, window: str = ""
) -> dict[str, list[tuple[Any, float]]]:
    """Return each subscriber's regions of clusters with a label and their weights.

    A weight is 1 / the number of these clusters.
    """
    result = {}
    for who, found in labelled(oracle, spec, window).items():
        centres = [(cluster.lon, cluster.lat) for cluster, name, _ in found if name == label]
        regions = [
            (region, 1 / len(centres))
            for centre in centres
            for region in list(places(Cell("", centre), spec["aggregation_unit"])) or [None]
        ]
        if regions:
            result[who] = regions
    return result


@definition
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


@definition
def meaningful_locations_between_label_od_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    return meaningful_pairs(oracle, spec, (spec["label_a"], ""), (spec["label_b"], ""))


@definition
def meaningful_locations_between_dates_od_matrix(oracle: Oracle, spec: Spec) -> list[Row]:
    return meaningful_pairs(oracle, spec, (spec["label"], "_a"), (spec["label"], "_b"))
