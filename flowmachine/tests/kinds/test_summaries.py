"""Hold the one-line summary of every kind to a world counted by hand."""

from __future__ import annotations

import pytest

from flowmachine.queries.catalogue import all_kinds, load_any

from .oracle import equal
from .sayings import SAYINGS
from .world import Stage


@pytest.mark.parametrize("kind", all_kinds())
def test_a_summary_says_what_the_numbers_are(
    stage_in_utc: Stage, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = all_kinds()[kind]
    assert kind in SAYINGS, f"say what a reader of its summary expects: says({kind!r}, {cls.summary!r}, ...)"
    saying = SAYINGS[kind]
    assert saying.sentence == cls.summary, "read the summary again: does it say what these rows are?"
    executor = "postgres" if cls.needs_database else "duckdb"
    query = load_any(saying.spec())
    monkeypatch.setenv("FLOWMACHINE_TEST_KINDS", "on")
    with stage_in_utc.loaded(saying.world, saying.more) as (connection, state):
        rows = stage_in_utc.run(query, saying.world, executor, connection, state)
    assert rows, "no row tells nothing"
    assert (told := saying.differs(rows, equal)) is None, told


def test_what_is_said_is_a_kind() -> None:
    assert set(SAYINGS) == set(all_kinds())
