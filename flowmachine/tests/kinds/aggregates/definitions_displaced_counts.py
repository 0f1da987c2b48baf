"""The definition of counts by displacement."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from ..oracle import FLOOR, Oracle, Row, Spec, definition, ids, ordered, unit_of


@definition
def displaced_counts(oracle: Oracle, spec: Spec) -> list[Row]:
    people: dict[Any, Counter[str]] = defaultdict(Counter)
    for _, home, period, status in oracle.answer(spec["displacement_status"]):
        people[home, period][status] += 1
    usual = spec.get("normal") and normal_shares(oracle.answer(spec["normal"]))
    rows = []
    for (home, period), counts in people.items():
        unseen = counts.pop("not_seen", 0)
        seen = sum(counts.values())
        if not (nobody_or_enough(unseen) and nobody_or_enough(seen)):
            continue
        place = ids(home, unit_of(spec))
        if unseen:
            rows.append((*place, period, "not_seen", unseen, None, None, None))
        if not nobody_or_enough(sum(count for count in counts.values() if count <= FLOOR)):
            continue
        for status, count in counts.items():
            if count > FLOOR:
                normal = usual(home, status) if usual else None
                excess = None if normal is None else count / seen - normal
                rows.append((*place, period, status, count, count / seen, normal, excess))
    return ordered(rows)


def normal_shares(rows: list[Row]) -> Any:
    """A function that says which share of the periods seen, at a place, had a status."""
    had: dict[Any, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for who, home, _, status in rows:
        if status != "not_seen":
            had[home][who].append(status)

    def share(home: Any, status: str) -> float | None:
        people = had[home].values()
        ever = sum(status in statuses for statuses in people)
        if not people or not (nobody_or_enough(ever) and nobody_or_enough(len(people) - ever)):
            return None
        return sum(statuses.count(status) for statuses in people) / sum(map(len, people))

    return share


def nobody_or_enough(count: int) -> bool:
    return count == 0 or count > FLOOR
