"""Draw a crisis page: the same data, the same bytes."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowclient.pages.areas import map_values, names_of
from flowclient.pages.data import (
    EMPTIED,
    STATUSES,
    CrisisData,
    Outcome,
    change,
    fell_by_more_than,
)
from flowclient.pages.languages import Words
from flowclient.pages.lines import line_of_days
from flowclient.pages.page import Page, draw, table
from flowclient.pages.provenance import provenance

_LARGEST_MOVES = 10
#: Columns of the table about people who are elsewhere or back.
_MOVED = ("left_at_least", "arrived_at_least", *STATUSES)


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
    rows = table_rows(data, names_of(data.areas))
    values = _values(data, words, rows, note)
    return draw("crisis", values, _csv(data, rows), language, shapes=[area.geometry for area in data.areas])


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
    head = [
        "pcod",
        "name",
        "parent",
        *_columns(data),
        "change_percent",
        "fell_by_more_than_percent",
        "status",
    ]

    def cells(row: Row) -> list[Any]:
        counts = [(week.values or {}).get(row.pcod) for week in data.weeks]
        percent = None if row.percent is None else round(row.percent, 1)
        return [
            *(row.pcod, row.name, row.parent, row.before, *counts, *_outcome(data, row.pcod)),
            *(percent, row.bound, row.status),
        ]

    return table(head, map(cells, rows))


def _columns(data: CrisisData) -> list[str]:
    """Return what the counts are called in the table."""
    return ["before", *(f"week_{week.first.isoformat()}" for week in data.weeks), *_MOVED]


def _outcome(data: CrisisData, pcod: str) -> list[int | None]:
    """Return what became of an area's people; None is withheld or not asked for."""
    outcome = (data.outcomes or {}).get(pcod, Outcome({}))
    movers = data.movers.left.get(pcod), data.movers.arrived.get(pcod)
    return [*movers, *(outcome.counts.get(status) for status in STATUSES)]


def _values(data: CrisisData, words: Words, rows: Sequence[Row], note: str) -> dict[str, Any]:
    names = names_of(data.areas)
    after = data.after
    before_period = words.period(data.before.first, data.before.last)
    title = (
        data.title.get(words.language) or data.title.get("") or words("title", event=words.day(data.event))
    )
    weeks = [(words.period(week.first, week.last, "MMMd"), week) for week in data.weeks]
    values = map_values(
        words,
        areas=data.areas,
        unit=data.unit,
        floor=data.floor,
        before=data.before,
        after=after,
        days=data.days,
        cells={row.pcod: _cells(row, words) for row in rows},
        line=[(words("before"), data.before), *weeks],
    )
    values["data"]["columns"] = _columns(data)
    values["data"]["numbers"] = [
        (*line, *_outcome(data, area.pcod))
        for line, area in zip(values["data"]["numbers"], data.areas, strict=True)
    ]
    return values | {
        "words": words,
        "language": words.language,
        "title": title,
        "after": after is not None,
        "period": words.period(data.event, data.last),
        "compared": words("compared", after=words.period(after.first, after.last), before=before_period)
        if after is not None
        else words("compared_before", before=before_period),
        "headline": _headline(data, words, rows),
        "tiles": _tiles(data, words, rows),
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
        "movers": _movers(data, words, names),
        "outcomes": _outcomes(data, words, names),
        "outcomes_told": _outcomes_told(data, words),
        "rows": [(row, *_cells(row, words)) for row in rows],
        "repeats": any(each.repeats for each in (data.before, *data.weeks, *data.days)),
        "note": note.strip(),
        "made": provenance(data, words),
        "filename": f"crisis-{data.event}-{data.last}.csv",
    }


def _movers(data: CrisisData, words: Words, names: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return the areas that most people left or arrived at."""
    left, arrived = data.movers.left, data.movers.arrived

    def most(pcod: str) -> tuple[int, str]:
        return -max(left.get(pcod, 0), arrived.get(pcod, 0)), names[pcod]

    def cell(counts: Mapping[str, int], pcod: str) -> str:
        return words.number(counts[pcod]) if pcod in counts else words("cell_withheld")

    listed = sorted((left.keys() | arrived.keys()) & names.keys(), key=most)[:_LARGEST_MOVES]
    return [(names[pcod], cell(left, pcod), cell(arrived, pcod)) for pcod in listed]


def _outcomes(data: CrisisData, words: Words, names: dict[str, str]) -> list[tuple[str, ...]]:
    """Return the areas with the most displaced, and their numbers."""
    known = [
        (outcome, names[pcod])
        for pcod, outcome in (data.outcomes or {}).items()
        if pcod in names and {"displaced", "returned"} & outcome.counts.keys()
    ]
    known.sort(key=lambda one: (-one[0].counts.get("displaced", 0), one[1]))

    def cell(outcome: Outcome, status: str) -> str:
        return words.number(outcome.counts[status]) if status in outcome.counts else words("cell_withheld")

    def share(outcome: Outcome) -> str:
        if outcome.share is None:
            return "–"
        percent = words.percent(100 * outcome.share)
        if outcome.usual is None:
            return percent
        return words("share_usual", share=percent, usual=words.percent(100 * outcome.usual))

    return [
        (name, *(cell(outcome, status) for status in STATUSES), share(outcome))
        for outcome, name in known[:_LARGEST_MOVES]
    ]


def _outcomes_told(data: CrisisData, words: Words) -> str:
    """Return of how many areas the displaced are told, and why not of the others."""
    known = sum("displaced" in each.counts for each in (data.outcomes or {}).values())
    if not known:
        return words("outcomes_untold", floor=words.number(data.floor))
    areas = words(f"unit_{data.unit}", known)
    return words(
        "outcomes_told", areas=areas, all=words.number(len(data.areas)), floor=words.number(data.floor)
    )


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
    if moved := data.movers.at_least(data.moves):
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
