"""What notebooks show. Nothing here asks the server, and no token gets in."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from flowclient.units import unit_of, units_allowed

if TYPE_CHECKING:
    from flowclient.api_query import APIQuery
    from flowclient.connection import Connection


def connection_card(connection: Connection) -> str:
    """Return the server, the user and the token's end and reach."""
    expires = connection.token_expires
    ends = "never" if expires is None else f"{expires:%Y-%m-%d %H:%M} UTC"
    if connection.token_expired:
        ends += " (expired)"
    return _table(
        [
            ("Server", connection.url),
            ("User", connection.user),
            ("API version", connection.api_version),
            ("Token ends", ends),
            ("Kinds of query allowed", len(units_allowed(connection.permissions))),
        ]
    )


def query_card(query: APIQuery) -> str:
    """Return what was asked, and the status last seen."""
    spec = query.parameters
    rows = [
        ("Kind", spec.get("query_kind")),
        ("Aggregation unit", unit_of(spec)),
        ("Dates", _span(spec)),
        ("Status last seen", query.last_seen),
        ("Query id", query.query_id),
    ]
    return _table([row for row in rows if row[1] is not None]) + _tree(spec)


def _table(rows: list[tuple[str, Any]]) -> str:
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(str(value))}</td></tr>'
        for name, value in rows
    )
    return f"<table>{cells}</table>"


def _span(spec: Mapping[str, Any]) -> str | None:
    dates = sorted(_dates(spec))
    if not dates:
        return None
    return dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"


def _dates(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        own = {
            field
            for name, field in value.items()
            if isinstance(field, str) and (name == "date" or name.startswith(("start_date", "end_date")))
        }
        return own.union(*(_dates(below) for below in value.values()))
    if isinstance(value, list):
        return set().union(*(_dates(below) for below in value))
    return set()


def _tree(spec: Mapping[str, Any], name: str = "Specification") -> str:
    """Return a specification as nested folds, one per kind."""
    items = []
    for field, value in spec.items():
        if isinstance(value, Mapping) and "query_kind" in value:
            items.append(_tree(value, field))
        elif isinstance(value, list) and any(isinstance(below, Mapping) for below in value):
            items.extend(
                _tree(below, f"{field} {place}")
                for place, below in enumerate(value, start=1)
                if isinstance(below, Mapping)
            )
        elif value is not None and field != "query_kind":
            items.append(f"<li>{escape(str(field))}: {escape(str(value))}</li>")
    kind = escape(str(spec.get("query_kind", "")))
    return f"<details><summary>{escape(name)}: {kind}</summary><ul>{''.join(items)}</ul></details>"
