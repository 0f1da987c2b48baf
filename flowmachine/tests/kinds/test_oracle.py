"""Compare every kind on drawn worlds with its plain-Python definition.

Both executors must give exactly the defined rows.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmachine.queries import _combining, _merging
from flowmachine.queries.catalogue import all_kinds, load_any
from flowmachine.spec import query as spec_query
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import NotBuildable
from flowmachine.sql import events, packed

from .drawing import SPECS, WORLDS, worlds
from .oracle import DEFINITIONS, NoData, Oracle, equal
from .world import EXECUTORS, Stage


@pytest.mark.parametrize("kind", sorted(SPECS))
@given(data=st.data())
def test_rows_are_as_defined(stage_in_nepal: Stage, kind: str, data: st.DataObject) -> None:
    check(stage_in_nepal, kind, data)


@pytest.mark.parametrize(
    "kind",
    [
        "daily_location",
        "radius_of_gyration",
        "trips_od_matrix",
        "location_event_counts",
        "total_network_objects",
        "jump_lengths",
    ],
)
@given(data=st.data())
def test_rows_are_as_defined_where_windows_are_read_whole(
    stage_in_nepal: Stage, kind: str, data: st.DataObject
) -> None:
    """With too many spans to read each by itself, dates are compared instead."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (events, spec_query):
            patch.setattr(module, "MOST_SPANS", 0)
        check(stage_in_nepal, kind, data)


@pytest.mark.parametrize("kind", ["daily_location", "most_frequent_location", "monthly_location"])
@given(data=st.data())
def test_rows_are_as_defined_where_few_events_fit_into_a_number(
    stage_in_nepal: Stage, kind: str, data: st.DataObject
) -> None:
    """Places with more events are compared by rows."""
    most = data.draw(st.integers(1, 3), "most events that fit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "_most_events", lambda span, regions: most)
        patch.setattr(packed, "_FEWEST_EVENTS", 1)
        check(stage_in_nepal, kind, data)


def check(stage_in_nepal: Stage, kind: str, data: st.DataObject) -> None:
    world = data.draw(WORLDS.get(kind, worlds)(), "world")
    spec = data.draw(SPECS[kind](), "spec")
    query = load_any(spec)
    try:
        expected = Oracle(stage_in_nepal, world).answer(spec)
    except NoData:
        with (
            stage_in_nepal.loaded(world) as (_, state),
            pytest.raises(NotBuildable, match="No data for date"),
        ):
            state.check(query)
        return
    if not isinstance(query, Aggregate):
        expected = sorted(expected, key=repr)
    # Judging takes half of an example's time, and has tests of its own: one of five is judged, too.
    judging = data.draw(st.sampled_from(["off"] * 4 + ["on"]), "FLOWMACHINE_DIFFERENCES")
    with (
        pytest.MonkeyPatch.context() as patch,
        stage_in_nepal.loaded(world) as (connection, state),
    ):
        patch.setenv("FLOWMACHINE_DIFFERENCES", judging)
        for executor in EXECUTORS:
            found = stage_in_nepal.run(query, world, executor, connection, state)
            assert equal(found, expected), f"{executor}: {found}\nexpected: {expected}"


def test_every_kind_has_a_definition() -> None:
    without_events = {"geography", "dummy_query", "dfs_metric_total_amount"}
    # Clusters and areas of places are held to what defines them in test_places.
    without_events |= {"location_cluster", "location_area"}
    # The set that stands for a subset is held to what packing promises in test_packing.
    without_events |= {"subscriber_set"}
    # These put together the rows of any query; test_direct compares them with what pandas makes of the same rows,
    # and test_direct_metrics with rows by hand.
    modules = {_combining.__name__, _merging.__name__}
    combinations = {kind for kind, cls in all_kinds().items() if cls.__module__ in modules}
    assert set(DEFINITIONS) == set(SPECS) == set(all_kinds()) - without_events - combinations
