"""Check that the pages of rules name tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "attacks.md": ROOT / "flowmachine" / "tests",
    "loading-rules.md": ROOT / "flowetl" / "tests",
}


def defined_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / "docs" / "developers" / page).read_text()
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    assert len(named) > 10
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (PAGES[page] / file).exists() or name not in defined_in(PAGES[page] / file)
    ]
    assert missing == []


def test_every_module_that_the_rules_of_loading_name_is_there() -> None:
    text = (ROOT / "docs" / "developers" / "loading-rules.md").read_text()
    upheld = re.findall(r"^\|[^|]+\|([^|]+)\|[^|]+\|$", text, re.MULTILINE)
    named = {name for cell in upheld for name in re.findall(r"`(\w+)`", cell)}
    assert len(named) > 20
    modules = {path.stem for path in (ROOT / "flowetl" / "src" / "flowetl").glob("*.py")}
    assert named - modules == set()
