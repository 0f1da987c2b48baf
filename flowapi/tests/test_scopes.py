"""Check that offered scopes cover every scope that can be needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowapi.scopes import geography_scope, lacking_scopes, needed_scopes, offered_scopes
from flowmachine.queries.catalogue import load
from flowmachine.queries.schema import query_schemas
from flowmachine.spec.nested import finer_within, kinds_within
from flowmachine.spec.places import UNITS as ALL_UNITS

UNITS = ["admin1", "lon-lat"]


def _kind(name: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"query_kind": {"type": "string", "enum": [name]}, **properties}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMAS = {
    "FlowmachineQuerySchema": {
        "oneOf": [_reference("Flows"), _reference("Joined"), _reference("Histogram")],
        "discriminator": {
            "propertyName": "query_kind",
            "mapping": {"flows": "#/components/schemas/Flows", "joined": "#/components/schemas/Joined"},
        },
    },
    "Flows": _kind(
        "flows", from_location=_reference("Location"), aggregation_unit={"enum": UNITS, "readOnly": True}
    ),
    "Joined": _kind(
        "joined",
        metric={"allOf": [_reference("Metric")], "nullable": True},
        aggregation_unit={"allOf": [_reference("Unit")], "nullable": True},
    ),
    "Histogram": _kind("histogram", metric=_reference("Metric")),
    "Unit": {"type": "string", "enum": [*UNITS, None]},
    "Location": {"oneOf": [_reference("Daily"), _reference("Modal")]},
    "Daily": _kind("daily", aggregation_unit={"enum": ["admin0"]}),
    "Modal": _kind("modal", locations={"type": "array", "items": _reference("Location")}),
    # What stands beside a reference is no part of the schema.
    "Metric": _kind("metric", subset=_reference("Modal") | _kind("beside")),
    "Unreachable": _kind("unreachable"),
}

SIMPLE = {"run", "get_result", "get_available_dates", "get_qa_checks"}


def test_offered_is_every_unit_kind_and_kind_below() -> None:
    expected = {f"{unit}:flows:{kind}" for unit in UNITS for kind in ("flows", "daily", "modal")}
    expected |= {f"{unit}:joined:{kind}" for unit in UNITS for kind in ("joined", "metric", "modal", "daily")}
    expected |= {f"nonspatial:histogram:{kind}" for kind in ("histogram", "metric", "modal", "daily")}
    assert offered_scopes(SCHEMAS) == sorted(expected | SIMPLE)


def test_cancel_is_offered_only_where_the_feature_is_on() -> None:
    assert set(offered_scopes(SCHEMAS, cancel=True)) - set(offered_scopes(SCHEMAS)) == {"cancel"}


def test_further_scopes_are_offered_where_a_kind_may_need_them() -> None:
    more = SCHEMAS | {"Histogram": SCHEMAS["Histogram"] | {"x-scopes": {"extremes": {"range": [None]}}}}
    assert set(offered_scopes(more)) - set(offered_scopes(SCHEMAS)) == {"extremes"}
    needed = needed_scopes(None, "histogram", ["histogram"], further=["extremes"])
    assert needed == {"nonspatial:histogram:histogram", "extremes"}


def test_needed_are_the_kinds_under_the_unit_of_the_whole() -> None:
    kinds = ["joined_spatial_aggregate", "daily_location", "displacement", "modal_location"]
    needed = needed_scopes("admin3", "joined_spatial_aggregate", kinds)
    assert needed == {f"admin3:joined_spatial_aggregate:{kind}" for kind in kinds}


def test_the_shapes_of_a_unit_have_a_scope() -> None:
    assert geography_scope("admin3") == "admin3:geography:geography"


def test_no_unit_is_nonspatial() -> None:
    assert needed_scopes(None, "histogram", ["histogram"]) == {"nonspatial:histogram:histogram"}


def test_a_kind_of_a_subset_is_held_with_any_scope_for_it() -> None:
    needed = needed_scopes("admin3", "flows", ["flows"], ["event_count"])
    own = "admin3:flows:flows"
    assert needed == {own, "*:*:event_count"}
    for held in ("nonspatial:histogram_aggregate:event_count", "admin1:flows:event_count"):
        assert lacking_scopes({own, held}, needed) == set()
    for other in ("event_count", "admin3:event_count:flows", "admin3:flows:unevent_count", "run:event_count"):
        assert lacking_scopes({own, other}, needed) == {"*:*:event_count"}
    assert lacking_scopes({"admin3:joined:flows", "admin3:flows:event_count"}, needed) == {own}


#: Specifications that the published client builds, and some of ours: they name every kind of the first release.
CASES = Path(__file__).parents[2] / "flowclient" / "tests" / "data" / "expected_specs.json"


def test_the_kinds_of_the_first_release_offer_as_many_scopes_as_the_published_ones() -> None:
    first = {case["spec"]["query_kind"] for case in json.loads(CASES.read_text())} | {"geography"}
    scopes = [scope.split(":") for scope in offered_scopes(query_schemas())]
    scopes.remove(["extremes"])
    assert len([scope for scope in scopes if first.issuperset(scope[1:])]) == 628


WINDOW = {"start_date": "2016-01-01", "end_date": "2016-01-03"}
# Specs of each shape around the strategy for their subset of subscribers.
anywhere = st.sampled_from(ALL_UNITS)


def _location(unit: str, subset: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    daily = st.fixed_dictionaries(
        {
            "query_kind": st.just("daily_location"),
            "date": st.just("2016-01-01"),
            "method": st.just("last"),
            "aggregation_unit": st.just(unit),
            "subscriber_subset": subset,
        }
    )
    return daily | st.fixed_dictionaries(
        {"query_kind": st.just("modal_location"), "locations": st.lists(daily, min_size=1, max_size=2)}
    )


def _metric(subset: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {
            "query_kind": st.sampled_from(["event_count", "radius_of_gyration", "subscriber_degree"]),
            "start_date": st.just(WINDOW["start_date"]),
            "end_date": st.just(WINDOW["end_date"]),
            "subscriber_subset": subset,
        }
    )


subsets = st.recursive(
    st.none(),
    lambda inner: anywhere.flatmap(lambda unit: _location(unit, inner)) | _metric(inner),
    max_leaves=5,
)


def _submitted(unit: str) -> st.SearchStrategy[Any]:
    location, metric = _location(unit, subsets), _metric(subsets)
    return st.one_of(
        st.fixed_dictionaries({"query_kind": st.just("spatial_aggregate"), "locations": location}),
        st.fixed_dictionaries(
            {"query_kind": st.just("flows"), "from_location": location, "to_location": location}
        ),
        st.fixed_dictionaries(
            {
                "query_kind": st.just("joined_spatial_aggregate"),
                "locations": location,
                "metric": metric,
                "method": st.just("avg"),
            }
        ),
        st.fixed_dictionaries(
            {"query_kind": st.just("histogram_aggregate"), "metric": metric, "bins": st.just({"n_bins": 5})}
        ),
    )


@given(anywhere.flatmap(_submitted))
def test_whoever_holds_all_that_is_offered_lacks_nothing_for_a_valid_spec(spec: dict[str, Any]) -> None:
    query = load(spec)
    unit = None if query.unit is None else query.unit.name
    needed = needed_scopes(unit, query.kind, *kinds_within(query), query.further_scopes, finer_within(query))
    offered = set(offered_scopes(query_schemas()))
    assert lacking_scopes(offered, needed) == set()
    assert {scope for scope in needed if not scope.startswith("*:*:")} <= offered
    assert {scope for scope in needed if scope.startswith("*:*:")} == {
        f"*:*:{kind}" for kind in _kinds_in_subsets(spec)
    }


def _kinds_in_subsets(value: Any, in_subset: bool = False) -> set[str]:
    """The kinds that the JSON of a spec names below a subset, at any depth."""
    if isinstance(value, list):
        return {kind for part in value for kind in _kinds_in_subsets(part, in_subset)}
    if not isinstance(value, dict):
        return set()
    own = {value["query_kind"]} if in_subset and "query_kind" in value else set()
    return own.union(
        *(_kinds_in_subsets(part, in_subset or name == "subscriber_subset") for name, part in value.items())
    )
