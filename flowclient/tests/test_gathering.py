"""Many queries at once."""

from __future__ import annotations

import pytest
from flowclient_stub import (
    FAILED,
    SPEC,
    Answer,
    Request,
    Shell,
    polls,
)

import flowclient


def location(name: str) -> dict[str, str]:
    return {"Location": f"/api/0/{name}"}


@pytest.mark.parametrize("most", [1, 8])
def test_gathering(shell: Shell, server, connection, capsys, most):
    def run(request: Request) -> Answer:
        return Answer(202, {}, location(f"poll/{request.body['query_kind']}"))

    server.script("POST", "run", run)
    for parts, name in enumerate("abd", start=1):
        *waiting, _ = polls(parts)
        server.script("GET", f"poll/{name}", *waiting, Answer(303, {}, location(f"get/{name}")))
        server.script("GET", f"get/{name}", Answer(200, {"query_result": [{"value": name}]}))
    server.script("GET", "poll/c", FAILED)
    queries = [connection.make_api_query({"query_kind": name}) for name in "abcd"]
    with pytest.warns(UserWarning, match="1 of 4 queries failed"):
        results = shell.finish(
            flowclient.gather_results(queries, most, poll_interval=0, disable_progress=False)
        )
    assert isinstance(results.pop(2), flowclient.QueryFailedError)
    assert [frame["value"][0] for frame in results] == ["a", "b", "d"]
    # All are run before any is waited for.
    assert [request.method for request in server.requests[:5]] == ["POST"] * 4 + ["GET"]
    assert "6/6" in capsys.readouterr().err


def test_gathering_collects_refusals(shell, server, connection):
    server.script("POST", "run", Answer(403, {"msg": "No."}))
    with pytest.warns(UserWarning, match="1 of 1 queries failed"):
        (refused,) = shell.finish(flowclient.gather_results([connection.make_api_query(SPEC)]))
    assert isinstance(refused, flowclient.PermissionDeniedError)


def test_what_cannot_be_gathered(token):
    url = "https://flowapi.example.org"
    queries = [
        flowclient.connect(url=url, token=token).make_api_query(SPEC),
        flowclient.ASyncConnection(url=url, token=token).make_api_query(SPEC),
    ]
    with pytest.raises(TypeError, match="together"):
        flowclient.gather_results(queries)
    with pytest.raises(ValueError, match="max_concurrent"):
        flowclient.gather_results(queries[:1], 0)
