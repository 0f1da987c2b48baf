"""Draw counts by area: a map whose views, days and lines can be chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowclient.pages.data import Area, Counts, change_class, count_breaks, count_class
from flowclient.pages.languages import Words

WITHHELD = "w"
NO_DATA = "n"
#: Classes of a map.
_CLASSES = 5


def names_of(areas: Iterable[Area]) -> dict[str, str]:
    """Return each area's name; equal names are followed by the name of the area above."""
    known = list(areas)
    often = Counter(area.name for area in known)
    return {
        area.pcod: f"{area.name} ({area.parent_name or area.pcod})" if often[area.name] > 1 else area.name
        for area in known
    }


def map_values(
    words: Words,
    *,
    areas: Sequence[Area],
    unit: str,
    floor: int,
    before: Counts,
    after: Counts | None,
    days: Sequence[Counts],
    cells: Mapping[str, tuple[str, str, str]],
    line: Sequence[tuple[str, Counts]],
    kind: str = "week",
    changes: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Any]:
    """Return what the template of a map needs, and the data of its script.

    Parameters
    ----------
    before, after : Counts
        The two periods that are compared; without the later one, the map begins with the earlier.
    days : sequence of Counts
        For the slider.
    cells : mapping
        What is written of an area: before, after, change.
    line : sequence
        Periods of an area's line, with their names.
    kind : str
        What a period is: ``week`` or ``month``.
    changes : mapping, optional
        Numbers of both periods, where others than the counts tell of an area's change.
    """

    def called(name: str) -> str:
        """Return the name of a sentence, of months where they have their own."""
        return f"{kind}_{name}" if words.knows(f"{kind}_{name}") else name

    names = names_of(areas)
    order = [area.pcod for area in areas]
    breaks = count_breaks(before, floor)
    before_period = words.period(before.first, before.last)
    views = {"before": count_classes(before, order, breaks)}
    captions = {"before": words(called("caption_before"), period=before_period)}
    if after is not None:
        after_period = words.period(after.first, after.last)
        views["after"] = count_classes(after, order, breaks)
        views["change"] = change_classes(before, after, order, changes or {})
        captions["after"] = words(called("caption_after"), period=after_period)
        captions["change"] = words(called("caption_change"), before=before_period, after=after_period)
    legends = {
        "count": _count_legend(words, breaks),
        "change": [words(f"class_change_{n}") for n in range(_CLASSES)],
    }
    described = {
        name: _described(words, classes, legends["change" if name == "change" else "count"])
        for name, classes in views.items()
    }
    first_view = "change" if after is not None else "before"
    by_day = [count_classes(day, order, breaks) for day in days]
    return {
        "views": list(views),
        "view": first_view,
        "caption": captions[first_view],
        "description": described[first_view],
        "map_title": words("map_of", areas=words(f"unit_{unit}", len(order))),
        "classes": views[first_view],
        "legends": legends,
        "terms": {
            **{name: words(called(name)) for name in ("before", "after", "change")},
            "card": [words(called(name)) for name in ("before", "after", "change")],
            "line": words(f"residents_by_{kind}"),
        },
        "areas": [(place, names[pcod]) for place, pcod in enumerate(order)],
        "by_name": sorted(((names[pcod], place) for place, pcod in enumerate(order))),
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
                    "values": numbers(day, order),
                }
                for day, classes in zip(days, by_day, strict=True)
            ],
            "names": [names[pcod] for pcod in order],
            "rows": [cells[pcod] for pcod in order],
            "periods": [name for name, _ in line],
            "numbers": list(zip(*(numbers(counts, order) for _, counts in line), strict=True)),
            "words": {name: words(name) for name in ("cell_withheld", "cell_no_data")},
        },
    }


def numbers(counts: Counts, order: Sequence[str]) -> list[int | str]:
    """Return each area's count, or the letter of what is in its place."""
    if counts.values is None:
        return [NO_DATA] * len(order)
    return [counts.values.get(pcod, WITHHELD) for pcod in order]


def count_classes(counts: Counts, order: Sequence[str], breaks: tuple[int, ...]) -> str:
    """Return the class of each area's count, one letter an area."""
    return "".join(
        each if isinstance(each, str) else str(count_class(each, breaks)) for each in numbers(counts, order)
    )


def change_classes(
    before: Counts,
    after: Counts,
    order: Sequence[str],
    changes: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """Return the class of each area's change, one letter an area."""
    known = changes or {}

    def letter(pcod: str, was: int | str, now: int | str) -> str:
        if isinstance(was, int) and isinstance(now, int):
            return str(change_class(*known.get(pcod, (was, now))))
        return NO_DATA if NO_DATA in (was, now) else WITHHELD

    return "".join(map(letter, order, numbers(before, order), numbers(after, order)))


def _count_legend(words: Words, breaks: tuple[int, ...]) -> list[str]:
    limits = [words.number(limit) for limit in breaks]
    below = [words.number(limit - 1) for limit in breaks]
    return [
        words("class_count_first", high=limits[0]),
        *(words("class_count", low=low, high=high) for low, high in zip(limits, below[1:], strict=False)),
        words("class_count_last", low=limits[-1]),
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
