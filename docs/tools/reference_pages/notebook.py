"""Guides as notebooks, to try them instead of reading them."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat

from reference_pages import DOCS

GUIDES = tuple(DOCS / "analysts" / f"{name}.md" for name in ("direct-use", "official-statistics"))


def notebooks() -> dict[Path, str]:
    """Return each notebook's JSON: a guide's text and code as cells without outputs."""
    return {guide.with_suffix(".ipynb"): _notebook(guide) for guide in GUIDES}


def _notebook(guide: Path) -> str:
    notebook = jupytext.reads(guide.read_text(), fmt="md")
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for number, cell in enumerate(notebook.cells):
        # Drawn at random otherwise, so that the file would never be the same twice.
        cell.id = f"cell-{number}"
    return nbformat.writes(notebook) + "\n"
