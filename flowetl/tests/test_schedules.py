"""Tell a file that is not due yet from one that is late or missing."""

import datetime as dt
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from flowetl.limits import Wait
from flowetl.schedules import first_run, without_file

NEPAL, UTC = ZoneInfo("Asia/Kathmandu"), ZoneInfo("UTC")
DAY = dt.date(2016, 1, 1)


class Nightly(NamedTuple):
    """A source of files from Nepal."""

    schedule: str = "0 2 * * *"
    wait: Wait = Wait(timeout=6 * 3600)

    def zone(self, deployment_zone: ZoneInfo) -> ZoneInfo:
        return NEPAL


@pytest.mark.parametrize(
    ("now", "state", "reason"),
    [
        # Two o'clock there is 20:15 UTC: the first run after the end of the day by UTC is the next night's.
        ("2016-01-02T20:14", "waiting", "x is absent yet; the run of 2016-01-03 02:00 looks for it"),
        (
            "2016-01-02T20:15",
            "late",
            "x is absent; the run of 2016-01-03 02:00 waits for it until 2016-01-03 08:00",
        ),
        (
            "2016-01-03T02:14",
            "late",
            "x is absent; the run of 2016-01-03 02:00 waits for it until 2016-01-03 08:00",
        ),
        ("2016-01-03T02:15", "missing", "x is absent"),
    ],
)
def test_the_state_of_a_day_without_a_file(now: str, state: str, reason: str) -> None:
    moment = dt.datetime.fromisoformat(f"{now}+00:00")
    assert without_file(Nightly(), DAY, UTC, moment, "x is absent") == (state, reason)


@pytest.mark.parametrize(
    ("schedule", "begins"),
    [
        ("0 0 * * *", "2016-01-02T00:00"),
        ("0 2 * * *", "2016-01-02T02:00"),
        ("30 2 * * 1 15", "2016-01-04T02:30"),
        ("*/20 * * * *", "2016-01-02T00:00"),
    ],
)
def test_the_first_run_after_a_day(schedule: str, begins: str) -> None:
    told = dt.datetime.fromisoformat(begins).replace(tzinfo=NEPAL)
    assert first_run(Nightly(schedule), DAY, NEPAL) == told
