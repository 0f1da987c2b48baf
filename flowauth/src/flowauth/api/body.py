"""Read the bodies that scripts send."""

from __future__ import annotations

import json
from typing import Any

from flask import request

from flowauth.actions.running import After
from flowauth.errors import Checks, Refusal

_MOST_UNKNOWN = 10
_NUL = "A text holds the character NUL, which is allowed nowhere."


class Body:
    """Hold a JSON object with known keys.

    What is wrong with it is noted in `checks`. An action that takes them refuses this together with what
    its own rules refuse; for others, call `settle` first.
    """

    def __init__(self, *required: str, optional: tuple[str, ...] = ()) -> None:
        self._content, self.checks = _json(), Checks()
        for key in required:
            if self._content.get(key) is None:
                self._note(key, "is missing.")
        known = (*required, *optional)
        for key in sorted(self._content.keys() - set(known))[:_MOST_UNKNOWN]:
            self._note(key[:75], f"is not among {', '.join(known)}." if known else "is not expected.")

    def _note(self, key: str, told: str) -> None:
        self.checks.note(Refusal(f"{key} {told}", field=key))

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value of any type, for a rule to check."""
        return self._content.get(key, default)

    def text(self, key: str) -> str:
        value = self.get(key) or ""
        if not isinstance(value, str):
            self._note(key, "must be a text.")
            return ""
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key, False)
        if not isinstance(value, bool):
            self._note(key, "must be true or false.")
            return False
        return value

    def items(self, key: str) -> list[Any]:
        value = self.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str | int) for item in value):
            self._note(key, "must be a list.")
            return []
        return value

    def after(self) -> After:
        """Return what becomes of running tokens that keep a lost right."""
        return After.REVOKE if self.flag("revoke_tokens") else After.KEEP

    def settle(self) -> None:
        """Raise what was noted."""
        self.checks.settle()


def optional_body(*optional: str) -> Body | None:
    """Return the body of a request that needs none."""
    return Body(optional=optional) if request.data else None


def _json() -> dict[str, Any]:
    try:
        content = request.get_json(silent=True)
        text = json.dumps(content, ensure_ascii=False).encode()
    except RecursionError:
        raise Refusal("The JSON is nested too deeply.") from None
    except UnicodeEncodeError:
        raise Refusal("A text holds half a character (a lone surrogate).") from None
    if not isinstance(content, dict):
        raise Refusal("Send a JSON object with the content type application/json.")
    if rb"\u0000" in text:
        # PostgreSQL cannot store NUL in text.
        raise Refusal(_NUL)
    return content


def form_or_json(*required: str) -> dict[str, str]:
    """Return the texts of a form, as the standard has it, or of a JSON object."""
    if not request.form:
        body = Body(*required)
        values = {key: body.text(key) for key in required}
        body.settle()
        return values
    values, checks = {key: request.form.get(key, "") for key in required}, Checks()
    if any("\0" in value for value in values.values()):
        raise Refusal(_NUL)
    for key, value in values.items():
        if not value:
            checks.note(Refusal(f"{key} is missing.", field=key))
    checks.settle()
    return values
