"""The documentation says what is so: every page is reachable, every link leads somewhere, every setting is listed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md"))
SETTINGS = DOCS / "operators" / "settings.md"

BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)")
NAME = re.compile(
    r"(FLOW(?:KIT|DB|MACHINE|API|AUTH|ETL)_[A-Z0-9_]+|PREFECT_[A-Z0-9_]+|P(?:RIVATE|UBLIC)_JWT_SIGNING_KEY"
    r"|SECRET_KEY|DB_URI|TWO_FACTOR_VALID_WINDOW)"
)


def navigation() -> set[str]:
    def pages(entry: Any) -> set[str]:
        if isinstance(entry, str):
            return {entry}
        values = entry.values() if isinstance(entry, dict) else entry
        return set().union(*(pages(value) for value in values))

    return pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])


def test_the_navigation_names_every_page_and_no_other() -> None:
    assert navigation() == {str(path.relative_to(DOCS)) for path in PAGES}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "page",
    [path for path in PAGES if not re.match(r"\d", path.name)],
    ids=lambda page: str(page.relative_to(DOCS)),
)
def test_a_page_says_for_whom_it_is_and_how_long_it_takes(page: Path) -> None:
    assert re.search(r"^Audience: .*Reading time: \d+ minutes?", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_are_python_with_functions_that_exist(page: Path) -> None:
    import flowclient

    for language, _marks, code in BLOCK.findall(page.read_text()):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(code)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "flowclient"
            ):
                assert hasattr(flowclient, node.attr), node.attr


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_shell_blocks_are_marked_illustrative_or_are_make_targets(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for language, marks, code in BLOCK.findall(page.read_text()):
        if language == "bash" and "illustrative" not in marks:
            for line in code.splitlines():
                assert line.split()[0] == "make"
                assert line.split()[1] in targets


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_named_in_the_text_exist(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)", page.read_text())) <= targets


def settings_in_code() -> set[str]:
    files = [
        path for pattern in ("flow*/src/**/*.py", "tools/*.py", "demo/*.py") for path in ROOT.glob(pattern)
    ]
    found = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
                found.add(node.value)
    return found


def test_every_setting_in_the_code_is_in_the_table_and_the_reverse() -> None:
    code = settings_in_code()
    table = set(NAME.findall("\n".join(re.findall(r"`([^`]+)`", SETTINGS.read_text()))))
    assert code - table == set()
    # SSL_CERTIFICATE_FILE and the notebook's own settings are read by the notebook only.
    notebook = set(NAME.findall((ROOT / "demo" / "notebook.ipynb").read_text()))
    assert table - code - notebook == set()


def test_the_committed_notebook_has_no_outputs() -> None:
    cells = json.loads((ROOT / "demo" / "notebook.ipynb").read_text())["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
