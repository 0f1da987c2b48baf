"""Distances period by period, with gaps filled, on worlds drawn as tables."""

from __future__ import annotations

from datetime import datetime

import pytest

from flowmachine.queries import DailyLocation, DistanceSeries, ImputedDistanceSeries, SubscriberLocations
from flowmachine.queries.movement.imputed_distance_series import _starts

from ..oracle import metres
from ..specs import WINDOW, rows_of
from ..world import Stage, drawn, moment


def test_distances_day_by_day(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 1 11:00 | in-B
        ann        | 3 10:30 | in-B
        ann        | 3 10:45 | nowhere
        bob        | 2 10:00 | in-é
        """
    )
    seen = SubscriberLocations(**WINDOW, aggregation_unit="lon-lat")
    home = DailyLocation(date="2016-01-03", method="last", aggregation_unit="lon-lat")
    apart = metres((84.25, 27.25), (85.5, 27.5))
    from_home = DistanceSeries(subscriber_locations=seen, reference_location=home, statistic="max")
    assert rows_of(stage_in_utc, from_home, executor, world) == [
        ("ann", datetime(2016, 1, 1).date(), pytest.approx(apart / 1000)),
        ("ann", datetime(2016, 1, 3).date(), 0),
    ]
    from_point = DistanceSeries(
        subscriber_locations=SubscriberLocations(**WINDOW, aggregation_unit="versioned-cell"),
        reference_point=(84.25, 27.25),
        time_bucket="hour",
    )
    assert rows_of(stage_in_utc, from_point, executor, world) == [
        ("ann", moment("1 10:00"), 0),
        ("ann", moment("1 11:00"), pytest.approx(apart)),
        ("ann", moment("3 10:00"), pytest.approx(apart)),
        ("bob", moment("2 10:00"), pytest.approx(metres((84.25, 27.25), (85.75, 28.125)))),
    ]


def test_gaps_are_filled_by_the_median_around_them(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 1 11:10 | in-b
        ann        | 1 11:20 | in-b
        ann        | 1 13:00 | in-B
        ann        | 1 17:00 | in-B
        bob        | 1 10:00 | in-b
        bob        | 1 11:00 | in-b
        bob        | 1 12:00 | in-b
        """
    )
    seen = SubscriberLocations(
        start_date="2016-01-01 09:30", end_date="2016-01-01 17:30", aggregation_unit="lon-lat"
    )
    series = DistanceSeries(
        subscriber_locations=seen, reference_point=(84.25, 27.25), time_bucket="hour", statistic="count"
    )
    found = rows_of(stage_in_utc, ImputedDistanceSeries(distance_series=series), executor, world)
    # Bob has only three distances; between Ann's hours of two events and of one lies an hour without.
    values = [1, 1, 2, 1.5, 1, 1, None, 1, 1]
    assert found == sorted(
        (("ann", moment(f"1 {9 + number:02}:00"), value) for number, value in enumerate(values)), key=repr
    )


def test_periods_of_a_series_are_those_of_the_calendar() -> None:
    def starts(first: str, end: str, bucket: str) -> list[str]:
        found = _starts(datetime.fromisoformat(first), datetime.fromisoformat(end), bucket)
        return [start.isoformat(" ", "seconds").removesuffix(" 00:00:00") for start in found]

    assert starts("2016-01-30 12:00", "2016-02-01", "day") == ["2016-01-30", "2016-01-31"]
    assert starts("2016-01-30", "2016-04-01", "month") == ["2016-01-01", "2016-02-01", "2016-03-01"]
    assert starts("2015-12-31", "2017-01-01 00:00:01", "year") == ["2015-01-01", "2016-01-01", "2017-01-01"]
    assert starts("1999-12-31", "2001-01-02", "century") == ["1901-01-01", "2001-01-01"]
    assert starts("2016-01-01 00:00:30", "2016-01-01 00:02", "minute") == [
        "2016-01-01",
        "2016-01-01 00:01:00",
    ]
