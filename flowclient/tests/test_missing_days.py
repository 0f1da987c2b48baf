"""A period half outside the data is not counted without a word."""

from __future__ import annotations

import re
import warnings

import pytest
from flowclient_stub import GEOGRAPHY, RESULT, RUN, Answer, polls

import flowclient

WEEK = ["2016-01-08", "2016-01-09", "2016-01-10"]
MISSING = {"calls": WEEK, "sms": WEEK, "mds": ["2016-01-01", "2016-01-03"]}
TOLD = "(calls and sms: 2016-01-08 to 2016-01-10; mds: 2016-01-01, 2016-01-03)"


@pytest.fixture
def explained(server):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    server.script("GET", "get/abc", RESULT)

    def script(answer):
        server.script("POST", "explain", answer)

    return script


def test_days_without_data_are_in_the_table_and_warned_of_once(shell, server, query, explained):
    explained(Answer(200, {"missing_days": MISSING}))
    with pytest.warns(UserWarning, match=re.escape(TOLD)):
        frame = shell.finish(query.get_result())
    assert frame.attrs["missing_days"] == MISSING
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = shell.finish(query.get_result())
    assert again.attrs["missing_days"] == MISSING
    assert server.asked("POST", "explain") == 1
    # A frame is the user's: changing its attributes changes no other.
    frame.attrs["missing_days"]["calls"].clear()
    assert shell.finish(query.get_result()).attrs["missing_days"] == MISSING


def test_of_complete_days_there_is_nothing_to_say(shell, query, explained):
    explained(Answer(200, {"missing_days": {}}))
    assert shell.finish(query.get_result()).attrs == {"missing_days": {}}


@pytest.mark.parametrize("answer", [Answer(404, {}), Answer(403, {"msg": "No."}), Answer(500, "<html>")])
def test_a_server_that_cannot_tell_leaves_it_unsaid(shell, query, explained, answer):
    explained(answer)
    frame = shell.finish(query.get_result())
    assert len(frame) == 2
    assert frame.attrs == {}


def test_texts_and_json_are_fetched_without_asking(shell, server, query, explained):
    server.script("GET", "get/abc.geojson", Answer(200, GEOGRAPHY))
    server.script("GET", "get/abc.csv", Answer(200, "pcod,value\r\n"))
    for format in ("geojson", "csv"):
        shell.finish(query.get_result(format))
    assert server.asked("POST", "explain") == 0


def test_many_spans_are_cut_short():
    days = [f"2016-01-{day:02}" for day in range(1, 31, 2)]
    told = flowclient.checks.missing_days_told({"calls": days})
    assert "2016-01-09, ..." in told
    assert "2016-01-11" not in told
