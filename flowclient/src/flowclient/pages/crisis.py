"""Draw a crisis page: the same data, the same bytes."""

from __future__ import annotations

import csv
import datetime
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flowclient.pages.data import (
    EMPTIED,
    Counts,
    CrisisData,
    change,
    change_class,
    count_breaks,
    count_class,
    fell_by_more_than,
)
from flowclient.pages.languages import Words
from flowclient.pages.lines import line_of_days
from flowclient.pages.outlines import outlines
from flowclient.pages.page import AIM, LIMIT, Page, PageTooLargeError, document

WITHHELD = "w"
NO_DATA = "n"
#: Classes of a map.
_CLASSES = 5
_LARGEST_MOVES = 10


@dataclass(frozen=True)
class Row:
    """Hold one area's line of the table; a count is None where withheld or missing."""

    pcod: str
    name: str
    parent: str | None
    before: int | None
    after: int | None
    percent: float | None
    bound: int | None
    status: str

    @property
    def fell(self) -> int | None:
        """Return the whole percent that the count fell by more than, measured or bounded."""
        if self.before is not None and self.after is not None:
            return fell_by_more_than(self.before, self.after)
        return self.bound


def render(data: CrisisData, language: str = "en", *, note: str = "") -> Page:
    """Return the page of collected data in a language; ask for nothing, read no clock.

    Parameters
    ----------
    data : CrisisData
        From :func:`collect_crisis`.
    language : str
        ``en``, ``fr`` or ``es``.
    note : str
        A person's words, shown as such.

    Raises
    ------
    PageTooLargeError
        If the page is over 1 MB with the coarsest outlines.
    """
    words = Words(language)
    names = _names(data)
    rows = table_rows(data, names)
    text = _csv(data, rows)
    values = _values(data, words, names, rows, note)
    coarseness = 1.0
    while True:
        paths, height = outlines([area.geometry for area in data.areas], coarseness)
        html = document(
            "crisis", values, style="crisis", script="crisis", paths=paths, height=height, csv=text
        )
        if len(html.encode()) <= AIM or coarseness > 16:
            break
        coarseness *= 2
    if len(html.encode()) > LIMIT:
        raise PageTooLargeError(
            f"The page has {len(html.encode()) // 1000} kB; at most {LIMIT // 1000} are allowed."
        )
    return Page(html=html, csv=text, language=language)


def _names(data: CrisisData) -> dict[str, str]:
    """Return each area's name; equal names are followed by the name of the area above."""
    often = Counter(area.name for area in data.areas)
    return {
        area.pcod: f"{area.name} ({area.parent_name or area.pcod})" if often[area.name] > 1 else area.name
        for area in data.areas
    }


def table_rows(data: CrisisData, names: dict[str, str]) -> list[Row]:
    """Return a row for each area: newly withheld, then fall to rise, then unknown."""
    rows = [_row(data, area.pcod, names[area.pcod], area.parent_name) for area in data.areas]

    def rank(row: Row) -> tuple[float, str, str]:
        if row.percent is not None:
            known = row.percent
        elif row.before is not None and row.status == "withheld":
            # Such an area may have emptied, with or without a bound.
            known = -100.0 - (row.bound or 0)
        else:
            known = float("inf")
        return known, row.name, row.pcod

    return sorted(rows, key=rank)


def _row(data: CrisisData, pcod: str, name: str, parent: str | None) -> Row:
    after = data.after
    was = (data.before.values or {}).get(pcod)
    if after is None or after.values is None:
        return Row(pcod, name, parent, was, None, None, None, "no data")
    now = after.values.get(pcod)
    if was is not None and now is not None:
        return Row(pcod, name, parent, was, now, change(was, now), None, "shown")
    bound = after.bound(was, data.floor) if was is not None else None
    return Row(pcod, name, parent, was, now, None, bound, "withheld")


def _csv(data: CrisisData, rows: Sequence[Row]) -> str:
    """Return the table with codes; the status says why a field is empty."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    weeks = [f"week_{week.first.isoformat()}" for week in data.weeks]
    writer.writerow(
        ["pcod", "name", "parent", "before", *weeks, "change_percent", "fell_by_more_than_percent", "status"]
    )
    for row in rows:
        counts = [(week.values or {}).get(row.pcod) for week in data.weeks]
        percent = None if row.percent is None else round(row.percent, 1)
        cells = [row.pcod, row.name, row.parent, row.before, *counts, percent, row.bound, row.status]
        writer.writerow([_plain(cell) for cell in cells])
    return written.getvalue()


def _plain(cell: Any) -> Any:
    """Keep a spreadsheet from taking a name for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell


def _values(
    data: CrisisData, words: Words, names: dict[str, str], rows: Sequence[Row], note: str
) -> dict[str, Any]:
    after = data.after
    breaks = count_breaks(data.before, data.floor)
    order = [area.pcod for area in data.areas]
    before_period = words.period(data.before.first, data.before.last)
    views = {"before": _count_classes(data.before, order, breaks)}
    captions = {"before": words("caption_before", period=before_period)}
    if after is not None:
        after_period = words.period(after.first, after.last)
        views["after"] = _count_classes(after, order, breaks)
        views["change"] = _change_classes(data.before, after, order)
        captions["after"] = words("caption_after", period=after_period)
        captions["change"] = words("caption_change", before=before_period, after=after_period)
    days = [_count_classes(day, order, breaks) for day in data.days]
    legends = {
        "count": _count_legend(words, breaks),
        "change": [words(f"class_change_{n}") for n in range(_CLASSES)],
    }
    described = {
        name: _described(words, classes, legends["change" if name == "change" else "count"])
        for name, classes in views.items()
    }
    first_view = "change" if after is not None else "before"
    shown = {row.pcod: row for row in rows}
    title = (
        data.title.get(words.language) or data.title.get("") or words("title", event=words.day(data.event))
    )
    return {
        "words": words,
        "language": words.language,
        "title": title,
        "period": words.period(data.event, data.last),
        "compared": words("compared", after=after_period, before=before_period)
        if after is not None
        else words("compared_before", before=before_period),
        "headline": _headline(data, words, rows),
        "tiles": _tiles(data, words, rows),
        "views": list(views),
        "view": first_view,
        "caption": captions[first_view],
        "description": described[first_view],
        "map_title": words("map_of", areas=words(f"unit_{data.unit}", len(order))),
        "classes": views[first_view],
        "legends": legends,
        "areas": [(place, names[pcod]) for place, pcod in enumerate(order)],
        "by_name": sorted(((names[pcod], place) for place, pcod in enumerate(order))),
        "floor": words.number(data.floor),
        "withheld_text": _withheld_text(data, words, rows),
        "use": _use(data, words),
        "moves": [
            (
                names.get(move.origin, move.origin),
                names.get(move.target, move.target),
                words.number(move.value),
            )
            for move in data.moves[:_LARGEST_MOVES]
        ],
        "rows": [(row, *_cells(row, words)) for row in rows],
        "repeats": any(each.repeats for each in (data.before, *data.weeks, *data.days)),
        "note": note.strip(),
        "made": _made(data, words),
        "filename": f"crisis-{data.event}-{data.last}.csv",
        "data": {
            "views": {
                name: {"classes": classes, "caption": captions[name], "description": described[name]}
                for name, classes in views.items()
            },
            "days": [
                {
                    "classes": classes,
                    "caption": words("caption_day", day=words.day(day.first)),
                    "name": words.day(day.first, "MMMMd"),
                    "description": _described(words, classes, legends["count"]),
                    "values": _numbers(day, order),
                }
                for day, classes in zip(data.days, days, strict=True)
            ],
            "names": [names[pcod] for pcod in order],
            "rows": [_cells(shown[pcod], words) for pcod in order],
            "weeks": {
                "names": [
                    words("before"),
                    *(words.period(week.first, week.last, "MMMd") for week in data.weeks),
                ],
                "values": list(
                    zip(*(_numbers(period, order) for period in (data.before, *data.weeks)), strict=True)
                ),
            },
            "words": {
                name: words(name)
                for name in (
                    "before",
                    "after",
                    "change",
                    "cell_withheld",
                    "cell_no_data",
                    "residents_by_week",
                )
            },
        },
    }


def _numbers(counts: Counts, order: Sequence[str]) -> list[int | str]:
    """Return each area's count, or the letter of what is in its place."""
    if counts.values is None:
        return [NO_DATA] * len(order)
    return [counts.values.get(pcod, WITHHELD) for pcod in order]


def _count_classes(counts: Counts, order: Sequence[str], breaks: tuple[int, ...]) -> str:
    return "".join(
        each if isinstance(each, str) else str(count_class(each, breaks)) for each in _numbers(counts, order)
    )


def _change_classes(before: Counts, after: Counts, order: Sequence[str]) -> str:
    pairs = zip(_numbers(before, order), _numbers(after, order), strict=True)
    return "".join(
        str(change_class(was, now))
        if isinstance(was, int) and isinstance(now, int)
        else NO_DATA
        if NO_DATA in (was, now)
        else WITHHELD
        for was, now in pairs
    )


def _count_legend(words: Words, breaks: tuple[int, ...]) -> list[str]:
    numbers = [words.number(limit) for limit in breaks]
    below = [words.number(limit - 1) for limit in breaks]
    return [
        words("class_count_first", high=numbers[0]),
        *(words("class_count", low=low, high=high) for low, high in zip(numbers, below[1:], strict=False)),
        words("class_count_last", low=numbers[-1]),
    ]


def _described(words: Words, classes: str, legend: Sequence[str]) -> str:
    """Return how many areas are in each class that occurs."""
    often = Counter(classes)
    called = {
        **{str(n): name for n, name in enumerate(legend)},
        WITHHELD: words("withheld"),
        NO_DATA: words("no_data"),
    }
    parts = [
        words("described_class", name=name, n=words.number(often[letter]))
        for letter, name in called.items()
        if often[letter]
    ]
    return words("described", classes="; ".join(parts))


def _headline(data: CrisisData, words: Words, rows: Sequence[Row]) -> str:
    """Return the headline; the smallest fall of the emptied areas is true of all."""
    if data.after is None:
        return words("headline_early")
    falls = [row.fell for row in rows if row.fell is not None and row.fell >= EMPTIED]
    if falls:
        areas = words(f"unit_{data.unit}", len(falls))
        return words("headline_emptied", len(falls), areas=areas, percent=words.percent(min(falls)))
    # Areas without a bound may have emptied, so that nothing calm may be said over them.
    hidden = sum(row.before is not None and row.after is None and row.bound is None for row in rows)
    if hidden:
        return words("headline_hidden", hidden, areas=words(f"unit_{data.unit}", hidden))
    known = [(row.percent, row.name) for row in rows if row.percent is not None]
    if known and min(known)[0] <= -10:
        percent, name = min(known)
        return words("headline_fell", area=name, percent=words.percent(-percent))
    return words("headline_calm")


def _tiles(data: CrisisData, words: Words, rows: Sequence[Row]) -> list[tuple[str, str]]:
    tiles = []
    if data.moves:
        moved = sum(move.value for move in data.moves)
        tiles.append((words.number(moved), words("tile_moved")))
    if data.after is not None:
        hidden = sum(row.after is None for row in rows)
        tiles.append((words(f"unit_{data.unit}", hidden), words("tile_withheld")))
    shares = _shares(data)
    if shares:
        day = max(shares)
        tiles.append((words.percent(100 * shares[day]), words("tile_use", day=words.day(day, "MMMMd"))))
    return tiles


def _shares(data: CrisisData) -> dict[datetime.date, float]:
    shares = {}
    for day, value in data.use.items():
        usual = data.usual_use(day)
        if usual:
            shares[day] = value / usual
    return shares


def _use(data: CrisisData, words: Words) -> dict[str, str] | None:
    shares = _shares(data)
    if not shares:
        return None
    drawing = line_of_days(
        [day.first for day in data.days],
        shares,
        data.event,
        day_text=lambda day: words.day(day, "MMMd"),
        value_text=lambda value: words.percent(100 * value),
        identity="use",
    )
    low, high = min(shares.values()), max(shares.values())
    return {
        "drawing": drawing,
        "text": words("use_text", event=words.day(data.event)),
        "description": words(
            "use_described",
            low=words.percent(100 * low),
            high=words.percent(100 * high),
            period=words.period(min(shares), max(shares)),
        ),
    }


def _withheld_text(data: CrisisData, words: Words, rows: Sequence[Row]) -> str:
    hidden = sum(row.after is None for row in rows) if data.after is not None else 0
    if not hidden:
        return ""
    return words(
        "hatch_count",
        hidden,
        areas=words(f"unit_{data.unit}", hidden),
        all=words.number(len(rows)),
    )


def _cells(row: Row, words: Words) -> tuple[str, str, str]:
    """Return before, after and change as they are written."""
    missing = words("cell_no_data" if row.status == "no data" else "cell_withheld")
    before = words("cell_withheld") if row.before is None else words.number(row.before)
    after = missing if row.after is None else words.number(row.after)
    if row.percent is not None:
        return before, after, words.percent(row.percent, signed=True)
    if row.bound is not None:
        return before, after, words("cell_bound", percent=words.percent(row.bound))
    return before, after, missing


def _made(data: CrisisData, words: Words) -> dict[str, Any]:
    """Return where the numbers are from, without user, token, path or host."""
    facts = []
    for name in data.days_missing:
        called = words(f"type_{name}")
        used = data.days_used.get(name, ())
        facts.append((words("made_days", type=called), _runs(words, used)))
        facts.append((words("made_missing", type=called), _runs(words, data.days_missing[name])))
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


def _runs(words: Words, days: Iterable[datetime.date]) -> str:
    """Return days as text, days in a row as a period."""
    runs: list[list[datetime.date]] = []
    for day in days:
        if runs and day - runs[-1][1] == datetime.timedelta(days=1):
            runs[-1][1] = day
        else:
            runs.append([day, day])
    return "; ".join(words.period(first, last) for first, last in runs) or words("none")
