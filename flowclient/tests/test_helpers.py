"""The functions over a connection, with their logging on."""

from __future__ import annotations

import datetime
import logging

import pandas
import pytest
from flowclient_stub import RECORDS, RESULT, RUN, Answer, make_token, polls

import flowclient
import flowclient.async_client
import flowclient.client

DATES = {"calls": ["2016-01-01", "2016-01-02"], "sms": ["2016-01-02"]}
CHECKS = [
    {"cdr_type": "calls", "type_of_query_or_check": "count"},
    {"cdr_type": "sms", "type_of_query_or_check": "count"},
]
LOADS = {
    "loads": [
        {
            "event_type": "sms",
            "date": "2016-01-02",
            "load_id": "b",
            "loaded_at": "2016-01-04T01:00:00+00:00",
            "first_loaded_at": "2016-01-03T01:00:00+00:00",
            "times_loaded": 2,
        }
    ],
    "cells_version": 3,
}
OUTCOMES = [
    {"cdr_date": "2016-01-01", "type_of_query_or_check": "count", "outcome": "12"},
    {"cdr_date": "2016-01-02", "type_of_query_or_check": "count", "outcome": "13.5"},
]
COLLECTION = {"type": "FeatureCollection", "features": []}
SCOPES = [
    "admin2:flows:daily_location",
    "admin2:flows:flows",
    "admin3:flows:flows",
    "nonspatial:histogram_aggregate:histogram_aggregate",
    "get_result",
    "run",
]
DESCRIPTION = {"components": {"securitySchemes": {"token": {"x-security-scopes": SCOPES}}}}
CALL_CHECK = {"event_type": "calls", "check_type": "count"}


@pytest.fixture(params=[logging.INFO, logging.DEBUG])
def logged(request, caplog, server):
    """Everything answers, and everything is logged."""
    caplog.set_level(request.param)
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls(1))
    server.script("GET", "get/abc", RESULT)
    server.script("GET", "get/abc.geojson", Answer(200, COLLECTION))
    server.script("GET", "geography/admin3", Answer(200, COLLECTION))
    server.script("GET", "available_dates", Answer(200, {"available_dates": DATES}))
    server.script("GET", "qa/", Answer(200, CHECKS))
    server.script("GET", "qa/calls/count/2016-01-01", Answer(200, "1254"))
    server.script("GET", "qa/calls/count?start_date=2016-01-01&end_date=2016-01-02", Answer(200, OUTCOMES))
    server.script("GET", "spec/openapi.json", Answer(200, DESCRIPTION))
    server.script("GET", "loads", Answer(200, LOADS))
    server.script("GET", "queries", Answer(200, {"queries": [{"query_id": "abc"}]}))
    return caplog


CALLS = {
    "run_query": ({"query_spec": {}}, "abc"),
    "query_is_ready": ({"query_id": "abc"}, lambda given: given[0] is False and given[1].status_code == 202),
    "get_status": ({"query_id": "abc"}, "executing"),
    "wait_for_query_to_be_ready": (
        {"query_id": "abc", "poll_interval": 0},
        lambda reply: reply.status_code == 303,
    ),
    "get_result_location_from_id_when_ready": ({"query_id": "abc", "poll_interval": 0}, "get/abc"),
    "get_json_dataframe": ({"location": "get/abc"}, pandas.DataFrame(RECORDS)),
    "get_result_by_query_id": ({"query_id": "abc", "poll_interval": 0}, pandas.DataFrame(RECORDS)),
    "get_geojson_result_by_query_id": ({"query_id": "abc", "poll_interval": 0}, COLLECTION),
    "get_result": ({"query_spec": {}, "poll_interval": 0}, pandas.DataFrame(RECORDS)),
    "get_geojson_result": ({"query_spec": {}, "poll_interval": 0}, COLLECTION),
    "get_geography": ({"aggregation_unit": "admin3"}, COLLECTION),
    "get_available_dates": ({"event_types": ["sms", "mds"]}, {"sms": ["2016-01-02"]}),
    "get_available_dates_df": (
        {},
        pandas.DataFrame(
            {"calls": [True, True], "sms": [False, True]},
            index=pandas.DatetimeIndex(["2016-01-01", "2016-01-02"], name="date"),
        ),
    ),
    "get_loads": ({}, LOADS),
    "get_available_qa_checks": ({"event_types": ["calls"]}, CHECKS[:1]),
    "get_available_qa_checks_df": ({}, pandas.DataFrame(CHECKS)),
    "get_qa_check_outcome": ({**CALL_CHECK, "event_date": datetime.date(2016, 1, 1)}, "1254"),
    "get_qa_check_outcomes": (
        {**CALL_CHECK, "start_date": datetime.date(2016, 1, 1), "end_date": "2016-01-02"},
        OUTCOMES,
    ),
    "get_qa_check_outcomes_df": (
        {**CALL_CHECK, "start_date": "2016-01-01", "end_date": datetime.date(2016, 1, 2)},
        pandas.DataFrame(OUTCOMES).assign(
            outcome=[12, 13.5], cdr_date=pandas.to_datetime(["2016-01-01", "2016-01-02"])
        ),
    ),
    "get_aggregation_units": ({}, ["admin2", "admin3"]),
    "get_available_queries": ({}, {"flows": ["admin2"]}),
    "get_queries": ({}, [{"query_id": "abc"}]),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_helper(shell, connection, logged, token, name):
    arguments, expected = CALLS[name]
    given = shell.call(name, connection=connection, **arguments)
    if isinstance(expected, pandas.DataFrame):
        pandas.testing.assert_frame_equal(given, expected, check_dtype=False, check_freq=False)
    elif callable(expected):
        assert expected(given)
    else:
        assert given == expected
    assert not any(part in logged.text for part in token.split("."))


def test_no_helper_is_left_out():
    for module, connect in ((flowclient.client, "connect"), (flowclient.async_client, "connect_async")):
        assert set(module.__all__) == {*CALLS, connect, "FlowclientConnectionError"}


def test_a_poll_logs_the_counts(shell, connection, server, caplog):
    caplog.set_level(logging.INFO, "flowclient")
    server.script("GET", "poll/abc", *polls(7))
    shell.call("query_is_ready", connection=connection, query_id="abc")
    assert caplog.record_tuples == [
        (
            shell.module.__name__,
            logging.INFO,
            "Query abc is not ready: 7 parts to run, 0 queued, 1 running.",
        )
    ]


def test_a_poll_answered_200_is_an_error(shell, connection, server):
    server.script("GET", "poll/abc", Answer(200, {"msg": "odd"}))
    with pytest.raises(flowclient.FlowclientConnectionError, match="Something went wrong: odd"):
        shell.call("query_is_ready", connection=connection, query_id="abc")


def test_outcomes_that_are_not_numbers_stay_text(shell, connection, server):
    outcomes = [*OUTCOMES, {**OUTCOMES[0], "outcome": "none"}]
    server.script("GET", "qa/calls/count?start_date=2016-01-01&end_date=2016-01-02", Answer(200, outcomes))
    frame = shell.call(
        "get_qa_check_outcomes_df",
        connection=connection,
        **CALL_CHECK,
        start_date="2016-01-01",
        end_date="2016-01-02",
    )
    assert list(frame["outcome"]) == ["12", "13.5", "none"]


@pytest.mark.parametrize(
    ("event_type", "check_type", "expected"),
    [
        (None, None, [("calls", "count"), ("sms", "count")]),
        ("sms", None, [("sms", "count")]),
        (None, "latest", []),
    ],
)
def test_outcomes_of_all_checks(shell, connection, server, event_type, check_type, expected):
    checks = [("calls", "count"), ("calls", "latest"), ("sms", "count")]
    there = [{"cdr_type": cdr_type, "type_of_query_or_check": check} for cdr_type, check in checks]
    server.script("GET", "qa/", Answer(200, there))
    for cdr_type, check in checks:
        row = {"cdr_date": "2016-01-01", "type_of_query_or_check": check, "outcome": "12"}
        answer = Answer(404, {}) if check == "latest" else Answer(200, [row])
        server.script("GET", f"qa/{cdr_type}/{check}?start_date=2016-01-01&end_date=2016-01-02", answer)
    frame = shell.call(
        "get_qa_check_outcomes_df",
        connection=connection,
        event_type=event_type,
        check_type=check_type,
        start_date="2016-01-01",
        end_date="2016-01-02",
    )
    assert list(frame.columns) == ["cdr_type", "cdr_date", "type_of_query_or_check", "outcome"]
    assert list(zip(frame["cdr_type"], frame["type_of_query_or_check"], strict=True)) == expected
    assert list(frame["outcome"]) == [12] * len(expected)


def test_a_check_of_times_leaves_the_counts_of_others_numbers(shell, connection, server):
    checks = {"count": "12", "latest_timestamp": "2016-01-01 23:59:00"}
    there = [{"cdr_type": "calls", "type_of_query_or_check": check} for check in checks]
    server.script("GET", "qa/", Answer(200, there))
    for check, outcome in checks.items():
        row = {"cdr_date": "2016-01-01", "type_of_query_or_check": check, "outcome": outcome}
        server.script(
            "GET", f"qa/calls/{check}?start_date=2016-01-01&end_date=2016-01-01", Answer(200, [row])
        )
    frame = shell.call(
        "get_qa_check_outcomes_df",
        connection=connection,
        event_type=None,
        check_type=None,
        start_date="2016-01-01",
        end_date="2016-01-01",
    )
    assert list(frame["outcome"]) == [12, "2016-01-01 23:59:00"]


def test_no_outcomes(shell, connection, server):
    server.script("GET", "qa/calls/count/2016-01-01", Answer(404, {"status": "not found", "msg": "None."}))
    with pytest.raises(FileNotFoundError):
        shell.call("get_qa_check_outcome", connection=connection, **CALL_CHECK, event_date="2016-01-01")


def test_a_geography_as_a_frame(shell, connection, server, logged):
    frame = shell.call("get_geography", connection=connection, aggregation_unit="admin3", format="geopandas")
    assert frame.crs.to_epsg() == 4326
    with pytest.raises(ValueError, match="Invalid format: 'x'"):
        shell.call("get_geography", connection=connection, aggregation_unit="admin3", format="x")


class FlowAuth:
    """Replies of the authentication app, in the transport's place."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    def request(self, method, url, headers, params, json, timeout):
        self.sent.append((method, url, dict(headers), json))
        return self.answers.pop(0)

    def close(self):
        """Nothing to release."""


class Reply:
    def __init__(self, status_code, body):
        self.status_code = status_code
        self.headers = {}
        self._body = body

    def json(self):
        return self._body


ASKED = {
    "flowauth_url": "https://flowauth.example.org",
    "username": "ada",
    "password": "secret words",
    "server": "TEST SERVER",
    "roles": ["analyst"],
    "nickname": "script",
    "lifetime": 30,
}


def test_a_token_for_a_script():
    wanted = make_token()
    app = FlowAuth(Reply(200, {"access_token": "session"}), Reply(201, {"token": wanted}))
    assert flowclient.get_token(**ASKED, transport=app) == wanted
    base = "https://flowauth.example.org/api/v1"
    assert app.sent == [
        ("POST", f"{base}/session", {}, {"username": "ada", "password": "secret words"}),
        (
            "POST",
            f"{base}/servers/TEST%20SERVER/tokens",
            {"Authorization": "Bearer session"},
            {"name": "script", "roles": ["analyst"], "lifetime_minutes": 30},
        ),
    ]


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(401, {"message": "Wrong password.", "code": 401}), r"Wrong password\."),
        (Reply(500, {"message": "Down.", "code": 500}), r"Down\."),
        (Reply(200, {}), "no 'access_token'"),
    ],
)
def test_a_refused_log_in(reply, text):
    with pytest.raises(flowclient.FlowclientConnectionError, match=text) as raised:
        flowclient.get_token(**ASKED, transport=FlowAuth(reply))
    assert "secret words" not in str(raised.value)
