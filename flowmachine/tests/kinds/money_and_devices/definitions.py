"""Definitions of the kinds about top-ups, data volumes and handsets."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from ..land import DEVICES
from ..oracle import Oracle, Row, Spec, definition, group, statistic, time
from ..world import Event


@definition
def handset(oracle: Oracle, spec: Spec) -> list[Row]:
    position = ("hnd_type", "brand", "model", "software_os_name", "software_os_vendor").index(
        spec["characteristic"]
    )
    known: dict[Any, Any] = {device[0]: device[1 + position] for device in DEVICES}
    used = group(
        (event.subscriber, (event.time, event.tac)) for event in oracle.events(spec) if event.tac is not None
    )
    result = []
    for subscriber, seen in used.items():
        if spec["method"] == "last":
            latest = max(moment for moment, _ in seen)
            value = known.get(min(tac for moment, tac in seen if moment == latest))
        else:
            value = statistic("mode", [known.get(tac) for _, tac in seen])
        result.append((subscriber, value))
    return result


def topups(oracle: Oracle, spec: Spec) -> dict[str, list[Event]]:
    found = oracle.events(spec | {"event_types": ["topups"]})
    return group((event.subscriber, event) for event in found)


@definition
def topup_amount(oracle: Oracle, spec: Spec) -> list[Row]:
    return [
        (subscriber, statistic(spec["statistic"], [event.recharge_amount for event in events]))
        for subscriber, events in topups(oracle, spec).items()
    ]


@definition
def topup_balance(oracle: Oracle, spec: Spec) -> list[Row]:
    result = []
    for subscriber, events in topups(oracle, spec).items():
        if spec["statistic"] == "count":
            result.append((subscriber, len(events)))
            continue
        known = sorted(
            (oracle.stage.utc(event.time), event.pre_event_balance, event.post_event_balance)
            for event in events
            if event.pre_event_balance is not None and event.post_event_balance is not None
        )
        if not known:
            continue
        if spec["statistic"] in ("max", "min"):
            balances = [balance for _, before, after in known for balance in (before, after)]
            result.append((subscriber, statistic(spec["statistic"], balances)))
            continue
        segments = []
        start, end = (oracle.stage.utc(time(spec[edge])) for edge in ("start_date", "end_date"))
        for number, (moment, before, _) in enumerate(known):
            if number == 0:
                segments.append((moment - start, before))
            else:
                previous, _, left = known[number - 1]
                segments.append((moment - previous, (before + left) / 2))
        segments += [(end - moment, after) for moment, _, after in known if moment == known[-1][0]]
        weighted = [(length.total_seconds(), level) for length, level in segments]
        result.append((subscriber, weighted_statistic(spec["statistic"], weighted)))
    return result


def weighted_statistic(name: str, segments: list[tuple[float, float]]) -> float:
    total = sum(weight for weight, _ in segments)
    held = sum(weight * level for weight, level in segments)
    if name == "sum":
        return held
    if name == "avg":
        return held / total
    if name in ("variance", "stddev"):
        squares = sum(weight * (level - held / total) ** 2 for weight, level in segments)
        variance = squares / (total - 1)
        return math.sqrt(variance) if name == "stddev" else variance
    if name == "median":
        running = 0.0
        for weight, level in sorted(segments):
            running += weight
            if running >= total / 2:
                return level
    by_level: dict[float, float] = defaultdict(float)
    for weight, level in segments:
        by_level[level] += weight
    return min(level for level, weight in by_level.items() if weight == max(by_level.values()))


@definition
def mds_volume(oracle: Oracle, spec: Spec) -> list[Row]:
    sessions = oracle.events(spec | {"event_types": ["mds"]})
    name = f"volume_{spec.get('volume', 'total')}"
    volumes = group((session.subscriber, getattr(session, name)) for session in sessions)
    return [(who, statistic(spec.get("statistic", "sum"), found)) for who, found in volumes.items()]
