"""Show objects in notebooks, without requests and without tokens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

from flowclient.units import kinds_in, unit_of


def connection_card(
    *, url: str, user: str, api_version: int, expires: datetime | None, expired: bool, kinds: int
) -> str:
    """Return the server, the user and the token's end and reach as HTML."""
    ends = "never" if expires is None else f"{expires:%Y-%m-%d %H:%M} UTC"
    return _table(
        [
            ("Server", url),
            ("User", user),
            ("API version", api_version),
            ("Token ends", f"{ends} (expired)" if expired else ends),
            ("Kinds of query allowed", kinds),
        ]
    )


def query_card(spec: Mapping[str, Any], *, status: str, query_id: str | None) -> str:
    """Return what was asked, and the status last seen, as HTML."""
    rows = [
        ("Kind", spec.get("query_kind")),
        ("Aggregation unit", unit_of(spec)),
        ("Dates", _span(spec)),
        ("Status last seen", status),
        ("Query id", query_id),
    ]
    return _table([row for row in rows if row[1] is not None]) + _tree(spec)


def query_line(spec: Mapping[str, Any], *, status: str) -> str:
    """Return what was asked, and the status last seen, in one line."""
    kind, *others = dict.fromkeys(name for name, _ in kinds_in(spec)) or ["query"]
    said = f"{kind} of {', '.join(others)}" if others else kind
    unit, span = unit_of(spec), _span(spec)
    said += f" at {unit}" if unit else ""
    said += f", {span}" if span else ""
    return f"{said} ({status.replace('_', ' ')})"


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
