"""Check that the reference pages are current and have every kind and route."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from reference_pages import pages, refusals
from reference_pages.layers import imports
from reference_pages.routes import api_routes, auth_routes

import flowclient
from flowmachine.queries.catalogue import kinds, load_any

ROOT = Path(__file__).resolve().parents[2]
CLIENT_PAGE = ROOT / "docs" / "analysts" / "client.md"
KINDS_PAGE = ROOT / "docs" / "analysts" / "query-kinds.md"
ROUTES_PAGE = ROOT / "docs" / "developers" / "http-api.md"


def test_the_pages_are_up_to_date() -> None:
    stale = [path.name for path, text in pages().items() if path.read_text() != text]
    assert stale == [], "run docs/tools/generate.py"


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_has_its_section(kind: str) -> None:
    [text] = re.findall(rf"^### {kind}\n(.*?)(?=^###? |\Z)", KINDS_PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(kinds()[kind].fields)
    [specification] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert load_any(json.loads(specification)).kind == kind
    functions = re.findall(r"`flowclient\.(\w+)`", text)
    assert functions
    assert all(callable(getattr(flowclient, name)) for name in functions)


def test_every_public_name_of_the_client_has_its_entry() -> None:
    headings = re.findall(r"^### (\w+)$", CLIENT_PAGE.read_text(), re.MULTILINE)
    modules = {name for name in flowclient.__all__ if isinstance(getattr(flowclient, name), ModuleType)}
    assert sorted(headings) == sorted(set(flowclient.__all__) - modules)


def rows_of_routes() -> set[tuple[str, str]]:
    """Method and path of every row on the page."""
    text = ROUTES_PAGE.read_text()
    rows = set(re.findall(r"^\| `([A-Z]+)` `([^`]+)` \|", text, re.MULTILINE))
    for path, methods in re.findall(r"^\| `(/[^`]*)` \| ([^|]+) \|", text, re.MULTILINE):
        rows |= {(method, path) for method in re.findall(r"[A-Z]+", methods)}
    return rows


def test_every_route_has_its_entry_and_the_reverse() -> None:
    served = {(route.method, route.path) for route in api_routes()}
    served |= {(route.method, route.path) for route, _ in auth_routes()}
    # Served by the same rule as the path without a format.
    assert rows_of_routes() - served == {("GET", "/api/0/get/{query_id}.{filetype}")}
    assert served - rows_of_routes() == set()


def test_every_room_of_the_engine_has_its_row() -> None:
    text = (ROOT / "docs" / "developers" / "architecture.md").read_text()
    named = {
        name
        for row in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, re.MULTILINE)
        for name in re.findall(r"\w+", row)
    }
    assert named == set(imports())


def test_every_refusal_of_the_loader_is_on_its_page() -> None:
    grouped = [module for modules in refusals.GROUPS.values() for module in modules]
    assert sorted(grouped) == refusals.modules()
    page = (ROOT / "docs" / "operators" / "refusals.md").read_text()
    told = [message for module in grouped for message in refusals.messages(module)]
    assert len(set(told)) > 100
    assert [message for message in told if message not in page] == []


def test_the_first_week_has_a_cure_for_each_reason_of_a_refused_record() -> None:
    page = (ROOT / "docs" / "operators" / "first-week.md").read_text()
    rows = re.findall(r"^\| ((?:`[a-z_<>]+`(?:, )?)+) \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    assert sorted(re.findall("`([^`]+)`", " ".join(rows))) == refusals.reasons()


def test_a_list_of_refusals_finds_each_form_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new.py").write_text(
        "def f(a, b):\n"
        "    faults.append(f'{a} is too long')\n"
        "    raise DataFault(f'{a}{b} is ' + ('none' if a else 'one') + f': send {b} again')\n"
        "    raise KeyError('no refusal')\n"
        "    raise ValueError(f'{a}')\n"
    )
    monkeypatch.setattr(refusals, "SOURCE", tmp_path)
    assert sorted(refusals.messages("new")) == ["… is too long", "… is …: send … again"]
