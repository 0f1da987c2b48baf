"""Two months with every case that a page of mobility has to tell apart."""

from __future__ import annotations

import datetime

from shapely import box

from flowclient.pages import MobilityData
from flowclient.pages.data import Area, Counts, Move, Movers
from flowclient.pages.mobility import Month

DAY = datetime.timedelta(days=1)
JANUARY, FEBRUARY, MARCH = (datetime.date(2016, month, 1) for month in (1, 2, 3))

#: Code, name, parent, residents and share of active ones in January and in February; None is withheld.
PLACES = [
    # Fewer users, but only because phones were used less: 1000 / 0.8 = 875 / 0.7.
    ("X.1", "Same people", "P.1", 1000, 0.8, 875, 0.7),
    ("X.2", "Left", "P.1", 400, 0.8, 200, 0.8),
    # Without a share of its own, P.2 lends its 0.5.
    ("X.3", "Small <village>", "P.2", 20, None, 30, None),
    ("X.4", "Twin", "P.2", 60, 0.5, None, None),
    ("X.5", "Twin", "P.1", None, None, 50, 0.5),
    # Without any share nothing is corrected.
    ("X.6", "Island", "P.3", 100, None, 110, None),
    ("X.7", "Never seen", "P.2", None, None, None, None),
]
ABOVE = {"P.1": (0.75, 0.75), "P.2": (0.5, 0.5)}


def days_of(first: datetime.date, end: datetime.date) -> list[datetime.date]:
    return [first + n * DAY for n in range((end - first).days)]


def month(first: datetime.date, end: datetime.date, place: int) -> Month:
    """Return a month of the places; shares are a twentieth above and below by turns."""

    def shares(share: float) -> dict[datetime.date, float]:
        days = days_of(first, end)
        days = days[: len(days) // 2 * 2]
        return {day: share + (0.05 if n % 2 else -0.05) for n, day in enumerate(days)}

    residents = {each[0]: each[3 + place] for each in PLACES if each[3 + place] is not None}
    own = {each[0]: shares(each[4 + place]) for each in PLACES if each[4 + place] is not None}
    return Month(
        Counts(first, end - DAY, residents, ("floor",), f"{place:0>32}"),
        {
            "admin3": own,
            "admin2": {code: shares(both[place // 2]) for code, both in ABOVE.items()},
            "admin0": {"X": shares(0.75)},
        },
    )


def mobility() -> MobilityData:
    """Return February beside January; the third of February is missing."""
    missing = FEBRUARY + 2 * DAY
    days = days_of(FEBRUARY, MARCH)
    areas = [
        Area(
            code, name, parent, f"Parent {parent[-1]}", box(80 + n % 4, 26 + n // 4, 81 + n % 4, 27 + n // 4)
        )
        for n, (code, name, parent, *_) in enumerate(PLACES)
    ]
    both = days_of(JANUARY, MARCH)
    return MobilityData(
        title={},
        unit="admin3",
        floor=15,
        areas=tuple(sorted(areas, key=lambda area: (area.name, area.pcod))),
        before=month(JANUARY, FEBRUARY, 0),
        month=month(FEBRUARY, MARCH, 2),
        days=tuple(
            Counts(
                day,
                day,
                None if day == missing else {each[0]: each[5] for each in PLACES if each[5] is not None},
                None if day == missing else ("floor",),
                "d" * 32,
            )
            for day in days
        ),
        present={day: 1500 + 10 * n for n, day in enumerate(days) if day != missing},
        moves=(Move("X.2", "X.1", 120), Move("X.3", "X.6", 16)),
        movers=Movers({"X.1": 60}, {}),
        commutes=(Move("P.1", "P.2", 90), Move("P.3", "P.1", 40)),
        names={"P.1": "Capital", "P.2": "Hills", "P.3": "Sea"},
        days_used={"calls": tuple(both), "sms": tuple(day for day in both if day != missing)},
        days_missing={"calls": (), "sms": (missing,)},
        query_ids={
            f"residents {JANUARY}": "a" * 32,
            f"active {FEBRUARY}": "b" * 32,
            "moves": "c" * 32,
            "commuting": "e" * 32,
        },
        made=datetime.datetime(2016, 3, 2, 8, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=5.75))),
        versions={"FlowKit": "1.2.3", "flowclient": "1.2.3"},
    )
