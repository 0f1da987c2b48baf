"""Read form fields."""

from __future__ import annotations

import json
from typing import Any

from flask import request

from flowauth.actions.running import After


def text(name: str) -> str:
    return request.form.get(name, "").strip()


def secret(name: str) -> str:
    """Return a password exactly as typed."""
    return request.form.get(name, "")


def number(name: str) -> int | str:
    """Return a whole number, or the raw text for the action to refuse."""
    return _number(text(name))


def numbers(name: str) -> list[int | str]:
    return [_number(value) for value in request.form.getlist(name)]


def _number(value: str) -> int | str:
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else value


def shown() -> dict[str, Any] | None:
    """Return the state that the form showed; None when the field is absent."""
    value = request.form.get("shown")
    if value is None:
        return None
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        content = None
    return content if isinstance(content, dict) else {}


def flag(name: str) -> bool:
    return name in request.form


def after() -> After:
    """Return the decision about running tokens; ASK until the form has asked."""
    if "running" not in request.form:
        return After.ASK
    return After.REVOKE if flag("revoke") else After.KEEP


def page() -> int:
    """Return the requested page number, from 1."""
    value = request.args.get("page", "1")
    return max(int(value), 1) if value.isascii() and value.isdecimal() and len(value) < 7 else 1
