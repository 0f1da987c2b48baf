"""Subtract published parts from published totals, as an analyst would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from typing import Any

import pytest

from flowmachine.queries import (
    DailyLocation,
    DisplacedCounts,
    DisplacementStatus,
    Flows,
    Inflows,
    LabelledSpatialAggregate,
    Outflows,
    SpatialAggregate,
    UniqueSubscriberCounts,
)
from flowmachine.queries.examples import query
from flowmachine.spec.aggregate import Aggregate

from .world import Event, Stage, World, moment

#: Places of day 1: two points in district b, one in district a 1, both districts in region W; B and é are in E.
POINTS = {
    "in-b": ((84.25, 27.25), "b", "W"),
    "meets": ((84.5, 27.5), "b", "W"),
    "in-a1": ((84.25, 28.5), "a 1", "W"),
    "in-B": ((85.5, 27.5), "B", "E"),
    "in-é": ((85.75, 28.125), "é", "E"),
}

LEVELS = ("lon-lat", "admin3", "admin2")

Numbers = dict[Any, int]


def world(*people: tuple[int, str, str]) -> World:
    """Return crowds of so many people each, at a cell on day 1 and one on day 2."""
    return World(
        [
            Event(f"{number} {member}", moment(f"{day} 10:00"), cell)
            for number, (size, *cells) in enumerate(people)
            for member in range(size)
            for day, cell in enumerate(cells, start=1)
            if cell
        ]
    )


def homes(unit: str, day: int = 1) -> DailyLocation:
    return DailyLocation(date=f"2016-01-0{day}", method="last", aggregation_unit=unit)


def numbers(rows: Sequence[tuple[Any, ...]], keys: int) -> Numbers:
    return {row[:keys] if keys > 1 else row[0]: row[keys] for row in rows}


def ask(stage: Stage, world: World, executor: str, *asked: tuple[Aggregate, int]) -> list[Numbers]:
    """Return the answers to questions, one after the other."""
    with stage.loaded(world) as (connection, state):
        return [
            numbers(stage.run(question, world, executor, connection, state), keys) for question, keys in asked
        ]


def left(total: int | None, *parts: int | None) -> int:
    """Return what is left of a total, or 0 where nothing can be subtracted."""
    known = [part for part in parts if part]
    return total - sum(known) if total and known else 0


def rests(answers: dict[str, Numbers]) -> Iterator[int]:
    """Yield what is left of regions and districts, by all ways to subtract."""
    points, districts, regions = (answers[level] for level in LEVELS)
    for district in {district for _, district, _ in POINTS.values()}:
        yield left(
            districts.get(district), *(points.get(at) for at, own, _ in POINTS.values() if own == district)
        )
    for region in ("W", "E"):
        ways: dict[str, list[int]] = {}
        for at, district, own in POINTS.values():
            if own == region:
                ways.setdefault(district, []).append(points.get(at, 0))
        each = [
            dict.fromkeys([districts.get(district, 0), sum(at_points)])
            for district, at_points in ways.items()
        ]
        for way in product(*each):
            yield left(regions.get(region), *way)


#: People at each of ``POINTS``: a district that is too small, a point that is, and a region that is.
CROWDS = {"district": (30, 20, 10, 16, 16), "point": (30, 12, 18, 40, 15), "all": (17, 15, 16, 9, 60)}


@pytest.mark.parametrize("order", list(permutations(LEVELS)), ids=" ".join)
def test_no_region_less_its_parts_is_a_few_people(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...]
) -> None:
    worked = []
    for name, crowd in CROWDS.items():
        there = world(*((size, cell, "") for size, cell in zip(crowd, POINTS, strict=True)))

        def attack(there: World = there) -> list[int]:
            asked = (
                (SpatialAggregate(locations=homes(unit)), 2 if unit == "lon-lat" else 1) for unit in order
            )
            answers = dict(zip(order, ask(stage_in_utc, there, executor, *asked), strict=True))
            return [rest for rest in rests(answers) if 1 <= rest <= 15]

        monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "on")
        assert not attack(), name
        monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
        worked.append(bool(attack()))
    assert all(worked), "the attack has to work where answers are judged alone"


#: 5 people go from b to é, 20 to B; 30 stay, and 18 come from B.
MOVES = world((30, "in-b", "in-b"), (20, "in-b", "in-B"), (5, "in-b", "in-é"), (18, "in-B", "in-é"))
BACK = world((30, "in-b", "in-b"), (20, "in-B", "in-b"), (5, "in-é", "in-b"), (18, "in-é", "in-B"))
STAYED = world((5, "in-b", "in-b"), (20, "in-b", "in-B"), (18, "in-B", "in-é"))
UNSEEN = world((30, "in-b", "in-b"), (20, "in-b", "in-B"), (5, "in-b", ""), (18, "in-B", "in-é"))


def moving(cls: type[Flows | Outflows | Inflows], **more: Any) -> Aggregate:
    return cls(from_location=homes("admin3"), to_location=homes("admin3", 2), **more)


#: A total with its parts: questions, numbers of key columns, and the position of the total's place in a part's key.
SUMS: dict[str, tuple[World, Aggregate, Aggregate, int]] = {
    "outflows": (MOVES, moving(Outflows), moving(Flows), 0),
    "inflows": (BACK, moving(Inflows), moving(Flows), 1),
    "everybody": (
        UNSEEN,
        SpatialAggregate(locations=homes("admin3")),
        moving(Flows, join_type="left"),
        0,
    ),
    "everybody without stayers": (
        STAYED,
        SpatialAggregate(locations=homes("admin3")),
        moving(Outflows, join_type="left", exclude_stayers=True),
        -1,
    ),
    "those who stayed or were not seen": (
        STAYED,
        SpatialAggregate(locations=homes("admin3")),
        moving(Outflows, exclude_stayers=True),
        -1,
    ),
    "those who stayed or were not seen, and flows": (
        STAYED,
        SpatialAggregate(locations=homes("admin3")),
        moving(Flows, exclude_stayers=True),
        0,
    ),
    "those who stayed": (STAYED, moving(Outflows), moving(Outflows, exclude_stayers=True), -1),
    "flows without those who stayed": (STAYED, moving(Outflows), moving(Flows, exclude_stayers=True), 0),
}


@pytest.mark.parametrize("first", [0, 1], ids=["total first", "parts first"])
@pytest.mark.parametrize("name", SUMS)
def test_no_sum_less_its_parts_is_a_few_people(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, name: str, first: int
) -> None:
    people, total, parts, position = SUMS[name]

    def attack() -> bool:
        asked = [(total, 1), (parts, 1 if position < 0 else 2)]
        answers = ask(stage_in_utc, people, executor, asked[first], asked[1 - first])
        whole, pieces = answers[first], answers[1 - first]
        return any(
            1
            <= left(
                number,
                *(
                    value
                    for key, value in pieces.items()
                    if place == (key if position < 0 else key[position])
                ),
            )
            <= 15
            for place, number in whole.items()
        )

    assert not attack()
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "report")
    assert attack(), "a report changes nothing"
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
    assert attack(), "the attack has to work where answers are judged alone"


@pytest.mark.parametrize("first", [0, 1], ids=["total first", "parts first"])
def test_no_status_of_a_region_less_its_districts_is_a_few_people(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    there = world((40, "in-b", "in-b"), (10, "in-a1", "in-a1"), (30, "in-B", "in-B"))

    def statuses(unit: str) -> Aggregate:
        status = {"reference_location": homes(unit), "locations": [homes(unit, 2)]}
        return DisplacedCounts(displacement_status=DisplacementStatus(**status))

    def attack() -> bool:
        asked = [(statuses("admin2"), 3), (statuses("admin3"), 3)]
        answers = ask(stage_in_utc, there, executor, asked[first], asked[1 - first])
        regions, districts = answers[first], answers[1 - first]
        return 1 <= left(regions.get(("W", 1, "at_home")), districts.get(("b", 1, "at_home"))) <= 15

    assert not attack()
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
    assert attack(), "the attack has to work where answers are judged alone"


def test_the_smallest_part_is_withheld_and_the_metadata_say_so(stage_in_utc: Stage, executor: str) -> None:
    there = world((30, "in-b", ""), (20, "meets", ""), (10, "in-a1", ""), (40, "in-B", ""))
    with stage_in_utc.loaded(there) as (connection, state):

        def metadata(unit: str) -> Any:
            question = SpatialAggregate(locations=homes(unit))
            stage_in_utc.run(question, there, executor, connection, state)
            return stage_in_utc.executors[executor].release(question, state, connection).metadata

        assert metadata("admin2") == {"withheld": [], "repeats": []}
        assert metadata("lon-lat") == {"withheld": ["floor", "parts"], "repeats": []}


def test_the_same_question_asked_otherwise_is_cut_in_the_same_way(stage_in_utc: Stage, executor: str) -> None:
    """Check that who is counted decides, and not how the question is put."""
    there = world((30, "in-b", ""), (20, "meets", ""), (10, "in-a1", ""), (40, "in-B", ""))
    seen = UniqueSubscriberCounts(start_date="2016-01-01", end_date="2016-01-02", aggregation_unit="admin2")
    at_home = SpatialAggregate(locations=homes("admin3"))
    for questions in (seen, at_home), (at_home, seen):
        answers = dict(
            zip(questions, ask(stage_in_utc, there, executor, *((q, 1) for q in questions)), strict=True)
        )
        assert left(answers[seen].get("W"), answers[at_home].get("b")) in (0, *range(16, 99))


def test_an_equal_answer_repeats_an_absence(stage_in_utc: Stage, executor: str) -> None:
    there = world((30, "in-b", ""), (20, "meets", ""), (10, "in-a1", ""), (40, "in-B", ""))
    seen = UniqueSubscriberCounts(start_date="2016-01-01", end_date="2016-01-02", aggregation_unit="admin3")
    asked = (SpatialAggregate(locations=homes("admin2")), SpatialAggregate(locations=homes("admin3")), seen)
    regions, districts, again = ask(stage_in_utc, there, executor, *((question, 1) for question in asked))
    assert regions == {"W": 60, "E": 40}
    assert districts == again == {"B": 40}


def test_kinds_name_their_totals() -> None:
    """Check the levels of a question, and that subsets stay what they are."""
    subset = {"query_kind": "unique_locations", "start_date": "2016-01-01", "end_date": "2016-01-02"}
    located = DailyLocation(
        date="2016-01-01",
        method="last",
        aggregation_unit="admin3",
        subscriber_subset=subset | {"aggregation_unit": "admin3"},
    )
    totals = [total.question for total in SpatialAggregate(locations=located).totals]
    assert [total.unit.name for total in totals if total.unit] == ["admin2", "admin1", "admin0"]
    assert {total.locations.subscriber_subset for total in totals} == {located.subscriber_subset}  # type: ignore[attr-defined]
    kinds = {total.question.kind for total in query("labelled_spatial_aggregate", "lon-lat").totals}  # type: ignore[attr-defined]
    assert kinds == {"labelled_spatial_aggregate", "spatial_aggregate"}
    assert issubclass(LabelledSpatialAggregate, Aggregate)
