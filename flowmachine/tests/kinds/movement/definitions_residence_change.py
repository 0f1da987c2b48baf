"""The definition of changes of residence."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from typing import Any

from ..oracle import FLOOR, Oracle, Row, Spec, definition, ids, ordered, unit_of


@definition
def residence_change(oracle: Oracle, spec: Spec) -> list[Row]:
    homes = [dict(oracle.answer(home)) for home in spec["homes"]]
    months = [datetime.fromisoformat(home["date"]).date().replace(day=1) for home in spec["homes"]]
    moved: dict[tuple[Any, Any, date], list[str]] = defaultdict(list)
    for who in set().union(*homes):
        places = [located.get(who) for located in homes]
        for change in changes(places, months, spec.get("window", 13), spec.get("minimum_months", 7)):
            moved[change].append(who)
    unit = unit_of(spec)
    return ordered(
        (*ids(before, unit), *ids(after, unit), month, len(people), len(set(people)))
        for (before, after, month), people in moved.items()
        if len(set(people)) > FLOOR
    )


def changes(places: list[Any], months: list[date], window: int, minimum: int) -> list[tuple[Any, Any, date]]:
    found = []
    home = None
    for start in range(len(places) - window + 1):
        seen = places[start : start + window]
        stable = [place for place in set(seen) - {None} if seen.count(place) >= minimum]
        if stable:
            [place] = stable
            if home is not None and place != home:
                found.append((home, place, months[start + seen.index(place)]))
            home = place
    return found
