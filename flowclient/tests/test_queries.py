"""Query objects: what they show, their status, and how they run."""

from __future__ import annotations

import pytest
from flowclient_stub import (
    FAILED,
    GONE,
    RUN,
    SPEC,
    Answer,
    make_token,
    polls,
)

import flowclient
from flowclient.errors import FlowclientConnectionError, QueryNotFoundError


def test_what_a_query_shows(shell, connection, query, token):
    module, name = ("async_api_query", "ASyncAPIQuery") if shell.asynchronous else ("api_query", "APIQuery")
    assert (
        repr(query)
        == f"<flowclient.{module}.{name} object, connection={connection!r}, parameters={query.parameters}>"
    )
    assert query.parameters == SPEC
    assert query.parameters is not SPEC
    with pytest.raises(AttributeError):
        query.connection = connection
    shown = repr(query) + query._repr_html_()
    assert not any(part in shown for part in token.split("."))
    assert "<summary>locations: daily_location</summary>" in query._repr_html_()


def test_equal_queries(shell, server, connection, query, token):
    assert query == connection.make_api_query(dict(reversed(SPEC.items())))
    assert query == shell.connect(server.url, make_token(sub="grace")).make_api_query(SPEC)
    assert query != connection.make_api_query({**SPEC, "query_kind": "other"})
    assert len({query, connection.make_api_query(SPEC)}) == 1
    assert type(query).from_json(connection=connection, text=query.to_json()) == query


def test_running_keeps_the_id(shell, server, query):
    server.script("POST", "run", RUN)
    assert query.query_id is None
    assert shell.finish(query.run()) is None
    assert query.query_id == "abc"
    assert server.requests[0].body == SPEC


@pytest.mark.parametrize(
    ("answer", "status"), [(GONE, "not_running"), (polls(1)[0], "executing"), (polls()[0], "completed")]
)
def test_status(shell, server, query, answer, status):
    assert (
        shell.finish(query.status) == "not_running" if shell.asynchronous else query.status == "not_running"
    )
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", answer)
    shell.finish(query.run())
    assert shell.finish(query.status) == status
    assert query.last_seen == status


def test_status_of_a_failed_query_and_of_none(shell, server, connection):
    server.script("GET", "poll/abc", FAILED, Answer(202, {}))
    with pytest.raises(flowclient.QueryFailedError, match=r"Out of disk\."):
        shell.call("get_status", connection=connection, query_id="abc")
    with pytest.raises(flowclient.FlowclientConnectionError, match=r"^No status reported\.$"):
        shell.call("get_status", connection=connection, query_id="abc")


def test_waiting_for_a_query_never_run(shell, query):
    for wait in (query.wait_until_ready, query.cancel):
        with pytest.raises(FileNotFoundError, match=r"^Query is not running\.$"):
            shell.finish(wait())


def test_progress(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls(5))
    shell.finish(query.run())
    assert shell.finish(query.progress) == {"eligible": 5, "queued": 0, "running": 1}
    assert shell.finish(query.progress) == {"eligible": 0, "queued": 0, "running": 0}


def test_job_progress_ends_with_the_query(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls(2, 0))
    shell.finish(query.run())
    if shell.asynchronous:

        async def collect():
            return [progress["eligible"] async for progress in query.job_progress(poll_interval=0)]

        assert shell.finish(collect()) == [2, 0, 0]
    else:
        assert [p["eligible"] for p in query.job_progress(poll_interval=0)] == [2, 0, 0]


def test_cancelling_and_explaining(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("POST", "cancel/abc", Answer(200, {"query_id": "abc", "query_state": "cancelled"}))
    explained = {"parts": 3, "stored": 1, "days": [], "missing_days": [], "forecast_seconds": 0.5}
    server.script("POST", "explain", Answer(200, explained))
    assert shell.finish(query.explain()) == explained
    assert server.requests[-1].body == SPEC
    shell.finish(query.run())
    assert shell.finish(query.cancel()) == {"query_id": "abc", "query_state": "cancelled"}
    assert query.last_seen == "cancelled"


def test_a_server_on_which_users_cannot_cancel_says_so(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("POST", "cancel/abc", Answer(404, {"msg": "No such path: /api/0/cancel/abc"}), GONE)
    shell.finish(query.run())
    with pytest.raises(FlowclientConnectionError, match="does not let users cancel queries"):
        shell.finish(query.cancel())
    with pytest.raises(QueryNotFoundError):
        shell.finish(query.cancel())
