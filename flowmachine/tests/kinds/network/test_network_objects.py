"""Cells in use and statistics of them, on worlds drawn as tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ..specs import answer, window
from ..world import Stage, drawn


def test_network_statistics_rest_on_published_counts(stage_in_nepal: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 00:30 | in-é
        a1..16     | 1 00:40 | beside
        a1..16     | 1 01:30 | in-é
        b1..15     | 1 02:30 | in-é
        """
    )
    hours = window("total_network_objects", total_by="hour")

    def statistic(name: str, by: str) -> Any:
        spec = {
            "query_kind": "aggregate_network_objects",
            "total_network_objects": hours,
            "statistic": name,
            "aggregate_by": by,
        }
        return answer(stage_in_nepal, spec, world, executor)

    zone = ZoneInfo("Asia/Kathmandu")
    midnight = datetime(2016, 1, 1, tzinfo=zone)
    # The third hour, with fifteen people, does not count.
    assert statistic("avg", "day") == [("é", 1.5, midnight)]
    assert statistic("count", "day") == [("é", 2, midnight)]
    assert statistic("sum", "century") == [("é", 3, datetime(2001, 1, 1, tzinfo=zone))]
    assert statistic("max", "hour") == [("é", 2, midnight), ("é", 1, midnight.replace(hour=1))]


def test_network_objects_in_use(stage_in_nepal: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time       | cell
        a1..16     | 1 00:30    | in-b
        a1..16     | 1 23:30    | moves
        a1..16     | 1 23:30    | in-b
        a1..16     | 2 00:30    | in-b
        b1..15     | 2 00:30    | in-B
        """
    )
    zone = ZoneInfo("Asia/Kathmandu")
    assert answer(stage_in_nepal, window("total_network_objects"), world, executor) == [
        ("b", 2, datetime(2016, 1, 1, tzinfo=zone)),
        ("b", 1, datetime(2016, 1, 2, tzinfo=zone)),
    ]
    by_hour = window("total_network_objects", total_by="hour")
    assert answer(stage_in_nepal, by_hour, world, executor) == [
        ("b", 1, datetime(2016, 1, 1, 0, tzinfo=zone)),
        ("b", 2, datetime(2016, 1, 1, 23, tzinfo=zone)),
        ("b", 1, datetime(2016, 1, 2, 0, tzinfo=zone)),
    ]


def test_cells_of_a_month_are_counted_where_they_stood(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1..16     | 1 10:00 | moves
        a1..15     | 3 10:00 | moves
        b1         | 3 11:00 | moves
        a1..8      | 1 10:00 | meets
        b1..8      | 3 10:00 | in-é
        """
    )
    spec = window("total_network_objects", total_by="month")
    rows = answer(stage_in_utc, spec, world, executor)
    assert [row[:2] for row in rows] == [("b", 2), ("é", 2)]
