"""Waiting for a query, and the bar that shows it."""

from __future__ import annotations

import re

import ipykernel.kernelapp  # noqa: F401  An imported kernel is not a running one: the bar must know the difference.
import nbformat
import pytest
import requests
from flowclient_stub import (
    FAILED,
    RUN,
    polls,
)
from nbclient import NotebookClient

import flowclient
from flowclient import operations
from flowclient.progress import PartsBar

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("script", "bars"),
    [
        ([], []),
        ([5, 3, 3], ["0/5", "2/5", "2/5", "5/5"]),
        ([4, 2, 6, 1], ["0/4", "2/4", "2/8", "7/8", "8/8"]),
        ([0], ["0/1", "1/1"]),
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
    # A server that cannot hold replies answers at once, and the client pauses.
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
