"""The grammar of scopes: what is offered covers whatever can be needed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowapi.scopes import collect_kinds, needed_scopes, offered_scopes

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
        aggregation_unit=_reference("Unit"),
    ),
    "Histogram": _kind("histogram", metric=_reference("Metric")),
    "Unit": {"type": "string", "enum": UNITS},
    "Location": {"oneOf": [_reference("Daily"), _reference("Modal")]},
    "Daily": _kind("daily", aggregation_unit={"enum": ["admin0"]}),
    "Modal": _kind("modal", locations={"type": "array", "items": _reference("Location")}),
    "Metric": _kind("metric", subset=_reference("Modal")),
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


def test_needed_are_the_kinds_at_any_depth_under_the_unit_of_the_whole() -> None:
    spec = {
        "query_kind": "joined_spatial_aggregate",
        "method": "avg",
        "locations": {"query_kind": "daily_location", "aggregation_unit": "admin3"},
        "metric": {
            "query_kind": "displacement",
            "reference_location": {
                "query_kind": "modal_location",
                "locations": [{"query_kind": "daily_location", "aggregation_unit": "lon-lat"}],
            },
        },
    }
    kinds = ["joined_spatial_aggregate", "daily_location", "displacement", "modal_location"]
    assert needed_scopes(spec, "admin3") == {f"admin3:joined_spatial_aggregate:{kind}" for kind in kinds}


def test_no_unit_is_nonspatial() -> None:
    assert needed_scopes({"query_kind": "histogram"}, None) == {"nonspatial:histogram:histogram"}


def test_a_very_deep_spec_is_read_without_recursion() -> None:
    spec: dict[str, Any] = {"query_kind": "daily"}
    for _ in range(50_000):
        spec = {"query_kind": "modal", "locations": [spec]}
    assert collect_kinds(spec) == {"daily", "modal"}


daily = st.just({"query_kind": "daily", "aggregation_unit": "admin0"})
location = st.recursive(
    daily,
    lambda inner: st.builds(
        lambda items: {"query_kind": "modal", "locations": items}, st.lists(inner, max_size=3)
    ),
    max_leaves=6,
)
metric = st.builds(
    lambda inner: {"query_kind": "metric", "subset": {"query_kind": "modal", "locations": [inner]}}, location
)
unit = st.sampled_from(UNITS)
submitted = st.one_of(
    st.tuples(st.builds(lambda inner: {"query_kind": "flows", "from_location": inner}, location), unit),
    st.tuples(
        st.builds(
            lambda inner, name: {"query_kind": "joined", "metric": inner, "aggregation_unit": name},
            metric,
            unit,
        ),
        unit,
    ),
    st.tuples(st.builds(lambda inner: {"query_kind": "histogram", "metric": inner}, metric), st.just(None)),
)


@given(submitted)
def test_whatever_a_valid_spec_needs_is_offered(case: tuple[dict[str, Any], str | None]) -> None:
    spec, whole_unit = case
    assert needed_scopes(spec, whole_unit) <= set(offered_scopes(SCHEMAS))
