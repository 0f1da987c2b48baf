"""Map the integer keys of the columnar files."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg2.errors
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from psycopg2.extensions import cursor as Cursor

from flowetl import columnar
from flowetl.copying import copy_into, copy_numbers
from flowetl.digests import Digests
from flowetl.errors import DataFault
from flowetl.slots import NOWHERE, Slots

REMEMBERED = 4_000_000
"""Subscribers of whom a process remembers that the dictionary holds them; one costs some 50 bytes."""
_BATCH = 65_536


def location_keys(cursor: Cursor, location_ids: Sequence[str]) -> dict[str, int]:
    """Return the integer key of each location; assign new keys.

    A key that no event uses in the end is harmless.
    """
    cursor.execute(
        "INSERT INTO etl.location_keys (location_id) "
        "SELECT location_id FROM unnest(%s::text[]) AS location_id "
        "WHERE location_id NOT IN (SELECT location_id FROM etl.location_keys) ORDER BY 1 ON CONFLICT DO NOTHING",
        (list(location_ids),),
    )
    cursor.execute(
        "SELECT location_id, location_key FROM etl.location_keys WHERE location_id = ANY (%s)",
        (list(location_ids),),
    )
    return dict(cursor.fetchall())


class KnownSubscribers:
    """Remember pairs that this process saw committed to the dictionary.

    The dictionary never loses entries, so the memory stays valid. Of a pseudonym its first 64 bits are compared: two
    that share these and the key, too, do not occur.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._keys = Slots()
        self._beginnings = np.empty(0, np.uint64)

    def without(self, pairs: pa.Table) -> pa.Table:
        """Return the pairs that may be new to the dictionary."""
        places = self._keys.find(pairs.column("subscriber_key").to_numpy())
        if not len(self._beginnings):
            return pairs
        same = self._beginnings[places] == _beginnings(pairs)
        return pairs.filter(pa.array((places == NOWHERE) | ~same))

    def remember(self, pairs: pa.Table) -> None:
        """Record that the dictionary holds these pairs, of which it knew none."""
        if len(self._keys) + len(pairs) > REMEMBERED:
            self._forget()
        pairs = pairs.slice(0, REMEMBERED)
        first = len(self._beginnings)
        self._beginnings = np.concatenate([self._beginnings, _beginnings(pairs)])
        keys = pairs.column("subscriber_key").to_numpy()
        self._keys.add(keys, np.arange(first, len(self._beginnings)))


def _beginnings(pairs: pa.Table) -> np.ndarray:
    return Digests.unpacked(pairs.column("pseudonym")).leading_bits()


@lru_cache(maxsize=1)
def known_subscribers(dsn: str) -> KnownSubscribers:
    """Return the known pseudonyms of one database.

    Most subscribers of a day are those of the day before.
    """
    return KnownSubscribers()


def add_subscribers(cursor: Cursor, folder: Path, load_id: UUID, pairs: pa.Table) -> None:
    """Add new pairs to the dictionary, in the database and beside the day files.

    Parameters
    ----------
    pairs: distinct ``subscriber_key``, sorted, so that loads at work together cannot deadlock; and ``pseudonym``, as
        ``Digests.packed``.

    Raises
    ------
    DataFault
        When a key already stands for another pseudonym: the columnar files could not tell the two apart.
    """
    if not pairs.num_rows:
        return
    # One load at a time, so that none has to look for what another adds meanwhile: rows that cannot conflict are
    # copied at a quarter of the cost of an INSERT that may.
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('etl.subscriber_keys', 0))")
    new = _without_known(cursor, pairs)
    if not new.num_rows:
        return
    try:
        copy_into(
            cursor,
            "COPY etl.subscriber_keys FROM STDIN (FORMAT binary)",
            ("bigint", "text"),
            new.to_batches(_BATCH),
        )
    except psycopg2.errors.UniqueViolation:
        raise DataFault(
            "a subscriber key already stands for another pseudonym; the day was not loaded"
        ) from None
    columnar.publish_file(
        folder, columnar.dictionary_path(load_id), lambda path: _write_dictionary(new, path)
    )


def _without_known(cursor: Cursor, pairs: pa.Table) -> pa.Table:
    """Return the pairs that the dictionary lacks, also of keys that it has."""
    cursor.execute("SELECT EXISTS (SELECT FROM etl.subscriber_keys)")
    if cursor.fetchone() == (False,):
        return pairs
    cursor.execute(
        'CREATE TEMP TABLE seen (subscriber_key BIGINT, pseudonym TEXT COLLATE "C") ON COMMIT DROP'
    )
    copy_into(cursor, "COPY seen FROM STDIN (FORMAT binary)", ("bigint", "text"), pairs.to_batches(_BATCH))
    cursor.execute("ANALYZE seen (subscriber_key)")
    known = copy_numbers(
        cursor,
        "COPY (SELECT subscriber_key FROM seen JOIN etl.subscriber_keys AS known USING (subscriber_key) "
        "WHERE known.pseudonym = seen.pseudonym) TO STDOUT (FORMAT binary)",
    )
    if not len(known):
        return pairs
    return pairs.filter(pc.invert(pc.is_in(pairs.column("subscriber_key"), pa.array(known))))


def _write_dictionary(pairs: pa.Table, path: Path) -> None:
    """Write pairs as Parquet, some at a time, because their texts are long."""
    schema = pa.schema([("subscriber_key", pa.int64()), ("pseudonym", pa.string())])
    # No value comes twice: Parquet's own dictionary of values would be made in vain.
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for batch in pairs.to_batches(_BATCH):
            texts = Digests.unpacked(batch.column("pseudonym")).texts().cast(pa.string())
            writer.write_batch(pa.record_batch([batch.column("subscriber_key"), texts], schema=schema))
