"""Check each refusal field by field, and that valid specs survive a round trip."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmachine.queries import EventCount
from flowmachine.queries.catalogue import all_kinds, component_name, kinds, load, load_any, submittable_kinds

from .drawing import SPECS

DAILY = {
    "query_kind": "daily_location",
    "date": "2016-01-01",
    "method": "last",
    "aggregation_unit": "admin3",
}
WINDOW = {"start_date": "2016-01-01", "end_date": "2016-01-03"}
COUNTS = {"query_kind": "unique_subscriber_counts", **WINDOW, "aggregation_unit": "admin3"}
EVENTS = {"query_kind": "event_count", **WINDOW}
AGGREGATE = {"query_kind": "spatial_aggregate", "locations": DAILY}
FLOWS = {"query_kind": "flows", "from_location": DAILY, "to_location": DAILY}
JOINED = {
    "query_kind": "joined_spatial_aggregate",
    "locations": DAILY,
    "metric": EVENTS,
    "method": "avg",
}
LOCATION_EVENTS = COUNTS | {"query_kind": "location_event_counts", "interval": "day"}

HISTOGRAM = {"query_kind": "histogram_aggregate", "metric": EVENTS, "bins": {"n_bins": 2}}

UNITS = "admin0, admin1, admin2, admin3, lon-lat"
MISSING = ["Missing data for required field."]
NULL = ["Field may not be null."]
NO_DATETIME = ["Not a valid datetime."]
HOUR = ["Must be greater than or equal to 0 and less than or equal to 24."]
OF_64_BITS = [
    "Must be greater than or equal to -9223372036854775808 and less than or equal to 9223372036854775807."
]
SIZE_OR_FRACTION = ["Must provide exactly one of 'size' or 'fraction' for a random sample."]


def sampled(**sampling: Any) -> dict[str, Any]:
    return DAILY | {"sampling": sampling}


REFUSED: list[tuple[Any, Any]] = [
    # Kinds
    ("text", {"_schema": "Invalid data type: text"}),
    ({}, {"query_kind": MISSING}),
    ({"query_kind": None}, {"query_kind": MISSING}),
    ({"query_kind": "nonsense"}, {"query_kind": ["Unsupported value: nonsense"]}),
    (AGGREGATE | {"locations": {}}, {"locations": {"query_kind": MISSING}}),
    (AGGREGATE | {"locations": [1]}, {"locations": {"_schema": "Invalid data type: [1]"}}),
    (AGGREGATE | {"locations": EVENTS}, {"locations": {"query_kind": ["Unsupported value: event_count"]}}),
    (AGGREGATE | {"locations": None}, {"locations": NULL}),
    ({"query_kind": "spatial_aggregate"}, {"locations": MISSING}),
    (AGGREGATE | {"aggregation_unit": "admin3"}, {"aggregation_unit": ["Unknown field."]}),
    # Fields that are absent, null, unknown, of the wrong type or not in the set
    (
        {"query_kind": "daily_location"},
        {"date": MISSING, "method": MISSING, "aggregation_unit": MISSING},
    ),
    (DAILY | {"method": None}, {"method": NULL}),
    (DAILY | {"more": 1}, {"more": ["Unknown field."]}),
    (DAILY | {"method": "first"}, {"method": ["Must be one of: last, most-common."]}),
    (DAILY | {"method": 1}, {"method": ["Not a valid string."]}),
    (DAILY | {"aggregation_unit": "admin4"}, {"aggregation_unit": [f"Must be one of: {UNITS}."]}),
    (EVENTS | {"direction": "up"}, {"direction": ["Must be one of: in, out, both."]}),
    (EVENTS | {"direction": None}, {"direction": NULL}),
    # Dates
    *[
        (DAILY | {"date": wrong}, {"date": NO_DATETIME})
        for wrong in ("", 20160101, "2016-1-1", "tomorrow", "2016-01-01T00:00:00+05:00", True)
    ],
    (DAILY | {"date": None}, {"date": NULL}),
    # Event types
    (DAILY | {"event_types": []}, {"event_types": ["Shorter than minimum length 1."]}),
    (DAILY | {"event_types": "calls"}, {"event_types": ["Not a valid list."]}),
    (
        DAILY | {"event_types": ["calls", "letters"]},
        {"event_types": {"1": ["Must be one of: calls, sms, mds, topups."]}},
    ),
    # Hours
    (DAILY | {"hours": [8, 17]}, {"hours": {"_schema": ["Invalid input type."]}}),
    (DAILY | {"hours": {"start_hour": 8}}, {"hours": {"end_hour": MISSING}}),
    (DAILY | {"hours": {"start_hour": 8, "end_hour": 25}}, {"hours": {"end_hour": HOUR}}),
    (
        DAILY | {"hours": {"start_hour": "8.5", "end_hour": 9}},
        {"hours": {"start_hour": ["Not a valid integer."]}},
    ),
    (
        DAILY | {"hours": {"start_hour": True, "end_hour": 9}},
        {"hours": {"start_hour": ["Not a valid integer."]}},
    ),
    (
        DAILY | {"hours": {"start_hour": 24, "end_hour": 9}},
        {"hours": {"start_hour": ["Must be greater than or equal to 0 and less than or equal to 23."]}},
    ),
    # Numbers that a database cannot hold
    *[
        (sampled(sampling_method="system", seed=1, size=size), {"sampling": {"size": OF_64_BITS}})
        for size in (2**63, 10**40, "1" + 40 * "0", 1e40)
    ],
    (
        {"query_kind": "total_active_periods", "start_date": "2016-01-01", "total_periods": -(2**63) - 1},
        {"total_periods": OF_64_BITS},
    ),
    (HISTOGRAM | {"bins": {"n_bins": 2**63}}, {"bins": {"n_bins": OF_64_BITS}}),
    *[
        (
            HISTOGRAM | {"bins": {"n_bins": bins}, "range": [-highest, highest]},
            {"range": {"_schema": ["Is too wide to be cut into bins."]}},
        )
        for bins, highest in ((1, 1.7e308), (100, 1e306))
    ],
    # Subsets
    (
        DAILY | {"subscriber_subset": "everybody"},
        {"subscriber_subset": ["Must be None or a valid query id."]},
    ),
    (DAILY | {"subscriber_subset": "0" * 32}, {"subscriber_subset": ["Must be None or a valid query id."]}),
    (DAILY | {"subscriber_subset": ["ann"]}, {"subscriber_subset": ["Must be None or a valid query id."]}),
    # Samples
    (sampled(seed=1, size=1), {"sampling": {"sampling_method": MISSING}}),
    (
        sampled(sampling_method="system_rows", seed=1, size=1),
        {"sampling": {"sampling_method": ["Unsupported value: system_rows"]}},
    ),
    (sampled(sampling_method="system", seed=1), {"sampling": {"_schema": SIZE_OR_FRACTION}}),
    (
        sampled(sampling_method="system", seed=1, size=1, fraction=0.5),
        {"sampling": {"_schema": SIZE_OR_FRACTION}},
    ),
    (sampled(sampling_method="bernoulli", size=1), {"sampling": {"seed": MISSING}}),
    (
        sampled(sampling_method="random_ids", seed=2, size=1),
        {"sampling": {"seed": ["Must be greater than or equal to -1.0 and less than or equal to 1.0."]}},
    ),
    (
        sampled(sampling_method="system", seed=2, size=0),
        {"sampling": {"size": ["Must be greater than or equal to 1."]}},
    ),
    (
        sampled(sampling_method="system", seed=2, fraction=1),
        {"sampling": {"fraction": ["Must be greater than 0.0 and less than 1.0."]}},
    ),
    (
        sampled(sampling_method="system", seed="x", size=1),
        {"sampling": {"seed": ["Not a valid number."]}},
    ),
    # Single-kind nests
    ({"query_kind": "modal_location", "locations": []}, {"locations": ["Shorter than minimum length 1."]}),
    ({"query_kind": "modal_location", "locations": DAILY}, {"locations": ["Not a valid list."]}),
    (
        {"query_kind": "modal_location", "locations": [DAILY, DAILY | {"method": "first"}]},
        {"locations": {"1": {"method": ["Must be one of: last, most-common."]}}},
    ),
    (
        {"query_kind": "modal_location", "locations": [DAILY, DAILY | {"aggregation_unit": "admin2"}]},
        {"locations": ["All inputs to modal_location should have the same aggregation unit"]},
    ),
    # Rules between fields
    (
        FLOWS | {"to_location": DAILY | {"aggregation_unit": "admin2"}},
        {"_schema": ["'from_location' and 'to_location' parameters must have the same aggregation unit"]},
    ),
    (
        FLOWS | {"join_type": "cross"},
        {"join_type": ["Must be one of: inner, full outer, left, right, left outer, right outer."]},
    ),
    (FLOWS | {"join_type": None}, {"join_type": NULL}),
    (
        JOINED | {"method": "distr"},
        {"_schema": ["Must be one of: count, sum, avg, max, min, median, stddev, variance, mode."]},
    ),
    (
        JOINED | {"method": "middle"},
        {"method": ["Must be one of: count, sum, avg, max, min, median, stddev, variance, mode, distr."]},
    ),
    (LOCATION_EVENTS | {"interval": "week"}, {"interval": ["Must be one of: day, hour, min."]}),
    (
        LOCATION_EVENTS | {"end_date": "2016-01-01 12:00"},
        {"_schema": ["end_date must be at least one day after start_date."]},
    ),
    (
        COUNTS | {"query_kind": "total_network_objects", "total_by": "week"},
        {"total_by": ["Must be one of: second, minute, hour, day, month, year."]},
    ),
    (
        EVENTS | {"query_kind": "pareto_interactions", "proportion": 1.0},
        {"proportion": ["Must be greater than 0.0 and less than 1.0."]},
    ),
    (
        EVENTS | {"query_kind": "pareto_interactions", "proportion": float("nan")},
        {"proportion": ["Special numeric values (nan or infinity) are not permitted."]},
    ),
    (EVENTS | {"query_kind": "nocturnal_events"}, {"night_hours": MISSING}),
    (EVENTS | {"query_kind": "nocturnal_events", "night_hours": None}, {"night_hours": NULL}),
    (
        EVENTS | {"query_kind": "topup_amount", "statistic": "middle"},
        {"statistic": ["Must be one of: count, sum, avg, max, min, median, stddev, variance, mode."]},
    ),
    (
        EVENTS | {"query_kind": "displacement", "statistic": "avg", "reference_location": DAILY},
        {"reference_location": ["aggregation_unit must be lon-lat, not admin3."]},
    ),
    (
        {"query_kind": "total_active_periods", "start_date": "2016-01-01", "total_periods": 0},
        {"total_periods": ["Must be greater than or equal to 1."]},
    ),
    (
        {
            "query_kind": "total_active_periods",
            "start_date": "2016-01-01",
            "total_periods": "2.7",
            "sampling": None,
        },
        {"total_periods": ["Not a valid integer."], "sampling": ["Unknown field."]},
    ),
    (
        JOINED
        | {"metric": EVENTS | {"query_kind": "handset", "characteristic": "brand", "method": "most-common"}},
        {"_schema": ["Must be one of: distr, mode."]},
    ),
    (
        HISTOGRAM | {"bins": {"n_bins": 2, "bin_list": [1, 2]}},
        {"bins": {"_schema": ["Only one of n_bins or bin_list may be provided."]}},
    ),
    (HISTOGRAM | {"bins": {}}, {"bins": {"_schema": ["One of n_bins or bin_list must be provided."]}}),
    (HISTOGRAM | {"bins": {"n_bins": 0}}, {"bins": {"n_bins": ["Must be greater than or equal to 1."]}}),
    (
        HISTOGRAM | {"bins": {"bin_list": [1]}},
        {"bins": {"bin_list": ["Shorter than minimum length 2."]}},
    ),
    (HISTOGRAM | {"bins": {"bin_list": [2, 1]}}, {"bins": {"bin_list": ["Must be strictly ascending."]}}),
    (HISTOGRAM | {"range": None}, {"range": NULL}),
    (
        HISTOGRAM | {"range": {"lower_bound": 2, "upper_bound": 2}},
        {"range": {"_schema": ["lower_bound should be less than upper_bound"]}},
    ),
    (
        {"query_kind": "unmoving_counts", "locations": DAILY},
        {
            "locations": {
                "query_kind": ["Must be one of: unique_locations."],
                "start_date": MISSING,
                "end_date": MISSING,
                "date": ["Unknown field."],
                "method": ["Unknown field."],
            }
        },
    ),
    (
        {
            "query_kind": "unmoving_at_reference_location_counts",
            "locations": COUNTS | {"query_kind": "unique_locations"},
            "reference_locations": DAILY | {"aggregation_unit": "lon-lat"},
        },
        {"_schema": ["'locations' and 'reference_locations' parameters must have the same aggregation unit"]},
    ),
]


def test_event_types_given_as_a_tuple_are_checked_alike() -> None:
    with pytest.raises(ma.ValidationError) as refusal:
        EventCount(**WINDOW, event_types=("calls", "letters"))
    assert refusal.value.messages == {"event_types": {1: ["Must be one of: calls, sms, mds, topups."]}}
    assert EventCount(**WINDOW, event_types=("sms", "calls")).event_types == ("calls", "sms")


def texts(messages: Any) -> Any:
    """The messages as they go over the wire, where keys are text."""
    if isinstance(messages, dict):
        return {str(key): texts(value) for key, value in messages.items()}
    return messages


@pytest.mark.parametrize(("spec", "messages"), REFUSED, ids=lambda value: str(value)[:60])
def test_refusals(spec: Any, messages: dict[str, Any]) -> None:
    with pytest.raises(ma.ValidationError) as refusal:
        load_any(spec)
    assert texts(refusal.value.messages) == messages


def test_nested_kinds_cannot_be_submitted() -> None:
    for kind in set(kinds()) - set(submittable_kinds()):
        with pytest.raises(ma.ValidationError) as refusal:
            load({"query_kind": kind})
        assert refusal.value.messages == {"query_kind": [f"Unsupported value: {kind}"]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (DAILY, DAILY | {"date": "20160101"}),
        (DAILY, DAILY | {"date": "2016-01-01T00:00:00.9"}),
        (DAILY, DAILY | {"event_types": None, "hours": None, "sampling": None, "subscriber_subset": None}),
        (DAILY | {"event_types": ["sms", "calls"]}, DAILY | {"event_types": ["calls", "sms", "calls"]}),
        (EVENTS, EVENTS | {"direction": "both"}),
        (FLOWS, FLOWS | {"join_type": "inner"}),
        (
            DAILY | {"hours": {"start_hour": 8, "end_hour": 9}},
            DAILY | {"hours": {"start_hour": "8", "end_hour": 9.7}},
        ),
    ],
)
def test_equal_questions_have_one_identity(one: Any, other: Any) -> None:
    assert load_any(one).query_id == load_any(dict(reversed(other.items()))).query_id


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "most-common"},
        {"date": "2016-01-02"},
        {"aggregation_unit": "admin2"},
        {"event_types": ["calls"]},
        {"event_types": ["calls", "sms"]},
        {"hours": {"start_hour": 0, "end_hour": 24}},
        {"mapping_table": "geography.cell_regions"},
        {"subscriber_subset": EVENTS},
    ],
)
def test_different_questions_have_different_identities(changed: dict[str, Any]) -> None:
    assert load_any(DAILY).query_id != load_any(DAILY | changed).query_id


class NoTables:
    """Stand for a database of which specs may name no table."""

    def columns(self, name: str) -> None:
        return None

    def weights_problem(self, name: str, column: str) -> None:
        raise AssertionError("there is no table")


#: Specs of the kinds with a unit that are not drawn.
WITHOUT_EVENTS = {
    "geography": {"query_kind": "geography"},
    "dummy_query": {"query_kind": "dummy_query", "dummy_param": "x"},
}


@pytest.mark.parametrize(
    "kind", sorted(name for name, cls in all_kinds().items() if "mapping_table" in cls.fields)
)
@given(data=st.data())
def test_every_kind_with_a_unit_looks_for_its_tables(kind: str, data: st.DataObject) -> None:
    drawn = data.draw(SPECS.get(kind, lambda: st.just(WITHOUT_EVENTS[kind]))())
    names = [name for name in drawn if not name.startswith("geom_table")]
    spec = {name: drawn[name] for name in names} | {
        "aggregation_unit": "admin3",
        "mapping_table": "nosuch.table",
    }
    with pytest.raises(ma.ValidationError) as refusal:
        load_any(spec, tables=NoTables())
    assert refusal.value.messages == {"mapping_table": ["nosuch.table is not a known table."]}


@pytest.mark.parametrize("kind", sorted(SPECS))
@given(data=st.data())
def test_a_spec_survives_being_written_and_read(kind: str, data: st.DataObject) -> None:
    query = load_any(data.draw(SPECS[kind]()))
    again = load_any(query.spec())
    assert again.query_id == query.query_id
    assert again.spec() == query.spec()


def test_component_names_differ() -> None:
    assert len({component_name(kind) for kind in kinds()}) == len(kinds())
