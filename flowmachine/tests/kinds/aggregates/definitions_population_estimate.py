"""The definition of the people behind counts of subscribers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from ..land import AROUND, REGIONS, WEIGHTS
from ..oracle import FLOOR, Oracle, Row, Spec, definition, ids, unit_of
from .definitions import active_at_home, movements, trips
from .definitions_present_population import present

#: What stands behind a row: its key, a subscriber, and how often the subscriber counts.
Behind = Iterable[tuple[Row, str]]


def at(unit: str, found: Iterable[tuple[Any, str]]) -> Behind:
    return ((ids(place, unit), who) for place, who in found)


def between(unit: str, found: Iterable[tuple[tuple[Any, Any], str]]) -> Behind:
    return (((*ids(origin, unit), *ids(end, unit)), who) for (origin, end), who in found)


def behind(oracle: Oracle, spec: Spec) -> Behind:
    """Who stands behind the rows of a count, as often as they count."""
    unit = unit_of(spec)
    match spec["query_kind"]:
        case "spatial_aggregate":
            return at(unit, ((place, who) for who, place in oracle.answer(spec["locations"])))
        case "unique_subscriber_counts":
            seen = {(place, event.subscriber) for event, place in oracle.placed(spec, unit)}
            return at(unit, seen)
        case "active_at_reference_location_counts":
            return at(unit, active_at_home(oracle, spec))
        case "flows" | "inflows" | "outflows":
            moved = movements(oracle, spec)
            if spec["query_kind"] == "flows":
                return between(unit, ((pair, who) for who, *pair in moved))  # type: ignore[misc]
            end = 1 if spec["query_kind"] == "outflows" else 2
            return at(unit, ((movement[end], movement[0]) for movement in moved))
        case "trips_od_matrix":
            return between(
                unit, ((pair, who) for pair, people in trips(oracle, spec).items() for who in people)
            )
        case "present_population":
            return (((*ids(place, unit), point), who) for (place, point), who in present(oracle, spec))
        case "displaced_counts":
            status = oracle.answer(spec["displacement_status"])
            return (((*ids(home, unit), period, word), who) for who, home, period, word in status)
    raise LookupError(spec["query_kind"])


def may_be_told(residents: dict[Any, int], places: set[Any], minimum: int) -> bool:
    """Whether a ratio may be told: of enough, and of no few in small places."""
    few = sum(residents[place] for place in places if residents[place] <= FLOOR)
    return sum(residents[place] for place in places) >= minimum and (few == 0 or few > FLOOR)


def weights(spec: Spec, homes: Iterable[Any], unit: str) -> tuple[dict[Any, float], float | None]:
    """The weight of each listed home, and the ratio of the whole table."""
    minimum = spec.get("minimum_residents", 100)
    residents = Counter(homes)
    column = 0 if spec.get("weighting", "population") == "population" else 1
    factor = spec.get("deduplication_factor", 1.0)
    listed = {
        place: float(numbers[column])  # type: ignore[arg-type]
        for place, numbers in WEIGHTS.items()
        if place in REGIONS[unit] and numbers[column] is not None
    }

    def ratio(places: set[Any]) -> float | None:
        if not places or not may_be_told(residents, places, minimum):
            return None
        people = sum(listed[place] * (1 if column == 0 else factor * residents[place]) for place in places)
        return people / sum(residents[place] for place in places)

    national = ratio(set(listed))
    if column == 1:
        return {place: weight * factor for place, weight in listed.items()}, national
    found = {}
    for place, population in listed.items():
        beside = {other for other in listed if AROUND.get(place) and AROUND.get(other) == AROUND[place]}
        if residents[place] >= minimum:
            found[place] = population / residents[place]
        elif (above := ratio(beside)) is not None:
            found[place] = above
        elif national is not None:
            found[place] = national
    return found, national


@definition
def population_estimate(oracle: Oracle, spec: Spec) -> list[Row]:
    homes = {who: place for who, place in oracle.answer(spec["home_location"]) if place is not None}
    weight_of, national = weights(spec, homes.values(), unit_of(spec["home_location"]))
    rows: dict[Row, Counter[str]] = defaultdict(Counter)
    for key, who in behind(oracle, spec["counts"]):
        rows[key][who] += 1
    answer = []
    for row in oracle.answer(spec["counts"]):
        people = next(found for key, found in rows.items() if row[: len(key)] == key)
        answer.append((*row, *estimated(people, homes, weight_of, national)))
    return answer


def estimated(
    people: Counter[str], homes: dict[str, Any], weight_of: dict[Any, float], national: float | None
) -> Row:
    """The last columns of a row: people, subscribers and coverage."""
    lives = Counter(homes[who] for who in people if homes.get(who) in weight_of)
    own = [who for who in people if lives[homes.get(who)] > FLOOR]
    others = len(people) - len(own)
    mean = sum(weight_of[homes[who]] for who in own) / len(own) if own else national
    weighted: float | None = sum(times * weight_of[homes[who]] for who, times in people.items() if who in own)
    if others:
        rest = sum(times for who, times in people.items() if who not in own)
        weighted = None if mean is None else weighted + rest * mean  # type: ignore[operator]
    coverage = len(own) / len(people) if others == 0 or others > FLOOR else None
    return weighted, len(people), coverage
