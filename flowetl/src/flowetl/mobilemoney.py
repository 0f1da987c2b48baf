"""Load mobile money with pseudonyms.

A delivery has four files: transactions, their types, subscribers and parties.

The operator's identities of subscribers and transactions are used to join the four files, in memory, and are not
stored: an account's number may well be a telephone number.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor as Cursor

from flowetl import optout
from flowetl.copying import PostgresType, copy_into
from flowetl.deployment import Deployment
from flowetl.errors import Busy, DataFault, Held
from flowetl.formats import FileFormat
from flowetl.keyed import hasher
from flowetl.lines import LineReader
from flowetl.mapped import literal
from flowetl.moneyfolder import FILES, delivered_file
from flowetl.source import Source

_TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S")
_AMOUNTS = ("amount", "discount", "fee", "commission")
_FIELDS = {
    "transaction_types": "TRY_CAST(id AS INTEGER) AS id, description, user_type_a, user_type_b",
    "transactions": "id, coalesce("
    + ", ".join(f"try_strptime(time, '{form}')" for form in _TIMES)
    + ") AS time, TRY_CAST(type AS INTEGER) AS type, "
    + ", ".join(f"TRY_CAST({name} AS DECIMAL(14, 4))::DOUBLE AS {name}" for name in _AMOUNTS),
    "parties": "transaction, subscriber, cell, TRY_CAST(outgoing AS BOOLEAN) AS outgoing",
}


@dataclass
class Delivered:
    """Count what was loaded: transactions, parties and days; ``refused`` by reason.

    ``elsewhere`` are the parties that are at no known cell and have no place in the database.
    """

    transactions: int = 0
    parties: int = 0
    elsewhere: int = 0
    first: dt.date | None = None
    last: dt.date | None = None
    refused: Counter[str] = field(default_factory=Counter)


def _nothing(cursor: Cursor, found: Delivered) -> None: ...


def load_mobile_money(
    deployment: Deployment,
    source: Source,
    folder: Path,
    *,
    date: dt.date | None = None,
    finish: Callable[[Cursor, Delivered], None] = _nothing,
) -> Delivered:
    """Load a delivery whole.

    It replaces the transactions of the days from its first to its last.

    Parameters
    ----------
    source: whose identifiers, clock and limits of refused records hold, so that a subscriber has one pseudonym in
        events and in mobile money.
    folder: holds the four files.
    date: the only day of the delivery; transactions of other days are refused. None = it may have several days.
    finish: what else belongs to the load's transaction.

    Raises
    ------
    DataFault
        When a file is missing or wrong, or too many of its records are.
    Held
        When most parties are at no known cell.
    Busy
        When another process loads mobile money.
    """
    paths = {name: _file(folder, name) for name in FILES}
    found = Delivered()
    own = _own_day(source, deployment, date)
    with _memory() as memory:
        for name, path in paths.items():
            _read(memory, deployment, source, name, path)
        _judge(memory, source, found, own, date)
        with deployment.connect() as connection:
            connection.autocommit = False
            with connection, connection.cursor() as cursor:
                _store(cursor, memory, source, deployment, found)
                if date is not None and found.first is None:
                    raise DataFault(f"mobile money: no transaction of {date} is good")
                finish(cursor, found)
    return found


def _own_day(source: Source, deployment: Deployment, date: dt.date | None) -> str:
    """Return SQL for whether a transaction is of the delivery's day.

    The day is one of the deployment's clock.
    """
    if date is None:
        return "true"
    zones = [literal(zone.key) for zone in (source.zone(deployment.zone), deployment.zone)]
    return f"(time AT TIME ZONE {zones[0]} AT TIME ZONE {zones[1]})::DATE = DATE '{date}'"


def _file(folder: Path, name: str) -> Path:
    if (path := delivered_file(folder, name)) is not None:
        return path
    raise DataFault(
        f"{folder} holds no {name}.csv; mobile money is {', '.join(f'{file}.csv' for file in FILES)}, which may be compressed"
    )


@contextmanager
def _memory() -> Iterator[duckdb.DuckDBPyConnection]:
    """Provide a DuckDB that never writes to a disk, because it holds raw identities."""
    with duckdb.connect(config={"temp_directory": ""}) as memory:
        memory.execute("SET enable_progress_bar = false")
        yield memory


def _read(
    memory: duckdb.DuckDBPyConnection, deployment: Deployment, source: Source, name: str, path: Path
) -> None:
    """Read one file into the table of its name; refused lines go into ``refused``."""
    key = hasher(source, deployment.pseudonym_key())
    opted_out = optout.of_source(deployment, source, key)
    memory.execute("CREATE TABLE IF NOT EXISTS refused (file VARCHAR, reason VARCHAR)")
    first = True
    for batch in LineReader(path, FileFormat(), FILES[name]).batches():
        lines = pa.table(
            {"file": [name] * len(batch.rejects), "reason": [one.reason for one in batch.rejects]}
        )
        if len(lines):
            memory.execute("INSERT INTO refused SELECT * FROM lines")
        records = batch.table
        if name == "subscribers":
            numbers = key.column("msisdn", records.column("msisdn"))
            pseudonyms = numbers.row_texts()
            if opted_out is not None:
                pseudonyms = pc.if_else(pc.is_in(numbers.row_keys(), opted_out), None, pseudonyms)
            records = pa.table({"id": records.column("id"), "pseudonym": pseudonyms})
            selected = "id, pseudonym"
        else:
            selected = _FIELDS[name]
        memory.register("records", records)
        begin = f"CREATE TABLE {name} AS" if first else f"INSERT INTO {name}"
        memory.execute(f"{begin} SELECT {selected} FROM records")  # noqa: S608 - names of ours
        memory.unregister("records")
        first = False
    if first:
        raise DataFault(f"{path.name} holds no records")


def _judge(
    memory: duckdb.DuckDBPyConnection, source: Source, found: Delivered, own: str, date: dt.date | None
) -> None:
    """Count what cannot be stored; keep the other transactions as ``placed``.

    Raises
    ------
    DataFault
        When more is refused than the source allows, or a transaction occurs twice.
    """
    counted = {
        "transactions: no id or no time of the form 2016-01-31 23:59:59": "FROM transactions WHERE id IS NULL OR time IS NULL",
        "parties: no subscriber of subscribers.csv whose number can be read": "FROM parties WHERE subscriber IS NULL OR "
        "subscriber NOT IN (SELECT id FROM subscribers WHERE pseudonym IS NOT NULL AND id IS NOT NULL)",
        "parties: no transaction of transactions.csv": "FROM parties WHERE transaction IS NULL OR transaction NOT IN "
        "(SELECT id FROM transactions WHERE id IS NOT NULL)",
        "parties: no cell": "FROM parties WHERE cell IS NULL",
        f"transactions: of another day than {date}": f"FROM transactions WHERE id IS NOT NULL AND NOT ({own})",
        "transaction_types: no whole number as id": "FROM transaction_types WHERE id IS NULL",
    }
    for reason, rows in counted.items():
        ((count,),) = memory.execute(f"SELECT count(*) {rows}").fetchall()
        if count:
            found.refused[reason] += count
    for file, reason, count in memory.execute(
        "SELECT file, reason, count(*) FROM refused GROUP BY ALL"
    ).fetchall():
        found.refused[f"{file}: {reason}"] += count
    ((records,),) = memory.execute(
        "SELECT (SELECT count(*) FROM transactions) + (SELECT count(*) FROM parties)"
    ).fetchall()
    limits = source.rejects
    if found.refused.total() > max(limits.tolerated, limits.maximum_rate * records):
        shown = ", ".join(f"{reason} {count}" for reason, count in found.refused.most_common(3))
        raise DataFault(
            f"mobile money: {found.refused.total()} records are refused, more than rejects.maximum_rate "
            f"{limits.maximum_rate:g} of {source.name} allows; most frequent: {shown}"
        )
    for file in ("transactions", "subscribers"):
        ((twice,),) = memory.execute(f"SELECT count(id) - count(DISTINCT id) FROM {file}").fetchall()  # noqa: S608
        if twice:
            raise DataFault(f"{file}.csv: {twice} ids occur twice, so that a party would belong to both")
    # The operator's ids end here: places in this delivery stand for them.
    memory.execute(
        "CREATE TABLE placed AS SELECT row_number() OVER () AS place, * FROM transactions "  # noqa: S608 - SQL of ours
        f"WHERE id IS NOT NULL AND time IS NOT NULL AND {own}"
    )


_TYPES: tuple[PostgresType, ...] = (
    "bigint",
    "timestamptz",
    "bigint",
    "numeric",
    "numeric",
    "numeric",
    "numeric",
)
_DELIVERED = """
CREATE TEMP TABLE delivered (place bigint, moment timestamptz, type bigint, amount numeric, discount numeric, fee numeric,
    commission numeric, id bigint DEFAULT nextval('dfs.transactions_id_seq')) ON COMMIT DROP;
CREATE TEMP TABLE sides (place bigint, pseudonym text COLLATE "C", cell text, outgoing boolean) ON COMMIT DROP;
CREATE TEMP TABLE kinds (id bigint, description text, a text, b text) ON COMMIT DROP
"""
_STORED = """
INSERT INTO dfs.transaction_types (id, descr, user_type_a_party, user_type_b_party) SELECT * FROM kinds
    ON CONFLICT (id) DO UPDATE SET descr = excluded.descr, user_type_a_party = excluded.user_type_a_party,
    user_type_b_party = excluded.user_type_b_party;
INSERT INTO dfs.subscribers (msisdn) SELECT pseudonym FROM sides EXCEPT SELECT msisdn FROM dfs.subscribers;
DELETE FROM dfs.transactions_metadata USING dfs.transactions WHERE transactions.id = transaction_id
    AND timestamp >= %(first)s::date AND timestamp < %(last)s::date + 1;
DELETE FROM dfs.transactions WHERE timestamp >= %(first)s::date AND timestamp < %(last)s::date + 1;
INSERT INTO dfs.transactions (id, amount, discount, fee, commission, transtype_id, timestamp)
    SELECT delivered.id, amount, discount, fee, commission, transaction_types.id, moment
    FROM delivered LEFT JOIN dfs.transaction_types ON transaction_types.id = type
"""
_PLACED = """
INSERT INTO dfs.transactions_metadata (transaction_id, subscriber_id, cell_id, cell_version, is_outgoing)
SELECT delivered.id, known.id, serving.id, serving.version, outgoing
FROM sides JOIN delivered USING (place)
JOIN (SELECT msisdn, min(id) AS id FROM dfs.subscribers GROUP BY 1) AS known ON msisdn = pseudonym
JOIN LATERAL (
    SELECT cells.id, version FROM infrastructure.cells WHERE cells.id = cell
    AND coalesce(date_of_first_service, '-infinity') <= moment::date
    AND coalesce(date_of_last_service, 'infinity') >= moment::date ORDER BY version DESC LIMIT 1
) AS serving ON true
"""


def _store(
    cursor: Cursor,
    memory: duckdb.DuckDBPyConnection,
    source: Source,
    deployment: Deployment,
    found: Delivered,
) -> None:
    """Replace the days of the delivery in one transaction.

    Raises
    ------
    Held
        When most parties are at no known cell.
    Busy
        When another process loads mobile money.
    """
    cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('flowetl mobile money', 0))")
    if cursor.fetchone() != (True,):
        raise Busy("mobile money is being loaded by another process")
    cursor.execute(_DELIVERED)
    moments = memory.execute(
        f"SELECT place, time::TIMESTAMP AS time, type::BIGINT AS type, {', '.join(_AMOUNTS)} FROM placed"  # noqa: S608
    ).to_arrow_table()
    by_clock = pc.assume_timezone(
        moments.column("time"), str(source.zone(deployment.zone)), ambiguous="earliest", nonexistent="latest"
    )
    utc = by_clock.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    moments = moments.set_column(1, "time", utc)
    parties = memory.execute(
        "SELECT place, pseudonym, cell, outgoing FROM parties JOIN subscribers ON subscribers.id = parties.subscriber "
        "JOIN placed ON placed.id = parties.transaction WHERE pseudonym IS NOT NULL AND cell IS NOT NULL"
    ).to_arrow_table()
    kinds = memory.execute(
        "SELECT id::BIGINT AS id, any_value(description), any_value(user_type_a), any_value(user_type_b) "
        "FROM transaction_types WHERE id IS NOT NULL GROUP BY id"
    ).to_arrow_table()
    given = ", ".join(("place", "moment", "type", *_AMOUNTS))
    copy_into(cursor, f"COPY delivered ({given}) FROM STDIN (FORMAT binary)", _TYPES, moments.to_batches())
    sides: tuple[PostgresType, ...] = ("bigint", "text", "text", "boolean")
    copy_into(cursor, "COPY sides FROM STDIN (FORMAT binary)", sides, parties.to_batches())
    types: tuple[PostgresType, ...] = ("bigint", "text", "text", "text")
    copy_into(cursor, "COPY kinds FROM STDIN (FORMAT binary)", types, kinds.to_batches())
    # The connection's zone is the deployment's, so its dates are the deployment's days.
    cursor.execute("SELECT min(moment)::date, max(moment)::date FROM delivered")
    found.first, found.last = cursor.fetchone() or (None, None)
    cursor.execute(_STORED, {"first": found.first, "last": found.last})
    cursor.execute(_PLACED)
    found.transactions, found.parties, found.elsewhere = (
        len(moments),
        cursor.rowcount,
        len(parties) - cursor.rowcount,
    )
    minimum = source.minimum_known_cells
    if minimum is None:
        minimum = deployment.minimum_known_cells
    if found.parties < minimum * len(parties):
        raise Held(
            f"mobile money: only {found.parties} of {len(parties)} parties are at a cell that is in the cell list on their "
            f"day, less than minimum_known_cells {minimum:g}: correct the column cell, or load the newest cell list with "
            "the command geography"
        )


def drop_money_day(cursor: Cursor, date: dt.date) -> None:
    """Remove the transactions of one day, and subscribers without any."""
    cursor.execute(
        "DELETE FROM dfs.transactions_metadata USING dfs.transactions WHERE transactions.id = transaction_id "
        "AND timestamp >= %(date)s::date AND timestamp < %(date)s::date + 1; "
        "DELETE FROM dfs.transactions WHERE timestamp >= %(date)s::date AND timestamp < %(date)s::date + 1; "
        "DELETE FROM dfs.subscribers WHERE NOT EXISTS "
        "(SELECT FROM dfs.transactions_metadata WHERE subscriber_id = subscribers.id)",
        {"date": date},
    )


def money_days(cursor: Cursor, before: dt.date) -> list[dt.date]:
    """Return the days before a date that have transactions, in order."""
    cursor.execute(
        "SELECT DISTINCT timestamp::date FROM dfs.transactions WHERE timestamp < %s::date ORDER BY 1",
        (before,),
    )
    return [date for (date,) in cursor.fetchall()]
