"""Write the pages of reference from the code that they describe.

A development tool; not part of the site.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"

# What the client's functions are generated from says what each field is for.
sys.path.append(str(ROOT / "flowclient" / "tools"))


def pages() -> dict[Path, str]:
    """Return the text of every generated page."""
    from reference_pages import client, kinds, layers, notebook, routes

    return {
        DOCS / "analysts" / "client.md": client.page(),
        DOCS / "analysts" / "direct-use.ipynb": notebook.text(),
        DOCS / "analysts" / "query-kinds.md": kinds.page(),
        DOCS / "developers" / "http-api.md": routes.page(),
        DOCS / "developers" / "rooms.svg": layers.picture(),
    }
