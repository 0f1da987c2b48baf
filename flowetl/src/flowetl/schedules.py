"""Read schedules, and tell what is not due yet from what is late or missing."""

import datetime as dt
import re
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from flowetl.limits import Wait

_FIELDS = 5
_CRON_FIELD = r"[0-9*,/\-A-Za-z]+"
_CRON = re.compile(rf"{_CRON_FIELD}(\s+{_CRON_FIELD}){{4,5}}")

_CRON_RANGES = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
    ("second", 0, 59),
)


class Scheduled(Protocol):
    """A source as its schedule sees it."""

    @property
    def schedule(self) -> str: ...

    @property
    def wait(self) -> Wait: ...

    def zone(self, deployment_zone: ZoneInfo) -> ZoneInfo:
        """Return the zone of the schedule."""
        ...


def first_run(source: Scheduled, date: dt.date, deployment_zone: ZoneInfo) -> dt.datetime:
    """Return when the first scheduled run after the end of a day begins."""
    end = dt.datetime.combine(date + dt.timedelta(1), dt.time(), deployment_zone)
    before = end.astimezone(source.zone(deployment_zone)) - dt.timedelta(seconds=1)
    return next(_runs(source.schedule, before))


def _runs(schedule: str, after: dt.datetime) -> CronSim:
    # A sixth field gives seconds, which nobody waits for.
    return CronSim(" ".join(schedule.split()[:_FIELDS]), after)


def without_file(
    source: Scheduled, date: dt.date, deployment_zone: ZoneInfo, now: dt.datetime, missing: str
) -> tuple[str, str]:
    """Return state and reason of a day without file; ``missing`` says so in words.

    ``waiting`` until the first run after the day, ``late`` while that run may wait for the file, then ``missing``.
    """
    begins = first_run(source, date, deployment_zone)
    if now < begins:
        return "waiting", f"{missing} yet; the run of {begins:%Y-%m-%d %H:%M} looks for it"
    ends = begins + dt.timedelta(seconds=source.wait.timeout)
    if now < ends:
        return (
            "late",
            f"{missing}; the run of {begins:%Y-%m-%d %H:%M} waits for it until {ends:%Y-%m-%d %H:%M}",
        )
    return "missing", missing


def require_cron(schedule: str) -> str:
    """Check the cron text of a source.

    Raises
    ------
    ValueError
        When it is not one; the text says what is wrong.
    """
    if not _CRON.fullmatch(schedule.strip()):
        raise ValueError(f"{schedule!r} is not a cron expression of five fields (or six, seconds last)")
    for (name, first, last), given in zip(_CRON_RANGES, schedule.split(), strict=False):
        if re.search(r"/0+(?![0-9])", given):
            raise ValueError(f"{schedule!r}: a step of {name} is 0; it must be 1 or more")
        # A step, after the slash, may be any other number.
        numbers = re.findall(r"[0-9]+", re.sub(r"/[0-9]+", "", given))
        for number in numbers:
            if not first <= int(number) <= last:
                raise ValueError(f"{schedule!r}: {name} {number} is not within {first} to {last}")
    try:
        _runs(schedule, dt.datetime(2016, 1, 1))
    except CronSimError as error:
        raise ValueError(f"{schedule!r} is not a cron expression: {error}") from None
    return schedule.strip()
