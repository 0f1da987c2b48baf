"""Contacts, gaps, durations and who is active: kinds of direct use, on worlds drawn as tables."""

from __future__ import annotations

import math
from typing import Any

import marshmallow as ma
import pytest

from flowmachine.queries import (
    ContactBalance,
    ContactReciprocal,
    CounterpartsSubset,
    EventCount,
    NewSubscribers,
    PerContactEventStats,
    SpatialAggregate,
    UniqueSubscribers,
)
from flowmachine.queries.catalogue import all_kinds, kinds, load, load_any, submittable_kinds
from flowmachine.spec.query import NotBuildable

from .world import Stage, World, drawn

WINDOW = {"start_date": "2016-01-01", "end_date": "2016-01-04"}


def rows(stage: Stage, executor: str, world: World, kind: str, **fields: Any) -> list[Any]:
    spec = {"query_kind": kind, **fields}
    return stage.evaluate(load_any(spec), world, executor)


def near(*expected: Any) -> list[Any]:
    """Rows whose numbers are floating."""
    return [
        tuple(pytest.approx(value) if isinstance(value, float) else value for value in row)
        for row in expected
    ]


CONTACTS = drawn(
    """
    subscriber | time    | counterpart | outgoing | cell
    ann        | 1 10:00 | bob         | out      | in-b
    ann        | 1 11:00 | bob         | in       | in-b
    ann        | 1 12:00 | bob         | in       | unknown
    ann        | 2 10:00 | cat         | out      | -
    ann        | 2 11:00 | ann         | out      | in-B
    ann        | 2 10:30 | -           | out      | in-b
    bob        | 1 10:00 | ann         | in       | in-B
    """
)


def test_balance(stage_in_utc: Stage, executor: str) -> None:
    found = rows(stage_in_utc, executor, CONTACTS, "contact_balance", **WINDOW)
    assert found == [("ann", "bob", 3, 0.75), ("ann", "cat", 1, 0.25), ("bob", "ann", 1, 1.0)]
    out = rows(
        stage_in_utc,
        executor,
        CONTACTS,
        "contact_balance",
        **WINDOW,
        direction="out",
        exclude_self_calls=False,
    )
    assert out == near(("ann", "ann", 1, 1 / 3), ("ann", "bob", 1, 1 / 3), ("ann", "cat", 1, 1 / 3))


@pytest.mark.parametrize(
    ("include", "people"), [(False, ["ann", "bob", "cat"]), (True, ["ann", "bob", "cat", "dan"])]
)
def test_contacts_are_subscribers(
    stage_in_utc: Stage, executor: str, include: bool, people: list[str]
) -> None:
    world = drawn(
        """
        subscriber | time    | counterpart | outgoing
        ann        | 1 10:00 | bob         | out
        ann        | 1 10:00 | cat         | out
        dan        | 1 11:00 | ann         | out
        bob        | 2 11:00 | x           | out
        eve        | 2 11:00 | x           | out
        """
    )
    first_day = ContactBalance(start_date="2016-01-01", end_date="2016-01-02")
    contacts = first_day.counterparts_subset(include_subscribers=include)
    assert isinstance(contacts, CounterpartsSubset)
    assert stage_in_utc.evaluate(contacts, world, executor) == [(name,) for name in people]
    # Of Bob and Eve, both active on the second day, Bob alone was somebody's contact on the first.
    events = EventCount(start_date="2016-01-02", end_date="2016-01-03", subscriber_subset=contacts)
    assert stage_in_utc.evaluate(events, world, executor) == [("bob", 1)]
    assert load_any(events.spec()) == events


RECIPROCAL = ContactReciprocal(**WINDOW)


def test_reciprocal_contacts(stage_in_utc: Stage, executor: str) -> None:
    # Ann's call to herself and the one with nobody known are with no contact.
    assert stage_in_utc.evaluate(RECIPROCAL, CONTACTS, executor) == [
        ("ann", "bob", 2, 1, 1.0, 0.5, True),
        ("ann", "cat", 0, 1, 0.0, 0.5, False),
        ("bob", "ann", 1, 0, 1.0, 0.0, False),
    ]


def test_shares_of_reciprocal_contacts_and_events(stage_in_utc: Stage, executor: str) -> None:
    of_contacts = rows(
        stage_in_utc,
        executor,
        CONTACTS,
        "proportion_contact_reciprocal",
        contact_reciprocal=RECIPROCAL,
    )
    assert of_contacts == [("ann", 0.5), ("bob", 0.0)]
    # One of Ann's four outgoing events is with Bob; three of her six.
    for direction, share in (("out", [("ann", 0.25)]), ("both", [("ann", 0.5), ("bob", 0.0)])):
        found = rows(
            stage_in_utc,
            executor,
            CONTACTS,
            "proportion_event_reciprocal",
            **WINDOW,
            contact_reciprocal=RECIPROCAL,
            direction=direction,
        )
        assert found == share


HALF_AND_QUARTERS = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)


def test_entropy_of_contacts(stage_in_utc: Stage, executor: str) -> None:
    found = rows(stage_in_utc, executor, CONTACTS, "contact_entropy", **WINDOW)
    three_to_one = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert found == near(("ann", three_to_one), ("bob", 0.0))


def test_entropy_of_places(stage_in_utc: Stage, executor: str) -> None:
    found = rows(stage_in_utc, executor, CONTACTS, "location_entropy", **WINDOW)
    # Three events at one cell, one at a cell that is in no list, one at a third, one nowhere.
    cells = 0.6 * math.log(5 / 3) + 2 * 0.2 * math.log(5)
    assert found == near(("ann", cells), ("bob", 0.0))
    regions = rows(stage_in_utc, executor, CONTACTS, "location_entropy", **WINDOW, aggregation_unit="admin3")
    assert regions == near(("ann", 0.75 * math.log(4 / 3) + 0.25 * math.log(4)), ("bob", 0.0))


@pytest.mark.parametrize(
    ("phase", "value"),
    [
        ("hour", HALF_AND_QUARTERS),
        ("day", math.log(2)),
        ("minute", 0.75 * math.log(4 / 3) + 0.25 * math.log(4)),
        # Saturday and Friday; one week, one year.
        ("dow", math.log(2)),
        ("week", 0.0),
        ("year", 0.0),
    ],
)
def test_entropy_of_times(stage_in_utc: Stage, executor: str, phase: str, value: float) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | -
        ann        | 2 10:00 | -
        ann        | 1 11:00 | -
        ann        | 2 12:30 | -
        """
    )
    found = rows(stage_in_utc, executor, world, "periodic_entropy", **WINDOW, phase=phase)
    assert found == [("ann", pytest.approx(value, abs=1e-12))]


def test_hours_are_those_of_the_wall_clock(stage_in_nepal: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | -
        ann        | 1 10:59 | -
        """
    )
    # An hour of Kathmandu's clock lies in two hours of UTC.
    assert rows(stage_in_nepal, executor, world, "periodic_entropy", **WINDOW) == [("ann", 0.0)]


GAPS = drawn(
    """
    subscriber | time    | outgoing
    ann        | 1 10:00 | out
    ann        | 1 11:30 | out
    ann        | 1 12:00 | in
    ann        | 1 11:30 | out
    ann        | 3 11:30 | out
    bob        | 1 10:00 | out
    cat        | 1 10:00 | in
    """
)


@pytest.mark.parametrize(
    ("statistic", "seconds", "hours", "alone"),
    [
        ("avg", 59400.0, 16, None),
        ("count", 3, 3, 0),
        ("sum", 178200.0, 49, None),
        ("min", 0.0, 0, None),
        ("max", 172800.0, 48, None),
        ("median", 5400.0, 1, None),
        ("mode", 0.0, 0, None),
        ("stddev", (5400**2 + 172800**2 - 178200**2 / 3) ** 0.5 / 2**0.5, 27, None),
        ("variance", (5400**2 + 172800**2 - 178200**2 / 3) / 2, 744, None),
    ],
)
def test_gaps(
    stage_in_utc: Stage, executor: str, statistic: str, seconds: Any, hours: int, alone: Any
) -> None:
    """Gaps of 5400, 0 and 172800 seconds; who had one event had no gap."""
    found = rows(stage_in_utc, executor, GAPS, "interevent_interval", **WINDOW, statistic=statistic)
    assert found == near(("ann", seconds), ("bob", alone))
    whole = rows(stage_in_utc, executor, GAPS, "interevent_period", **WINDOW, statistic=statistic)
    assert whole == [("ann", hours), ("bob", alone)]


def test_gaps_between_events_of_both_directions(stage_in_utc: Stage, executor: str) -> None:
    days = rows(
        stage_in_utc,
        executor,
        GAPS,
        "interevent_period",
        **WINDOW,
        direction="both",
        statistic="max",
        time_resolution="day",
    )
    # Half an hour less than two days, since the incoming event lies between.
    assert days == [("ann", 1), ("bob", None), ("cat", None)]


#: Two calls between Ann and Bob, each in both their records; in the second both are elsewhere.
CALLS = drawn(
    """
    subscriber | time    | id | type  | outgoing | counterpart | duration | cell
    ann        | 1 10:00 | a  | calls | out      | bob         | 10       | in-b
    bob        | 1 10:00 | a  | calls | in       | ann         | 10       | in-B
    ann        | 1 11:00 | b  | calls | out      | bob         | 30       | in-B
    bob        | 1 11:00 | b  | calls | in       | ann         | 30       | in-a1
    ann        | 1 12:00 | c  | calls | out      | cat         | 5        | in-b
    ann        | 1 13:00 | d  | calls | out      | -           | 100      | in-b
    ann        | 1 14:00 | a  | sms   | out      | bob         | -        | in-b
    bob        | 1 14:00 | a  | sms   | in       | ann         | -        | in-b
    """
)


@pytest.mark.parametrize(
    ("statistic", "value"), [("sum", 145.0), ("count", 4), ("max", 100.0), ("median", 20.0)]
)
def test_durations(stage_in_utc: Stage, executor: str, statistic: str, value: Any) -> None:
    found = rows(stage_in_utc, executor, CALLS, "subscriber_call_durations", **WINDOW, statistic=statistic)
    assert found == [("ann", value)]


def test_durations_by_place_and_contact(stage_in_utc: Stage, executor: str) -> None:
    def found(kind: str, **fields: Any) -> list[Any]:
        return rows(stage_in_utc, executor, CALLS, kind, **WINDOW, **fields)

    assert found("per_location_subscriber_call_durations") == [("ann", "B", 30.0), ("ann", "b", 115.0)]
    by_cell = found("per_location_subscriber_call_durations", aggregation_unit="cell", direction="in")
    assert by_cell == [("bob", "in-B", 10.0), ("bob", "in-a1", 30.0)]
    assert found("paired_subscriber_call_durations", direction="both") == [
        ("ann", "bob", 40.0),
        ("ann", "cat", 5.0),
        ("bob", "ann", 40.0),
    ]
    # Cat's record is not there.
    assert found("paired_per_location_subscriber_call_durations") == [
        ("ann", "B", "bob", "a 1", 30.0),
        ("ann", "b", "bob", "B", 10.0),
    ]


def test_the_other_party_need_not_be_in_the_subset(stage_in_utc: Stage, executor: str) -> None:
    callers = {"query_kind": "event_count", **WINDOW, "direction": "out"}
    found = rows(
        stage_in_utc,
        executor,
        CALLS,
        "paired_per_location_subscriber_call_durations",
        **WINDOW,
        subscriber_subset=callers,
        statistic="count",
    )
    assert found == [("ann", "B", "bob", "a 1", 1), ("ann", "b", "bob", "B", 1)]


def test_distance_of_contacts(stage_in_utc: Stage, executor: str) -> None:
    found = rows(
        stage_in_utc,
        executor,
        CALLS,
        "distance_counterparts",
        **WINDOW,
        statistic="max",
        event_types=["calls"],
    )
    # In the second call: one and a quarter degrees of longitude at 28 degrees north, and one of latitude.
    east, north = 1.25 * 111.32 * math.cos(math.radians(28)), 110.85
    expected = pytest.approx(math.hypot(east, north), rel=0.005)
    assert found == [("ann", expected), ("bob", expected)]
    # A message with the id of a call is another event; they were at the same cell.
    counted = rows(stage_in_utc, executor, CALLS, "distance_counterparts", **WINDOW, statistic="count")
    assert counted == [("ann", 3), ("bob", 3)]


def test_a_cell_that_moved_is_where_it_was_on_the_day(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | id | outgoing | counterpart | cell
        ann        | 2 10:00 | a  | out      | bob         | moves
        bob        | 2 10:00 | a  | in       | ann         | in-b
        """
    )
    assert rows(stage_in_utc, executor, world, "distance_counterparts", **WINDOW) == [
        ("ann", 0.0),
        ("bob", 0.0),
    ]


@pytest.mark.parametrize(
    ("volume", "statistic", "value"),
    [("total", "sum", 6.0), ("upload", "max", 1.0), ("download", "count", 1), ("download", "stddev", None)],
)
def test_volumes(stage_in_utc: Stage, executor: str, volume: str, statistic: str, value: Any) -> None:
    world = drawn(
        """
        subscriber | time    | type  | volume_total | volume_upload | volume_download
        ann        | 1 10:00 | mds   | 2            | 0.5           | 1.5
        ann        | 1 11:00 | mds   | 4            | 1             | -
        bob        | 1 11:00 | calls | -            | -             | -
        """
    )
    fields = {"volume": volume, "statistic": statistic}
    assert rows(stage_in_utc, executor, world, "mds_volume", **WINDOW, **fields) == [("ann", value)]


def test_events_by_place_and_contact(stage_in_utc: Stage, executor: str) -> None:
    balance = ContactBalance(**WINDOW)
    for statistic, value in (("avg", 2.0), ("max", 3), ("sum", 4), ("median", 2.0)):
        found = rows(
            stage_in_utc,
            executor,
            CONTACTS,
            "per_contact_event_stats",
            contact_balance=balance,
            statistic=statistic,
        )
        assert found[0] == ("ann", value)
    # Of Ann's five events with a cell, three are at one; regions do not know one of the cells.
    for unit, value in (("cell", 5 / 3), ("admin3", 2.0)):
        found = rows(
            stage_in_utc,
            executor,
            CONTACTS,
            "per_location_event_stats",
            **WINDOW,
            aggregation_unit=unit,
        )
        assert found == near(("ann", value), ("bob", 1.0))


def everybody(start: int, end: int) -> UniqueSubscribers:
    return UniqueSubscribers(start_date=f"2016-01-0{start}", end_date=f"2016-01-0{end}")


def test_who_is_new(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time    | cell
        ann        | 1 10:00 | -
        ann        | 2 10:00 | -
        bob        | 1 10:00 | -
        cat        | 2 10:00 | in-b
        cat        | 2 11:00 | in-b
        """
    )
    assert stage_in_utc.evaluate(everybody(1, 3), world, executor) == [("ann",), ("bob",), ("cat",)]
    new = NewSubscribers(benchmark=everybody(1, 2), focal=everybody(2, 3))
    assert stage_in_utc.evaluate(new, world, executor) == [("cat",)]


ACTIVE = {
    "query_kind": "active_subscribers",
    "start_date": "2016-01-01",
    "minor_period_length": 8,
    "minor_periods_per_major_period": 3,
    "total_major_periods": 3,
    "minor_period_threshold": 2,
    "major_period_threshold": 2,
}


def test_who_is_active(stage_in_utc: Stage, executor: str) -> None:
    world = drawn(
        """
        subscriber | time       | cell
        ann        | 1 00:00    | -
        ann        | 1 08:00    | -
        ann        | 3 15:59:59 | -
        ann        | 3 16:00    | -
        bob        | 1 01:00    | -
        bob        | 1 09:00    | -
        bob        | 2 07:00    | -
        bob        | 2 07:30    | -
        cat        | 2 00:00    | -
        cat        | 2 09:00    | -
        cat        | 2 17:00    | -
        """
    )
    # Bob's second day has but one active third; Cat has all thirds of a single day.
    assert stage_in_utc.evaluate(load_any(ACTIVE), world, executor) == [("ann",)]
    lenient = load_any(ACTIVE | {"minor_period_threshold": 1})
    assert stage_in_utc.evaluate(lenient, world, executor) == [("ann",), ("bob",)]


DIRECT = sorted(all_kinds().keys() - kinds().keys())
BALANCE = {"query_kind": "contact_balance", **WINDOW}

REFUSED: list[tuple[dict[str, Any], Any]] = [
    (BALANCE | {"direction": "up"}, {"direction": ["Must be one of: in, out, both."]}),
    (BALANCE | {"exclude_self_calls": None}, {"exclude_self_calls": ["Field may not be null."]}),
    (
        {"query_kind": "location_entropy", **WINDOW, "aggregation_unit": "cells"},
        {
            "aggregation_unit": [
                "Must be one of: admin0, admin1, admin2, admin3, lon-lat, cell, versioned-cell, versioned-site."
            ]
        },
    ),
    (
        {"query_kind": "periodic_entropy", **WINDOW, "phase": "epoch"},
        {
            "phase": [
                "Must be one of: second, minute, hour, day, dow, isodow, doy, week, month, quarter, year, isoyear,"
                " decade, century, millennium."
            ]
        },
    ),
    (
        {"query_kind": "interevent_period", **WINDOW, "time_resolution": "week"},
        {"time_resolution": ["Must be one of: second, minute, hour, day, month, year."]},
    ),
    (
        {"query_kind": "mds_volume", **WINDOW, "volume": "both"},
        {"volume": ["Must be one of: total, upload, download."]},
    ),
    (
        {"query_kind": "mds_volume", **WINDOW, "event_types": ["mds"]},
        {"event_types": ["Unknown field."]},
    ),
    (
        {"query_kind": "per_contact_event_stats", "contact_balance": {"query_kind": "event_count", **WINDOW}},
        {"contact_balance": {"query_kind": ["Must be one of: contact_balance."]}},
    ),
    (
        {"query_kind": "new_subscribers", "focal": {"query_kind": "unique_subscribers", **WINDOW}},
        {"benchmark": ["Missing data for required field."]},
    ),
    (
        ACTIVE | {"minor_period_threshold": 4, "major_period_threshold": 0},
        {"major_period_threshold": ["Must be greater than or equal to 1."]},
    ),
    (
        ACTIVE | {"minor_period_threshold": 4, "major_period_threshold": 4},
        {
            "minor_period_threshold": [
                "Must be less than or equal to minor_periods_per_major_period, which is 3."
            ],
            "major_period_threshold": ["Must be less than or equal to total_major_periods, which is 3."],
        },
    ),
    (
        ACTIVE | {"total_major_periods": 10**9},
        {"_schema": ["The periods end after the year 9999."]},
    ),
]


@pytest.mark.parametrize(("spec", "messages"), REFUSED)
def test_what_is_refused(spec: dict[str, Any], messages: Any) -> None:
    with pytest.raises(ma.ValidationError) as refused:
        load_any(spec)
    assert refused.value.normalized_messages() == messages


@pytest.mark.parametrize(
    "spec",
    [
        BALANCE | {"event_types": ["mds"]},
        {"query_kind": "contact_reciprocal", **WINDOW, "event_types": ["calls", "mds"]},
        {"query_kind": "contact_entropy", **WINDOW, "event_types": ["topups"], "direction": "in"},
        {"query_kind": "periodic_entropy", **WINDOW, "event_types": ["mds"], "direction": "in"},
        {"query_kind": "interevent_interval", **WINDOW, "event_types": ["mds"]},
        {"query_kind": "distance_counterparts", **WINDOW, "event_types": ["mds"]},
        {
            "query_kind": "proportion_event_reciprocal",
            **WINDOW,
            "event_types": ["mds"],
            "contact_reciprocal": RECIPROCAL,
        },
    ],
    ids=lambda spec: str(spec["query_kind"]),
)
def test_contacts_need_types_that_have_them(stage_in_utc: Stage, spec: dict[str, Any]) -> None:
    with (
        stage_in_utc.loaded(CONTACTS) as (_, data),
        pytest.raises(NotBuildable, match=r"are not columns of events\.(mds|topups)"),
    ):
        data.check(load_any(spec))


@pytest.mark.parametrize("kind", DIRECT)
def test_kinds_of_direct_use_stay_there(kind: str) -> None:
    assert kind not in submittable_kinds()
    with pytest.raises(ma.ValidationError) as refused:
        load({"query_kind": kind})
    assert refused.value.normalized_messages() == {"query_kind": [f"Unsupported value: {kind}"]}


def test_a_part_may_be_given_as_its_spec() -> None:
    assert PerContactEventStats(contact_balance=BALANCE) == PerContactEventStats(
        contact_balance=ContactBalance(**WINDOW)
    )


def test_a_subset_has_subscribers() -> None:
    daily = {"query_kind": "daily_location", "date": "2016-01-01", "method": "last"}
    aggregate = SpatialAggregate(locations=daily | {"aggregation_unit": "admin3"})
    with pytest.raises(NotBuildable, match="spatial_aggregate has no column subscriber"):
        EventCount(**WINDOW, subscriber_subset=aggregate)
    named = {"query_kind": "event_count", **WINDOW, "subscriber_subset": aggregate.query_id}
    with pytest.raises(NotBuildable, match="spatial_aggregate has no column subscriber"):
        load_any(named, find_spec={aggregate.query_id: aggregate.spec()}.get)
    # What is submitted may not name a kind of direct use.
    counts = {"query_kind": "unique_subscriber_counts", **WINDOW, "aggregation_unit": "admin3"}
    with pytest.raises(ma.ValidationError):
        load(counts | {"subscriber_subset": everybody(1, 2).spec()})
    assert load_any(counts | {"subscriber_subset": everybody(1, 2).spec()})
