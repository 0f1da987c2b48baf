"""Labels of how subscribers move house, on worlds drawn as tables."""

from __future__ import annotations

from ..specs import answer, classified, on
from ..world import Stage, drawn

#: One subscriber for each class over the three days; ``two`` is in two regions, and so nowhere in a majority.
LIVES = drawn(
    """
    subscriber   | time    | cell
    stable       | 1 10:00 | in-B
    stable       | 2 10:00 | in-b
    stable       | 3 10:00 | in-b
    mobile       | 1 10:00 | in-b
    mobile       | 2 10:00 | in-B
    mobile       | 3 10:00 | in-b
    irregular    | 1 10:00 | in-b
    irregular    | 3 10:00 | in-b
    gone         | 1 10:00 | in-b
    """
)


def test_mobility_classification(stage_in_utc: Stage, executor: str) -> None:
    days = [on(1), on(2), on(3)]
    assert answer(stage_in_utc, classified(*days), LIVES, executor) == [
        ("irregular", "irregular"),
        ("mobile", "mobile"),
        ("stable", "stable"),
    ]
    assert answer(stage_in_utc, classified(*days, threshold=1), LIVES, executor) == [
        ("irregular", "irregular"),
        ("mobile", "stable"),
        ("stable", "stable"),
    ]


def test_those_who_were_nowhere_are_told_apart(stage_in_utc: Stage, executor: str) -> None:
    # Over days 1 and 2 stable and mobile have no majority.
    assert answer(stage_in_utc, classified(on(3), on(1, 2)), LIVES, executor) == [
        ("gone", "irregular"),
        ("irregular", "stable"),
        ("mobile", "unlocated"),
        ("stable", "unlocated"),
    ]
    assert answer(stage_in_utc, classified(on(1, 2), on(3)), LIVES, executor) == [
        ("irregular", "stable"),
        ("mobile", "not_always_locatable"),
        ("stable", "not_always_locatable"),
    ]
