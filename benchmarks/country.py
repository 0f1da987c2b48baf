"""Provide a benchmark's data: a synthetic country in both stores.

The country is made and loaded once and kept between runs.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
from cluster import Cluster, free_port
from layout import CHECKOUT, SOURCES, default_state

from flowdb.configuration import available_memory, server_settings
from flowetl.staging import LAYOUT
from flowetl.tally import write_tally
from flowmachine.settings import Database

START = dt.date(2016, 1, 1)
#: The published engine answers any question, so for a comparison ours does, too.
UNLIMITED = {
    "FLOWMACHINE_DIFFERENCES": "off",
    "FLOWMACHINE_WINDOW_STEP": "1",
    "FLOWMACHINE_SUBSET_STEP": "1",
    "FLOWMACHINE_SUBSET_HOURS": "1",
}

EVENT_TYPES = ("calls", "sms", "mds", "topups")

#: Of the benchmark's own cluster, which nothing but loopback reaches and which holds invented people only.
#: Strong, because a weak one is refused; a secret of nothing but generated people.
_PASSWORD = hashlib.sha256(b"benchmark").hexdigest()
_PSEUDONYM_KEY = "6c43df135a998cf74c2277557c6c3f42a25a3912305ca537963fcd68fcd7660b"


@dataclass(frozen=True)
class Size:
    """Size the data: people, days, and events of all types in a day."""

    subscribers: int
    days: int
    events_per_day: int

    @property
    def name(self) -> str:
        return f"{self.subscribers}x{self.days}x{self.events_per_day}"

    @property
    def end(self) -> dt.date:
        """The day after the last."""
        return START + dt.timedelta(self.days)


class Country:
    """Hold one country of a size below the state folder.

    It has its own PostgreSQL cluster and columnar folder.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self.folder = default_state() / "bench" / size.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cluster = Cluster(self.folder, free_port())

    @property
    def columnar(self) -> Path:
        return self.folder / "columnar"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def _stamp(self) -> Path:
        return self.folder / "loaded.json"

    @contextmanager
    def running(self) -> Iterator[Country]:
        """The country's database up and loaded; stopped at the end."""
        # Half of the memory: the engines that are measured need the rest.
        self.cluster.start(server_settings(memory=available_memory() // 2))
        port = self.cluster.running_port()
        assert port is not None
        self.cluster = Cluster(self.folder, port)
        try:
            self._run("flowdb", "migrate")
            self._load()
            yield self
        finally:
            self.cluster.stop()

    def environment(self) -> dict[str, str]:
        """Settings of every process over this country."""
        return {
            **os.environ,
            # No secret of another stack on this machine may be found first.
            "FLOWKIT_SECRETS": str(self.folder / "no-secrets"),
            "FLOWDB_HOST": "127.0.0.1",
            "FLOWDB_PORT": str(self.cluster.port),
            "FLOWDB_DATABASE": "flowdb",
            "FLOWDB_TIMEZONE": "UTC",
            "FLOWDB_POSTGRES_PASSWORD": self.cluster.password(),
            "FLOWMACHINE_FLOWDB_USER": "flowmachine",
            "FLOWMACHINE_FLOWDB_PASSWORD": _PASSWORD,
            "FLOWAPI_FLOWDB_USER": "flowapi",
            "FLOWAPI_FLOWDB_PASSWORD": _PASSWORD,
            "FLOWDB_COLUMNAR_PATH": str(self.columnar),
            "FLOWMACHINE_CACHE_PATH": str(self.cache),
            "FLOWETL_SOURCES": str(SOURCES),
            "FLOWETL_LANDING": str(self.folder / "landing"),
            "FLOWETL_PSEUDONYM_KEY": _PSEUDONYM_KEY,
            **UNLIMITED,
            "CACHE_SIZE": str(100 * 1024**3),
        }

    def connect(self) -> Any:
        """A connection as superuser, in autocommit mode."""
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.cluster.port,
            dbname="flowdb",
            user="flowdb",
            password=self.cluster.password(),
        )
        connection.autocommit = True
        return connection

    def database(self) -> Database:
        """The database as the engine reaches it."""
        return Database(
            database_host="127.0.0.1", database_port=self.cluster.port, database_password=_PASSWORD
        )

    @contextmanager
    def copied(self, times: int) -> Iterator[Path]:
        """Provide day files with every subscriber repeated ``times`` times.

        Each copy has separate keys. The files are made once.

        A copy calls its own people, and its events have their own ids, so that every answer about a
        subscriber is repeated. Of the database only the manifest knows of them, while the context lasts: they are for an executor that is
        told to read files.
        """
        folder = self.folder / f"columnar-{times}-times"
        connection = duckdb.connect(config={"memory_limit": f"{available_memory() // 2}B"})
        for path in sorted((self.columnar / "events").rglob("*.parquet")):
            target = folder / path.relative_to(self.columnar)
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            names = [row[0] for row in connection.execute(f"DESCRIBE FROM '{path}'").fetchall()]
            keys = [name for name in names if name in ("subscriber", "counterpart", "event_id")]
            shifted = ", ".join(f"xor({name}, (hash(copy) // 2)::BIGINT) AS {name}" for name in keys)
            connection.execute(
                f"COPY (SELECT * REPLACE ({shifted}) FROM '{path}', (SELECT unnest(range({times})) AS copy) AS copies"
                f" ORDER BY subscriber, time) TO '{partial}' (FORMAT parquet, {LAYOUT})"
            )
            tally = folder / "tallies" / path.relative_to(self.columnar / "events")
            tally.parent.mkdir(parents=True, exist_ok=True)
            write_tally(partial, tally)
            partial.rename(target)
        connection.close()
        try:
            self._tell_manifest(folder)
            yield folder
        finally:
            self._tell_manifest(self.columnar)

    def _tell_manifest(self, folder: Path) -> None:
        """Put this folder's sizes and checksums into the manifest.

        The engine reads no other files.
        """
        connection = self.connect()
        with connection.cursor() as cursor:
            cursor.execute("SELECT path, tally_path FROM etl.columnar_files")
            for path, tally in cursor.fetchall():
                described = (_described(folder / name) for name in (path, tally))
                cursor.execute(
                    "UPDATE etl.columnar_files SET bytes = %s, sha256 = %s, tally_bytes = %s, tally_sha256 = %s "
                    "WHERE path = %s",
                    (*(number for numbers in described for number in numbers), path),
                )
        connection.close()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return what the loading measured: events, seconds, bytes in each store."""
        facts: dict[str, Any] = json.loads(self._stamp.read_text())
        return facts | {"tally_bytes": _size(self.columnar / "tallies")}

    def _load(self) -> None:
        if self._stamp.exists():
            if not (self.columnar / "tallies").exists():
                # The country was loaded before there were tallies.
                self._run("flowetl", "repair")
            return
        landing = self.folder / "landing"
        size = self.size
        started = time.monotonic()
        self._run(
            *("flowdb.synthetic", "--output", str(landing), "--resume", "--quiet", "--no-disaster"),
            *("--subscribers", str(size.subscribers), "--days", str(size.days), "--start", START.isoformat()),
            *(
                "--timezone",
                "UTC",
                "--events-per-subscriber-day",
                str(size.events_per_day / size.subscribers),
            ),
        )
        generated = time.monotonic()
        self._run("flowetl", "geography", str(landing))
        mapped = time.monotonic()
        last = size.end - dt.timedelta(1)
        self._run(
            *("flowetl", "backfill", "--source", "all"),
            *("--start", START.isoformat(), "--end", last.isoformat()),
        )
        loaded = time.monotonic()
        events, columnar_bytes, postgres_bytes = self._sizes()
        self._stamp.write_text(
            json.dumps(
                {
                    **asdict(size),
                    "events": events,
                    "generate_seconds": round(generated - started, 1),
                    "load_seconds": round(loaded - mapped, 1),
                    "loaded_events_per_second": round(events / (loaded - mapped)),
                    "load_average": round(os.getloadavg()[0], 1),
                    "columnar_bytes": columnar_bytes,
                    "postgres_bytes": postgres_bytes,
                    "columnar_to_postgres": round(columnar_bytes / postgres_bytes, 4),
                }
            )
        )

    def _sizes(self) -> tuple[int, int, int]:
        """Return events, columnar bytes and partition bytes.

        Columnar bytes include the dictionary and no tallies, partition bytes the indexes.
        """
        connection = self.connect()
        with connection.cursor() as cursor:
            cursor.execute("SELECT sum(rows) FROM etl.columnar_files")
            (events,) = cursor.fetchone()
            cursor.execute(
                "SELECT sum(pg_total_relation_size(relid)) FROM unnest(%s::text[]) AS parent, "
                "LATERAL pg_partition_tree(parent::regclass) WHERE isleaf",
                ([f"events.{name}" for name in EVENT_TYPES],),
            )
            (postgres_bytes,) = cursor.fetchone()
        connection.close()
        columnar_bytes = _size(self.columnar) - _size(self.columnar / "tallies")
        return int(events), columnar_bytes, int(postgres_bytes)

    def _run(self, module: str, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", module, *arguments], env=self.environment(), cwd=CHECKOUT, check=True
        )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def _described(path: Path) -> tuple[int, str]:
    """Return a file's size in bytes and SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest
