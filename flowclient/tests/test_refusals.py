"""Check that a refusal says in one line what to do, then the server's words."""

from __future__ import annotations

import subprocess
import sys

import pandas
import pytest
from flowclient_stub import FAILED, RUN, SPEC, Answer, polls

import flowclient

REFUSED = Answer(403, {"msg": "None of the token's roles lets its holder run it, or no such kind."})
DESCRIPTION = Answer(
    200,
    {
        "components": {
            "securitySchemes": {
                "token": {"x-security-scopes": ["run", "admin2:flows:flows", "admin3:flows:flows"]}
            }
        }
    },
)


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


@pytest.mark.parametrize("url", ["127.0.0.1:9090", "flowapi.example.org", "ftp://a.example", "https://", ""])
def test_an_address_without_a_scheme_is_refused(shell, token, url):
    with pytest.raises(ValueError, match=r"^url = '.*': must be scheme, host and port, such as 'https://\w"):
        shell.finish(
            shell.module.__dict__["connect_async" if shell.asynchronous else "connect"](url=url, token=token)
        )


@pytest.mark.parametrize("ending", ["/api/0", "/api/0/", "/", " "])
def test_the_path_of_the_api_is_dropped(shell, server, token, ending):
    assert shell.connect(server.url + ending, token).url == server.url


def test_another_version_in_the_address_is_refused(token):
    with pytest.raises(ValueError, match=r"ends in version 1 of the API, but api_version = 0"):
        flowclient.connect(url="https://a.example/api/1", token=token)


@pytest.mark.parametrize("what", ["run", "explain"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "modal_location",
            "A 'modal_location' is computed only inside another query: give it to spatial_aggregate or flows.",
        ),
        (
            "handset",
            "A 'handset' is computed only inside another query: give it to joined_spatial_aggregate.",
        ),
        ("spatial_agregate", "query_kind = 'spatial_agregate': did you mean 'spatial_aggregate'?"),
    ],
)
def test_a_kind_that_is_not_run_by_itself(shell, server, connection, what, kind, said):
    server.script("POST", what, REFUSED)
    query = connection.make_api_query({"query_kind": kind})
    with pytest.raises(flowclient.PermissionDeniedError) as raised:
        shell.finish(getattr(query, what)())
    assert first_line(raised.value) == said
    assert "or no such kind" in str(raised.value)


def test_a_unit_that_does_not_exist(shell, server, connection):
    server.script("GET", "geography/admin5", REFUSED)
    server.script("GET", "geography/admin3", REFUSED)
    server.script("GET", "spec/openapi.json", DESCRIPTION)
    with pytest.raises(flowclient.PermissionDeniedError) as raised:
        shell.call("get_geography", connection=connection, aggregation_unit="admin5")
    assert first_line(raised.value) == "aggregation_unit = 'admin5': must be one of admin2, admin3."
    with pytest.raises(flowclient.PermissionDeniedError) as raised:
        shell.call("get_geography", connection=connection, aggregation_unit="admin3")
    assert "must be one of" not in str(raised.value)


def test_one_problem_of_many_parts_is_one_line(shell, server, connection):
    problem = {"aggregation_unit": ["Must be one of: admin3."]}
    tree = {"locations": {"locations": {str(number): problem for number in range(7)}}}
    server.script("POST", "run", Answer(400, {"msg": "No.", "payload": {"validation_error_messages": tree}}))
    parts = [{"aggregation_unit": "admin5"}] * 7
    query = connection.make_api_query({"query_kind": "spatial_aggregate", "locations": {"locations": parts}})
    with pytest.raises(flowclient.QueryValidationError) as raised:
        shell.finish(query.run())
    lines = str(raised.value).splitlines()
    assert lines[0] == (
        'locations.locations.0.aggregation_unit = "admin5": Must be one of: admin3. And 6 more like it.'
    )
    assert len(lines) == 2


def test_what_the_engine_says_comes_first(shell, server, connection):
    payload = {"exception": "No data for date: 2015-01-01"}
    server.script("POST", "run", Answer(400, {"msg": "Unable to create query object.", "payload": payload}))
    with pytest.raises(flowclient.QueryValidationError) as raised:
        shell.finish(connection.make_api_query(SPEC).run())
    assert first_line(raised.value) == "No data for date: 2015-01-01"


def test_checks_without_outcomes(shell, server, connection):
    check = {"event_type": "calls", "check_type": "count"}
    server.script("GET", "qa/calls/count?start_date=2016-01-01&end_date=2016-01-02", Answer(404, {}))
    server.script("GET", "qa/calls/count/2016-01-01", Answer(404, {}))
    span = {"start_date": "2016-01-01", "end_date": "2016-01-02"}
    with pytest.raises(
        FileNotFoundError, match=r"^No outcome of the check 'count' of calls from 2016-01-01 to 2016-01-02\."
    ):
        shell.call("get_qa_check_outcomes_df", connection=connection, **check, **span)
    with pytest.raises(FileNotFoundError, match=r"^No outcome of the check 'count' of calls on 2016-01-01\."):
        shell.call("get_qa_check_outcome", connection=connection, **check, event_date="2016-01-01")


def test_failures_among_many_results_are_told(shell, server, connection):
    def run(request):
        name = request.body["query_kind"]
        return Answer(202, {"query_id": name}, {"Location": f"/api/0/poll/{name}"})

    server.script("POST", "run", run)
    server.script("GET", "poll/a", Answer(303, {}, {"Location": "/api/0/get/a"}))
    server.script("GET", "get/a", Answer(200, {"query_result": [{"value": 20}]}))
    server.script("GET", "poll/b", FAILED)
    queries = [connection.make_api_query({"query_kind": name}) for name in "ab"]
    with pytest.raises(
        flowclient.FlowclientConnectionError, match=r"^1 of 2 queries failed\.\nQuery 1, b .*Out of disk"
    ):
        pandas.concat(shell.finish(flowclient.gather_results(queries, on_error="raise")))
    with pytest.warns(UserWarning, match="1 of 2 queries failed"):
        good, bad = shell.finish(flowclient.gather_results(queries))
    assert list(good["value"]) == [20]
    assert isinstance(bad, flowclient.QueryFailedError)
    with pytest.raises(ValueError, match="on_error = 'ignore': must be one of collect, raise"):
        flowclient.gather_results(queries, on_error="ignore")


def test_completion_shows_what_is_public():
    assert set(dir(flowclient)) == {*flowclient.__all__, "__doc__", "__version__"}
    # In a process of its own: other tests import modules, which would then be shown.
    script = "import flowclient, flowclient.maps; print([n for n in dir(flowclient) if n not in flowclient.__all__])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['__doc__', '__version__']\n"


def test_completion_on_objects_leaves_out_what_operations_are_made_of(connection, query):
    documented = {"get_url", "post_json", "update_token", "make_api_query", "close", "timeout", "retries"}
    assert documented <= set(dir(connection))
    assert not {"perform", "get", "post", "holding", "route_of"} & set(dir(connection))
    assert {"run", "get_result", "plot", "explain"} <= set(dir(query))
    assert not [name for name in dir(query) if name.endswith("_operation")]


def test_a_query_prints_as_what_it_asks(shell, server, query):
    assert str(query) == "spatial_aggregate of daily_location at admin3, 2016-01-01 (not running)"
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    shell.finish(query.run())
    shell.finish(query.wait_until_ready())
    assert str(query).endswith("(completed)")
