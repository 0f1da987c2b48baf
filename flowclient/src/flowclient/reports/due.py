"""Find the periods whose report is due: those wanted, less those made."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cronsim import CronSim

import flowclient
from flowclient.reports.definition import Definition
from flowclient.reports.shelf import Failure, Shelf

_DAY = datetime.timedelta(days=1)
#: How long after the last day with data a period is made without its days: after that, nothing is loaded any more.
_LATE = datetime.timedelta(days=7)
#: Minutes until a run is repeated that met no server: three times as long after each failure.
_FIRST_PAUSE, _LONGEST_PAUSE = 5, 60


@dataclass(frozen=True)
class Loads:
    """Hold the load of each day with data, and the version of the cells."""

    ids: Mapping[str, Mapping[datetime.date, str]]
    cells: int

    @classmethod
    def of(cls, reply: Mapping[str, Any]) -> Loads:
        """Read what :func:`flowclient.get_loads` returns."""
        ids: dict[str, dict[datetime.date, str]] = {}
        for load in reply["loads"]:
            day = datetime.date.fromisoformat(load["date"])
            ids.setdefault(load["event_type"], {})[day] = load["load_id"]
        return cls(ids, reply["cells_version"])

    def has(self, event_type: str, day: datetime.date) -> bool:
        """Return whether a day of a type is loaded."""
        return day in self.ids.get(event_type, {})

    def read_by(self, definition: Definition, period: str) -> dict[str, dict[str, str]]:
        """Return the loads that a period's page reads: event type, day, load."""
        start, end = definition.reads_from(period), definition.end_of(period)
        return {
            event_type: {
                day.isoformat(): load
                for day, load in sorted(self.ids.get(event_type, {}).items())
                if start <= day < end
            }
            for event_type in self.types_of(definition)
        }

    def types_of(self, definition: Definition) -> tuple[str, ...]:
        """Return the event types that a report reads."""
        named = definition.event_types
        return tuple(sorted(self.ids)) if named is None else named


def parts_of_run(definition: Definition, period: str, loads: Loads) -> dict[str, Any]:
    """Return all that decides what a page says, by name.

    Raises
    ------
    ValueError
        If a note cannot be read.
    """
    notebook = definition.notebook
    return {
        "definition": definition.model_dump(mode="json", include={"name", "body", "parameters", "languages"}),
        "notebook": None if notebook is None else hashlib.sha256(notebook.read_bytes()).hexdigest(),
        "version": flowclient.__version__,
        "period": period,
        "loads": loads.read_by(definition, period),
        "cells": loads.cells,
        "notes": definition.notes(period),
    }


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def run_key(definition: Definition, period: str, loads: Loads) -> str:
    """Return a digest that differs as soon as a new run may say something else."""
    return digest(parts_of_run(definition, period, loads))


def due(definition: Definition, loads: Loads, shelf: Shelf, now: datetime.datetime) -> list[str]:
    """Return the periods to make now, the oldest first.

    A period of which the last version, or the one that waits for approval, was made from the same loads is not due.
    Neither is one that failed on the same loads, unless the server could not be reached.
    """
    found = []
    for period in _wanted(definition, loads, now):
        try:
            key = run_key(definition, period, loads)
        except ValueError:
            # A note cannot be read; the run tells so.
            key = None
        failure = shelf.failure(period)
        if key in shelf.made(period) or (failure and not _again(failure, key, now)):
            continue
        found.append(period)
    return found


def _again(failure: Failure, key: str | None, now: datetime.datetime) -> bool:
    if failure.reason != "connection":
        return failure.run_key != key
    minutes = min(_FIRST_PAUSE * 3 ** (failure.tries - 1), _LONGEST_PAUSE)
    return now.astimezone() >= failure.when + datetime.timedelta(minutes=minutes)


def _wanted(definition: Definition, loads: Loads, now: datetime.datetime) -> list[str]:
    """Return the last periods that the definition keeps and whose time has come."""
    begins = definition.parameters.begins
    types = loads.types_of(definition)
    days = [day for event_type in types for day in loads.ids.get(event_type, {}) if day >= begins]
    if not days:
        return []
    over = [
        period
        for period in _periods(
            definition, min(days), max(max(days), min(now.date() - _DAY, max(days) + _LATE))
        )
        if definition.end_of(period) <= max(now.date(), max(days) + _DAY)
    ]
    trigger = definition.trigger
    if trigger.cron is not None:
        fired = next(CronSim(trigger.cron, now, reverse=True))
        return [period for period in over if definition.end_of(period) <= fired.date()][-1:]
    return [period for period in over if _has_come(definition, period, loads, now)][
        -definition.keep.periods :
    ]


def _has_come(definition: Definition, period: str, loads: Loads, now: datetime.datetime) -> bool:
    trigger, end = definition.trigger, definition.end_of(period)
    if trigger.complete is not None:
        start = definition.start_of(period)
        days = [start + n * _DAY for n in range((end - start).days)]
        return all(loads.has(event_type, day) for event_type in trigger.complete for day in days)
    assert trigger.days_loaded is not None
    if all(loads.has(event_type, end - _DAY) for event_type in trigger.days_loaded):
        return True
    return trigger.late is not None and now >= datetime.datetime.combine(end, trigger.late, now.tzinfo)


def _periods(definition: Definition, first: datetime.date, last: datetime.date) -> Iterator[str]:
    day = first
    while day <= last:
        period = definition.period_of(day)
        yield period
        day = definition.end_of(period)
