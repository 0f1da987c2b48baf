"""A small country with every case that a crisis page has to tell apart."""

from __future__ import annotations

import datetime
from dataclasses import replace

from shapely import box

from flowclient.pages.data import Area, Counts, CrisisData, Move, Movers, Outcome

EVENT = datetime.date(2016, 2, 10)
DAY = datetime.timedelta(days=1)

#: Code, name, residents before, in the first week, in the second week; None is withheld.
PLACES = [
    ("X.1", "Emptied", 143, 20, None),
    ("X.2", "Emptied too", 150, None, None),
    ("X.3", "Halved", 100, 90, 50),
    ("X.4", "Twin", 60, 60, 61),
    ("X.5", "Twin", 40, 41, 44),
    ("X.6", "Never seen", None, None, None),
    ("X.7", "New <camp>", None, 30, 300),
    ("X.8", "=Grown & sons", 1000, 1200, 1700),
]


def counts(first: datetime.date, days: int, values: list[int | None] | None, name: str) -> Counts:
    given = None
    if values is not None:
        given = {place[0]: value for place, value in zip(PLACES, values, strict=True) if value is not None}
    return Counts(
        first, first + (days - 1) * DAY, given, None if given is None else ("floor",), f"{name:0>32}"
    )


def crisis() -> CrisisData:
    """Return a fortnight since the event, whose third day is missing."""
    start = EVENT - 14 * DAY
    areas = [
        Area(
            code, name, f"P.{n % 2}", f"Parent {n % 2}", box(80 + n % 4, 26 + n // 4, 81 + n % 4, 27 + n // 4)
        )
        for n, (code, name, *_) in enumerate(PLACES)
    ]
    days = [start + n * DAY for n in range(28)]
    missing = EVENT + 2 * DAY
    return CrisisData(
        title={"en": "Flood", "fr": "Inondation", "es": "Inundación"},
        unit="admin3",
        event=EVENT,
        floor=15,
        areas=tuple(sorted(areas, key=lambda area: (area.name, area.pcod))),
        before=counts(start, 14, [place[2] for place in PLACES], "b"),
        weeks=(
            counts(EVENT, 7, [place[3] for place in PLACES], "1"),
            counts(EVENT + 7 * DAY, 7, [place[4] for place in PLACES], "2"),
        ),
        days=tuple(
            counts(
                day, 1, None if day == missing else [place[2 if day < EVENT else 4] for place in PLACES], "d"
            )
            for day in days
        ),
        use={day: 1000 if day < EVENT else 970 for day in days if day != missing},
        moves=(Move("X.1", "X.7", 1200), Move("X.2", "X.8", 34)),
        movers=Movers({"X.1": 1300, "X.2": 120}, {"X.7": 1250, "X.8": 90}),
        outcomes={
            "X.8": Outcome({"displaced": 200, "returned": 30, "not_seen": 1200}, 0.21, 0.02),
            "X.1": Outcome({"displaced": 90, "not_seen": 20}, 0.73),
            "X.3": Outcome({"returned": 40}),
            "X.4": Outcome({"not_seen": 16}),
        },
        days_used={"calls": tuple(days), "sms": tuple(day for day in days if day != missing)},
        days_missing={"calls": (), "sms": (missing,)},
        query_ids={"before": "b" * 32, f"week {EVENT}": "1" * 32, "moves": "f" * 32, "displaced": "e" * 32},
        made=datetime.datetime(2016, 3, 1, 8, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=5.75))),
        versions={"FlowKit": "1.2.3", "flowclient": "1.2.3"},
    )


def with_reasons(data: CrisisData, reasons: tuple[str, ...] | None) -> CrisisData:
    """Return the same data, its rows withheld for other reasons."""
    return replace(
        data,
        before=replace(data.before, withheld=reasons),
        weeks=tuple(replace(week, withheld=reasons) for week in data.weeks),
    )
