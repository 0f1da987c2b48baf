"""No state of a job is written but by an event of the transition table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

import flowmachine
from flowmachine.jobs.table import FIRST_STATE, TRANSITIONS

SOURCES = Path(flowmachine.__file__).parent
#: The one statement that changes states, and the two that make rows.
WRITERS = {("table.py", "moved"), ("submitting.py", "_SUBMIT"), ("planning.py", "enqueue_parts")}


def writers_of_states(path: Path) -> Iterator[tuple[str, str]]:
    """Yield file and top-level name of each ``values`` call or dict setting ``state``."""
    for statement in ast.parse(path.read_text()).body:
        name = getattr(statement, "name", None) or ast.unparse(getattr(statement, "targets", [statement])[0])
        for node in ast.walk(statement):
            sets = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("values")
            if sets and any(keyword.arg == "state" for keyword in node.keywords):
                yield path.name, name


def test_states_change_by_events_only() -> None:
    files = [*SOURCES.rglob("*.py")]
    assert len(files) > 100
    assert {found for path in files for found in writers_of_states(path)} == WRITERS


def test_every_state_can_be_left_and_reached() -> None:
    reached = {FIRST_STATE, *(target for _, target in TRANSITIONS.values())}
    left = {source for sources, _ in TRANSITIONS.values() for source in sources}
    assert reached == left


def test_the_table_allows_the_states_of_the_code(engine: sa.Engine) -> None:
    statement = sa.text(
        "INSERT INTO engine.jobs (query_id, store, kind, spec, state)"
        " VALUES (:query_id, 'released', 'flows', '{}', :state)"
    )
    with engine.begin() as connection:
        for number, state in enumerate(
            sorted({FIRST_STATE, *(target for _, target in TRANSITIONS.values())})
        ):
            connection.execute(statement, {"query_id": f"{number:032x}", "state": state})
        with pytest.raises(sa.exc.IntegrityError) as raised:
            connection.execute(statement, {"query_id": "f" * 32, "state": "asleep"})
    assert isinstance(raised.value.orig, psycopg2.errors.CheckViolation)
