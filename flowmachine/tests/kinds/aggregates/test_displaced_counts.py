"""Counts by displacement, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.ledger.twins import TooNear
from flowmachine.queries.catalogue import load_any

from ..movement.test_displacement_status import FOUR_PERIODS, status
from ..specs import answer, daily
from ..world import Stage, World, drawn


def four(s1: int = 16, s2: int = 16, s3: int = 16, s4: int = 16) -> World:
    """As many people each who do as those of the example of statuses."""
    people = {"s1": s1, "s2": s2, "s3": s3, "s4": s4}
    crowds = {name: f"{letter}1..{people[name]}" for name, letter in zip(people, "abcd", strict=True)}
    return drawn(FOUR_PERIODS.format(**crowds))


def counts(**more: Any) -> dict[str, Any]:
    return {"query_kind": "displaced_counts", "displacement_status": status(), **more}


def test_displaced_counts(stage_in_utc: Stage, executor: str) -> None:
    none = (None, None)
    third = pytest.approx(1 / 3)
    assert answer(stage_in_utc, counts(), four(), executor) == [
        ("b", 1, "at_home", 32, pytest.approx(2 / 3), *none),
        ("b", 1, "displaced", 16, third, *none),
        ("b", 1, "not_seen", 16, None, *none),
        ("b", 2, "at_home", 16, third, *none),
        ("b", 2, "away", 16, third, *none),
        ("b", 2, "displaced", 16, third, *none),
        ("b", 2, "not_seen", 16, None, *none),
        ("b", 3, "at_home", 16, third, *none),
        ("b", 3, "displaced", 32, pytest.approx(2 / 3), *none),
        ("b", 3, "not_seen", 16, None, *none),
        ("b", 4, "at_home", 32, 0.5, *none),
        ("b", 4, "displaced", 16, 0.25, *none),
        ("b", 4, "returned", 16, 0.25, *none),
    ]


def test_excess_over_normal(stage_in_utc: Stage, executor: str) -> None:
    """Check a normal of two periods: of 96 seen, 48 were at home and 48 elsewhere."""
    normal = status(1, locations=status()["locations"][:2])
    rows = answer(stage_in_utc, counts(normal=normal), four(), executor)
    # Elsewhere a single period now makes displaced: nobody was away, nobody returned.
    usual = {"at_home": 48 / 96, "away": 0.0, "displaced": 48 / 96, "returned": 0.0}
    for _, _, word, _, share, normal_share, excess in rows:
        if word == "not_seen":
            assert (share, normal_share, excess) == (None, None, None)
        else:
            assert normal_share == pytest.approx(usual[word])
            assert excess == pytest.approx(share - usual[word])
    assert len(rows) == 13


@pytest.mark.parametrize(
    ("sizes", "periods"),
    [
        # Those not seen in period 1 are fifteen: nothing of it leaves.
        ({"s4": 15}, {4}),
        # Those seen in period 2 beside fifteen away could be counted; those not seen in it leave.
        ({"s2": 15}, {1, 4}),
    ],
)
def test_few_withhold_their_period(
    stage_in_utc: Stage, executor: str, sizes: dict[str, int], periods: set[int]
) -> None:
    rows = answer(stage_in_utc, counts(), four(**sizes), executor)
    assert {period for _, period, word, *_ in rows if word != "not_seen"} == periods


def all_but(who: str, located: dict[str, Any], world: World) -> dict[str, Any]:
    """A location of all but one person."""
    others = sorted({event.subscriber for event in world.events} - {who})
    return {"query_kind": "subset", "query": located, "column": "subscriber", "values": others}


def test_counts_that_differ_by_a_person_repeat_all_numbers(stage_in_utc: Stage, executor: str) -> None:
    """Without one who was displaced, the shares of the others would tell, too."""
    world = four(s3=17)
    fewer = status(reference_location=all_but("c1", daily(1), world))
    queries = [load_any(counts()), load_any(counts(displacement_status=fewer))]
    with stage_in_utc.loaded(world) as (connection, state):
        found = [stage_in_utc.run(query, world, executor, connection, state) for query in queries]
    assert found[0] == found[1]
    assert ("b", 1, "displaced", 17, pytest.approx(17 / 49), None, None) in found[1]


@pytest.mark.parametrize("differences", ["on", "off"])
def test_normals_that_differ_by_a_person_are_refused(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, differences: str
) -> None:
    """Other numbers are equal, so that only the normal could tell."""
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", differences)
    world = four(s3=17)
    fewer = status(reference_location=all_but("c1", daily(1), world))
    first, second = (load_any(counts(normal=normal)) for normal in (status(), fewer))
    with stage_in_utc.loaded(world) as (connection, state):
        found = stage_in_utc.run(first, world, executor, connection, state)
        if differences == "on":
            with pytest.raises(TooNear, match=first.query_id):
                stage_in_utc.run(second, world, executor, connection, state)
        else:
            assert stage_in_utc.run(second, world, executor, connection, state) != found


def test_normals_far_apart_keep_their_own_shares(stage_in_utc: Stage, executor: str) -> None:
    """Equal counts beside another normal are those of the first answer."""
    world = four(s3=17)
    early, late = (status(1, locations=status()["locations"][part]) for part in (slice(2), slice(2, 4)))
    with stage_in_utc.loaded(world) as (connection, state):
        found = [
            stage_in_utc.run(load_any(counts(normal=normal)), world, executor, connection, state)
            for normal in (early, late)
        ]
    assert [row[:5] for row in found[0]] == [row[:5] for row in found[1]]
    assert [row[5] for row in found[0]] != [row[5] for row in found[1]]


def test_units_differ() -> None:
    other = status(
        locations=[daily(2, aggregation_unit="admin2")],
        reference_location=daily(1, aggregation_unit="admin2"),
        minimum_periods=1,
    )
    with pytest.raises(ValidationError) as refused:
        load_any(counts(normal=other))
    text = "Must have the same aggregation unit as displacement_status."
    assert refused.value.normalized_messages() == {"normal": [text]}
