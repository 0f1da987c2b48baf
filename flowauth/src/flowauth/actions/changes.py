"""Compare two states of a record.

The audit trail stores the difference. Forms use it to detect concurrent changes.
"""

from __future__ import annotations

from typing import Any

from flask_babel import gettext

from flowauth.errors import Refusal
from flowauth.language import mark

_MOST = 5
_WORDS = {True: mark("on"), False: mark("off"), None: mark("without limit")}
#: The fields that forms compare, as `_told` names them, and further ones of the audit trail.
_FIELDS = (
    mark("username"),
    mark("is admin"),
    mark("is auditor"),
    mark("require two factor"),
    mark("administers"),
    mark("roles"),
    mark("name"),
    mark("scopes"),
    mark("users"),
    mark("longest token life minutes"),
    mark("latest token expiry"),
    mark("is service"),
    mark("readers"),
    mark("expires"),
    mark("revoked"),
    mark("kept tokens"),
    mark("tokens"),
    mark("reason"),
    mark("asked"),
    mark("password"),
    mark("wrong"),
    mark("by"),
    mark("rights"),
    mark("client"),
    mark("device address"),
    mark("provider"),
    mark("has two factor"),
    mark("added"),
    mark("removed"),
)


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return only the fields that differ; for lists, the items added and removed."""
    found: dict[str, Any] = {}
    for key, old in before.items():
        new = after[key]
        if old == new:
            continue
        if isinstance(old, list):
            found[key] = {"added": sorted(set(new) - set(old)), "removed": sorted(set(old) - set(new))}
        else:
            found[key] = {"before": old, "after": new}
    return found


def refuse_if_changed(shown: dict[str, Any] | None, present: dict[str, Any]) -> None:
    """Refuse to replace a record that changed since it was shown.

    ``shown`` is None for scripts, which replace any state.

    Raises
    ------
    Refusal
        409 with what has changed meanwhile.
    """
    if shown is None or shown == present:
        return
    if not _is_alike(shown, present):
        raise Refusal(gettext("This form is out of date: go back, load the page again and try again."))
    meanwhile = "; ".join(_told(key, change) for key, change in changes(shown, present).items())
    raise Refusal(
        gettext(
            "Somebody else changed this meanwhile: %(meanwhile)s. Your input is kept: save again to replace that.",
            meanwhile=meanwhile,
        ),
        409,
    )


def _is_alike(shown: dict[str, Any], present: dict[str, Any]) -> bool:
    """Return whether a form's submitted state has the shape of one we sent."""
    return shown.keys() == present.keys() and all(
        isinstance(value, list) and all(isinstance(item, str) for item in value)
        if isinstance(present[key], list)
        else value is None or isinstance(value, str | int)
        for key, value in shown.items()
    )


def _told(key: str, change: dict[str, Any]) -> str:
    name = gettext(key.replace("_", " "))
    if "before" in change:
        after = change["after"]
        told = gettext(_WORDS[after]) if after in _WORDS else after
        return gettext("%(field)s is now %(value)s", field=name, value=told)
    parts = []
    if change["added"]:
        parts.append(gettext("added %(items)s", items=_few(change["added"])))
    if change["removed"]:
        parts.append(gettext("removed %(items)s", items=_few(change["removed"])))
    return name + " " + (" " + gettext("and") + " ").join(parts)


def _few(names: list[str]) -> str:
    more = len(names) - _MOST
    return ", ".join(str(name)[:120] for name in names[:_MOST]) + (
        " " + gettext("and %(number)s more", number=more) if more > 0 else ""
    )
