"""What `check` says before a report is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from flowclient_stub import Answer, StubServer, make_token

from flowclient.reports import read_definition
from flowclient.reports.__main__ import main
from flowclient.reports.contents import CrisisParameters
from flowclient.reports.shelf import Shelf

NEEDED = CrisisParameters(event=date(2016, 2, 10)).scopes()
CRISIS = {
    "name": "flood",
    "body": {"page": "crisis"},
    "period": "day",
    "parameters": {"event": date(2016, 2, 10), "baseline_weeks": 1},
    "recipients": "cell",
}
NOTEBOOK = {
    "name": "flood",
    "body": {"notebook": "mine.ipynb", "scopes": ["run", "get_available_dates"]},
    "period": "day",
    "parameters": {
        "types": {"type": "event_types", "value": ["calls", "faxes"]},
        "place": {"type": "unit", "value": "admin9"},
        "areas": {"type": "areas", "unit": "admin3", "value": ["X.1", "Y.1"]},
    },
    "recipients": "cell",
}
DAYS = [date(2016, 2, 3) + timedelta(days=n) for n in range(14)]

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(
    server: StubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Said:
    """Provide a function that checks a definition with a token of some scopes."""
    loads = [
        {"event_type": name, "date": day.isoformat(), "load_id": "a"}
        for name in ("calls", "sms")
        for day in DAYS
        if (name, day) != ("sms", date(2016, 2, 12))
    ]
    server.script("GET", "loads", Answer(200, {"loads": loads, "cells_version": 1}))
    offered = {"x-security-scopes": [*NEEDED, "extremes"]}
    server.script(
        "GET", "spec/openapi.json", Answer(200, {"components": {"securitySchemes": {"token": offered}}})
    )
    server.script(
        "GET",
        "available_dates",
        Answer(200, {"available_dates": {"calls": ["2016-02-03"], "sms": ["2016-02-03"]}}),
    )
    feature = {"type": "Feature", "geometry": None, "properties": {"pcod": "X.1"}}
    server.script(
        "GET", "geography/admin3", Answer(200, {"type": "FeatureCollection", "features": [feature]})
    )
    for name, value in {
        "FLOWAPI_URL": server.url,
        "FLOWAPI_TOKEN_FILE": str(tmp_path / "token"),
        "FLOWKIT_REPORTS": str(tmp_path),
        "FLOWKIT_REPORTS_OUT": str(tmp_path / "out"),
    }.items():
        monkeypatch.setenv(name, value)

    def said(definition: dict[str, Any], scopes: list[str]) -> tuple[int, str]:
        (tmp_path / "flood.yml").write_text(yaml.safe_dump(definition))
        (tmp_path / "token").write_text(make_token({"analyst": scopes}))
        status = main(["check"])
        return status, capsys.readouterr().out.strip()

    return said


def test_rights_that_are_missing_or_too_many_are_named(said: Said) -> None:
    missing = "2016-02-16 has no sms of 1 of 14 days, the last 2016-02-12"
    assert said(CRISIS, NEEDED) == (0, f"flood: ready; {missing}")
    assert said(CRISIS, [scope for scope in NEEDED if scope != "admin3:flows:flows"]) == (
        1,
        "flood: the token lacks admin3:flows:flows",
    )
    more = [f"admin2:kind_{n}:kind_{n}" for n in range(6)]
    assert said(CRISIS, [*NEEDED, *more, "extremes"]) == (
        0,
        f"flood: ready; {missing}; the token has more than the report needs: extremes, {', '.join(more[:4])}"
        " and 2 more",
    )
    without = [scope for scope in NEEDED if scope != "get_result"]
    assert said(CRISIS, [*without, "extremes"]) == (
        1,
        "flood: the token lacks get_result; the token has more than the report needs: extremes",
    )


def notebook(folder: Path, cell: str) -> None:
    parameters = nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters]), folder / "mine.ipynb")


def test_arguments_that_the_server_does_not_know_are_named(said: Said, tmp_path: Path) -> None:
    notebook(tmp_path, "types = []\nplace = ''\nareas = []")
    assert said(NOTEBOOK, ["run", "get_available_dates"]) == (
        1,
        "flood: areas = 'Y.1' is not known to the server; place = 'admin9' is not known to the server;"
        " types = 'faxes' is not known to the server",
    )
    notebook(tmp_path, "types = []")
    given = {"types": {"type": "event_types", "value": ["calls"]}}
    assert said(NOTEBOOK | {"parameters": given}, ["run", "get_available_dates"]) == (0, "flood: ready")
    unsaid = NOTEBOOK | {"parameters": given, "body": {"notebook": "mine.ipynb"}}
    assert said(unsaid, ["run"]) == (
        0,
        "flood: ready; the definition does not say which scopes its notebook needs",
    )
    notebook(tmp_path, "typos = []")
    assert said(NOTEBOOK | {"parameters": given}, ["run", "get_available_dates"]) == (
        1,
        "flood: mine.ipynb has no parameter types; mine.ipynb has a parameter typos, which is not defined",
    )
    unknown = CRISIS | {"parameters": {"event": date(2016, 2, 10), "aggregation_unit": "admin2"}}
    needed = CrisisParameters(event=date(2016, 2, 10), aggregation_unit="admin2").scopes()
    assert said(unknown, needed)[1].startswith(
        "flood: aggregation_unit = 'admin2' is not known to the server"
    )


@pytest.mark.parametrize(
    ("answers", "repeating", "advised"), [(100, 1, False), (100, 2, True), (99, 1, True)]
)
def test_a_coarser_unit_is_advised_where_answers_repeat(
    said: Said, tmp_path: Path, answers: int, repeating: int, advised: bool
) -> None:
    said(CRISIS, NEEDED)
    shelf = Shelf(read_definition(tmp_path / "flood.yml"), tmp_path / "out")
    days = [{"values": {"X.1": 20}, "repeats": ["abc"] if n < repeating else []} for n in range(answers)]
    facts = {"before": {"values": None, "repeats": []}, "days": days}
    for version, content in (("v1", {"days": [{"values": {}, "repeats": ["abc"]}] * 50}), ("v2", facts)):
        folder = shelf.folder / "2016-02-16" / version
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"facts": content}))
    told = said(CRISIS, NEEDED)[1]
    # Of a period the last version counts.
    assert (
        f"{repeating} of {answers} answers of the last versions repeat rows of earlier answers: a coarser unit or"
        " a longer period repeats fewer" in told
    ) == advised
    assert ("repeat" in told) == advised
