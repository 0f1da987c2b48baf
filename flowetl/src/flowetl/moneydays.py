"""Load mobile money by day, with a record of what became of each day."""

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
import structlog
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from flowetl import __version__, arrival, records
from flowetl.deployment import Deployment
from flowetl.errors import Held, LoadError, told_by_place
from flowetl.mobilemoney import Delivered, drop_money_day, load_mobile_money
from flowetl.moneysource import MONEY, MoneySource
from flowetl.readers import place_of
from flowetl.source import days

_log = structlog.get_logger(__name__)


def load_money_day(
    deployment: Deployment, money: MoneySource, date: dt.date, *, wait: bool = False
) -> Delivered:
    """Load one day whole, replacing an earlier load of the day.

    Parameters
    ----------
    wait: whether to wait for files that have not come, as long as the source says.

    Raises
    ------
    LoadError
        As ``load_day`` does. Nothing else is raised.
    """
    money.require_day(date)
    source = deployment.sources()[money.mobile_money]
    place = place_of(deployment, money, date)
    with (
        told_by_place(),
        deployment.connect() as connection,
        records.day_lock(connection, MONEY, date),
        _attempt(connection, money, date) as load_id,
        told_by_place(),
    ):
        arrival.wait_for_data(place, money.wait.timeout if wait else 0, money.wait.poll)
        delivery = arrival.wait_until_stable(place, money.stability)

        def finish(cursor: Cursor, found: Delivered) -> None:
            """Let the record become visible with the day."""
            arrival.require_unchanged(place, delivery)
            cursor.execute(
                "UPDATE etl.loads SET state = 'superseded' WHERE cdr_type = %s AND cdr_date = %s AND state = 'ingested'",
                (MONEY, date),
            )
            told = [f"{found.elsewhere} parties at no known cell"] if found.elsewhere else []
            told += [f"refused: {reason}: {count}" for reason, count in found.refused.most_common()]
            cursor.execute(
                "UPDATE etl.loads SET state = 'ingested', finished = clock_timestamp(), rows = %s, rejects = %s, note = %s "
                "WHERE load_id = %s",
                (found.transactions, found.refused.total(), "; ".join(told) or None, load_id),
            )

        found = load_mobile_money(
            deployment, source, money.folder(deployment.landing, date), date=date, finish=finish
        )
    _log.info(
        "day loaded",
        source=money.name,
        date=str(date),
        transactions=found.transactions,
        parties=found.parties,
    )
    return found


@contextmanager
def _attempt(connection: Connection, money: MoneySource, date: dt.date) -> Iterator[str]:
    """Record the attempt, and its failure; yield its load id.

    It is not recorded among the states of events: days of mobile money are no available dates.
    """
    load_id = str(uuid.uuid4())
    with connection.cursor() as cursor:
        # The day's lock is ours: loads that are recorded as under way were killed.
        cursor.execute(
            "UPDATE etl.loads SET state = 'failed', finished = clock_timestamp(), note = 'interrupted' "
            "WHERE cdr_type = %s AND cdr_date = %s AND state = ANY (%s)",
            (MONEY, date, list(records.TRANSIENT_STATES)),
        )
        cursor.execute(
            "INSERT INTO etl.loads (load_id, source, cdr_type, cdr_date, state, code_version) VALUES (%s, %s, %s, %s, 'loading', %s)",
            (load_id, money.name, MONEY, date, __version__),
        )
    try:
        yield load_id
    except BaseException as error:
        note = str(error) if isinstance(error, LoadError) else f"stopped by {type(error).__name__}"
        _log.error("load failed", source=money.name, date=str(date), load_id=load_id, cause=note)
        with suppress(psycopg2.Error), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE etl.loads SET state = %s, finished = clock_timestamp(), note = %s WHERE load_id = %s",
                ("held" if isinstance(error, Held) else "failed", note, load_id),
            )
        raise


def drop_money(deployment: Deployment, date: dt.date, reason: str) -> None:
    """Withdraw a day of mobile money and record why.

    Raises
    ------
    Busy
        When the day is being loaded.
    """
    with (
        deployment.connect() as connection,
        records.day_lock(connection, MONEY, date),
        records.transaction(connection) as cursor,
    ):
        drop_money_day(cursor, date)
        cursor.execute(
            "UPDATE etl.loads SET state = 'dropped', note = %s WHERE cdr_type = %s AND cdr_date = %s AND state = 'ingested'",
            (reason, MONEY, date),
        )


def loaded_days(cursor: Cursor) -> set[dt.date]:
    """List the days of mobile money that are loaded, or were dropped on purpose."""
    cursor.execute(
        "SELECT cdr_date FROM etl.loads WHERE cdr_type = %s AND state IN ('ingested', 'dropped')", (MONEY,)
    )
    return {date for (date,) in cursor.fetchall()}


def missing_money_days(deployment: Deployment, money: MoneySource, until: dt.date) -> list[dt.date]:
    """Return the days that are neither loaded nor absent, oldest first."""
    last = min(until, money.end) if money.end else until
    with deployment.connect() as connection, connection.cursor() as cursor:
        there = loaded_days(cursor) | records.absent_days(cursor, MONEY)
    return [date for date in days(money.start, last) if date not in there]
