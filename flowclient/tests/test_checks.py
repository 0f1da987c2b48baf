"""What a query's own check finds before the server does."""

from __future__ import annotations

import pytest
from flowclient_stub import Answer

import flowclient

UNITS = {"type": "string", "enum": ["admin2", "admin3"]}
SCHEMAS = {
    "FlowmachineQuerySchema": {
        "oneOf": [{"$ref": "#/components/schemas/SpatialAggregate"}],
        "discriminator": {
            "propertyName": "query_kind",
            "mapping": {"spatial_aggregate": "#/components/schemas/SpatialAggregate"},
        },
    },
    "SpatialAggregate": {
        "properties": {
            "query_kind": {"enum": ["spatial_aggregate"]},
            "locations": {"$ref": "#/components/schemas/ReferenceLocation"},
            "aggregation_unit": {"readOnly": True},
        },
        "required": ["query_kind", "locations"],
        "additionalProperties": False,
    },
    "ReferenceLocation": {
        "oneOf": [],
        "discriminator": {
            "propertyName": "query_kind",
            "mapping": {
                "daily_location": "#/components/schemas/DailyLocation",
                "modal_location": "#/components/schemas/ModalLocation",
            },
        },
    },
    "DailyLocation": {
        "properties": {
            "query_kind": {"enum": ["daily_location"]},
            "date": {"type": "string"},
            "aggregation_unit": UNITS,
            "method": {"type": "string", "enum": ["last", "most-common"]},
            "hours": {"allOf": [{"$ref": "#/components/schemas/Hours"}], "nullable": True},
            **{
                name: {"type": "string", "nullable": True}
                for name in ("subscriber_subset", "mapping_table", "geom_table", "geom_table_join_column")
            },
            "event_types": {
                "type": "array",
                "nullable": True,
                "items": {"enum": ["calls", "sms", "mds", "topups"]},
            },
        },
        "required": ["query_kind", "date", "aggregation_unit", "method"],
        "additionalProperties": False,
    },
    "ModalLocation": {
        "properties": {
            "query_kind": {"enum": ["modal_location"]},
            "locations": {"type": "array", "items": {"$ref": "#/components/schemas/DailyLocation"}},
        },
        "required": ["locations"],
    },
    "Hours": {"properties": {"start_hour": {}, "end_hour": {}}, "required": ["start_hour", "end_hour"]},
}
DATES = Answer(200, {"available_dates": {"calls": ["2016-01-01"], "sms": ["2016-01-01", "2016-01-02"]}})


def daily(date="2016-01-01", **changes):
    given = {"aggregation_unit": "admin3", "method": "last", **changes}
    return flowclient.daily_location_spec(date=date, **given)


def modal(*locations):
    return flowclient.spatial_aggregate_spec(
        locations=flowclient.modal_location_spec(locations=list(locations))
    )


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (modal(daily(hours=(1, 2))), []),
        (
            modal(daily(), daily(method="first")),
            ["query.locations.locations.1.method = 'first': must be one of last, most-common."],
        ),
        (modal(daily(date=None)), ["query.locations.locations.0.date: must not be null."]),
        (modal({**daily(), "colour": 1}), ["query.locations.locations.0.colour: unknown field."]),
        (
            modal({"query_kind": "daily_location", "date": "2016-01-01", "method": "last"}),
            ["query.locations.locations.0.aggregation_unit: missing."],
        ),
        (
            modal(daily(event_types=["calls", "letters"])),
            [
                "query.locations.locations.0.event_types.1 = 'letters': must be one of calls, sms, mds, topups."
            ],
        ),
        (
            flowclient.spatial_aggregate_spec(locations={"query_kind": "flows"}),
            ["query.locations.query_kind = 'flows': must be one of daily_location, modal_location."],
        ),
        (daily(), ["query.query_kind = 'daily_location': must be one of spatial_aggregate."]),
        (
            {**modal(daily()), "aggregation_unit": "admin3"},
            ["query.aggregation_unit: unknown field."],
        ),
        (
            modal(daily("2016-01-02"), daily("2016-01-02", event_types=["calls"]), daily("2016-01-09")),
            ["No data for 2016-01-02.", "No data for 2016-01-09."],
        ),
    ],
)
def test_what_is_found(shell, server, connection, spec, found):
    server.script("GET", "spec/openapi.json", Answer(200, {"components": {"schemas": SCHEMAS}}))
    server.script("GET", "available_dates", DATES)
    assert shell.finish(connection.make_api_query(spec).check()) == found


def test_reversed_dates_and_days_of_a_span(shell, server, connection):
    server.script("GET", "spec/openapi.json", Answer(200, {}))
    server.script("GET", "available_dates", DATES)
    wrong = flowclient.radius_of_gyration_spec(start_date="2016-01-03", end_date="2016-01-01")
    assert shell.finish(connection.make_api_query(wrong).check()) == [
        "query.end_date = '2016-01-01': must be later than start_date '2016-01-03'."
    ]
    span = flowclient.radius_of_gyration_spec(start_date="2016-01-01", end_date="2016-01-04")
    assert shell.finish(connection.make_api_query(span).check()) == ["No data for 2016-01-03."]


def test_days_are_left_out_where_the_token_does_not_allow_them(shell, server, connection):
    server.script("GET", "spec/openapi.json", Answer(200, {"components": {"schemas": SCHEMAS}}))
    server.script("GET", "available_dates", Answer(403, {"msg": "No."}))
    assert shell.finish(connection.make_api_query(modal(daily("2030-01-01"))).check()) == []
