"""People behind counts of subscribers, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.ledger.parts import RestTooSmall
from flowmachine.queries.catalogue import load_any
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import NotBuildable

from ..land import WEIGHTS_TABLE
from ..specs import answer, daily, near, window
from ..test_validation import NoTables
from ..world import Stage, drawn

#: At b live 60 and at B 40, so that each stands for 100 and 200 people.
RESIDENTS = """
    subscriber | time    | cell
    a1..60     | 1 10:00 | in-b
    b1..40     | 1 10:00 | in-B
"""

FLOWS = {"query_kind": "flows", "from_location": daily(2), "to_location": daily(3)}


def estimate(counts: dict[str, Any] = FLOWS, **more: Any) -> dict[str, Any]:
    return {
        "query_kind": "population_estimate",
        "counts": counts,
        "home_location": daily(1),
        "weights_table": WEIGHTS_TABLE,
        "minimum_residents": 16,
        **more,
    }


def test_subscribers_weigh_as_much_as_their_homes(stage_in_utc: Stage, executor: str) -> None:
    """Of 40 who go from b to B, 20 live at each: 20 x 100 + 20 x 200."""
    moves = """
    a1..20     | 2 10:00 | in-b
    a1..20     | 3 10:00 | in-B
    b1..20     | 2 10:00 | in-b
    b1..20     | 3 10:00 | in-B
    """
    world = drawn(RESIDENTS + moves)
    assert answer(stage_in_utc, estimate(), world, executor) == [("b", "B", 40, 6000.0, 40, 1.0)]
    weight = estimate(weighting="weight", deduplication_factor=0.5)
    assert answer(stage_in_utc, weight, world, executor) == [("b", "B", 40, 125.0, 40, 1.0)]


def test_few_of_a_home_and_those_without_weigh_as_the_others(stage_in_utc: Stage, executor: str) -> None:
    """Five of B, and 16 of no listed home, have the mean weight of twenty of b."""
    seen = """
    a1..20     | 2 10:00 | in-é
    b1..5      | 2 10:00 | in-é
    c1..16     | 1 10:00 | in-two-regions
    c1..16     | 2 10:00 | in-é
    b1..16     | 2 10:00 | moves
    c1..5      | 2 10:00 | moves
    """
    counts = window("unique_subscriber_counts", "2016-01-02", "2016-01-03")
    assert answer(stage_in_utc, estimate(counts), drawn(RESIDENTS + seen), executor) == near(
        # Of the five that are left over the share says nothing.
        ("b", 21, 21 * 200.0, 21, None),
        ("é", 41, 41 * 100.0, 41, 20 / 41),
    )


def test_small_homes_have_the_ratio_around_or_that_of_all(stage_in_utc: Stage, executor: str) -> None:
    """With 60 at b and 30 at a 1, both in W, and 40 at B."""
    counts = window("unique_subscriber_counts", "2016-01-01", "2016-01-02")
    world = drawn(RESIDENTS + "c1..30 | 1 10:00 | in-a1")
    at_least = {number: estimate(counts, minimum_residents=number) for number in (41, 61, 91)}
    around, of_all = 6300 / 90, 14300 / 130
    assert answer(stage_in_utc, at_least[41], world, executor) == near(
        ("B", 40, 40 * of_all, 40, 1.0), ("a 1", 30, 30 * around, 30, 1.0), ("b", 60, 6000.0, 60, 1.0)
    )
    assert answer(stage_in_utc, at_least[91], world, executor) == near(
        ("B", 40, 40 * of_all, 40, 1.0), ("a 1", 30, 30 * of_all, 30, 1.0), ("b", 60, 60 * of_all, 60, 1.0)
    )
    # Five at a 1 would be told by the ratio around, and by that of all.
    few = drawn(RESIDENTS + "c1..5 | 1 10:00 | in-a1")
    assert answer(stage_in_utc, at_least[61], few, executor) == [
        ("B", 40, None, 40, 0.0),
        ("b", 60, None, 60, 0.0),
    ]


def test_rows_of_shares_keep_their_keys(stage_in_utc: Stage, executor: str) -> None:
    status = {"query_kind": "displacement_status", "reference_location": daily(1), "locations": [daily(2)]}
    counts = {"query_kind": "displaced_counts", "displacement_status": status}
    away = drawn(RESIDENTS + "a1..60 | 2 10:00 | in-b\nb1..20 | 2 10:00 | in-b\nb21..40 | 2 10:00 | in-B")
    assert answer(stage_in_utc, estimate(counts), away, executor) == [
        ("B", 1, "at_home", 20, 0.5, None, None, 4000.0, 20, 1.0),
        ("B", 1, "displaced", 20, 0.5, None, None, 4000.0, 20, 1.0),
        ("b", 1, "at_home", 60, 1.0, None, None, 6000.0, 60, 1.0),
    ]


def test_weights_tell_of_nobody(stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for the same people, weighted by homes that differ by one person."""
    crowd = drawn(RESIDENTS + "a1..60 | 2 10:00 | in-b\nb1..40 | 2 10:00 | in-B\nvictim | 2 11:00 | in-b")
    counts = window("unique_subscriber_counts", "2016-01-01", "2016-01-02")

    def ratios() -> list[float]:
        with stage_in_utc.loaded(crowd) as (connection, state):
            asked = [load_any(estimate(counts, home_location=daily(day))) for day in (1, 2)]
            answers = [stage_in_utc.run(one, crowd, executor, connection, state) for one in asked]
            return [row[2] for rows in answers for row in rows if row[0] == "b"]

    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
    assert ratios() == pytest.approx([6000.0, 60 * 6000 / 61])
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "on")
    with pytest.raises(NotBuildable, match=r"^This answer differs by few subscribers"):
        ratios()


#: In region W live 60 at b and five at a 1. Twenty of b are at é on the next day.
DISTRICTS = drawn(RESIDENTS + "c1..5 | 1 10:00 | in-a1\na1..20 | 2 10:00 | in-é\n")


def at_homes(unit: str, **more: Any) -> dict[str, Any]:
    counts = {"query_kind": "spatial_aggregate", "locations": daily(2)}
    return estimate(counts, home_location=daily(1, aggregation_unit=unit), **more)


def residents(unit: str) -> dict[str, Any]:
    return {"query_kind": "spatial_aggregate", "locations": daily(1, aggregation_unit=unit)}


@pytest.mark.parametrize(
    "pair",
    [
        (at_homes("admin3"), at_homes("admin2")),
        (at_homes("admin2"), at_homes("admin3")),
        (residents("admin3"), at_homes("admin2")),
        (residents("admin2"), at_homes("admin3")),
    ],
    ids=["coarser", "finer", "coarser than a count", "finer than a count"],
)
def test_residents_of_a_region_less_those_of_its_districts_are_not_told(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, pair: tuple[dict[str, Any], ...]
) -> None:
    """Ask with homes at two levels: five of a 1 would be left of W."""
    first, second = map(load_any, pair)

    def told() -> list[float]:
        """Return the residents of b and W, by weights or by counts."""
        with stage_in_utc.loaded(DISTRICTS) as (connection, state):
            rows = [
                stage_in_utc.run(query, DISTRICTS, executor, connection, state) for query in (first, second)
            ]
        estimates = [row for answered in rows for row in answered if row[0] == "é" and row[2]]
        counts = [row[1] for answered in rows for row in answered if row[0] in ("b", "W")]
        population = {True: 6000, False: 9000}
        return sorted([*counts, *(population[row[2] == 2000] / (row[2] / 20) for row in estimates)])

    with pytest.raises(RestTooSmall, match=f"query {residents_of(first)} would leave few"):
        told()
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "report")
    assert told() == pytest.approx([60, 65]), "the attack has to work where nothing is refused"
    # Nothing is told of homes with fewer than these residents.
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "on")
    second = load_any(pair[1] | {"minimum_residents": 66})
    told()


def residents_of(query: Any) -> str:
    """Return the id of the question that has the residents behind a query."""
    return str(query.judged_apart[0].query_id if query.judged_apart else query.query_id)


def test_a_count_of_residents_is_cut_after_an_estimate(stage_in_utc: Stage, executor: str) -> None:
    """Check that W is withheld, because the estimate tells of b."""
    with stage_in_utc.loaded(DISTRICTS) as (connection, state):
        estimated, counted = load_any(at_homes("admin3")), load_any(residents("admin2"))
        assert stage_in_utc.run(estimated, DISTRICTS, executor, connection, state)
        assert stage_in_utc.run(counted, DISTRICTS, executor, connection, state) == [("E", 40)]


def test_homes_at_one_level_are_answered_beside_their_count(stage_in_utc: Stage, executor: str) -> None:
    with stage_in_utc.loaded(DISTRICTS) as (connection, state):
        for asked in (residents("admin3"), at_homes("admin3"), at_homes("admin3", minimum_residents=20)):
            assert stage_in_utc.run(load_any(asked), DISTRICTS, executor, connection, state)


def test_a_weighted_count_is_compared_with_the_count(stage_in_utc: Stage, executor: str) -> None:
    """Check that one more person cannot be told by asking for the weighted count."""
    crowd = drawn(RESIDENTS + "victim | 2 10:00 | in-b")
    days = [window("unique_subscriber_counts", "2016-01-01", f"2016-01-0{end}") for end in (2, 3)]
    with stage_in_utc.loaded(crowd) as (connection, state):
        first, second = load_any(days[0]), load_any(estimate(days[1]))
        assert stage_in_utc.run(first, crowd, executor, connection, state)
        with pytest.raises(NotBuildable, match=first.query_id):
            stage_in_utc.run(second, crowd, executor, connection, state)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {"home_location": daily(1, aggregation_unit="lon-lat")},
            {"home_location": ["home_location must be at an admin level."]},
        ),
        (
            {"deduplication_factor": 0.9},
            {"deduplication_factor": ["Only with weighting weight: a calibrated weight holds it already."]},
        ),
        (
            {"deduplication_factor": 0},
            {"deduplication_factor": ["Must be greater than 0.0 and less than or equal to 1.0."]},
        ),
        ({"minimum_residents": 15}, {"minimum_residents": ["Must be greater than or equal to 16."]}),
        (
            {"counts": window("unique_locations")},
            {"counts": {"query_kind": ["Unsupported value: unique_locations"]}},
        ),
    ],
)
def test_what_is_refused(fields: dict[str, Any], told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(estimate(**fields))
    assert refused.value.normalized_messages() == told


class Tables(NoTables):
    """Stand for a database with one table of weights."""

    def columns(self, name: str) -> list[str] | None:  # type: ignore[override]
        return ["pcod", "weight"] if name == WEIGHTS_TABLE else None

    def weights_problem(self, name: str, column: str) -> str | None:  # type: ignore[override]
        assert (name, column) == (WEIGHTS_TABLE, "weight")
        return "weights_table has negative or repeated entries."


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"weights_table": "geography.no"}, "geography.no is not a known table."),
        ({"weights_table": "no"}, "no is not a known table."),
        ({}, "weights_table must have the columns pcod and population."),
        ({"weighting": "weight"}, "weights_table has negative or repeated entries."),
    ],
)
def test_tables_are_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(estimate(**fields), tables=Tables())
    assert refused.value.normalized_messages() == {"weights_table": [told]}


def test_a_raised_floor_raises_the_fewest_residents(monkeypatch: pytest.MonkeyPatch) -> None:
    query = load_any(estimate())
    assert isinstance(query, Aggregate)
    query.check_buildable()
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", "20")
    with pytest.raises(NotBuildable, match=r"^minimum_residents must be greater than or equal to 21\.$"):
        query.check_buildable()
