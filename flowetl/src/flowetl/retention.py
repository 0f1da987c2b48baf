"""Days are kept for some months, and no longer."""

import calendar
import datetime as dt
from collections.abc import Iterator
from typing import cast

import structlog

from flowetl import records
from flowetl.deployment import Deployment
from flowetl.errors import Busy
from flowetl.events import CDR_TYPES, CdrType
from flowetl.mobilemoney import money_days
from flowetl.moneydays import drop_money
from flowetl.moneysource import MONEY
from flowetl.withdrawal import drop_day

_log = structlog.get_logger(__name__)


def first_kept(today: dt.date, months: int) -> dt.date:
    """The day as many months before another; the last of a month that has no such day."""
    year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
    return dt.date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))


def expired(deployment: Deployment, months: int) -> list[tuple[str, dt.date]]:
    """The visible days that are older than some months, oldest first.

    Those of mobile money are among them.
    """
    first = first_kept(dt.datetime.now(deployment.zone).date(), months)
    with deployment.connect() as connection, connection.cursor() as cursor:
        found: list[tuple[str, dt.date]] = [
            (cdr_type, date)
            for cdr_type in CDR_TYPES
            for date in records.available_days(cursor, cdr_type)
            if date < first
        ]
        found += [(MONEY, date) for date in money_days(cursor, first)]
        return sorted(found, key=lambda day: (day[1], day[0]))


def retain(deployment: Deployment, months: int) -> Iterator[tuple[str, dt.date]]:
    """Drop days older than some months; a day that is read waits for the next time."""

    def drop(cdr_type: str, date: dt.date, reason: str) -> None:
        if cdr_type == MONEY:
            drop_money(deployment, date, reason)
        else:
            drop_day(deployment, cast(CdrType, cdr_type), date, reason)

    for cdr_type, date in expired(deployment, months):
        try:
            drop(cdr_type, date, f"older than {months} months")
        except Busy as error:
            _log.warning("expired day not dropped yet", cdr_type=cdr_type, date=str(date), cause=str(error))
            continue
        yield cdr_type, date
