"""Metrics of direct use in aggregates, and kinds that combine results."""

from __future__ import annotations

import marshmallow as ma
import pytest

from flowmachine.queries import (
    CombineFirst,
    EventCount,
    HistogramAggregate,
    Join,
    JoinedSpatialAggregate,
    PerContactEventStats,
    PeriodicEntropy,
    PerSubscriberStatistic,
    SpatialAggregate,
    SubscriberCallDurations,
    Unmoving,
)
from flowmachine.queries.catalogue import load, load_any

from .specs import daily, near, visits, window
from .world import Stage, drawn

DAYS = {"start_date": "2016-01-01", "end_date": "2016-01-03"}
#: Sixteen who call for ten seconds and seventeen for twenty, at two places.
CALLERS = drawn(
    """
    subscriber | time    | type  | outgoing | duration | cell
    a1..16     | 1 10:00 | calls | out      | 10       | in-b
    a1..16     | 2 11:00 | calls | out      | 10       | in-b
    b1..17     | 1 10:00 | calls | out      | 20       | in-B
    """
)


def test_a_metric_of_direct_use_is_summarised_by_place(stage_in_utc: Stage, executor: str) -> None:
    durations = SubscriberCallDurations(**DAYS)
    joined = JoinedSpatialAggregate(locations=daily(1), metric=durations, method="avg")
    assert stage_in_utc.evaluate(joined, CALLERS, executor) == [("B", 20.0), ("b", 20.0)]
    counted = HistogramAggregate(metric=durations, bins={"bin_list": [20, 40]})
    assert stage_in_utc.evaluate(counted, CALLERS, executor) == [(33, 20.0, 40.0)]
    assert load_any(joined.spec()) == joined
    # Nobody can submit it.
    with pytest.raises(ma.ValidationError, match="Unsupported value: subscriber_call_durations"):
        load(joined.spec())


def test_any_column_of_numbers_makes_a_metric(stage_in_utc: Stage, executor: str) -> None:
    entropy = PerSubscriberStatistic(query=PeriodicEntropy(**DAYS), column="entropy")
    joined = JoinedSpatialAggregate(locations=daily(1), metric=entropy, method="max")
    # Two hours equally often, and one hour.
    assert stage_in_utc.evaluate(joined, CALLERS, executor) == near(("B", 0.0), ("b", 0.6931471805599453))
    visited = PerSubscriberStatistic(
        query=visits(1, 2),
        column="value",
        statistic="sum",
    )
    assert stage_in_utc.evaluate(visited, CALLERS, executor)[0] == ("a1", 2)


@pytest.mark.parametrize(
    ("query", "column", "told"),
    [
        (EventCount(**DAYS), "subscriber", {"column": ["Must be one of: value."]}),
        (
            Unmoving(unique_locations=window("unique_locations")),
            "value",
            {"column": ["Must be one of: none."]},
        ),
        (
            SpatialAggregate(locations=daily(1)),
            "value",
            {"query": ["spatial_aggregate has no column subscriber."]},
        ),
    ],
)
def test_other_columns_make_none(query: object, column: str, told: object) -> None:
    with pytest.raises(ma.ValidationError) as refused:
        PerSubscriberStatistic(query=query, column=column)
    assert refused.value.normalized_messages() == told


def test_what_is_no_number_is_no_metric() -> None:
    with pytest.raises(ma.ValidationError, match="Unsupported value: unmoving"):
        JoinedSpatialAggregate(
            locations=daily(1), metric=Unmoving(unique_locations=window("unique_locations")), method="avg"
        )


def test_three_results_are_joined(stage_in_utc: Stage, executor: str) -> None:
    calls, durations = EventCount(**DAYS), SubscriberCallDurations(**DAYS)
    places = load_any(window("unique_location_counts"))
    joined = Join(left=Join(left=calls, right=durations), right=places, right_append="_third")
    found = stage_in_utc.evaluate(joined, CALLERS, executor)
    assert found[0] == ("a1", 2, 20.0, 1)
    assert found[-1] == ("b9", 1, 20.0, 1)
    assert len(found) == 33


def test_gaps_of_the_first_are_filled_from_the_second(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | in-b
        ann        | 2 10:00 | in-B
        bob        | 2 10:00 | in-B
        cat        | 1 10:00 | in-b
        """
    )
    first, second = load_any(daily(1)), load_any(daily(2))
    combined = CombineFirst(first=first, second=second)
    assert stage_in_utc.evaluate(combined, world, executor) == [("ann", "b"), ("bob", "B"), ("cat", "b")]
    # It has one place for each, so that it stands where its parts can.
    assert SpatialAggregate(locations=combined).unit == first.unit
    by_value = CombineFirst(first=EventCount(**DAYS), second=EventCount(**DAYS), on=("subscriber", "value"))
    assert by_value.stands_for == "combine_first"
    for wrong, told in (
        ({"second": EventCount(**DAYS)}, "Must have the same columns as first."),
        (
            {"second": load_any(daily(2, aggregation_unit="admin2"))},
            "Must have the same spatial unit as first.",
        ),
        ({"second": second, "on": ["time"]}, "Must be one of: subscriber, location."),
    ):
        with pytest.raises(ma.ValidationError, match=told):
            CombineFirst(first=first, **wrong)


def test_events_by_contact_are_a_metric() -> None:
    stats = PerContactEventStats(contact_balance={"query_kind": "contact_balance", **DAYS})
    assert HistogramAggregate(metric=stats, bins={"n_bins": 3}).metric == stats


def test_a_star_import_has_every_class() -> None:
    names: dict[str, object] = {}
    exec("from flowmachine.queries import *", names)  # noqa: S102
    assert names["DailyLocation"] is type(load_any(daily(1)))
    assert {"Join", "Unmoving", "Flows"} <= names.keys()
