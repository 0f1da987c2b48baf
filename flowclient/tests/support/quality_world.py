"""Four weeks of loading with every case that a page of quality has to tell apart."""

from __future__ import annotations

import datetime

from flowclient.pages import QualityData
from flowclient.pages.quality import Silence, TypeQuality

DAY = datetime.timedelta(days=1)
LAST = datetime.date(2016, 3, 6)
FIRST = LAST - 27 * DAY
MISSING, LATE, AGAIN, SILENT = FIRST + 3 * DAY, FIRST + 10 * DAY, FIRST + 11 * DAY, FIRST + 20 * DAY


def numbers(usual: int, **odd: int) -> dict[datetime.date, float]:
    """Return a number for each day of twelve weeks; Sundays have more."""
    start = FIRST - 56 * DAY
    days = [start + n * DAY for n in range(84)]
    found = {day: float(usual + (usual // 2 if day.weekday() == 6 else n % 3)) for n, day in enumerate(days)}
    found.pop(MISSING)
    return found | {
        datetime.date.fromisoformat(day[1:].replace("_", "-")): value for day, value in odd.items()
    }


def quality() -> QualityData:
    """Return calls with all states and an outage, and texts from the second week."""
    shown = [FIRST + n * DAY for n in range(28)]
    states = dict.fromkeys(shown, "loaded") | {MISSING: "missing", LATE: "late", AGAIN: "again"}
    calls = TypeQuality(
        name="calls",
        states=states,
        numbers={
            "count_added_rows": numbers(1_000_000),
            "count_location_ids": numbers(400, **{f"d{SILENT:%Y_%m_%d}": 99}),
            "count_msisdns": numbers(52_000),
            "count_duplicates": numbers(0),
            "count_rejected_rows": numbers(3),
        },
        rejects={
            "malformed_msisdn": {LATE: 12, AGAIN: 30},
            "wrong_number_of_fields": {LATE: 3},
            "one_of_ours": {LATE: 2},
            "other_day": {},
        },
    )
    began = FIRST + 7 * DAY
    texts = TypeQuality(
        name="sms",
        states={day: "before" if day < began else "loaded" for day in shown},
        numbers={"count_added_rows": {day: 500.0 for day in shown if day >= began}},
        rejects={},
    )
    return QualityData(
        title={},
        first=FIRST,
        last=LAST,
        types=(calls, texts),
        made=datetime.datetime(2016, 3, 7, 8, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=5.75))),
        versions={"FlowKit": "1.2.3", "flowclient": "1.2.3"},
        silences=(
            Silence(LAST - DAY, "X.1", "Flooded <valley>", 4, 2, 0.125),
            Silence(LAST, "X.2", "Hills", 5, 2, 0.8),
            Silence(LAST, "X.3", "Plain", 3, 3, None),
            Silence(LAST, "X.4", "Nowhere", 0, 0, None),
            Silence(LAST, "X.1", "Flooded <valley>", 4, 3, 0.0),
        ),
        query_ids={"silence": "5" * 32},
    )
