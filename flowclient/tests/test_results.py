"""Fetching results."""

from __future__ import annotations

import re

import pandas
import pytest
from flowclient_stub import (
    FAILED,
    GEOGRAPHY,
    GONE,
    RECORDS,
    RESULT,
    RUN,
    SPEC,
    Answer,
    polls,
)

import flowclient
from flowclient.results import FORMATS

HOURLY = {"query_kind": "location_event_counts", "aggregation_unit": "admin3", "interval": "hour"}


def test_get_result_runs_waits_and_fetches(shell, server, query):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls(2))
    server.script("GET", "get/abc", RESULT)
    frame = shell.finish(query.get_result(poll_interval=0))
    pandas.testing.assert_frame_equal(frame, pandas.DataFrame(RECORDS).astype({"value": "Int64"}))
    # A second fetch does not run it again.
    shell.finish(query.get_result())
    assert server.asked("POST", "run") == 1
    assert query.last_seen == "completed"


def test_tables_have_what_is_said_beside_the_rows(shell, server, query):
    said = {"withheld": ["floor"], "repeats": ["0f"], "of a later server": 1}
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    server.script(
        "GET", "get/abc", Answer(200, {"query_id": "abc", "query_result": RECORDS, "metadata": said})
    )
    server.script("GET", "get/abc.geojson", Answer(200, {**GEOGRAPHY, "metadata": said}))
    for frame in (shell.finish(query.get_result()), shell.finish(query.get_result("geopandas"))):
        assert frame.attrs["withheld"] == ["floor"]
        assert frame.attrs["repeats"] == ["0f"]
    table = shell.call("get_result_by_query_id", connection=query.connection, query_id="abc")
    assert table.attrs == {"withheld": ["floor"], "repeats": ["0f"]}


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
