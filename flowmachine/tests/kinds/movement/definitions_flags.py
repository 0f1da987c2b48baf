"""Definitions of the kinds about who stayed at places, and for how long."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import Any

from ..oracle import Oracle, Row, Spec, definition, group, statistic


def homes(oracle: Oracle, spec: Spec) -> dict[str, Any]:
    return {who: place for who, place in oracle.answer(spec["reference_location"]) if place is not None}


@definition
def unmoving(oracle: Oracle, spec: Spec) -> list[Row]:
    visits = group(oracle.answer(spec["unique_locations"]))
    return [(who, len(places) == 1) for who, places in visits.items()]


@definition
def unmoving_at_reference_location(oracle: Oracle, spec: Spec) -> list[Row]:
    home = homes(oracle, spec)
    visits = group(oracle.answer(spec["unique_locations"]))
    return [(who, places == [home[who]]) for who, places in visits.items() if who in home]


@definition
def active_at_reference_location(oracle: Oracle, spec: Spec) -> list[Row]:
    seen = set(oracle.answer(spec["unique_locations"]))
    return [(who, (who, place) in seen) for who, place in homes(oracle, spec).items()]


@definition
def subscriber_stay_lengths(oracle: Oracle, spec: Spec) -> list[Row]:
    periods = [dict(oracle.answer(location)) for location in spec["locations"]]
    lengths = defaultdict(list)
    for who in {who for period in periods for who in period}:
        for place, stay in groupby(period.get(who) for period in periods):
            if place is not None:
                lengths[who].append(len(list(stay)))
    return [(who, statistic(spec["statistic"], found)) for who, found in lengths.items()]
