"""Add up published rows, and compare the sums with answers about one less.

The rows of two answers at different units, with and without labels, or of flows and of their sums, have no row
in common. Their sums have.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import pytest
import sqlalchemy as sa

from flowmachine.ledger.margins import SumsTooNear
from flowmachine.queries import (
    DailyLocation,
    Flows,
    Inflows,
    LabelledSpatialAggregate,
    Outflows,
    SpatialAggregate,
)
from flowmachine.queries._combining import Subset
from flowmachine.queries.catalogue import load_any
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import Query
from flowmachine.tables import audit

from .specs import classified, on
from .world import Stage, drawn

#: Each place has 20 people or more on both days, and v is in district a 1 of region W.
CROWD = drawn(
    """
    subscriber | time    | cell
    a1..20     | 1 10:00 | in-b
    a1..20     | 2 10:00 | in-b
    b1..25     | 1 10:00 | in-a1
    b1..25     | 2 10:00 | in-a1
    c1..30     | 1 10:00 | in-B
    c1..30     | 2 10:00 | in-B
    d1..35     | 1 10:00 | in-é
    d1..35     | 2 10:00 | in-a1
    v          | 1 10:00 | in-a1
    v          | 2 10:00 | in-a1
    """
)

ALL_BUT_V = tuple(
    f"{name}{number}"
    for name, most in (("a", 20), ("b", 25), ("c", 30), ("d", 35))
    for number in range(1, most + 1)
)

REGION = {"b": "W", "a 1": "W", "B": "E", "é": "E", 84.25: "W", 85.5: "E", 85.75: "E"}


@pytest.fixture(autouse=True)
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse sums that are near, whatever the environment says."""
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "on")


def homes(unit: str, day: int = 2, method: str = "last") -> DailyLocation:
    return DailyLocation(date=f"2016-01-0{day}", method=method, aggregation_unit=unit)


def without_v(located: Query) -> Query:
    return Subset(query=located, column="subscriber", values=ALL_BUT_V)


def at(unit: str, cut: Callable[[Query], Query] = lambda located: located) -> SpatialAggregate:
    return SpatialAggregate(locations=cut(homes(unit)))


def moves(cls: type[Flows | Outflows | Inflows], to: Query) -> Aggregate:
    return cls(from_location=homes("admin3", 1), to_location=to)


def everywhere() -> Query:
    return load_any(on(2))


def labelled(located: Query, first: int = 1) -> Aggregate:
    labels = load_any(classified(on(first), on(2)))
    return LabelledSpatialAggregate(locations=located, labels=labels)


def by_region(row: tuple[Any, ...]) -> Hashable:
    return REGION.get(row[0], row[0])


def by_first(row: tuple[Any, ...]) -> Hashable:
    return row[0]


def by_second(row: tuple[Any, ...]) -> Hashable:
    return row[1] if len(row) > 2 else row[0]


#: Two questions whose sums differ by v, and by what to add up the rows of both.
ATTACKS: dict[str, tuple[Aggregate, Aggregate, Callable[[tuple[Any, ...]], Hashable]]] = {
    "points and districts": (
        at("lon-lat"),
        at("admin3", without_v),
        lambda row: {84.25: "a 1" if row[1] > 28 else "b"}.get(row[0], row[0]),
    ),
    "points and regions": (at("lon-lat"), at("admin2", without_v), by_region),
    "districts and regions": (at("admin3"), at("admin2", without_v), by_region),
    "flows and outflows": (
        moves(Flows, homes("admin3")),
        moves(Outflows, without_v(homes("admin3"))),
        by_first,
    ),
    "flows and inflows": (
        moves(Flows, homes("admin3")),
        moves(Inflows, without_v(homes("admin3"))),
        by_second,
    ),
    "labels and everybody": (
        labelled(everywhere()),
        SpatialAggregate(locations=without_v(everywhere())),
        by_first,
    ),
    "labels and other labels": (labelled(everywhere()), labelled(without_v(everywhere()), 2), by_first),
}


def sums(rows: list[tuple[Any, ...]], by: Callable[[tuple[Any, ...]], Hashable]) -> dict[Hashable, int]:
    found: dict[Hashable, int] = {}
    for row in rows:
        found[by(row)] = found.get(by(row), 0) + row[-1]
    return found


@pytest.mark.parametrize("first", [0, 1], ids=["v first", "v second"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_sums_of_rows_do_not_tell_where_somebody_is(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, attack: str, first: int
) -> None:
    *pair, by = ATTACKS[attack]
    asked = pair[first], pair[1 - first]

    def differ() -> bool:
        with stage_in_utc.loaded(CROWD) as (connection, state):
            one, other = (
                sums(stage_in_utc.run(query, CROWD, executor, connection, state), by) for query in asked
            )
        # A place that only one of two has tells as much as two numbers.
        return one != other

    with pytest.raises(SumsTooNear, match=f"add up to rows of query {asked[0].query_id}, or to sums of"):
        differ()
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "off")
    assert differ(), "the attack has to work where sums are not judged"


def test_a_report_names_both_queries_and_refuses_nothing(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "report")
    districts, regions = at("admin3"), at("admin2", without_v)
    with stage_in_utc.loaded(CROWD) as (connection, state):
        for query in (districts, regions):
            stage_in_utc.run(query, CROWD, executor, connection, state)
        [row] = connection.execute(sa.select(audit).where(audit.c.action == "differences")).all()
    assert (row.query_id, row.params) == (regions.query_id, {"margins": [districts.query_id]})


#: Honest questions about the same people, at all levels, and with all sums.
HONEST: dict[str, list[Aggregate]] = {
    "levels": [at(unit) for unit in ("lon-lat", "admin3", "admin2")],
    "flows": [moves(cls, homes("admin3")) for cls in (Flows, Outflows, Inflows)],
    "labels": [
        labelled(everywhere()),
        labelled(everywhere(), 2),
        SpatialAggregate(locations=everywhere()),
    ],
    "days": [SpatialAggregate(locations=homes(unit, day)) for day in (1, 2) for unit in ("admin3", "admin2")],
}


@pytest.mark.parametrize("order", [1, -1], ids=["fine to coarse", "coarse to fine"])
@pytest.mark.parametrize("name", HONEST)
def test_sums_of_the_same_people_are_answered(
    stage_in_utc: Stage, executor: str, name: str, order: int
) -> None:
    with stage_in_utc.loaded(CROWD) as (connection, state):
        for query in HONEST[name][::order]:
            assert stage_in_utc.run(query, CROWD, executor, connection, state)


#: Forty people go to the other district of their region, and v to another region.
GOING = drawn(
    """
    subscriber | time    | cell
    a1..20     | 2 10:00 | in-b
    b1..20     | 2 10:00 | in-a1
    c1..20     | 2 10:00 | in-é
    e1..40     | 2 10:00 | in-b
    e1..40     | 2 11:00 | in-b
    e1..40     | 2 12:00 | in-a1
    v          | 2 10:00 | in-é
    v          | 2 11:00 | in-é
    v          | 2 12:00 | in-a1
    """
)


GOING_BUT_V = tuple(f"{name}{number}" for name in "abc" for number in range(1, 21)) + tuple(
    f"e{number}" for number in range(1, 41)
)

in_both_orders = pytest.mark.parametrize("order", [1, -1], ids=["last first", "last second"])


@in_both_orders
def test_sums_over_places_of_the_same_people_are_not_compared(
    stage_in_utc: Stage, executor: str, order: int
) -> None:
    """Check that rows of regions are compared with such sums."""
    last, most_common = (
        {unit: SpatialAggregate(locations=homes(unit, method=method)) for unit in ("admin3", "admin2")}
        for method in ("last", "most-common")
    )
    with stage_in_utc.loaded(GOING) as (connection, state):
        for query in (last["admin3"], most_common["admin3"])[::order]:
            assert stage_in_utc.run(query, GOING, executor, connection, state)
    with stage_in_utc.loaded(GOING) as (connection, state), pytest.raises(SumsTooNear):
        for query in (last["admin3"], most_common["admin2"])[::order]:
            stage_in_utc.run(query, GOING, executor, connection, state)


@in_both_orders
def test_sums_over_places_do_not_tell_who_is_in_one_answer_only(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    last = SpatialAggregate(locations=homes("admin3"))
    others = Subset(query=homes("admin3", method="most-common"), column="subscriber", values=GOING_BUT_V)
    asked = [last, SpatialAggregate(locations=others)][::order]

    def differ() -> dict[Hashable, int]:
        with stage_in_utc.loaded(GOING) as (connection, state):
            one, other = (
                sums(stage_in_utc.run(query, GOING, executor, connection, state), by_region)
                for query in asked
            )
        return {place: number - other[place] for place, number in one.items() if number != other[place]}

    with pytest.raises(SumsTooNear, match=asked[0].query_id):
        differ()
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "off")
    assert differ() == {"W": order}, "the attack has to work where sums are not judged"
