"""Check all direct-use kinds: what they refuse, and that they stay direct."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import pytest

from flowmachine.queries import ContactBalance, EventCount, PerContactEventStats, SpatialAggregate
from flowmachine.queries.catalogue import all_kinds, kinds, load, load_any, submittable_kinds
from flowmachine.spec.query import NotBuildable

from .activity.test_active_subscribers import ACTIVE, everybody
from .contacts.test_contacts import CONTACTS, RECIPROCAL
from .specs import WINDOW
from .world import Stage

DIRECT = sorted(all_kinds().keys() - kinds().keys())
BALANCE = {"query_kind": "contact_balance", **WINDOW}

REFUSED: list[tuple[dict[str, Any], Any]] = [
    (BALANCE | {"direction": "up"}, {"direction": ["Must be one of: in, out, both."]}),
    (BALANCE | {"exclude_self_calls": None}, {"exclude_self_calls": ["Field may not be null."]}),
    (
        {"query_kind": "location_entropy", **WINDOW, "aggregation_unit": "cells"},
        {
            "aggregation_unit": [
                "Must be one of: admin0, admin1, admin2, admin3, lon-lat, cell, versioned-cell, versioned-site, "
                "grid-100m, grid-1km, grid-10km."
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
    # A submitted spec must not name a direct-use kind.
    counts = {"query_kind": "unique_subscriber_counts", **WINDOW, "aggregation_unit": "admin3"}
    with pytest.raises(ma.ValidationError):
        load(counts | {"subscriber_subset": everybody(1, 2).spec()})
    assert load_any(counts | {"subscriber_subset": everybody(1, 2).spec()})
