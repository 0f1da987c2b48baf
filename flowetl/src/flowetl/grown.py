"""Find loaded days of which more has arrived since."""

import datetime as dt
from collections.abc import Set

import structlog
from psycopg2.extensions import cursor as Cursor

from flowetl.deployment import Deployment
from flowetl.errors import LoadError
from flowetl.readers import place_of
from flowetl.source import Source

_log = structlog.get_logger(__name__)


def grown(
    cursor: Cursor, deployment: Deployment, source: Source, visible: Set[dt.date], last: dt.date
) -> set[dt.date]:
    """Return the visible days up to ``last`` of which more has arrived since."""
    if not source.may_grow:
        return set()
    # Rows of a table have to be counted, which is done for few days.
    first = last - dt.timedelta(source.late.days) if source.table else dt.date.min
    cursor.execute(
        "SELECT loads.cdr_date, json_object_agg(uri, size) FROM etl.current_loads AS loads "
        "JOIN etl.source_files USING (load_id) WHERE loads.cdr_type = %s AND loads.cdr_date = ANY (%s) GROUP BY 1",
        (source.cdr_type, [date for date in visible if first <= date <= last]),
    )
    try:
        return {
            date for date, read in cursor.fetchall() if place_of(deployment, source, date).has_more_than(read)
        }
    except LoadError as error:
        # The days that are there stay; other sources must not wait for this one's database.
        _log.warning("not looked for more rows", source=source.name, cause=str(error))
        return set()
