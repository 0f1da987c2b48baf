"""Draw a page of a month's mobility: the same data, the same bytes."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowclient.pages.areas import map_values, names_of
from flowclient.pages.data import Area, Move, change
from flowclient.pages.languages import Words
from flowclient.pages.lines import line_in_band
from flowclient.pages.mobility import COMMUTING, Corrected, MobilityData
from flowclient.pages.page import Page, draw, table
from flowclient.pages.provenance import provenance

_LARGEST = 10


@dataclass(frozen=True)
class Row:
    """Hold one area's line of the table; a number is None where withheld or missing."""

    area: Area
    name: str
    before: int | None
    after: int | None
    corrected_before: Corrected | None
    corrected_after: Corrected | None
    status: str

    @property
    def percent(self) -> float | None:
        """Return the change of the counts."""
        if self.before is None or self.after is None:
            return None
        return change(self.before, self.after)

    @property
    def corrected_percent(self) -> float | None:
        """Return the change of the corrected numbers."""
        if self.corrected_before is None or self.corrected_after is None:
            return None
        before, after = self.corrected_before.value, self.corrected_after.value
        # A tenth is a tenth: quotients of shares are a little beside it.
        return round(100 * (after - before) / before, 6)

    @property
    def borrowed(self) -> bool:
        """Return whether a share of the area above was used."""
        return any(
            each is not None and each.borrowed for each in (self.corrected_before, self.corrected_after)
        )


def render_mobility(data: MobilityData, language: str = "en", *, note: str = "") -> Page:
    """Return the page of collected data in a language; ask for nothing, read no clock.

    Parameters
    ----------
    data : MobilityData
        From :func:`collect_mobility`.
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
    rows = table_rows(data)
    values = _values(data, words, rows, note)
    return draw("mobility", values, _csv(data, rows), language, shapes=[area.geometry for area in data.areas])


def table_rows(data: MobilityData) -> list[Row]:
    """Return a row for each area: fall to rise by corrected numbers, then unknown."""
    names = names_of(data.areas)

    def row(area: Area) -> Row:
        was, now = ((of.residents.values or {}).get(area.pcod) for of in (data.before, data.month))
        missing = data.before.residents.values is None
        status = "no data" if missing else "shown" if was is not None and now is not None else "withheld"
        return Row(
            area,
            names[area.pcod],
            was,
            now,
            data.corrected(data.before, area.pcod, was),
            data.corrected(data.month, area.pcod, now),
            status,
        )

    def rank(row: Row) -> tuple[float, str, str]:
        known = row.corrected_percent if row.corrected_percent is not None else row.percent
        return float("inf") if known is None else known, row.name, row.area.pcod

    return sorted(map(row, data.areas), key=rank)


def _columns(data: MobilityData) -> list[str]:
    return [f"residents_{of.residents.first:%Y-%m}" for of in (data.before, data.month)]


def _csv(data: MobilityData, rows: Sequence[Row]) -> str:
    """Return the table with codes; the status says why a field is empty."""
    columns = _columns(data)
    corrected = [f"corrected_{column}" for column in columns]
    head = ["pcod", "name", "parent", *columns, *corrected, "share_of_area_above", "status"]

    def cells(row: Row) -> list[Any]:
        both = (row.corrected_before, row.corrected_after)
        return [
            *(row.area.pcod, row.name, row.area.parent_name, row.before, row.after),
            *(None if each is None else round(each.value) for each in both),
            *("yes" if row.borrowed else "no", row.status),
        ]

    return table(head, map(cells, rows))


def _values(data: MobilityData, words: Words, rows: Sequence[Row], note: str) -> dict[str, Any]:
    before, after = data.before.residents, data.month.residents
    month, earlier = words.day(after.first, "yMMMM"), words.day(before.first, "yMMMM")
    values = map_values(
        words,
        areas=data.areas,
        unit=data.unit,
        floor=data.floor,
        before=before if before.values is not None else after,
        after=after if before.values is not None else None,
        days=data.days,
        cells={row.area.pcod: _plain_cells(row, words) for row in rows},
        line=[(earlier, before), (month, after)],
        kind="month",
        changes={
            row.area.pcod: (row.corrected_before.value, row.corrected_after.value)
            for row in rows
            if row.corrected_before is not None and row.corrected_after is not None
        },
    )
    values["data"]["columns"] = _columns(data)
    if before.values is None:
        # The one map is then that of the month.
        values["terms"]["before"] = values["terms"]["after"]
    names = names_of(data.areas)
    return values | {
        "words": words,
        "language": words.language,
        "title": data.title.get(words.language) or data.title.get("") or words("mobility_title"),
        "period": month,
        "headline": _headline(data, words, month, earlier),
        "compared": words("mobility_compared", before=earlier) if before.values is not None else "",
        "tiles": _tiles(data, words, rows),
        "floor": words.number(data.floor),
        "withheld_text": _withheld_text(data, words),
        "present": _present(data, words),
        "moves": [_moved(data, move, names, words, data.unit) for move in data.moves[:_LARGEST]],
        "commutes": [_moved(data, move, data.names, words, COMMUTING) for move in data.commutes[:_LARGEST]],
        "rows": [(row, *_cells(row, words)) for row in rows],
        "borrowed": any(row.borrowed for row in rows),
        "months": (earlier, month),
        "repeats": any(each.repeats for each in (before, after, *data.days)),
        "note": note.strip(),
        "made": provenance(data, words),
        "filename": f"mobility-monthly-{after.first}-{after.last}.csv",
    }


def _headline(data: MobilityData, words: Words, month: str, earlier: str) -> str:
    if data.before.residents.values is None:
        return words("mobility_alone", before=earlier)
    moved = data.movers.at_least(data.moves)
    if not moved:
        return words("mobility_still", month=month)
    return words("mobility_moved", moved, month=month, before=earlier)


def _tiles(data: MobilityData, words: Words, rows: Sequence[Row]) -> list[tuple[str, str]]:
    known = [row.corrected_percent for row in rows if row.corrected_percent is not None]
    tiles = []
    if known:
        fell, rose = (sum(each) for each in ([p <= -10 for p in known], [p >= 10 for p in known]))
        tiles.append((words(f"unit_{data.unit}", fell), words("tile_fell")))
        tiles.append((words(f"unit_{data.unit}", rose), words("tile_rose")))
    hidden = sum(row.after is None for row in rows)
    tiles.append((words(f"unit_{data.unit}", hidden), words("tile_withheld_month")))
    country = data.month.shares.get("admin0", {})
    if country:
        share = data.month.share("admin0", next(iter(country)))
        assert share is not None, "an area of a share has days"
        tiles.append((words.percent(100 * share), words("tile_active")))
    return tiles


def _withheld_text(data: MobilityData, words: Words) -> str:
    values = data.month.residents.values or {}
    hidden = sum(area.pcod not in values for area in data.areas)
    if not hidden:
        return ""
    areas = words(f"unit_{data.unit}", hidden)
    return words("hatch_month", hidden, areas=areas, all=words.number(len(data.areas)))


def _present(data: MobilityData, words: Words) -> list[dict[str, str]]:
    """Return the lines of users by day, as counted and as corrected."""
    days = [day.first for day in data.days]

    def line(name: str, values: Mapping[datetime.date, float]) -> dict[str, str]:
        drawing = line_in_band(
            days,
            values,
            {},
            (),
            day_text=lambda day: words.day(day, "MMMd"),
            value_text=lambda value: words.number(round(value)),
        )
        low, high = (words.number(round(of(values.values()))) for of in (min, max))
        return {
            "name": words(name),
            "latest": words("present_range", low=low, high=high),
            "outside": "",
            "drawing": drawing,
        }

    lines = [("present_counted", data.present), ("present_corrected", data.corrected_present())]
    return [line(name, values) for name, values in lines if values]


def _moved(
    data: MobilityData, move: Move, names: Mapping[str, str], words: Words, unit: str
) -> tuple[str, str, str, str]:
    if unit == data.unit:
        corrected = data.corrected(data.month, move.origin, move.value)
        value = None if corrected is None else corrected.value
    else:
        share = data.month.share(unit, move.origin)
        value = move.value / share if share else None
    return (
        names.get(move.origin, move.origin),
        names.get(move.target, move.target),
        words.number(move.value),
        words("cell_withheld") if value is None else words.number(round(value)),
    )


def _plain_cells(row: Row, words: Words) -> tuple[str, str, str]:
    """Return what the card of an area says; its change is that of the map."""
    (before, _), (after, _), (changed, corrected) = _cells(row, words)
    return before, after, corrected or changed


def _cells(row: Row, words: Words) -> list[tuple[str, str]]:
    """Return before, after and change, each as counted and as corrected."""
    no_data = words("cell_no_data")
    withheld = words("cell_withheld")

    def count(value: int | None, corrected: Corrected | None, missing: str) -> tuple[str, str]:
        if value is None:
            return missing, ""
        told = "" if corrected is None else words.number(round(corrected.value))
        return words.number(value), f"{told}*" if corrected is not None and corrected.borrowed else told

    def percent(value: float | None) -> str:
        return "" if value is None else words.percent(value, signed=True)

    missing = no_data if row.status == "no data" else withheld
    changed = percent(row.percent) or missing
    corrected = percent(row.corrected_percent)
    return [
        count(row.before, row.corrected_before, missing),
        count(row.after, row.corrected_after, withheld),
        (changed, f"{corrected}*" if corrected and row.borrowed else corrected),
    ]
