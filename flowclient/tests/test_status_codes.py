"""Every kind of reply, to GET and to POST, from both shells."""

from __future__ import annotations

import logging

import pytest
from flowclient_stub import Answer

import flowclient

NOT_JSON = "<html>oops</html>"


def text_of(error: BaseException) -> str:
    return f"{error} {error!r} {error.__cause__!r} {getattr(error, 'payload', '')}"


@pytest.mark.parametrize("status", [200, 202, 303])
def test_get_returns_expected_statuses(shell, server, connection, status):
    server.script("GET", "x", Answer(status, {"a": 1}, {"Location": "/elsewhere"}))
    reply = shell.finish(connection.get_url(route="x"))
    assert (reply.status_code, reply.json()) == (status, {"a": 1})


def test_post_returns_202(shell, server, connection):
    server.script("POST", "x", Answer(202, {"a": 1}))
    assert shell.finish(connection.post_json(route="x", data={"b": 2})).status_code == 202
    assert server.requests[0].body == {"b": 2}


GET_ERRORS = [
    (404, {"msg": "m"}, FileNotFoundError, "{url}/api/0/x not found."),
    (404, NOT_JSON, FileNotFoundError, "{url}/api/0/x not found."),
    (401, {"msg": "Who?"}, flowclient.AuthenticationError, "Who?"),
    (401, NOT_JSON, flowclient.AuthenticationError, "Unknown access denied error"),
    (403, {"msg": "No."}, flowclient.PermissionDeniedError, "No."),
    (403, {}, flowclient.PermissionDeniedError, "Unknown access denied error"),
    (
        500,
        {"msg": "m", "status": "errored"},
        flowclient.QueryFailedError,
        "Something went wrong: m. API returned with status code: 500 and status 'errored'",
    ),
    (
        500,
        {"msg": "m", "status": "cancelled"},
        flowclient.QueryCancelledError,
        "Something went wrong: m. API returned with status code: 500 and status 'cancelled'",
    ),
    (
        500,
        NOT_JSON,
        flowclient.FlowclientConnectionError,
        "Something went wrong: Unknown error. API returned with status code: 500 and status 'Unknown status'",
    ),
    (
        400,
        ["a list"],
        flowclient.FlowclientConnectionError,
        "Something went wrong: Unknown error. API returned with status code: 400 and status 'Unknown status'",
    ),
    (
        301,
        {},
        flowclient.FlowclientConnectionError,
        "Something went wrong: Unknown error. API returned with status code: 301 and status 'Unknown status'",
    ),
]

POST_PREFIX = "Something went wrong. API returned with status code"
POST_ERRORS = [
    *GET_ERRORS[:6],
    (200, {"msg": "m"}, flowclient.FlowclientConnectionError, f"{POST_PREFIX} 200. Error message: 'm'."),
    (303, {}, flowclient.FlowclientConnectionError, f"{POST_PREFIX} 303. Error message: 'Unknown error'."),
    (
        500,
        {"status": "x"},
        flowclient.FlowclientConnectionError,
        f"{POST_PREFIX} 500. Error message: 'Unknown error'.",
    ),
    (
        500,
        NOT_JSON,
        flowclient.FlowclientConnectionError,
        f"{POST_PREFIX} 500. Error message: 'the response did not contain valid JSON'.",
    ),
    (
        400,
        {"msg": "m", "payload": {"a": 1}},
        flowclient.FlowclientConnectionError,
        POST_PREFIX + " 400. Error message: 'm'. Payload: {'a': 1}",
    ),
    (
        400,
        {"msg": "m", "payload": {}},
        flowclient.FlowclientConnectionError,
        f"{POST_PREFIX} 400. Error message: 'm'.",
    ),
]


@pytest.mark.parametrize(
    ("method", "status", "body", "kind", "text"),
    [("GET", *row) for row in GET_ERRORS] + [("POST", *row) for row in POST_ERRORS],
)
def test_errors(shell, server, connection, token, capfd, caplog, method, status, body, kind, text):
    caplog.set_level(logging.DEBUG)
    server.script(method, "x", Answer(status, body, {"X-Request-ID": "r-1"}))
    with pytest.raises((flowclient.FlowclientConnectionError, FileNotFoundError)) as raised:
        if method == "GET":
            shell.finish(connection.get_url(route="x"))
        else:
            shell.finish(connection.post_json(route="x", data={}))
    error = raised.value
    assert type(error) is kind
    assert str(error) == text.replace("{url}", server.url)
    if isinstance(error, flowclient.FlowclientConnectionError):
        assert (error.status_code, error.request_id, error.url) == (status, "r-1", f"{server.url}/api/0/x")
    printed = "".join(capfd.readouterr())
    assert printed == ""
    for part in token.split("."):
        assert part not in text_of(error) + caplog.text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_server(shell, server, token, caplog, method):
    caplog.set_level(logging.INFO, "flowclient")
    connection = shell.connect(server.url, token)
    server.stop()
    with pytest.raises(flowclient.FlowclientConnectionError) as raised:
        if method == "GET":
            shell.finish(connection.get_url(route="x"))
        else:
            shell.finish(connection.post_json(route="x", data={}))
    assert str(raised.value).startswith(f"Unable to connect to FlowKit API at {server.url}: ")
    assert server.url in caplog.text
    assert token not in caplog.text + text_of(raised.value)


def test_a_cut_off_reply_is_a_connection_error(shell, server, connection):
    server.script("GET", "x", Answer(200, "{", {"Content-Length": "10", "Connection": "close"}))
    with pytest.raises(flowclient.FlowclientConnectionError, match=r"^Unable to connect"):
        shell.finish(connection.get_url(route="x"))


def test_a_refused_query_lists_its_problems(shell, server, connection):
    payload = {
        "params": {},
        "validation_error_messages": {
            "locations": {"method": ["Must be one of: last, most-common."]},
            "metric": {"_schema": ["Invalid input type."]},
            "bins": {"0": ["Not a valid number."]},
        },
    }
    server.script("POST", "run", Answer(400, {"status": "Error", "msg": "Bad query.", "payload": payload}))
    spec = {"query_kind": "k", "locations": {"method": "first"}, "metric": {}, "bins": ["a"]}
    with pytest.raises(flowclient.QueryValidationError) as raised:
        shell.call("run_query", connection=connection, query_spec=spec)
    assert str(raised.value).splitlines() == [
        'locations.method = "first": Must be one of: last, most-common.',
        "metric: Invalid input type.",
        'bins.0 = "a": Not a valid number.',
        f"{POST_PREFIX} 400. Error message: 'Bad query.'. Payload: {payload}",
    ]
    assert raised.value.payload == payload
    server.script("POST", "explain", Answer(400, {"msg": "Bad query.", "payload": payload}))
    with pytest.raises(flowclient.QueryValidationError, match=r"^locations\.method = "):
        shell.finish(connection.make_api_query(spec).explain())


def test_run_with_an_odd_success(shell, server, connection):
    server.script("POST", "run", Answer(200, {"msg": "fine"}))
    with pytest.raises(flowclient.FlowclientConnectionError) as raised:
        shell.call("run_query", connection=connection, query_spec={})
    assert str(raised.value) == "Error running the query: fine. Status code: 200."


def test_a_refused_unit_names_the_nearest_allowed(shell, server, connection):
    server.script("POST", "run", Answer(403, {"msg": "Not permitted."}))
    spec = {
        "query_kind": "flows",
        "from_location": {"query_kind": "daily_location", "aggregation_unit": "admin3"},
    }
    with pytest.raises(flowclient.PermissionDeniedError) as raised:
        shell.call("run_query", connection=connection, query_spec=spec)
    # The role that allows admin0 may not run anything.
    assert str(raised.value) == "Not permitted.\nThis token allows 'flows' at aggregation unit 'admin2'."


def test_missing_scopes_are_listed(shell, server, connection):
    server.script(
        "GET", "x", Answer(403, {"msg": "No.", "payload": {"missing_scopes": ["run", "get_result"]}})
    )
    with pytest.raises(flowclient.PermissionDeniedError, match=r"No\.\nMissing scopes: run, get_result"):
        shell.finish(connection.get_url(route="x"))


@pytest.mark.parametrize(
    ("helper", "arguments", "route", "prefix"),
    [
        ("get_json_dataframe", {"location": "get/abc"}, "get/abc", "Could not get result"),
        ("get_geography", {"aggregation_unit": "admin3"}, "geography/admin3", "Could not get result"),
        ("get_available_dates", {}, "available_dates", "Could not get available dates"),
        ("get_loads", {}, "loads", "Could not get the loads"),
        ("get_available_qa_checks", {}, "qa/", "Could not get qa checks"),
        (
            "get_qa_check_outcome",
            {"event_type": "calls", "check_type": "count", "event_date": "2016-01-01"},
            "qa/calls/count/2016-01-01",
            "Could not get qa check outcome",
        ),
    ],
)
@pytest.mark.parametrize(
    ("body", "reason"), [({"msg": "Later."}, " Reason: Later."), ({}, ""), (NOT_JSON, "")]
)
def test_an_answer_still_in_the_making(
    shell, server, connection, helper, arguments, route, prefix, body, reason
):
    server.script("GET", route, Answer(202, body))
    with pytest.raises(flowclient.FlowclientConnectionError) as raised:
        shell.call(helper, connection=connection, **arguments)
    assert str(raised.value) == f"{prefix}. API returned with status code: 202.{reason}"


@pytest.mark.parametrize("helper", ["get_available_dates", "get_available_qa_checks"])
def test_a_result_that_is_not_json(shell, server, connection, helper):
    for route in ("available_dates", "qa/"):
        server.script("GET", route, Answer(200, NOT_JSON))
    with pytest.raises(flowclient.FlowclientConnectionError, match="is not valid JSON"):
        shell.call(helper, connection=connection)
