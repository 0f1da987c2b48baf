"""Reading what a form sends."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from flask import request

from flowauth import clock
from flowauth.actions.running import After
from flowauth.errors import Refusal


def text(name: str) -> str:
    return request.form.get(name, "").strip()


def secret(name: str) -> str:
    """A password, taken as it is typed."""
    return request.form.get(name, "")


def number(name: str) -> int | str:
    """A whole number; anything else comes back as text, for the action to refuse by its rule."""
    return _number(text(name))


def numbers(name: str) -> list[int | str]:
    return [_number(value) for value in request.form.getlist(name)]


def _number(value: str) -> int | str:
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else value


def shown() -> dict[str, Any] | None:
    """What the form showed of the thing that it changes; None from whoever sends no such field."""
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
    """What becomes of running tokens that keep a right taken away; ASK until the form has asked."""
    if "running" not in request.form:
        return After.ASK
    return After.REVOKE if flag("revoke") else After.KEEP


def moment(name: str) -> datetime | None:
    """A date and time in UTC, as date-time pickers send it; None when left empty."""
    value = text(name)
    if not value:
        return None
    try:
        return clock.parse(value)
    except ValueError:
        raise Refusal("This is not a date and time, such as 2016-01-31T18:30.", field=name) from None


def page() -> int:
    """Number of the page asked for, from 1."""
    value = request.args.get("page", "1")
    return max(int(value), 1) if value.isascii() and value.isdecimal() and len(value) < 7 else 1
