"""Say before a run what stands in its way."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowclient.reports.contents import NotebookParameters, PageParameters
from flowclient.reports.definition import Definition
from flowclient.reports.due import Loads
from flowclient.reports.making import current_loads
from flowclient.reports.shelf import Shelf

if TYPE_CHECKING:
    from flowclient.api_query import APIQuery
    from flowclient.connection import Connection

_DAY = datetime.timedelta(days=1)
#: Scopes beyond need that are named.
_SHOWN = 5
#: The share of answers from which on a coarser unit is advised.
_REPEATING = 0.01


def examined(definition: Definition, connection: Connection, out: Path | None) -> tuple[list[str], list[str]]:
    """Return what keeps a report from being made, and what is worth knowing.

    Nothing is run.

    Raises
    ------
    ReportError
        If the server cannot be reached or refuses.
    """
    faults, remarks = _cell(definition), list[str]()
    needed = definition.scopes()
    held = {scope for scopes in connection.permissions.values() for scope in scopes}
    lacks = [scope for scope in needed if scope not in held]
    if lacks:
        faults.append(f"the token lacks {', '.join(lacks)}")
    else:
        faults += definition.parameters.problems(connection)
        remarks += _days(definition, current_loads())
    if not needed:
        remarks.append("the definition does not say which scopes its notebook needs")
    elif more := held - set(needed):
        remarks.append(f"{_holder(definition)} has more than the report needs: {_some(more)}")
    if out is not None:
        remarks += _repeats(Shelf(definition, out))
    return faults, remarks


def questions(definition: Definition, period: str, connection: Connection) -> list[APIQuery]:
    """Return the queries of a period's page; none are known of a notebook."""
    if not isinstance(definition.parameters, PageParameters):
        return []
    return definition.parameters.questions(connection, definition.start_of(period), definition.end_of(period))


def _cell(definition: Definition) -> list[str]:
    if definition.notebook is None:
        return []
    from flowclient.reports.notebooks import problems

    assert isinstance(definition.parameters, NotebookParameters)
    return problems(definition.notebook, definition.parameters.arguments)


def _holder(definition: Definition) -> str:
    return "the token" if definition.role is None else f"role {definition.role}"


def _some(scopes: set[str]) -> str:
    """Name some scopes, first that to extremes, which a report rarely needs."""
    ordered = sorted(scopes, key=lambda scope: (scope != "extremes", scope))
    rest = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + rest


def _days(definition: Definition, loads: Loads) -> Iterator[str]:
    """Say which days are missing of the last period with data."""
    types = loads.types_of(definition)
    last = max((day for name in types for day in loads.ids.get(name, {})), default=None)
    if last is None:
        yield "the server has no day with data"
        return
    period = definition.period_of(last)
    first, end = definition.reads_from(period), definition.end_of(period)
    if first == datetime.date.min:
        return
    # Before the first day with data nothing is missing.
    first = max(first, min(day for name in types for day in loads.ids.get(name, {})))
    wanted = [first + n * _DAY for n in range((min(end, last + _DAY) - first).days)]
    for name in types:
        missing = [day for day in wanted if not loads.has(name, day)]
        if missing:
            yield f"{period} has no {name} of {len(missing)} of {len(wanted)} days, the last {missing[-1]}"


def _repeats(shelf: Shelf) -> list[str]:
    """Advise a coarser unit where many answers repeat earlier ones."""
    latest = [versions[0] for period in shelf.periods() if (versions := shelf.versions(period))]
    answers = [answer for folder in latest for answer in _answers(Shelf.manifest(folder).get("facts"))]
    repeating = sum(bool(answer["repeats"]) for answer in answers)
    if not repeating or repeating <= _REPEATING * len(answers):
        return []
    return [
        f"{repeating} of {len(answers)} answers of the last versions repeat rows of earlier answers:"
        " a coarser unit or a longer period repeats fewer"
    ]


def _answers(facts: Any) -> Iterator[dict[str, Any]]:
    """Yield what a manifest says of single answers."""
    if isinstance(facts, dict):
        if facts.get("values") is not None and "repeats" in facts:
            yield facts
        for each in facts.values():
            yield from _answers(each)
    elif isinstance(facts, list):
        for each in facts:
            yield from _answers(each)
