"""Reports by version: definitions, checks before publication, history, failures."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml
from crisis_world import crisis

from flowclient.pages import CrisisData, render
from flowclient.reports import Definition, read_definition
from flowclient.reports.__main__ import main
from flowclient.reports.definition import DefinitionError
from flowclient.reports.making import ReportError, _write, verify
from flowclient.reports.shelf import Shelf

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


def written(folder: Path, **changes: object) -> Path:
    path = folder / "crisis-displacement.yml"
    path.write_text(yaml.safe_dump({**FILE, **changes}))
    return path


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    return read_definition(written(tmp_path))


Make = Callable[[CrisisData], Path]


@pytest.fixture
def make(definition: Definition, tmp_path: Path) -> Make:
    def make(data: CrisisData) -> Path:
        into = tmp_path / "made"
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()
        pages = {language: render(data, language) for language in definition.languages}
        _write(definition, "2016-02-23", into, pages, data.facts())
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
        ({"languages": ["de"]}, "languages.0 = 'de'"),
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


def test_the_same_numbers_are_one_version_and_others_the_next(
    definition: Definition, make: Make, tmp_path: Path
) -> None:
    shelf = Shelf(definition, tmp_path / "out")
    shelf.folder.mkdir(parents=True)
    data = crisis()
    assert shelf.publish("2016-02-23", make(data)) == "v1"
    first = (shelf.folder / "2016-02-23" / "v1" / "page.en.html").read_bytes()
    assert shelf.publish("2016-02-23", make(data)) is None
    loaded_again = replace(data, use={day: value + 1 for day, value in data.use.items()})
    assert shelf.publish("2016-02-23", make(loaded_again)) == "v2"
    assert (shelf.folder / "2016-02-23" / "v1" / "page.en.html").read_bytes() == first
    [period] = json.loads((shelf.folder / "index.json").read_text())["periods"]
    assert period["versions"] == [
        {"version": "v2", "because": "facts"},
        {"version": "v1", "because": "first"},
    ]
    french = (shelf.folder / "index.fr.html").read_text()
    assert "les données ont changé" in french
    assert 'href="2016-02-23/v2/page.fr.html"' in french


def test_old_versions_and_periods_go(definition: Definition, make: Make, tmp_path: Path) -> None:
    shelf = Shelf(definition, tmp_path / "out")
    shelf.folder.mkdir(parents=True)
    data = crisis()
    for n in range(3):
        shelf.publish("2016-02-23", make(replace(data, floor=15 + n)))
    for period in ("2016-02-22", "2016-02-21"):
        shelf.publish(period, make(data))
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
    with pytest.raises(ReportError, match="Every area is withheld"):
        verify(definition, make(replace(data, before=replace(data.before, values={}))), TOKEN)


@pytest.mark.slow
def test_a_failure_stands_beside_the_last_good_version(
    definition: Definition,
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    token: str,
) -> None:
    """Run against a port where nobody listens, in the maker's own process."""
    shelf = Shelf(definition, tmp_path / "out")
    shelf.folder.mkdir(parents=True)
    shelf.publish("2016-02-23", make(crisis()))
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
    assert main(["run", "crisis-displacement", "--period", "2016-02-23"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("connection: Unable to connect")
    assert main(["list"]) == 1
    assert "last good 2016-02-23 v1; failures: 2016-02-23: connection" in capsys.readouterr().out
    index = (shelf.folder / "index.en.html").read_text()
    assert "the server could not be reached" in index
    assert "page.en.html" in index
    assert [path.name for path in shelf.folder.iterdir() if path.name.startswith(".making")] == []
    # The next good run takes the failure away.
    shelf.publish("2016-02-23", make(crisis()))
    assert main(["list"]) == 0
