"""The guide to direct use as a notebook, to try it instead of reading it."""

from __future__ import annotations

import jupytext
import nbformat

from reference_pages import DOCS

GUIDE = DOCS / "analysts" / "direct-use.md"


def text() -> str:
    """Return the notebook's JSON: the guide's text and code as cells without outputs."""
    notebook = jupytext.reads(GUIDE.read_text(), fmt="md")
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for number, cell in enumerate(notebook.cells):
        # Drawn at random otherwise, so that the file would never be the same twice.
        cell.id = f"cell-{number}"
    return nbformat.writes(notebook) + "\n"
