"""Reports by version: definitions, checks before publication, history, failures."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol

import pytest
import yaml
from crisis_world import crisis

from flowclient.pages import CrisisData, render
from flowclient.pages.data import Movers
from flowclient.reports import Definition, read_definition
from flowclient.reports.__main__ import main
from flowclient.reports.asking import ReportError
from flowclient.reports.definition import DefinitionError
from flowclient.reports.due import Loads, due, parts_of_run, run_key
from flowclient.reports.making import verify, write
from flowclient.reports.shelf import Placed, Shelf

FILE = {
    "name": "crisis-displacement",
    "body": {"page": "crisis"},
    "period": "day",
    "parameters": {"event": date(2016, 2, 10), "title": {"en": "Flood", "fr": "Inondation"}},
    "languages": ["en", "fr"],
    "recipients": "crisis-cell",
    "keep": {"versions": 2, "periods": 2},
}
TOKEN = "a-token-of-this-test"
DAYS = [date(2016, 1, 27) + timedelta(days=n) for n in range(28)]
LOADS = Loads({name: {day: f"{name} {day} a" for day in DAYS} for name in ("calls", "sms")}, 7)
LOADED_AGAIN = replace(LOADS, ids={**LOADS.ids, "sms": {**LOADS.ids["sms"], DAYS[-1]: "b"}})


def written(folder: Path, **changes: object) -> Path:
    path = folder / "crisis-displacement.yml"
    path.write_text(yaml.safe_dump({**FILE, **changes}))
    return path


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    return read_definition(written(tmp_path))


class Make(Protocol):
    def __call__(self, data: CrisisData, loads: Loads = ...) -> Path: ...


@pytest.fixture
def make(definition: Definition, tmp_path: Path) -> Make:
    def make(data: CrisisData, loads: Loads = LOADS) -> Path:
        into = tmp_path / "made"
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()
        pages = {language: render(data, language) for language in definition.languages}
        parts = parts_of_run(definition, "2016-02-23", loads)
        write(into, pages, parts, data.facts())
        return into

    return make


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"colour": "red"}, "colour = 'red': Extra inputs are not permitted"),
        ({"period": "year"}, "period = 'year': Input should be 'day', 'week' or 'month'"),
        ({"parameters": {"event": "soon"}}, "parameters.event = 'soon': Input should be a valid date"),
        ({"parameters": {"event": date(2016, 2, 10), "baseline_weeks": 0}}, "parameters.baseline_weeks = 0"),
        ({"recipients": "../x"}, "recipients = '../x'"),
        (
            {"body": {"page": "weather"}},
            "body.page = 'weather': Value error, must be one of crisis, mobility-monthly, data-quality",
        ),
        (
            {"body": {"page": "data-quality"}, "parameters": {"event": date(2016, 2, 10)}},
            "parameters.event = datetime.date(2016, 2, 10): Extra inputs are not permitted",
        ),
        (
            {"body": {"page": "mobility-monthly"}, "parameters": {}, "period": "week"},
            "a page 'mobility-monthly' has 'period: month'",
        ),
        ({"body": {"page": "data-quality"}, "parameters": {"weeks": 13}}, "parameters.weeks = 13"),
        ({"languages": ["de"]}, "languages.0 = 'de'"),
        (
            {"trigger": {}},
            "trigger = {}: Value error, must have exactly one of 'days_loaded', 'complete', 'cron'",
        ),
        (
            {"trigger": {"cron": "0 6 * *"}},
            "trigger.cron = '0 6 * *': Value error, must be a cron expression",
        ),
        ({"trigger": {"complete": ["calls"], "late": "18:00"}}, "'late' goes with 'days_loaded' alone"),
        (
            {"trigger": {"days_loaded": ["calls"], "late": "6 pm"}},
            "trigger.late = '6 pm': Value error, must be a",
        ),
        ({"publish": "later"}, "publish = 'later': Input should be 'at-once' or 'by-hand'"),
        ({"on_failure": ["tell", "{token}"]}, "may name only {report}, {period} and {reason}"),
        ({"name": "another"}, "name = 'another': must be 'crisis-displacement'"),
    ],
)
def test_a_wrong_definition_is_refused_by_field(
    tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(DefinitionError) as refused:
        read_definition(written(tmp_path, **changes))
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("period", "text", "end"),
    [
        ("day", "2016-02-29", date(2016, 3, 1)),
        ("week", "2015-W53", date(2016, 1, 4)),
        ("month", "2016-12", date(2017, 1, 1)),
    ],
)
def test_periods(tmp_path: Path, period: str, text: str, end: date) -> None:
    definition = read_definition(written(tmp_path, period=period))
    assert definition.end_of(text) == end
    # The day before the end is the period's last.
    assert definition.period_of(date.fromordinal(end.toordinal() - 1)) == text
    assert definition.period_of(end) != text
    for wrong in ("", "2016", "2016-02-30", "2016-W54", "2016-13", "../2016"):
        with pytest.raises(ValueError, match=f"must be a {period}, such as"):
            definition.end_of(wrong)


def test_the_same_loads_are_one_version_and_others_the_next(
    definition: Definition, make: Make, tmp_path: Path
) -> None:
    shelf = Shelf(definition, tmp_path / "out")
    shelf.folder.mkdir(parents=True)
    assert shelf.place("2016-02-23", make(crisis())) == Placed("v1")
    first = (shelf.folder / "2016-02-23" / "v1" / "page.en.html").read_bytes()
    assert shelf.place("2016-02-23", make(crisis())) is None
    assert shelf.place("2016-02-23", make(crisis(), LOADED_AGAIN)) == Placed("v2")
    assert shelf.place("2016-02-23", make(crisis(), replace(LOADED_AGAIN, cells=8))) == Placed("v3")
    assert (shelf.folder / "2016-02-23" / "v1" / "page.en.html").read_bytes() == first
    [period] = json.loads((shelf.folder / "index.json").read_text())["periods"]
    assert [(version["version"], version["because"]) for version in period["versions"]] == [
        ("v3", "cells"),
        ("v2", "loads"),
        ("v1", "first"),
    ]
    age = datetime.now(timezone.utc) - datetime.fromisoformat(period["versions"][0]["made"])
    assert timedelta() <= age < timedelta(minutes=5)
    french = (shelf.folder / "index.fr.html").read_text()
    assert "des données ont été chargées plus tard ou de nouveau" in french
    assert 'href="2016-02-23/v2/page.fr.html"' in french
    assert f"faite le {period['versions'][0]['made'][:16].replace('T', ' ')} UTC" in french


def test_a_version_waits_for_its_approval(make: Make, tmp_path: Path) -> None:
    definition = read_definition(written(tmp_path, publish="by-hand"))
    shelf = Shelf(definition, tmp_path / "out")
    shelf.folder.mkdir(parents=True)
    with pytest.raises(LookupError, match="no version is held; periods with one: none"):
        shelf.approve("2016-02-23")
    assert shelf.place("2016-02-23", make(crisis())) == Placed("held", held=True)
    assert "page.en.html" not in (shelf.folder / "index.en.html").read_text()
    held = shelf.folder / "2016-02-23" / "held"
    assert held.stat().st_mode & 0o077 == 0
    # What waits was made from the same loads, so that there is nothing to make.
    assert shelf.made("2016-02-23") == {run_key(definition, "2016-02-23", LOADS)}
    assert shelf.place("2016-02-23", make(crisis())) is None
    # A newer one takes its place.
    assert shelf.place("2016-02-23", make(crisis(), LOADED_AGAIN)) == Placed("held", held=True)
    assert shelf.approve("2016-02-23") == "v1"
    assert shelf.made("2016-02-23") == {run_key(definition, "2016-02-23", LOADED_AGAIN)}
    assert not held.exists()
    assert "2016-02-23/v1/page.en.html" in (shelf.folder / "index.en.html").read_text()


def test_old_versions_and_periods_go(definition: Definition, make: Make, tmp_path: Path) -> None:
    shelf = Shelf(definition, tmp_path / "out")
    shelf.folder.mkdir(parents=True)
    data = crisis()
    for n in range(3):
        shelf.place("2016-02-23", make(data, replace(LOADS, cells=n)))
    for period in ("2016-02-22", "2016-02-21"):
        shelf.place(period, make(data))
    shelf.prune()
    assert shelf.periods() == ["2016-02-23", "2016-02-22"]
    assert [path.name for path in shelf.versions("2016-02-23")] == ["v3", "v2"]


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        (TOKEN, "holds a token"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "holds a token"),
        ('<img src="https://example.org/x.png">', "refers to src="),
        ('<a href="http://example.org">x</a>', "refers to href="),
        ("<script>1</script>", "a script that is not ours"),
    ],
)
def test_pages_with_something_foreign_are_not_published(
    definition: Definition, make: Make, planted: str, told: str
) -> None:
    made = make(crisis())
    verify(definition, made, TOKEN)
    file = made / "page.fr.html"
    file.write_text(file.read_text().replace("<main>", f"<main>{planted}"))
    with pytest.raises(ReportError, match=told):
        verify(definition, made, TOKEN)


def test_other_numbers_than_the_tables_are_not_published(definition: Definition, make: Make) -> None:
    made = make(crisis())
    table = made / "data.csv"
    table.write_text(table.read_text().replace(",143,", ",144,"))
    with pytest.raises(ReportError, match="other numbers than"):
        verify(definition, made, TOKEN)


def test_a_page_of_nothing_is_not_published(definition: Definition, make: Make) -> None:
    data = crisis()
    with pytest.raises(ReportError, match="Every number is withheld"):
        empty = [replace(each, values={}) for each in (data.before, *data.weeks)]
        nothing = replace(data, before=empty[0], weeks=tuple(empty[1:]), movers=Movers({}, {}), outcomes={})
        verify(definition, make(nothing), TOKEN)
    # The weeks alone are something, as is the first month with data.
    verify(definition, make(replace(data, before=empty[0])), TOKEN)


@pytest.mark.slow
def test_a_failure_stands_beside_the_last_good_version(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    token: str,
) -> None:
    """Run against a port where nobody listens."""
    told = ["/usr/bin/touch", f"{tmp_path}/{{report}} {{period}} {{reason}}"]
    definition = read_definition(written(tmp_path, on_failure=told))
    shelf = Shelf(definition, tmp_path / "out")
    shelf.folder.mkdir(parents=True)
    shelf.place("2016-02-23", make(crisis()))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    (tmp_path / "token").write_text(token)
    for name, value in {
        "FLOWAPI_URL": f"http://127.0.0.1:{port}",
        "FLOWAPI_TOKEN_FILE": str(tmp_path / "token"),
        "FLOWKIT_REPORTS": str(tmp_path),
        "FLOWKIT_REPORTS_OUT": str(tmp_path / "out"),
    }.items():
        monkeypatch.setenv(name, value)
    assert main(["list"]) == 0
    monkeypatch.setenv("FLOWAPI_TOKEN_FILE", str(tmp_path / "none"))
    assert main(["check"]) == 1
    told_of_token = (
        f"FLOWAPI_TOKEN_FILE = '{tmp_path}/none': the file cannot be read (No such file or directory)."
    )
    assert capsys.readouterr().out.splitlines()[-1] == f"right: {told_of_token}"
    monkeypatch.setenv("FLOWAPI_TOKEN_FILE", str(tmp_path / "token"))
    assert main(["run", "crisis-displacement", "--period", "2016-02-23"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("connection: Unable to connect")
    assert main(["list"]) == 1
    assert (
        "last good 2016-02-23 v1; next: 2016-02-24; failures: 2016-02-23: connection"
        in capsys.readouterr().out
    )
    assert main(["list", "--json"]) == 1
    told_by_name = json.loads(capsys.readouterr().out)["crisis-displacement"]
    assert {name: told_by_name[name] for name in ("last_good", "next", "failures", "held")} == {
        "last_good": "2016-02-23 v1",
        "next": "2016-02-24",
        "failures": {"2016-02-23": "connection"},
        "held": [],
    }
    index = (shelf.folder / "index.en.html").read_text()
    assert "the server could not be reached" in index
    assert "page.en.html" in index
    assert [path.name for path in shelf.folder.iterdir() if path.name.startswith(".making")] == []
    # Only a server that stays away is told of.
    told_of = tmp_path / "crisis-displacement 2016-02-23 connection"
    assert main(["run", "crisis-displacement", "--period", "2016-02-23"]) == 1
    assert not told_of.exists()
    assert main(["run", "crisis-displacement", "--period", "2016-02-23"]) == 1
    assert told_of.exists()
    # The next good run takes the failure away.
    shelf.place("2016-02-23", make(crisis(), LOADED_AGAIN))
    assert main(["list"]) == 0


def at(day: int, hour: int = 12, month: int = 2) -> datetime:
    return datetime(2016, month, day, hour, tzinfo=timezone.utc)


def without(loads: Loads, event_type: str, *days: date) -> Loads:
    left = {day: load for day, load in loads.ids[event_type].items() if day not in days}
    return replace(loads, ids={**loads.ids, event_type: left})


LAST = date(2016, 2, 23)
WEEK_OF_EVENT = [f"2016-02-{day}" for day in range(10, 24)]


@pytest.mark.parametrize(
    ("changes", "loads", "now", "periods"),
    [
        # Days until the last that has both types; the last day of the loads is the 23rd.
        ({}, LOADS, at(24), WEEK_OF_EVENT),
        ({}, without(LOADS, "sms", LAST), at(24), WEEK_OF_EVENT[:-1]),
        # A day without one of its types is made after its hour, on the next day.
        (
            {"trigger": {"days_loaded": ["calls", "sms"], "late": "18:00"}},
            without(LOADS, "sms", LAST),
            at(24, 17),
            WEEK_OF_EVENT[:-1],
        ),
        (
            {"trigger": {"days_loaded": ["calls", "sms"], "late": "18:00"}},
            without(LOADS, "sms", LAST),
            at(24, 18),
            WEEK_OF_EVENT,
        ),
        # The 22nd is a Monday: its week is not over.
        ({"period": "week"}, LOADS, at(24), ["2016-W06", "2016-W07"]),
        (
            {"period": "week", "trigger": {"complete": ["sms"]}},
            without(LOADS, "sms", date(2016, 2, 16)),
            at(24),
            ["2016-W06"],
        ),
        ({"period": "month"}, LOADS, at(24), []),
        # Days that are late are made with gaps for a week; after that nothing is loaded any more.
        (
            {"trigger": {"days_loaded": ["calls"], "late": "18:00"}},
            LOADS,
            at(28),
            [*WEEK_OF_EVENT, "2016-02-24", "2016-02-25", "2016-02-26"],
        ),
        (
            {"trigger": {"days_loaded": ["calls"], "late": "18:00"}, "keep": {"periods": 2}},
            LOADS,
            at(1, month=12),
            ["2016-02-29", "2016-03-01"],
        ),
        # Mondays at six: the week that ended before.
        ({"period": "week", "trigger": {"cron": "0 6 * * 1"}}, LOADS, at(22, 5), ["2016-W06"]),
        ({"period": "week", "trigger": {"cron": "0 6 * * 1"}}, LOADS, at(22, 7), ["2016-W07"]),
        ({"keep": {"periods": 3}}, LOADS, at(24), WEEK_OF_EVENT[-3:]),
        # Nothing of the days since the event.
        ({}, Loads({"calls": {date(2016, 2, 9): "a"}}, 7), at(24), []),
    ],
)
def test_periods_are_due_when_their_time_has_come(
    tmp_path: Path, changes: dict[str, object], loads: Loads, now: datetime, periods: list[str]
) -> None:
    definition = read_definition(written(tmp_path, **{"keep": {"periods": 400}, **changes}))
    assert due(definition, loads, Shelf(definition, tmp_path / "out"), now) == periods


def test_only_periods_whose_loads_changed_are_due_again(
    definition: Definition, make: Make, tmp_path: Path
) -> None:
    shelf = Shelf(definition, tmp_path / "out")
    shelf.folder.mkdir(parents=True)
    shelf.place("2016-02-23", make(crisis()))
    assert due(definition, LOADS, shelf, at(24)) == ["2016-02-22"]
    # The day before does not read the day that was loaded again.
    assert due(definition, LOADED_AGAIN, shelf, at(24)) == ["2016-02-22", "2016-02-23"]
    # A second baseline week's day is read by both; a third is not read at all.
    baseline = replace(LOADS, ids={**LOADS.ids, "calls": {**LOADS.ids["calls"], date(2016, 1, 27): "b"}})
    assert due(definition, baseline, shelf, at(24)) == ["2016-02-22", "2016-02-23"]
    earlier = replace(LOADS, ids={**LOADS.ids, "calls": {**LOADS.ids["calls"], date(2016, 1, 26): "b"}})
    assert due(definition, earlier, shelf, at(24)) == ["2016-02-22"]


def test_a_page_of_quality_reads_all_types_and_the_weeks_that_say_what_is_usual(tmp_path: Path) -> None:
    changes = {"body": {"page": "data-quality"}, "parameters": {"weeks": 4}, "keep": {"periods": 400}}
    quality = read_definition(written(tmp_path, **changes))
    loads = Loads({name: {day: f"{day}" for day in DAYS} for name in ("calls", "mds", "sms")}, 7)
    # There is no event: every day with data has its page.
    assert due(quality, loads, Shelf(quality, tmp_path / "out"), at(24)) == [f"{day}" for day in DAYS]
    first = LAST - timedelta(days=83)
    old = replace(loads, ids={**loads.ids, "mds": {first: "a", first - timedelta(days=1): "a"}})
    read = old.read_by(quality, "2016-02-23")
    assert set(read) == {"calls", "mds", "sms"}
    assert read["mds"] == {f"{first}": "a"}


def test_nothing_is_due_where_no_report_is_defined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ask nobody: without a definition it is not known with whose rights."""
    monkeypatch.setenv("FLOWKIT_REPORTS", str(tmp_path))
    monkeypatch.delenv("FLOWAPI_TOKEN_FILE", raising=False)
    assert main(["due", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_a_failure_is_tried_again_only_where_that_may_help(definition: Definition, tmp_path: Path) -> None:
    shelf = Shelf(definition, tmp_path / "out")
    shelf.folder.mkdir(parents=True)
    key = run_key(definition, "2016-02-23", LOADS)
    refused = shelf.failed("2016-02-23", "refused", key)
    later = refused.when + timedelta(days=1)
    assert "2016-02-23" not in due(definition, LOADS, shelf, later)
    assert "2016-02-23" in due(definition, LOADED_AGAIN, shelf, later)
    pauses = []
    for _ in range(4):
        failure = shelf.failed("2016-02-23", "connection", None)
        minutes = range(0, 100)
        pauses.append(
            next(
                minute
                for minute in minutes
                if "2016-02-23" in due(definition, LOADS, shelf, failure.when + timedelta(minutes=minute))
            )
        )
    assert pauses == [5, 15, 45, 60]
