"""Keep subscribers who opted out from being stored, and remove their records."""

import datetime as dt
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from psycopg2.extensions import cursor as Cursor
from psycopg2.sql import SQL, Identifier

from flowetl import columnar, records
from flowetl.deployment import Deployment
from flowetl.errors import ConfigurationError
from flowetl.events import HAS_COUNTERPARTS, CdrType
from flowetl.keyed import hasher
from flowetl.moneysource import MONEY
from flowetl.partitions import partition_name
from flowetl.pseudonyms import Pseudonymiser
from flowetl.repair import write_partition
from flowetl.source import Source


def read_list(path: Path | None) -> list[str]:
    """Read a file's numbers, one a line; blank lines and # lines are none.

    Raises
    ------
    ConfigurationError
        When the file cannot be read: every wish must be respected.
    """
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"FLOWETL_OPT_OUT: {path.name} cannot be read ({type(error).__name__}): no day is loaded without it"
        ) from None
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def keys_of(numbers: list[str], key: Pseudonymiser) -> pa.Array:
    """Return the subscriber keys of one or more numbers.

    Raises
    ------
    ConfigurationError
        When a number cannot be read; the message names its entry, and never the number.
    """
    keys = key.column("msisdn", pa.chunked_array([numbers], pa.string())).row_keys()
    unread = [place for place, found in enumerate(keys.to_pylist(), 1) if found is None]
    if unread:
        more = f", nor can {len(unread) - 1} others" if len(unread) > 1 else ""
        raise ConfigurationError(
            f"FLOWETL_OPT_OUT: entry {unread[0]} cannot be read as {key.reading.expected('msisdn')}{more}. Correct the "
            "file: no day is loaded without it"
        )
    return keys


def of_source(deployment: Deployment, source: Source, key: Pseudonymiser) -> pa.Array | None:
    """Return the subscriber keys of everybody on the list; None without any.

    The operator's own pseudonyms stay: numbers say nothing of them.

    Raises
    ------
    ConfigurationError
        When the list cannot be read.
    """
    numbers = read_list(deployment.opt_out)
    return keys_of(numbers, key) if numbers and source.identifiers.keyed else None


class Removed(NamedTuple):
    """A day from which records were removed, and how many."""

    cdr_type: str
    date: dt.date
    records: int


def remove(deployment: Deployment) -> Iterator[Removed]:
    """Remove everybody on the list from every day, also as the other party.

    A changed day counts as loaded again, so that stored results that were made with it are not used any more.

    Raises
    ------
    ConfigurationError
        When the list cannot be read.
    Busy
        When a day is being loaded.
    """
    by_type: dict[CdrType, set[int]] = {}
    for source in deployment.sources().values():
        found = of_source(deployment, source, hasher(source, deployment.pseudonym_key()))
        if found is not None:
            by_type.setdefault(source.cdr_type, set()).update(found.to_pylist())
    if by_type:
        yield from _remove_parties(deployment)
    for cdr_type, keys in by_type.items():
        with deployment.connect() as connection, connection.cursor() as cursor:
            dates = sorted(records.available_days(cursor, cdr_type))
            for date in dates:
                with records.day_lock(connection, cdr_type, date):
                    with records.transaction(connection) as inside:
                        removed, old = _remove(inside, deployment, cdr_type, date, sorted(keys))
                    for path in old:
                        (deployment.columnar / path).unlink(missing_ok=True)
                    if old:
                        yield Removed(cdr_type, date, removed)


def _remove_parties(deployment: Deployment) -> Iterator[Removed]:
    """Remove everybody on the list from mobile money."""
    numbers = read_list(deployment.opt_out)
    people: set[str] = set()
    for source in deployment.sources().values():
        if source.identifiers.keyed:
            key = hasher(source, deployment.pseudonym_key())
            texts = key.column("msisdn", pa.chunked_array([numbers], pa.string())).row_texts()
            people.update(texts.drop_null().to_pylist())
    with deployment.connect() as connection, records.transaction(connection) as cursor:
        found = _forget_parties(cursor, sorted(people))
    yield from (Removed(MONEY, date, removed) for date, removed in found)


def _forget_parties(cursor: Cursor, pseudonyms: list[str]) -> list[tuple[dt.date, int]]:
    """Remove subscribers from every transaction; return days and removed sides."""
    cursor.execute(
        "WITH gone AS (DELETE FROM dfs.transactions_metadata USING dfs.subscribers, dfs.transactions "
        "WHERE subscribers.id = subscriber_id AND transactions.id = transaction_id AND msisdn = ANY (%s) "
        "RETURNING timestamp::date AS date) SELECT date, count(*) FROM gone GROUP BY 1 ORDER BY 1",
        (pseudonyms,),
    )
    found = cursor.fetchall()
    cursor.execute("DELETE FROM dfs.subscribers WHERE msisdn = ANY (%s)", (pseudonyms,))
    return found


def _remove(
    cursor: Cursor, deployment: Deployment, cdr_type: CdrType, date: dt.date, keys: list[int]
) -> tuple[int, list[str]]:
    """Remove records of one day; return their number and the replaced files."""
    cursor.execute("SELECT pseudonym FROM etl.subscriber_keys WHERE subscriber_key = ANY (%s)", (keys,))
    people = [pseudonym for (pseudonym,) in cursor.fetchall()]
    table = Identifier("events", partition_name(cdr_type, date))
    cursor.execute(SQL("DELETE FROM {} WHERE msisdn = ANY (%s)").format(table), (people,))
    removed = changed = cursor.rowcount
    if cdr_type in HAS_COUNTERPARTS:
        statement = SQL("UPDATE {} SET msisdn_counterpart = NULL WHERE msisdn_counterpart = ANY (%s)")
        cursor.execute(statement.format(table), (people,))
        changed += cursor.rowcount
    if not changed:
        return 0, []
    load_id = uuid.uuid4()
    files = columnar.publish_day(
        deployment.columnar,
        cdr_type,
        date,
        load_id,
        lambda path: write_partition(cursor, cdr_type, date, deployment.zone, path),
    )
    file = files.events
    before = records.current_load(cursor, cdr_type, date)
    note = f"{removed} records of subscribers who opted out were removed"
    cursor.execute(
        "INSERT INTO etl.loads (load_id, source, cdr_type, cdr_date, state, rows, rejects, bytes, finished, mapping_version, "
        "code_version, key_id, note) SELECT %s, source, cdr_type, cdr_date, 'ingested', rows - %s, rejects, %s, "
        "clock_timestamp(), mapping_version, code_version, key_id, %s FROM etl.loads WHERE load_id = %s RETURNING source, rows",
        (str(load_id), removed, file.bytes, note, str(before)),
    )
    source, rows = cursor.fetchone() or (None, None)
    cursor.execute("UPDATE etl.loads SET state = 'superseded' WHERE load_id = %s", (str(before),))
    cursor.execute(
        "INSERT INTO etl.source_files SELECT %s, uri, size, mtime, sha256, rows, rejects FROM etl.source_files WHERE load_id = %s",
        (str(load_id), str(before)),
    )
    for state in ("superseded", "ingested"):
        cursor.execute(
            "INSERT INTO etl.etl_records (cdr_type, cdr_date, state, timestamp, load_id, source, rows, bytes, note) "
            "VALUES (%s, %s, %s, clock_timestamp(), %s, %s, %s, %s, %s)",
            (cdr_type, date, state, str(load_id), source, rows, file.bytes, note),
        )
    cursor.execute(
        "SELECT path, tally_path FROM etl.columnar_files WHERE cdr_type = %s AND cdr_date = %s FOR UPDATE",
        (cdr_type, date),
    )
    old = [path for path in cursor.fetchone() or () if path]
    records.name_files(cursor, cdr_type, date, load_id, rows, files)
    return removed, old
