"""Name what the tests over all routes fill in: arguments of paths, and parameters."""

from __future__ import annotations

import ast
from pathlib import Path

import flowauth

#: Arguments of paths; the ids match no row.
ARGUMENTS = {
    "name": "north",
    "server_name": "north",
    "user_id": 999_999,
    "role_id": 999_999,
    "token_id": 999_999,
    "credential_id": 999_999,
    "filename": "style.css",
    "code": "unknown",
    "recipients": "crisis-cell",
    "report": "displacement",
    "period": "2016-02-23",
    "version": "v1",
    "language": "en",
}


def parameters() -> set[str]:
    """Return every name that a module of views or of the scripts' API writes down.

    Parameters are looked up by their names in several ways, and a name too many does no harm.
    """
    modules = [
        path for folder in ("views", "api") for path in (Path(flowauth.__file__).parent / folder).glob("*.py")
    ]
    return {
        node.value
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()
    } - {"csrf_token"}
