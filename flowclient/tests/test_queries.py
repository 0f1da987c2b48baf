"""Running, waiting, fetching; and the bar that shows it."""

from __future__ import annotations

import re

import ipykernel.kernelapp  # noqa: F401  An imported kernel is not a running one: the bar must know the difference.
import nbformat
import pandas
import pytest
import requests
from flowclient_stub import RECORDS, RESULT, RUN, Answer, Request, Shell, make_token, polls
from nbclient import NotebookClient

import flowclient
from flowclient import operations
from flowclient.errors import FlowclientConnectionError, QueryNotFoundError
from flowclient.progress import PartsBar
from flowclient.results import FORMATS

SPEC = {
    "query_kind": "spatial_aggregate",
    "locations": {"query_kind": "daily_location", "date": "2016-01-01", "aggregation_unit": "admin3"},
}
HOURLY = {"query_kind": "location_event_counts", "aggregation_unit": "admin3", "interval": "hour"}
GONE = Answer(404, {"status": "awol", "msg": "Unknown."})
FAILED = Answer(500, {"status": "errored", "msg": "Out of disk."})
GEOGRAPHY = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": place,
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[place, 0], [place + 1, 0], [place + 1, 1], [place, 1], [place, 0]]],
            },
            "properties": {"pcod": f"NPL.{place}", "centroid": {"type": "Point", "coordinates": [0, 0]}},
        }
        for place in (1, 2, 3)
    ],
}


@pytest.fixture
def query(connection):
    return connection.make_api_query(SPEC)


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


@pytest.mark.parametrize(
    ("script", "bars"),
    [
        ([], []),
        ([5, 3, 3], ["0/5", "2/5", "2/5", "5/5"]),
        ([4, 2, 6, 1], ["0/4", "2/4", "2/8", "7/8", "8/8"]),
        ([0], []),
    ],
)
def test_the_bar(shell, server, connection, capsys, monkeypatch, script, bars):
    # Every change is drawn, however quick.
    monkeypatch.setenv("TQDM_MININTERVAL", "0")
    server.script("GET", "poll/abc", *polls(*script))
    shell.call(
        "wait_for_query_to_be_ready",
        connection=connection,
        query_id="abc",
        poll_interval=0,
        disable_progress=False,
    )
    out, drawn = capsys.readouterr()
    assert out == ""
    shown = re.findall(r"\| (\d+/\d+) \[", drawn)
    assert list(dict.fromkeys(shown)) == list(dict.fromkeys(bars))
    assert ("Parts run" in drawn) == bool(script)


@pytest.mark.parametrize(
    ("disable", "environment", "shown"),
    [(True, "", False), (None, "", False), (None, "1", False), (False, "1", True)],
)
def test_when_there_is_a_bar(shell, server, connection, capsys, monkeypatch, disable, environment, shown):
    monkeypatch.setenv("FLOWCLIENT_DISABLE_PROGRESS", environment)
    server.script("GET", "poll/abc", *polls(5))
    shell.call(
        "wait_for_query_to_be_ready",
        connection=connection,
        query_id="abc",
        poll_interval=0,
        disable_progress=disable,
    )
    assert ("Parts run" in capsys.readouterr().err) == shown


def test_a_poll_is_held_as_long_as_the_next_look_is_away(shell, server, connection):
    server.script("GET", "poll/abc", *polls(5, 3, 3))
    shell.call("wait_for_query_to_be_ready", connection=connection, query_id="abc", poll_interval=0.05)
    waits = [request.wait for request in server.requests if request.path.endswith("poll/abc")]
    assert waits == [None, "0.05", "0.05", "0.05"]


def test_no_poll_is_held_longer_than_the_connection_waits(shell, server, token):
    connection = shell.connect(url=server.url, token=token, timeout=(5, 0.2))
    server.script("GET", "poll/abc", *polls(5))
    shell.call("wait_for_query_to_be_ready", connection=connection, query_id="abc", poll_interval=0.3)
    assert [request.wait for request in server.requests if request.path.endswith("poll/abc")] == [None, "0.1"]


def test_a_notebook_shows_the_bar():
    cell = (
        "from flowclient.progress import PartsBar\n"
        "with PartsBar() as bar:\n"
        "    bar.report('abc', {'eligible': 2, 'queued': 2, 'running': 0})\n"
        "    bar.finish('abc')"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    shown = "".join(output.get("text", "") for output in notebook.cells[0].outputs)
    assert "Parts run: 100%" in shown


def test_an_error_midway_closes_the_bar_unfilled(shell, server, connection, capsys):
    server.script("GET", "poll/abc", *polls(5, 3)[:2], FAILED)
    with pytest.raises(flowclient.QueryFailedError, match=r"Out of disk\."):
        shell.call(
            "wait_for_query_to_be_ready",
            connection=connection,
            query_id="abc",
            poll_interval=0,
            disable_progress=False,
        )
    drawn = capsys.readouterr().err
    assert "2/5" in drawn
    assert "5/5" not in drawn


def test_an_interrupt_says_how_to_come_back(token):
    connection = flowclient.connect(url="https://flowapi.example.org", token=token)
    operation = operations.wait_until_ready(connection, "abc", disable_progress=True)
    next(operation)

    waiting = requests.Response()
    waiting.status_code, waiting._content = 202, polls(1)[0].encoded()
    assert operation.send(waiting).params == {"wait": "1"}
    # A server that does not know how to wait answers at once, and the client waits by itself.
    assert 0.5 < operation.send(waiting).seconds <= 1
    with pytest.raises(KeyboardInterrupt, match=r"abc keeps running.*get_result_by_query_id"):
        operation.throw(KeyboardInterrupt())


def test_intervals_adapt_when_asked():
    fixed, adaptive = operations._intervals(2), operations._intervals(None)
    assert [next(fixed) for _ in range(3)] == [2, 2, 2]
    first = [next(adaptive) for _ in range(20)]
    assert first[0] == 0.2
    assert first == sorted(first)
    assert first[-1] == 5.0


def test_a_timeout_names_the_query(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", polls(5)[0])
    with pytest.raises(flowclient.QueryTimeoutError) as raised:
        shell.finish(query.get_result(poll_interval=0, timeout=0))
    assert raised.value.query_id == "abc"


def test_get_result_runs_waits_and_fetches(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls(2))
    server.script("GET", "get/abc", RESULT)
    frame = shell.finish(query.get_result(poll_interval=0))
    pandas.testing.assert_frame_equal(frame, pandas.DataFrame(RECORDS))
    # A second fetch does not run it again.
    shell.finish(query.get_result())
    assert server.asked("POST", "run") == 1
    assert query.last_seen == "completed"


@pytest.mark.parametrize("route", ["poll/abc", "get/abc"])
def test_a_forgotten_query_is_run_once_more(shell, server, query, route):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *([GONE] if route == "poll/abc" else []), *polls())
    server.script("GET", "get/abc", *([GONE] if route == "get/abc" else []), RESULT)
    assert len(shell.finish(query.get_result())) == 2
    assert server.asked("POST", "run") == 2


def test_a_query_forgotten_twice_is_an_error(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", GONE)
    with pytest.raises(flowclient.QueryNotFoundError) as raised:
        shell.finish(query.get_result())
    assert str(raised.value) == f"{server.url}/api/0/poll/abc not found."
    assert server.asked("POST", "run") == 2


@pytest.mark.parametrize("answer", [FAILED, Answer(500, {"status": "cancelled", "msg": "By ada."})])
def test_a_failed_query_is_not_run_again(shell, server, query, answer):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", answer)
    with pytest.raises(flowclient.FlowclientConnectionError):
        shell.finish(query.get_result())
    assert server.asked("POST", "run") == 1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(200, "<html>"), "is not valid JSON"),
        (Answer(200, {"query_id": "abc"}), "has no 'query_result'"),
        (Answer(202, {}), "Could not get result. API returned with status code: 202."),
    ],
)
def test_a_result_that_is_none(shell, server, query, answer, text):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    server.script("GET", "get/abc", answer)
    with pytest.raises(flowclient.FlowclientConnectionError, match=re.escape(text)):
        shell.finish(query.get_result())


@pytest.mark.parametrize("missing", ["run", "poll"])
def test_a_reply_without_location(shell, server, query, missing):
    server.script("POST", "run", Answer(202, {}) if missing == "run" else RUN)
    server.script("GET", "poll/abc", Answer(303, {}))
    with pytest.raises(flowclient.FlowclientConnectionError, match="does not say where"):
        shell.finish(query.get_result())


@pytest.mark.parametrize("start", ["", "{url}"])
def test_a_location_on_this_server(shell, server, query, start):
    base = f"{start.format(url=server.url)}/api/0"
    server.script("POST", "run", Answer(202, {}, {"Location": f"{base}/poll/abc"}))
    server.script("GET", "poll/abc", Answer(303, {}, {"Location": f"{base}/get/abc"}))
    server.script("GET", "get/abc", RESULT)
    assert len(shell.finish(query.get_result())) == 2


@pytest.mark.parametrize(
    "elsewhere", ["https://127.0.0.1:{port}", "http://localhost:{port}", "//example.org"]
)
def test_a_location_on_another_server(shell, server, query, elsewhere):
    location = elsewhere.format(port=server.url.rpartition(":")[2]) + "/api/0/get/abc"
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", Answer(303, {}, {"Location": location}))
    server.script("GET", "get/abc", RESULT)
    with pytest.raises(flowclient.FlowclientConnectionError, match=f"'{location}', which is not on"):
        shell.finish(query.get_result())
    assert server.asked("GET", "get/abc") == 0


def test_an_empty_result_has_the_columns_of_its_kind(shell, server, connection):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    server.script("GET", "get/abc", Answer(200, {"query_id": "abc", "query_result": []}))
    od = {"query_kind": "trips_od_matrix", "aggregation_unit": "lon-lat"}
    for spec, columns in (
        (SPEC, ["pcod", "value"]),
        (od, ["lon_from", "lat_from", "lon_to", "lat_to", "value"]),
        (HOURLY, ["pcod", "date", "hour", "value"]),
        ({**HOURLY, "interval": "min"}, ["pcod", "date", "hour", "min", "value"]),
        ({**HOURLY, "interval": "day"}, ["pcod", "date", "value"]),
        (
            {**SPEC, "query_kind": "joined_spatial_aggregate", "method": "distr"},
            ["pcod", "metric", "key", "value"],
        ),
        ({"query_kind": "unheard_of"}, []),
    ):
        assert list(shell.finish(connection.make_api_query(spec).get_result()).columns) == columns


def test_formats(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    server.script("GET", "get/abc", RESULT)
    server.script("GET", "get/abc.geojson", Answer(200, GEOGRAPHY))
    server.script("GET", "get/abc.csv", Answer(200, "pcod,value\r\nNPL.1,20\r\n"))
    assert shell.finish(query.get_result("geojson")) == GEOGRAPHY
    assert shell.finish(query.get_result("csv")) == "pcod,value\r\nNPL.1,20\r\n"
    places = shell.finish(query.get_result("geopandas"))
    assert places.crs.to_epsg() == 4326
    assert list(places.columns) == ["geometry", "pcod"]


def test_a_format_that_does_not_exist(shell, server, query):
    with pytest.raises(ValueError, match=r"^Invalid format: 'xls'\. Expected one of \{.*\}\.$") as raised:
        shell.finish(query.get_result(format="xls"))
    assert all(f"'{name}'" in str(raised.value) for name in FORMATS)
    assert server.requests == []


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
    results = shell.finish(flowclient.gather_results(queries, most, poll_interval=0, disable_progress=False))
    assert isinstance(results.pop(2), flowclient.QueryFailedError)
    assert [frame["value"][0] for frame in results] == ["a", "b", "d"]
    # All are run before any is waited for.
    assert [request.method for request in server.requests[:5]] == ["POST"] * 4 + ["GET"]
    assert "6/6" in capsys.readouterr().err


def test_gathering_collects_refusals(shell, server, connection):
    server.script("POST", "run", Answer(403, {"msg": "No."}))
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


def test_a_joint_bar_counts_all_queries(capsys):
    with PartsBar(disable=False) as bar:
        bar.report("a", {"eligible": 3, "queued": 1, "running": 0})
        bar.report("b", {"eligible": 2, "queued": 0, "running": 1})
        bar.report("a", {"eligible": 1, "queued": 0, "running": 1})
        bar.finish("a")
        bar.finish("b")
    assert re.findall(r"\| (\d/\d) \[", capsys.readouterr().err)[-1] == "5/5"


def test_one_report_is_drawn_once_and_a_finished_bar_has_nothing_queued(capsys):
    with PartsBar(disable=False) as bar:
        bar.report("a", {"eligible": 3, "queued": 2, "running": 1})
        capsys.readouterr()
        bar.report("a", {"eligible": 1, "queued": 0, "running": 1})
        drawn = capsys.readouterr().err
        assert drawn.count("Parts run") == 1
        assert "2/3" in drawn
        assert "queued=0, running=1" in drawn
        bar.finish("a")
    assert "queued" not in capsys.readouterr().err.rsplit("Parts run", 1)[1]


def test_places(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    server.script("GET", "get/abc", RESULT)
    server.script("GET", "geography/admin3", Answer(200, GEOGRAPHY))
    places = shell.finish(query.to_geodataframe())
    assert dict(zip(places["pcod"], places["withheld"], strict=True)) == {
        "NPL.1": False,
        "NPL.2": False,
        "NPL.3": True,
    }
    kept = shell.finish(query.to_geodataframe(result=pandas.DataFrame(RECORDS[:1]), keep_redacted=False))
    assert list(kept["pcod"]) == ["NPL.1"]
    axes = shell.finish(query.plot())
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["withheld or none"]
    assert any(collection.get_hatch() for collection in axes.collections)
    page = shell.finish(query.explore())._repr_html_()
    assert "NPL.3" in page


def test_places_of_flows(shell, server, connection):
    flows = connection.make_api_query({"query_kind": "flows", "from_location": SPEC["locations"]})
    rows = [("NPL.1", "NPL.2", 20), ("NPL.2", "NPL.3", 40), ("NPL.1", "NPL.1", 99), (None, "NPL.1", 50)]
    result = pandas.DataFrame(rows, columns=["pcod_from", "pcod_to", "value"])
    server.script("GET", "geography/admin3", Answer(200, GEOGRAPHY))
    lines = shell.finish(flows.to_geodataframe(result))
    assert list(lines["value"]) == [20, 40]
    assert lines.geometry[0].coords[:] == [(1.5, 0.5), (2.5, 0.5)]
    from flowclient import maps

    axes = maps.plot(lines)
    assert list(axes.collections[0].get_linewidth()) == [3.0, 6.0]
    assert "NPL.2" in maps.explore(lines)._repr_html_()


def test_no_flows_are_a_map_without_lines(shell, server, connection):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    server.script("GET", "get/abc", Answer(200, {"query_id": "abc", "query_result": []}))
    server.script("GET", "geography/admin3", Answer(200, GEOGRAPHY))
    flows = connection.make_api_query({"query_kind": "flows", "from_location": SPEC["locations"]})
    lines = shell.finish(flows.to_geodataframe())
    assert list(lines.columns) == ["pcod_from", "pcod_to", "value", "geometry"]
    assert lines.crs.to_epsg() == 4326
    assert list(shell.finish(flows.plot()).collections) == []
    assert "leaflet" in shell.finish(flows.explore())._repr_html_()


def test_a_result_without_places(shell, connection):
    query = connection.make_api_query({"query_kind": "histogram_aggregate", "metric": {}})
    with pytest.raises(ValueError, match="no places"):
        shell.finish(query.to_geodataframe())
