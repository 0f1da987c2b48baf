"""Counts by the periods in which subscribers were seen, on worlds drawn as tables."""

from __future__ import annotations

from datetime import datetime

from ..specs import CALENDAR, answer, window
from ..world import Stage, drawn

DAYS_SEEN = drawn(
    """
    subscriber | time       | cell
    a1..16     | 1 23:59:59 | in-b
    a1..16     | 3 00:00    | -
    b1..15     | 2 10:00    | in-b
    c1..17     | 2 10:00    | in-B
    c1..17     | 2 11:00    | unknown
    """
)


def test_calendar_activity(stage_in_nepal: Stage, executor: str) -> None:
    assert answer(stage_in_nepal, CALENDAR, DAYS_SEEN, executor) == [
        ([datetime(2016, 1, 1), datetime(2016, 1, 3)], 16),
        ([datetime(2016, 1, 2)], 32),
    ]
    hours = CALENDAR | {"start_date": "2016-01-02 10:00", "total_periods": 2, "period_unit": "hours"}
    assert answer(stage_in_nepal, hours, DAYS_SEEN, executor) == [
        ([datetime(2016, 1, 2, 10), datetime(2016, 1, 2, 11)], 17),
    ]


def test_a_sample_of_calendars_is_one_of_the_released_rows(stage_in_utc: Stage) -> None:
    sampling = {"sampling_method": "random_ids", "seed": 0.5, "size": 1}
    duckdb, postgres = (
        answer(stage_in_utc, CALENDAR | {"sampling": sampling}, DAYS_SEEN, executor)
        for executor in ("duckdb", "postgres")
    )
    assert duckdb == postgres
    assert len(duckdb) == 1
    assert duckdb[0] in answer(stage_in_utc, CALENDAR, DAYS_SEEN, "duckdb")


def test_localised_calendar_activity(stage_in_utc: Stage, executor: str) -> None:
    spec = CALENDAR | {
        "query_kind": "localised_calendar_activity",
        "reference_location": window("most_frequent_location"),
        "hours": {"start_hour": 11, "end_hour": 24},
    }
    # At b 16 were seen late and 15 were not, so neither row leaves.
    assert answer(stage_in_utc, spec, DAYS_SEEN, executor) == [("B", [datetime(2016, 1, 2)], 17)]
    spec |= {"hours": {"start_hour": 12, "end_hour": 23}}
    assert answer(stage_in_utc, spec, DAYS_SEEN, executor) == [("B", None, 17), ("b", None, 31)]
