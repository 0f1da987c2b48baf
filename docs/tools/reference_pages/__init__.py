"""Write the pages of reference from the code that they describe.

A development tool; not part of the site.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"

# The benchmarks and what they use of the launcher are in no package.
sys.path += [str(ROOT), str(ROOT / "tools")]


def pages() -> dict[Path, str]:
    """Return the text of every generated page."""
    from benchmarks import kinds_report

    from reference_pages import client, kinds, layers, notebook, refusals, routes

    return {
        DOCS / "analysts" / "client.md": client.page(),
        **notebook.notebooks(),
        DOCS / "analysts" / "query-kinds.md": kinds.page(),
        DOCS / "benchmarks" / "kinds.md": kinds_report.page(kinds_report.numbers()),
        DOCS / "operators" / "refusals.md": refusals.page(),
        DOCS / "developers" / "http-api.md": routes.page(),
        DOCS / "developers" / "rooms.svg": layers.picture(),
    }
