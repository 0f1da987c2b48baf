"""Map the integer keys of the columnar files."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet
from psycopg2.extensions import cursor as Cursor

from flowetl import columnar
from flowetl.copying import copy_into
from flowetl.errors import DataFault
from flowetl.pseudonyms import REMEMBERED


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
    """Remember pseudonyms that this process saw committed to the dictionary.

    The dictionary never loses entries, so the memory stays valid.
    """

    def __init__(self) -> None:
        self._pseudonyms: set[str] = set()

    def without(self, pairs: pa.Table) -> pa.Table:
        """Return the pairs that may be new to the dictionary."""
        names = pairs.column("pseudonym").to_pylist()
        return pairs.filter(pa.array([name not in self._pseudonyms for name in names], pa.bool_()))

    def remember(self, pairs: pa.Table) -> None:
        """Record that the dictionary holds these pairs."""
        if len(self._pseudonyms) > REMEMBERED:
            self._pseudonyms.clear()
        self._pseudonyms.update(pairs.column("pseudonym").slice(0, REMEMBERED).to_pylist())


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
    pairs: ``subscriber_key`` and ``pseudonym``, sorted by key, so that loads at work together cannot deadlock.

    Raises
    ------
    DataFault
        When a key already stands for another pseudonym: the columnar files could not tell the two apart.
    """
    if not pairs.num_rows:
        return
    cursor.execute(
        'CREATE TEMP TABLE seen (subscriber_key BIGINT, pseudonym TEXT COLLATE "C") ON COMMIT DROP'
    )
    copy_into(cursor, "COPY seen FROM STDIN (FORMAT binary)", ("bigint", "text"), pairs.to_batches())
    cursor.execute(
        "INSERT INTO etl.subscriber_keys SELECT seen.* FROM seen LEFT JOIN etl.subscriber_keys AS known "
        "USING (subscriber_key) WHERE known.subscriber_key IS NULL ORDER BY 1 "
        "ON CONFLICT (subscriber_key) DO NOTHING RETURNING subscriber_key, pseudonym"
    )
    added = cursor.fetchall()
    # Check after adding, because a pair that another load added meanwhile becomes visible only now.
    cursor.execute(
        "SELECT count(*) FROM seen JOIN etl.subscriber_keys AS known USING (subscriber_key) "
        "WHERE known.pseudonym <> seen.pseudonym"
    )
    (collisions,) = cursor.fetchone() or (0,)
    if collisions:
        raise DataFault(
            f"{collisions} subscriber keys already stand for other pseudonyms; the day was not loaded"
        )
    if added:
        keys, names = zip(*added, strict=True)
        table = pa.table(
            {"subscriber_key": pa.array(keys, pa.int64()), "pseudonym": pa.array(names, pa.string())}
        )
        columnar.publish_file(
            folder,
            columnar.dictionary_path(load_id),
            lambda path: pyarrow.parquet.write_table(table, path, compression="zstd"),
        )
