"""Find the scopes that an API server told of a query.

A line has the query's id, a moment and scopes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from flowauth.scopes import is_scope

#: An API server never writes more than this.
LARGEST_FILE = 64 * 1024 * 1024
_QUERY_ID = re.compile(r"[0-9a-f]{32}")


def is_query_id(text: str) -> bool:
    """Return whether a text is the id of a query; no scope looks like one."""
    return _QUERY_ID.fullmatch(text) is not None


def scopes_of_query(files: Iterable[Path], query_id: str) -> frozenset[str] | None:
    """Return the scopes of a query, or None if no file has it.

    An id names the same query on every server, so it does not matter whose file has it.
    """
    start = f"{query_id} "
    for path in files:
        try:
            if path.stat().st_size > LARGEST_FILE:
                continue
            with path.open(errors="replace") as lines:
                line = next((line for line in lines if line.startswith(start)), None)
        except OSError:
            continue
        scopes = frozenset(line.split()[2:]) if line else frozenset()
        if scopes and all(map(is_scope, scopes)):
            return scopes
    return None
