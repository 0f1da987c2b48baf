"""Check the gate: unjudged kinds, the floor's lower bound, and lower floors."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from flowmachine.queries.catalogue import kinds, load_any
from flowmachine.settings import LOWEST_FLOOR
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import NothingPersonal, floor
from flowmachine.spec.query import NotBuildable
from flowsettings import SettingError

from .drawing import SPECS, WORLDS, worlds
from .land import DEVICES
from .world import EXECUTORS, Stage, drawn

#: Made of boundaries, of cell positions, or of nothing.
PUBLIC = {
    "geography": {"aggregation_unit": "admin3"},
    "dummy_query": {"dummy_param": "x", "aggregation_unit": "admin3"},
}

PRIVATE = sorted(kind for kind, cls in kinds().items() if issubclass(cls, Aggregate) and kind in SPECS)


def test_only_geography_is_not_judged() -> None:
    for kind, fields in PUBLIC.items():
        query = load_any({"query_kind": kind, **fields})
        assert isinstance(query, Aggregate)
        assert isinstance(query.published.rule, NothingPersonal)


@pytest.mark.parametrize("kind", PRIVATE)
@settings(max_examples=5)
@given(data=st.data())
def test_every_other_kind_is_judged(kind: str, data: st.DataObject) -> None:
    query = load_any(data.draw(SPECS[kind]()))
    assert isinstance(query, Aggregate)
    assert not isinstance(query.published.rule, NothingPersonal)


@pytest.mark.parametrize("kind", PRIVATE)
@settings(max_examples=max(settings.default.max_examples // 5, 1))
@given(data=st.data())
def test_fifteen_people_never_show(stage_in_utc: Stage, kind: str, data: st.DataObject) -> None:
    """Check that fifteen people never show, whatever they do and whatever is asked."""
    world = data.draw(WORLDS.get(kind, worlds)())
    people = sorted({event.subscriber for event in world.events})
    few = set(random.Random(0).sample(people, min(len(people), LOWEST_FLOOR)))
    small = replace(world, events=[event for event in world.events if event.subscriber in few])
    query = load_any(data.draw(SPECS[kind]()))
    with stage_in_utc.loaded(small) as (connection, state):
        try:
            state.check(query)
        except NotBuildable:
            reject()  # Some periods lie beyond the days that are loaded.
        for executor in EXECUTORS:
            rows = stage_in_utc.run(query, small, executor, connection, state)
            assert [row for row in rows if any(value is not None for value in row)] == []


SIZES = st.lists(st.sampled_from((1, 7, 8, 9, 15, 16, 17, 40)), min_size=1, max_size=len(DEVICES) + 1)


@given(sizes=SIZES)
def test_what_shares_leave_over_is_nobody_or_enough(
    stage_in_utc: Stage, executor: str, sizes: list[int]
) -> None:
    """Check that subtracting published shares from a total reveals no small group."""
    tacs = [*(device[0] for device in DEVICES), 99999999]
    lines = [
        f"{'abcd'[number]}1..{size} | 1 10:00 | in-b | {tacs[number]}" for number, size in enumerate(sizes)
    ]
    spec = {
        "query_kind": "joined_spatial_aggregate",
        "locations": {
            "query_kind": "daily_location",
            "date": "2016-01-01",
            "method": "last",
            "aggregation_unit": "admin3",
        },
        "metric": {
            "query_kind": "handset",
            "start_date": "2016-01-01",
            "end_date": "2016-01-02",
            "characteristic": "brand",
            "method": "last",
        },
        "method": "distr",
    }
    world = drawn("\n".join(["subscriber | time | cell | tac", *lines]))
    found = [round(row[-1] * sum(sizes)) for row in stage_in_utc.evaluate(load_any(spec), world, executor)]
    assert all(size > LOWEST_FLOOR for size in found)
    if found:
        left_over = sum(sizes) - sum(found)
        assert left_over == 0 or left_over > LOWEST_FLOOR


def test_the_floor_may_only_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    assert floor() == 15
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", "30")
    assert floor() == 30
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", "14")
    with pytest.raises(
        SettingError, match="FLOWMACHINE_RELEASE_FLOOR is '14'; it must be a whole number from 15"
    ):
        floor()


def test_the_floor_may_be_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLOWKIT_SECRETS", str(tmp_path))
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", "")  # A compose file passes unset variables like this.
    assert floor() == 15
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", "20")
    (tmp_path / "FLOWMACHINE_RELEASE_FLOOR").write_text("30\n")
    assert floor() == 30
    (tmp_path / "FLOWMACHINE_RELEASE_FLOOR").write_text("many\n")
    with pytest.raises(SettingError, match="FLOWMACHINE_RELEASE_FLOOR is 'many'; it must be a whole number"):
        floor()


def test_a_raised_floor_withholds_more(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = drawn("subscriber | time | cell\na1..30 | 1 10:00 | in-b\nb1..31 | 1 10:00 | in-B")
    daily = {
        "query_kind": "daily_location",
        "date": "2016-01-01",
        "method": "last",
        "aggregation_unit": "admin3",
    }
    query = load_any({"query_kind": "spatial_aggregate", "locations": daily})
    assert stage_in_utc.evaluate(query, world, executor) == [("B", 31), ("b", 30)]
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", "30")
    assert stage_in_utc.evaluate(query, world, executor) == [("B", 31)]
