"""The crisis page over the small stack: every number is the API's."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import flowclient
from flowclient.pages import collect_crisis, render
from flowclient.reports.__main__ import main

if TYPE_CHECKING:
    from conftest import Stack

EVENT = date(2016, 1, 4)


def test_every_number_is_an_answer_of_the_api(connection: flowclient.Connection) -> None:
    data = collect_crisis(connection=connection, event=EVENT, baseline_weeks=1, until="2016-01-07")
    page = render(data)
    answers = {
        name: flowclient.get_result_by_query_id(connection=connection, query_id=query_id)
        for name, query_id in data.query_ids.items()
    }
    # The last day is the one before `until`; days before the first with data are missing.
    assert set(answers) == {
        "before",
        *(f"{what} 2016-01-0{day}" for what in ("day", "use") for day in range(1, 7)),
    }
    counts = {name: dict(zip(frame["pcod"], frame["value"], strict=True)) for name, frame in answers.items()}

    areas = flowclient.get_geography(connection=connection, aggregation_unit="admin3", format="geopandas")
    names = dict(zip(areas["pcod"], areas["name"], strict=True))
    order = [area.pcod for area in data.areas]
    assert sorted(order) == sorted(names)
    assert {area.pcod: area.name for area in data.areas} == names

    [embedded] = re.findall(r'id="data">(.*?)</script>', page.html, re.DOTALL)
    days = json.loads(embedded)["days"]
    assert len(days) == 10
    for day, drawn in zip(data.days, days, strict=True):
        released = counts.get(f"day {day.first}")
        missing = ["n"] * len(order)
        assert drawn["values"] == (
            missing if released is None else [released.get(code, "w") for code in order]
        )
    assert sum(day["values"][0] == "n" for day in days) == 4

    rows = list(csv.DictReader(io.StringIO(page.csv)))
    assert sorted(row["pcod"] for row in rows) == sorted(order)
    assert {row["pcod"]: int(row["before"]) for row in rows if row["before"]} == counts["before"]
    # No week is over: nothing is said of what came after.
    assert {row["status"] for row in rows} == {"no data"}
    assert "The first week is not complete yet" in page.html
    assert {f"use {day}": value for day, value in data.use.items()} == {
        name: int(frame["value"].iloc[0])
        for name, frame in answers.items()
        if name.startswith("use") and len(frame)
    }
    assert data.floor == 15


def test_the_page_names_no_user_token_or_server(connection: flowclient.Connection) -> None:
    page = render(collect_crisis(connection=connection, event=EVENT, baseline_weeks=1, until="2016-01-07"))
    for secret in (connection.token, connection.user, connection.url, connection.url.rpartition(":")[2]):
        assert secret not in re.sub(r' d="[^"]*"', "", page.html)


def test_a_report_is_one_version_until_something_changes(
    connection: flowclient.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    definition = (
        "{name: flood, body: {page: crisis}, period: day, languages: [en, es], recipients: cell,"
        " parameters: {event: 2016-01-04, baseline_weeks: BASELINE}}"
    )
    (tmp_path / "flood.yml").write_text(definition.replace("BASELINE", "1"))
    (tmp_path / "token").write_text(connection.token)
    monkeypatch.setenv("FLOWAPI_URL", connection.url)
    monkeypatch.setenv("FLOWAPI_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("FLOWKIT_REPORTS", str(tmp_path))
    monkeypatch.setenv("FLOWKIT_REPORTS_OUT", str(tmp_path / "out"))

    def said(*arguments: str) -> str:
        assert main(list(arguments)) == 0
        return capsys.readouterr().out.strip()

    run = ("run", "flood", "--period", "2016-01-06")
    told = said("check")
    assert told.startswith("flood: ready; ")
    # The demonstration's user may ask everything.
    assert "; the token has more than the report needs: extremes, " in told
    assert said(*run) == "flood 2016-01-06: published v1"
    assert said(*run) == "flood 2016-01-06: nothing new"
    (tmp_path / "flood.yml").write_text(definition.replace("BASELINE", "2"))
    assert said(*run) == "flood 2016-01-06: published v2"
    assert said("list") == "flood: last good 2016-01-06 v2; next: 2016-01-07; failures: none"
    index = json.loads((tmp_path / "out" / "cell" / "flood" / "index.json").read_text())
    assert [each["because"] for each in index["periods"][0]["versions"]] == ["definition", "first"]


def test_reports_are_made_when_they_are_due(
    stack: Stack, connection: flowclient.Connection, tmp_path: Path
) -> None:
    """Serve a report through the stack's Prefect server, until SIGTERM."""
    (tmp_path / "flood.yml").write_text(
        "{name: flood, body: {page: crisis}, period: day, languages: [en], recipients: cell, keep: {periods: 1},"
        " parameters: {event: 2016-01-04, baseline_weeks: 1}}"
    )
    (tmp_path / "token").write_text(connection.token)
    environment = stack.layout.environment() | {
        "FLOWAPI_URL": connection.url,
        "FLOWAPI_TOKEN_FILE": str(tmp_path / "token"),
        "FLOWKIT_REPORTS": str(tmp_path),
        "FLOWKIT_REPORTS_OUT": str(tmp_path / "out"),
    }
    command = [sys.executable, "-m", "flowetl", "reports"]

    def said(*arguments: str) -> str:
        return subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert said("due") == "flood 2016-01-07\n"
    index = tmp_path / "out" / "cell" / "flood" / "index.json"
    log = tmp_path / "log"
    with log.open("w") as output:
        serving = subprocess.Popen([*command, "serve"], env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 180
        while not index.exists():
            assert serving.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        # A second maker would take the runs of the first for abandoned.
        second = subprocess.run([*command, "serve"], env=environment, capture_output=True, text=True)
        assert second.returncode == 2
        assert "stop it first" in second.stderr
        serving.terminate()
        assert serving.wait(timeout=30) == 0
    finally:
        serving.kill()
        serving.wait()
    assert said("due") == ""
    assert said("list") == "flood: last good 2016-01-07 v1; next: 2016-01-08; failures: none\n"
    assert connection.token not in log.read_text()
