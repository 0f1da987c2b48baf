"""Check what a query's own check finds before the server does."""

from __future__ import annotations

import pytest
from flowclient_stub import Answer, make_token

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
            "date": {"type": "string", "format": "date-time"},
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


#: All that the queries here need.
KINDS = ("spatial_aggregate", "modal_location", "daily_location", "flows")
GRANTED = [
    "run",
    *(
        f"{unit}:{top}:{kind}"
        for unit in ("admin3", "admin2", "nonspatial")
        for top in KINDS
        for kind in KINDS
    ),
]


@pytest.fixture
def token():
    return make_token({"analyst": GRANTED})


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
        (
            modal({**daily(), "date": "1 January"}),
            [
                "query.locations.locations.0.date = '1 January': must be a date such as 2016-01-01 or 2016-01-01 12:00, "
                "without an offset."
            ],
        ),
        (
            modal(daily(), daily(aggregation_unit="admin2")),
            ["query.locations: what it is made of must have one aggregation unit, not admin2, admin3."],
        ),
        (modal({**daily(), "date": None}), ["query.locations.locations.0.date: must not be null."]),
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
def test_what_is_found(shell, server, token, spec, found):
    connection = shell.connect(server.url, token)
    server.script("GET", "spec/openapi.json", Answer(200, {"components": {"schemas": SCHEMAS}}))
    server.script("GET", "available_dates", DATES)
    assert shell.finish(connection.make_api_query(spec).check()) == found


MEANINGFUL = {
    "query_kind": "meaningful_locations_between_dates_od_matrix",
    "start_date_a": "2016-01-01",
    "end_date_a": "2016-01-02",
    "start_date_b": "2016-01-02",
    "end_date_b": "2016-01-04",
}
WHOLE = {"start_date": "2016-01-01", "end_date": "2016-01-04"}
CALENDAR = {"query_kind": "calendar_activity", "start_date": "2016-01-02", "total_periods": 2}


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (
            flowclient.radius_of_gyration_spec(start_date="2016-01-03", end_date="2016-01-01"),
            ["query.end_date = '2016-01-01': must be later than start_date '2016-01-03'."],
        ),
        (flowclient.radius_of_gyration_spec(**WHOLE), ["No data for 2016-01-03."]),
        # The end of a span has hours that count.
        (flowclient.radius_of_gyration_spec(start_date="2016-01-02", end_date="2016-01-02 12:00"), []),
        (
            flowclient.radius_of_gyration_spec(start_date="2016-01-02", end_date="2016-01-03 12:00"),
            ["No data for 2016-01-03."],
        ),
        (MEANINGFUL, ["No data for 2016-01-03."]),
        (
            {**MEANINGFUL, "start_date_b": "2016-01-05"},
            ["query.end_date_b = '2016-01-04': must be later than start_date_b '2016-01-05'."],
        ),
        (CALENDAR, ["No data for 2016-01-03."]),
        ({**CALENDAR, "period_unit": "hours", "period_length": 12}, []),
        ({**CALENDAR, "period_unit": "hours", "period_length": 13}, ["No data for 2016-01-03."]),
        (
            flowclient.topup_balance_spec(statistic="avg", **WHOLE),
            ["No data for 2016-01-01.", "No data for 2016-01-02."],
        ),
        ({"query_kind": "dfs_metric_total_amount", **WHOLE}, []),
    ],
)
def test_spans_and_their_days(shell, server, spec, found):
    of_kind = f"nonspatial:{spec['query_kind']}:{spec['query_kind']}"
    connection = shell.connect(server.url, make_token({"analyst": ["run", of_kind]}))
    server.script("GET", "spec/openapi.json", Answer(200, {}))
    dates = {
        "calls": ["2016-01-01"],
        "sms": ["2016-01-01", "2016-01-02"],
        "topups": ["2016-01-03"],
    }
    server.script("GET", "available_dates", Answer(200, {"available_dates": dates}))
    assert shell.finish(connection.make_api_query(spec).check()) == found


SPATIAL, DAILY = "admin3:spatial_aggregate:spatial_aggregate", "admin3:spatial_aggregate:daily_location"


@pytest.mark.parametrize(
    ("roles", "lacking"),
    [
        ({"a": ["run", SPATIAL, DAILY]}, []),
        ({"a": ["run", SPATIAL]}, [DAILY]),
        ({"a": ["run", SPATIAL], "b": ["run", SPATIAL, DAILY]}, []),
        # Scopes of several roles are not added up.
        ({"a": [SPATIAL], "b": [SPATIAL, DAILY]}, ["run"]),
        ({"a": ["run", SPATIAL, "admin2:spatial_aggregate:daily_location"]}, [DAILY]),
        ({}, [DAILY, SPATIAL, "run"]),
    ],
)
def test_what_the_token_lacks(shell, server, roles, lacking):
    connection = shell.connect(server.url, make_token(roles))
    server.script("GET", "spec/openapi.json", Answer(200, {}))
    server.script("GET", "available_dates", DATES)
    query = connection.make_api_query(flowclient.spatial_aggregate_spec(locations=daily()))
    assert shell.finish(query.check()) == [f"The token lacks {scope}." for scope in lacking]


def test_days_are_left_out_where_the_token_does_not_allow_them(shell, server, connection):
    server.script("GET", "spec/openapi.json", Answer(200, {"components": {"schemas": SCHEMAS}}))
    server.script("GET", "available_dates", Answer(403, {"msg": "No."}))
    assert shell.finish(connection.make_api_query(modal(daily("2030-01-01"))).check()) == []


@pytest.mark.parametrize(
    ("scopes", "lacking"),
    [
        (["run", SPATIAL, DAILY], ["*:*:event_count"]),
        # A subset's kinds may be granted for anything.
        (["run", SPATIAL, DAILY, "nonspatial:histogram_aggregate:event_count"], []),
    ],
)
def test_what_the_token_lacks_for_a_subset(shell, server, scopes, lacking):
    connection = shell.connect(server.url, make_token({"a": scopes}))
    server.script("GET", "spec/openapi.json", Answer(200, {}))
    server.script("GET", "available_dates", DATES)
    subset = flowclient.event_count_spec(start_date="2016-01-01", end_date="2016-01-02")
    spec = flowclient.spatial_aggregate_spec(locations=daily() | {"subscriber_subset": subset})
    problems = shell.finish(connection.make_api_query(spec).check())
    assert problems == [f"The token lacks {scope}." for scope in lacking]
