"""Check that each kind has its four parts, for which its tick on the page stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reference_pages.evidence import evidence, without_module

from flowmachine.queries.catalogue import kinds

KINDS_PAGE = Path(__file__).resolve().parents[1] / "analysts" / "query-kinds.md"


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_is_done(kind: str) -> None:
    """Check for a module, rows by hand, a definition and a drawing."""
    assert evidence()[kind].lacking == []


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_that_is_done_has_a_tick(kind: str) -> None:
    assert re.search(rf"^\| ✓ \| \[`{kind}`\]\(#{kind}\) ", KINDS_PAGE.read_text(), re.MULTILINE)


def test_what_is_defined_and_drawn_is_a_kind() -> None:
    assert without_module() == [], "there is no module flowmachine/src/flowmachine/queries/<theme>/<kind>.py"
