"""Check that the benchmark covers every kind and that its page has its numbers.

Nothing here measures.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import pytest
from benchmarks import kinds_report
from benchmarks.kind_specs import ABOUT_MORE_THAN_A_WEEK, specification
from benchmarks.kind_statements import DATABASE_STATEMENTS, STATEMENTS
from benchmarks.kinds import compare_stored

from flowmachine.queries.catalogue import kinds, load_any

WEEK = (dt.date(2016, 1, 1), dt.date(2016, 1, 8))


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind not in ABOUT_MORE_THAN_A_WEEK])
def test_every_kind_has_a_specification_over_the_whole_window(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWMACHINE_TEST_KINDS", "on")
    query = load_any(specification(kind, WEEK))
    assert query.kind == kind
    for part in query.graph():
        part.check_buildable()
    days = {day for part in query.graph() for selection in part.events for day in selection.days}
    # A day of permanence reads the days beside it, as far as they are loaded.
    beside = int(any(part.kind == "permanence_of_day" for part in query.graph()))
    week = {WEEK[0] + dt.timedelta(n) for n in range(-beside, 7 + beside)}
    # A month is read as far as it is loaded.
    assert days <= week or ("month" in query.fields and days > week)


def test_every_kind_that_was_compared_keeps_its_one_statement() -> None:
    compared = {
        kind
        for found in kinds_report.numbers().values()
        for kind, entry in found["kinds"].items()
        if "hand_written_seconds" in entry
    }
    assert len(compared) == 47
    statements = [*STATEMENTS, *DATABASE_STATEMENTS]
    assert compared <= set(statements) <= set(kinds())
    assert len(statements) == len(set(statements))


def test_only_kinds_that_need_the_database_are_asked_of_it() -> None:
    asked = {kind for kind in (*STATEMENTS, *DATABASE_STATEMENTS) if kinds()[kind].needs_database}
    assert set(DATABASE_STATEMENTS) == asked


def test_the_page_is_made_of_the_numbers_and_lists_every_kind() -> None:
    page = (kinds_report.DOCS / "kinds.md").read_text()
    assert page == kinds_report.page(kinds_report.numbers())
    assert all(f"| `{kind}`" in page for kind in kinds())


def test_every_answer_was_equal() -> None:
    assert kinds_report.differing() == []


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ("SELECT 1 AS subscriber, 10 AS location, 0.3 AS value", "equal"),
        ("SELECT 1 AS subscriber, 10 AS location, 0.3000001 AS value", "0 equal of 1 here and 1 there"),
        ("SELECT 1 AS subscriber, 11 AS location, 0.3 AS value", "0 equal of 1 here and 1 there"),
        ("SELECT 1 AS subscriber, 10 AS location, NULL::DOUBLE AS value", "0 equal of 1 here and 1 there"),
        (
            "SELECT 1 AS subscriber, 10 AS location, 0.3 AS value UNION ALL SELECT 2, 10, 0.3",
            "1 equal of 1 here and 2 there",
        ),
    ],
)
def test_stored_results_are_compared_by_key_and_value(tmp_path: Path, theirs: str, expected: str) -> None:
    path = tmp_path / "ours.parquet"
    duckdb.sql(
        f"COPY (SELECT 1 AS subscriber, 10 AS location, 0.1::DOUBLE + 0.2::DOUBLE AS value) TO '{path}'"
    )
    assert compare_stored(path, duckdb.sql(theirs).to_arrow_table()) == expected
