"""Say where a page's numbers are from, without user, token, path or host."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from flowclient.pages.languages import Words


class Made(Protocol):
    """Describe how the data of a page were collected."""

    @property
    def days_used(self) -> Mapping[str, tuple[datetime.date, ...]]: ...
    @property
    def days_missing(self) -> Mapping[str, tuple[datetime.date, ...]]: ...
    @property
    def query_ids(self) -> Mapping[str, str]: ...
    @property
    def made(self) -> datetime.datetime: ...
    @property
    def versions(self) -> Mapping[str, str]: ...
    @property
    def digest(self) -> str: ...


def provenance(data: Made, words: Words) -> dict[str, Any]:
    """Return the facts and the query ids at the foot of a page."""
    facts = []
    for name in data.days_missing:
        called = words.event_type(name)
        used = data.days_used.get(name, ())
        facts.append((words("made_days", type=called), runs(words, used)))
        facts.append((words("made_missing", type=called), runs(words, data.days_missing[name])))
    utc = data.made.astimezone(datetime.timezone.utc)
    facts.append((words("made_when"), words("made_time", utc=words.time(utc), local=words.time(data.made))))
    facts.append(
        (words("made_version"), ", ".join(f"{name} {version}" for name, version in data.versions.items()))
    )
    facts.append((words("made_digest"), data.digest))
    queries: dict[str, list[tuple[str, str]]] = {}
    for name, query_id in data.query_ids.items():
        kind, _, day = name.partition(" ")
        called = words.day(datetime.date.fromisoformat(day), "MMMd") if day else ""
        queries.setdefault(words(f"query_{kind}"), []).append((called, query_id))
    return {"facts": facts, "queries": queries}


def runs(words: Words, days: Iterable[datetime.date]) -> str:
    """Return days as text, days in a row as a period."""
    found: list[list[datetime.date]] = []
    for day in days:
        if found and day - found[-1][1] == datetime.timedelta(days=1):
            found[-1][1] = day
        else:
            found.append([day, day])
    return "; ".join(words.period(first, last) for first, last in found) or words("none")
