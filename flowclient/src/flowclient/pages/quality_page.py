"""Draw a page of data quality: the same data, the same bytes."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from flowclient.pages.data import WEEK
from flowclient.pages.languages import Words
from flowclient.pages.lines import line_in_band
from flowclient.pages.page import Page, draw, table
from flowclient.pages.provenance import provenance, runs
from flowclient.pages.quality import REJECTED, SERIES, QualityData, TypeQuality

_DAY = datetime.timedelta(days=1)
#: Areas with silent cells that are listed.
_MOST_OUTAGES = 20
#: States of days, in the order of the legend.
_STATES = ("loaded", "again", "late", "missing", "before")


def render_quality(data: QualityData, language: str = "en", *, note: str = "") -> Page:
    """Return the page of collected data in a language; ask for nothing, read no clock.

    Parameters
    ----------
    data : QualityData
        From :func:`collect_quality`.
    language : str
        ``en``, ``fr`` or ``es``.
    note : str
        A person's words, shown as such.

    Raises
    ------
    PageTooLargeError
        If the page is over 1 MB.
    """
    words = Words(language)
    rows = [(each, day) for each in data.types for day in data.days]
    text = table(
        ["event_type", "date", "state", *SERIES],
        ([each.name, day.isoformat(), each.states[day], *_numbers(each, day)] for each, day in rows),
    )
    values = {
        "words": words,
        "language": language,
        "title": data.title.get(language) or data.title.get("") or words("quality_title"),
        "period": words.period(data.first, data.last),
        "headline": _headline(data, words),
        "compared": words("quality_compared"),
        "tiles": _tiles(data, words),
        "weekdays": [words.weekday(n) for n in range(7)],
        "types": [_type(data, each, words) for each in data.types],
        "states": [(state, words(f"state_{state}")) for state in _STATES],
        "falls": [
            (words.day(day), words.event_type(each.name), words.percent(percent))
            for day, each, percent in sorted(
                ((day, each, percent) for each in data.types for day, percent in each.falls()),
                key=lambda fall: (fall[0], fall[1].name),
                reverse=True,
            )
        ],
        "outages": _outages(data, words),
        "asked_for_silence": data.silences is not None,
        "judged": _judged(data),
        "rejects": _rejects(data, words),
        "checks": [words(f"check_{name}") for name in SERIES],
        "note": note.strip(),
        "made": provenance(data, words),
        "filename": f"data-quality-{data.first}-{data.last}.csv",
        "data": {"columns": list(SERIES), "numbers": [_numbers(each, day) for each, day in rows]},
    }
    return draw("quality", values, text, language)


def _outages(data: QualityData, words: Words) -> list[tuple[str, str, str, str]]:
    """Return the latest areas with silent cells, and their numbers."""
    return [
        (
            words.day(each.day),
            each.name,
            words("silent_of", silent=words.number(each.silent), cells=words.number(each.cells)),
            "–" if each.ratio is None else words.percent(100 * each.ratio),
        )
        for each in data.outages[:_MOST_OUTAGES]
    ]


def _numbers(of: TypeQuality, day: datetime.date) -> list[int | None]:
    found = (of.numbers.get(check, {}).get(day) for check in SERIES)
    return [None if value is None else round(value) for value in found]


def _headline(data: QualityData, words: Words) -> str:
    missing = sum(map(len, data.days_missing.values()))
    if missing:
        return words("quality_missing", missing)
    if not _judged(data):
        return words("quality_unjudged")
    unusual = sum(len(each.unusual(check)) for each in data.types for check in SERIES)
    return words("quality_unusual", unusual) if unusual else words("quality_calm")


def _judged(data: QualityData) -> bool:
    """Return whether enough weeks are known to say of any number what is usual."""
    return any(
        each.band(check, day) is not None
        for each in data.types
        for check, known in each.numbers.items()
        for day in each.states
        if day in known
    )


def _tiles(data: QualityData, words: Words) -> list[tuple[str, str]]:
    shown = set(data.days)

    def total(check: str) -> float:
        return sum(
            value for each in data.types for day, value in each.numbers.get(check, {}).items() if day in shown
        )

    states = [state for each in data.types for state in each.states.values()]
    refused, added = total(REJECTED), total("count_added_rows")
    tiles = [
        (words.number(states.count("missing")), words("tile_missing")),
        (words.number(states.count("late")), words("tile_late")),
    ]
    if refused + added:
        tiles.append((words.share(refused / (refused + added)), words("tile_refused")))
    if _judged(data):
        last = sum(data.last in each.unusual(check) for each in data.types for check in SERIES)
        tiles.append((words.number(last), words("tile_unusual", day=words.day(data.last, "MMMMd"))))
    return tiles


def _type(data: QualityData, of: TypeQuality, words: Words) -> dict[str, Any]:
    """Return the calendar, lines and rows of an event type."""
    monday = data.first - data.first.weekday() * _DAY
    weeks = [monday + n * WEEK for n in range((data.last - monday) // WEEK + 1)]
    return {
        "name": words.event_type(of.name),
        "weeks": [[_cell(of, week + n * _DAY, words) for n in range(7)] for week in weeks],
        "lines": [_line(data, of, check, words) for check in SERIES if of.numbers.get(check)],
        "rows": [
            (
                words.day(day, "MMMd"),
                words(f"state_{of.states[day]}"),
                ["–" if value is None else words.number(value) for value in _numbers(of, day)],
            )
            for day in reversed(data.days)
            if of.states[day] != "before"
        ],
    }


def _cell(of: TypeQuality, day: datetime.date, words: Words) -> tuple[str, str, str] | None:
    """Return a day of the calendar: state, number, words; None outside of the page."""
    state = of.states.get(day)
    if state is None:
        return None
    # The first day of a month says which, in the order of all languages of pages.
    number = f"{day.day}/{day.month}" if day.day == 1 else str(day.day)
    return state, number, words(f"state_{state}")


def _line(data: QualityData, of: TypeQuality, check: str, words: Words) -> dict[str, str]:
    known = of.numbers[check]
    unusual = of.unusual(check)
    day = max((day for day in known if day >= data.first), default=None)
    called = words(f"check_{check}")
    band = of.band(check, day) if day is not None else None
    if day is None:
        latest = words("series_none")
    elif band is None:
        latest = words("series_unjudged", value=words.number(round(known[day])), day=words.day(day, "MMMd"))
    else:
        latest = words(
            "series_latest",
            value=words.number(round(known[day])),
            day=words.day(day, "MMMd"),
            low=words.number(round(band.low)),
            high=words.number(round(band.high)),
        )
    bands = {day: (band.low, band.high) for day in data.days if (band := of.band(check, day)) is not None}
    drawing = line_in_band(
        data.days,
        known,
        bands,
        unusual,
        day_text=lambda day: words.day(day, "MMMd"),
        value_text=lambda value: words.number(round(value)),
    )
    if unusual:
        outside = words("series_outside", days=runs(words, unusual))
    else:
        # Without any band, nothing was judged.
        outside = words("series_inside") if bands else ""
    return {"name": called, "latest": latest, "outside": outside, "drawing": drawing}


def _rejects(data: QualityData, words: Words) -> list[tuple[str, str, str, str]]:
    """Return refused records by type and reason, the most first."""
    found = [
        (sum(by_day.values()), words.event_type(each.name), _reason(reason, words), max(by_day))
        for each in data.types
        for reason, by_day in each.rejects.items()
        if by_day
    ]
    ordered: Sequence[tuple[int, str, str, datetime.date]] = sorted(
        found, key=lambda each: (-each[0], *each[1:3])
    )
    return [
        (name, reason, words.number(count), words.day(last, "MMMd")) for count, name, reason, last in ordered
    ]


def _reason(reason: str, words: Words) -> str:
    """Return a reason in words; one that is not known keeps its own name."""
    for start in ("malformed", "missing", "identifier_in"):
        if reason.startswith(f"{start}_"):
            return words(f"reject_{start}", column=reason.removeprefix(f"{start}_"))
    return words(f"reject_{reason}") if words.knows(f"reject_{reason}") else reason
