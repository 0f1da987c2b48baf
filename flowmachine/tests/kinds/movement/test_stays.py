"""Stays and what is counted from them, on worlds drawn as tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from marshmallow import ValidationError

from flowmachine.queries.catalogue import load_any

from ..specs import rows
from ..world import Stage, drawn

#: At A, on the way to B, and late at A again.
DAY = drawn(
    """
    subscriber | time    | cell
    s1         | 1 08:00 | in-b
    s1         | 1 08:20 | in-b
    s1         | 1 09:20 | in-B
    s1         | 1 09:30 | in-B
    s1         | 1 09:31 | unknown
    s1         | 1 23:00 | in-b
    """
)

STAYS: dict[str, Any] = {
    "query_kind": "stays",
    "start_date": "2016-01-01",
    "end_date": "2016-01-02",
    "aggregation_unit": "admin3",
}

LENGTHS = ("min_stay_minutes", "max_stay_gap_hours", "max_move_gap_hours", "pad_minutes")


def on_1(clock: str) -> datetime:
    return datetime.fromisoformat(f"2016-01-01 {clock}")


def test_a_day_is_cut_into_stays_moves_and_silences(stage_in_utc: Stage, executor: str) -> None:
    found = rows(stage_in_utc, executor, DAY, **_as_kind(STAYS))
    assert sorted(found, key=lambda row: row[1]) == [
        ("s1", on_1("00:00"), on_1("07:55"), "unknown", None),
        ("s1", on_1("07:55"), on_1("08:20"), "stay", "b"),
        ("s1", on_1("08:20"), on_1("08:50"), "move", "b"),
        ("s1", on_1("08:50"), on_1("09:20"), "move", "B"),
        ("s1", on_1("09:20"), on_1("09:35"), "undetermined", "B"),
        ("s1", on_1("09:35"), on_1("22:55"), "unknown", None),
        ("s1", on_1("22:55"), on_1("23:00"), "undetermined", "b"),
        ("s1", on_1("23:00"), datetime(2016, 1, 2), "unknown", None),
    ]


def test_the_edges_of_gaps_belong_to_them(stage_in_utc: Stage, executor: str) -> None:
    """A gap as long as allowed holds; a run as short as required is no stay."""
    world = drawn(
        """
        subscriber | time     | cell
        s1         | 1 00:02  | in-b
        s1         | 1 12:02  | in-b
        s1         | 1 14:02  | in-B
        s1         | 1 14:17  | in-B
        s1         | 1 16:18  | in-b
        """
    )
    found = rows(stage_in_utc, executor, world, **_as_kind(STAYS))
    assert sorted(found, key=lambda row: row[1]) == [
        # Before the first event lie two minutes of the window: half of them is known.
        ("s1", on_1("00:00"), on_1("00:01"), "unknown", None),
        ("s1", on_1("00:01"), on_1("12:02"), "stay", "b"),
        ("s1", on_1("12:02"), on_1("13:02"), "move", "b"),
        ("s1", on_1("13:02"), on_1("14:02"), "move", "B"),
        ("s1", on_1("14:02"), on_1("14:22"), "undetermined", "B"),
        ("s1", on_1("14:22"), on_1("16:13"), "unknown", None),
        ("s1", on_1("16:13"), on_1("16:18"), "undetermined", "b"),
        ("s1", on_1("16:18"), datetime(2016, 1, 2), "unknown", None),
    ]


def test_the_longest_stay_of_a_day(stage_in_utc: Stage, executor: str) -> None:
    def longest(**more: Any) -> list[Any]:
        return rows(stage_in_utc, executor, DAY, "longest_stay", stays=STAYS, date="2016-01-01", **more)

    assert longest() == [("s1", "b")]
    assert longest(minimum_minutes=25) == [("s1", "b")]
    assert longest(minimum_minutes=25.01) == []
    # The stay of 25 minutes ends before the day begins.
    assert longest(day_start_hour=9) == []


def test_a_night_is_spent_where_the_stay_holds_its_midnight(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        a1         | 1 21:00 | in-b
        a1         | 2 08:00 | in-b
        b1         | 1 21:00 | in-b
        b1         | 2 03:55 | in-b
        b1         | 2 09:00 | in-B
        c1         | 2 03:00 | in-b
        c1         | 2 08:00 | in-b
        d1         | 1 21:00 | in-B
        d1         | 2 12:00 | in-B
        """
    )
    two_days = STAYS | {"end_date": "2016-01-03"}

    def nights(**more: Any) -> list[Any]:
        given = {"stays": two_days, "date": "2016-01-01"} | more
        return rows(stage_in_utc, executor, world, "overnight_location", **given)

    # The stay of b1 is known to end at four, and the silence of d1 is longer than twelve hours.
    assert nights() == [("a1", "b"), ("c1", "b")]
    # At three c1 has been there for five minutes that are not seen.
    assert nights(functional_midnight=3) == [("a1", "b"), ("b1", "b"), ("c1", "b")]
    # From five before three to eight.
    assert nights(min_night_minutes=305) == [("a1", "b"), ("c1", "b")]
    assert nights(min_night_minutes=305.1) == [("a1", "b")]
    assert nights(date="2016-01-02", stays=STAYS | {"end_date": "2016-01-04"}) == []


def test_the_time_of_stays(stage_in_utc: Stage, executor: str) -> None:
    def hours(word: str) -> list[Any]:
        return rows(
            stage_in_utc, executor, DAY, "stay_time", stays=STAYS | {"min_stay_minutes": 5}, statistic=word
        )

    # 07:55 to 08:20 and, as over five minutes of it are seen, 09:20 to 09:35.
    assert hours("sum") == [("s1", pytest.approx(40 / 60))]
    assert hours("max") == [("s1", pytest.approx(25 / 60))]
    assert hours("count") == [("s1", 2.0)]


def test_an_event_at_a_wrong_place_is_left_out(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time     | cell
        s1         | 1 08:00  | in-b
        s1         | 1 08:20  | in-B
        s1         | 1 08:21  | in-b
        s1         | 1 09:00  | in-b
        """
    )
    states = {
        clean: [
            row[3:]
            for row in sorted(rows(stage_in_utc, executor, world, **_as_kind(STAYS | {"clean": clean})))
        ]
        for clean in (True, False)
    }
    assert states[True] == [("unknown", None), ("stay", "b"), ("unknown", None)]
    assert ("move", "B") in states[False]


@pytest.mark.parametrize(
    ("spec", "field", "text"),
    [
        (
            STAYS | {"pad_minutes": 61},
            "pad_minutes",
            "pad_minutes must be at most half of max_move_gap_hours and of max_stay_gap_hours.",
        ),
        *((STAYS | {name: 1e300}, name, "less than or equal to") for name in LENGTHS),
        (
            {"query_kind": "longest_stay", "stays": STAYS, "date": "2016-01-01", "minimum_minutes": 1e300},
            "minimum_minutes",
            "less than or equal to 1500",
        ),
        (STAYS | {"start_date": "2016-01-01 12:00:00"}, "start_date", "multiple of 86400 seconds"),
        (
            {"query_kind": "longest_stay", "stays": STAYS, "date": "2016-01-02"},
            "date",
            "date must lie in the window of stays.",
        ),
        (
            {"query_kind": "overnight_location", "stays": STAYS, "date": "2016-01-01"},
            "date",
            "date must lie in the window of stays.",
        ),
        (
            {"query_kind": "longest_stay", "stays": STAYS, "date": "2016-01-01 01:00:00"},
            "date",
            "multiple of 86400 seconds",
        ),
    ],
)
def test_what_is_refused(spec: dict[str, Any], field: str, text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        load_any(spec)
    assert text in str(refused.value.messages[field])  # type: ignore[index]


def _as_kind(spec: dict[str, Any]) -> dict[str, Any]:
    return {"kind": spec["query_kind"]} | {name: spec[name] for name in spec if name != "query_kind"}
