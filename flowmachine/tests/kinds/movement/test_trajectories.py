"""Day trajectories and the pull of places on people, on worlds drawn as tables."""

from __future__ import annotations

import pytest

from flowmachine.queries import DailyLocation, DayTrajectories, PopulationWeightedOpportunities

from ..specs import rows_of
from ..world import Stage, drawn, moment


def test_day_trajectories(stage_in_utc: Stage, executor: str) -> None:
    days = [
        DailyLocation(date=date, method="last", aggregation_unit="admin3")
        for date in ("2016-01-03", "2016-01-01", "2016-01-01")
    ]
    assert rows_of(stage_in_utc, DayTrajectories(locations=days), executor) == [
        ("ann", "b", moment("1")),
        ("ann", "b", moment("1")),
        ("ann", "é", moment("3")),
    ]


def test_population_weighted_opportunities(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..4      | 1 10:00 | in-b
        b1..3      | 1 10:00 | in-B
        c1..2      | 1 10:00 | in-é
        c1..2      | 2 10:00 | in-é
        b1..3      | 2 10:00 | in-B
        c1..2      | 2 11:00 | in-b
        """
    )
    query = PopulationWeightedOpportunities(
        start_date="2016-01-01", end_date="2016-01-02", aggregation_unit="lon-lat", method="most-common"
    )
    b, big, e = (84.25, 27.25), (85.5, 27.5), (85.75, 28.125)
    # Of c's two days the later one counts, and in it the later event: so 6 live in b, 3 in B, nobody in é.
    found = {row[:2]: row[2:] for row in rows_of(stage_in_utc, query, executor, world)}
    assert found == {(b, big): (pytest.approx(0.6), 1.0), (big, b): (pytest.approx(0.3), 1.0)}
    first = PopulationWeightedOpportunities(
        start_date="2016-01-01", end_date="2016-01-01", aggregation_unit="lon-lat", departure_rate=0.5
    )
    found = {row[:2]: row[2:] for row in rows_of(stage_in_utc, first, executor, world)}
    # 4 in b, 3 in B, 2 in é; B and é are near each other, b is nearer to B. From b to B: é is nearer to B than b
    # is, so S = 2 + 3 and the pull is 3 (1/5 - 1/9) = 4/15; to é: S = 3 + 2, 2 (1/5 - 1/9) = 8/45.
    assert found[b, big] == (pytest.approx(4 * 0.5 * 0.6), pytest.approx(0.6))
    assert found[b, e] == (pytest.approx(4 * 0.5 * 0.4), pytest.approx(0.4))
    # From B: to é nobody is between, S = 2, 2 (1/2 - 1/9) = 7/9; to b likewise S = 4, 4 (1/4 - 1/9) = 5/9.
    assert found[big, e] == (pytest.approx(3 * 0.5 * 7 / 12), pytest.approx(7 / 12))
    # From é to b: B is nearer to b, S = 3 + 4, 4 (1/7 - 1/9) = 8/63; to B: S = 3, 3 (1/3 - 1/9) = 2/3.
    assert found[e, b] == (pytest.approx(2 * 0.5 * 4 / 25), pytest.approx(4 / 25))
