"""Check who stands behind the rows of every kind, and that both executors agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from flowdb.keys import subscriber_key
from flowmachine.queries.catalogue import kinds, load_any
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import NotBuildable, query_kind, registered
from flowmachine.sql.contributors import rows_of
from flowmachine.sql.sketches import SKETCH, VALUE_SKETCH
from flowmachine.tables import ledger_results, ledger_rows

from .drawing import SPECS, WORLDS, worlds
from .sketching import defined
from .world import EXECUTORS, Stage

AGGREGATES = {kind: cls for kind, cls in kinds().items() if issubclass(cls, Aggregate)}
COMPARED = sorted(kind for kind, cls in AGGREGATES.items() if cls.uncompared is None and kind in SPECS)
EVENTS = ["aggregate_network_objects", "location_event_counts", "network_silence", "total_network_objects"]


def test_only_kinds_about_events_or_nobody_are_compared_with_nothing() -> None:
    uncompared = sorted(kind for kind, cls in AGGREGATES.items() if cls.uncompared is not None)
    assert uncompared == sorted([*EVENTS, "dummy_query", "geography"])


@pytest.mark.parametrize(
    "declared", [{}, {"uncompared": "why not", "contributors": lambda self, sources: None}]
)
def test_a_kind_says_who_stands_behind_its_rows_or_why_nobody_does(declared: dict[str, Any]) -> None:
    before = dict(registered)
    body = {"published": property(lambda self: None), **declared}
    with pytest.raises(
        TypeError, match=r"^unclear declares no contributors, and not why its rows have none$"
    ):
        query_kind("unclear")(type("Unclear", (Aggregate,), body))
    assert registered == before


@pytest.mark.parametrize("kind", COMPARED)
@settings(max_examples=max(settings.default.max_examples // 5, 1))
@given(data=st.data())
def test_each_subscriber_stands_once_behind_a_row(
    stage_in_utc: Stage, kind: str, data: st.DataObject
) -> None:
    """Check counts and sketches against loops over the contributors."""
    world = data.draw(WORLDS.get(kind, worlds)(), "world")
    query = load_any(data.draw(SPECS[kind](), "spec"))
    assert isinstance(query, Aggregate)
    with stage_in_utc.loaded(world) as (connection, state):
        try:
            state.check(query)
        except NotBuildable:
            reject()  # Some periods lie beyond the days that are loaded.
        ledgers = {}
        for executor in EXECUTORS:
            stage_in_utc.run(query, world, executor, connection, state)
            ledgers[executor] = ledger(connection)
        assert ledgers["duckdb"] == ledgers["postgres"]
        if query.sketches_itself:
            return
        sources = stage_in_utc.executors["postgres"].sources(state, connection)
        people = query.contributors(sources)
        names = list(people.c.keys())
        position = names.index("subscriber")
        behind: dict[Any, Counter[str]] = defaultdict(Counter)
        for row in connection.execute(sa.select(people)):
            key = tuple(map(str, row[:position]))
            if row[position] is not None:
                behind[key][row[position]] += 1
        assert all(set(people.values()) == {1} for people in behind.values())
        if query.adds_up:
            labels = [
                number for number, name in enumerate(names[:position]) if not name.startswith("location")
            ]
            rows_of_one = Counter(
                (subscriber, *(key[number] for number in labels))
                for key, people in behind.items()
                for subscriber in people
            )
            assert set(rows_of_one.values()) <= {1}, "set adds_up to False: rows make up no total"
        rows = connection.execute(rows_of(query, sources, sketched=True)).mappings()
        found = sorted(
            (row["subscribers"], *(row[name] for name in SKETCH)) for row in rows if row["subscribers"]
        )
        sets = [defined(map(subscriber_key, people)) for people in behind.values()]
        counts = map(len, behind.values())
        assert found == sorted((n, *sketch.values()) for n, sketch in zip(counts, sets, strict=True))


def ledger(connection: sa.Connection) -> list[tuple[Any, ...]]:
    """Return the rows of the last release."""
    last = sa.select(sa.func.max(ledger_results.c.release)).scalar_subquery()
    columns = [ledger_rows.c[name] for name in ("row_key", "subscribers", "served", *SKETCH, *VALUE_SKETCH)]
    return [
        tuple(row)
        for row in connection.execute(
            sa.select(*columns).where(ledger_rows.c.release == last).order_by(*columns)
        )
    ]
