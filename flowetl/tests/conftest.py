"""Provide a small operator: hand-written files, a new database, a folder."""

import datetime as dt
import gzip
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet
import pytest

import flowetl
from flowdb.testing import Database
from flowetl.deployment import Deployment
from flowetl.loading import Loaded, load_day
from flowetl.source import Source

PACKAGED_SOURCES = Path(flowetl.__file__).parent / "sources" / "synthetic"
KEY = "05405135639dac4945ee8ce31a67c8ff45b1cc9abf553f2a173b6378acfe0ac9"
DAY = dt.date(2016, 1, 1)


@dataclass(frozen=True)
class Person:
    """Identifiers that occur nowhere else, so that a scanner can look for them."""

    msisdn: str
    imsi: str
    imei: str


ALICE = Person("9779812345601", "429011234567801", "35123456789010")
BOB = Person("9779812345602", "429011234567802", "35123456789028")
CAROL = Person("9779812345603", "429011234567803", "35765432109876")


@dataclass
class Operator:
    """One deployment under test."""

    deployment: Deployment
    database: Database
    environment: dict[str, str]
    folder: Path
    day: dt.date = DAY
    alice: Person = ALICE
    bob: Person = BOB
    carol: Person = CAROL

    @property
    def sources(self) -> dict[str, Source]:
        return self.deployment.sources()

    def write(
        self, source: str, rows: Iterable[Iterable[Any]], day: dt.date = DAY, header: bool = True
    ) -> Path:
        """Put a day's file into the landing folder, modified long ago."""
        lines = [",".join(self.sources[source].fields)] if header else []
        lines += [",".join(map(str, row)) for row in rows]
        return self.write_bytes(source, gzip.compress("\n".join([*lines, ""]).encode()), day)

    def write_bytes(self, source: str, content: bytes, day: dt.date = DAY) -> Path:
        path = self.sources[source].file(self.deployment.landing, day)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1e9, 1e9))
        return path

    def call(
        self,
        identifier: str,
        time: str,
        who: Person,
        other: Person,
        out: bool = True,
        cell: str = "c1",
        day: dt.date = DAY,
    ) -> list[Any]:
        """One line of a calls file."""
        kind = "MOC" if out else "MTC"
        calling, called = (who, other) if out else (other, who)
        return [
            identifier,
            kind,
            f"{day} {time}",
            60,
            calling.msisdn,
            called.msisdn,
            who.imsi,
            who.imei,
            cell,
        ]

    def two_calls(self) -> list[list[Any]]:
        """Three lines: both parties of one call, and one of another at no cell."""
        return [
            self.call("a", "10:00:00", self.alice, self.bob),
            self.call("a", "10:00:00", self.bob, self.alice, out=False, cell="c2"),
            self.call("b", "23:59:59", self.carol, self.alice, cell=""),
        ]

    def load(self, source: str = "calls", day: dt.date | None = None, **options: Any) -> Loaded:
        """Load one day."""
        return load_day(self.deployment, self.sources[source], day or self.day, **options)

    def day_files(self) -> set[str]:
        """The files of days: those that the manifest names, and no others."""
        found = {
            str(path.relative_to(self.deployment.columnar))
            for folder in ("events", "tallies")
            for path in self.deployment.columnar.glob(f"{folder}/*/*/*")
        }
        named = self.rows("SELECT path, tally_path FROM etl.columnar_files")
        assert found == {path for row in named for path in row}
        return found

    def tallies_are_right(self) -> bool:
        """Whether each tally has what a loop over its day's file counts."""
        for paths in self.rows("SELECT path, tally_path FROM etl.columnar_files"):
            day, tally = (pyarrow.parquet.read_table(self.deployment.columnar / path) for path in paths)
            counted: dict[tuple[Any, dt.datetime], list[int]] = {}
            for row in day.to_pylist():
                hour = row["local_time"].replace(minute=0, second=0, microsecond=0)
                numbers = counted.setdefault((row["cell"], hour), [0, 0])
                numbers[0] += 1
                numbers[1] |= 1 << row["subscriber"] % 64
            rows = {
                (row["cell"], row["local_time"]): [row["events"], row["bits"] % 2**64]
                for row in tally.to_pylist()
            }
            if rows != counted or len(rows) != tally.num_rows:
                return False
        return True

    def parquet(self, cdr_type: str = "calls") -> list[tuple[Any, ...]]:
        """The columnar rows that the manifest names."""
        paths = self.rows("SELECT path FROM etl.columnar_files WHERE cdr_type = %s", cdr_type)
        files = [str(self.deployment.columnar / path) for (path,) in paths]
        return (
            duckdb.sql("SELECT * FROM read_parquet($1) ORDER BY ALL", params=[files]).fetchall()
            if files
            else []
        )

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser."""
        connection = self.database.connect()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def value(self, statement: str, *values: Any) -> Any:
        ((value,),) = self.rows(statement, *values)
        return value

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``python -m flowetl``."""
        done = subprocess.run(
            [sys.executable, "-m", "flowetl", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done


@pytest.fixture
def operator(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    return operator_of(database, database.environment(), tmp_path, monkeypatch)


def operator_of(
    database: Database, settings: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Operator:
    """Return a small operator whose database is reached by these settings."""
    sources = folder / "sources"
    sources.mkdir()
    for path in PACKAGED_SOURCES.glob("*.yml"):
        (sources / path.name).write_text(
            path.read_text() + "stability: {pause: 0.2, timeout: 2}\nwait: {timeout: 5, poll: 0.1}\n"
        )
    settings = settings | {
        "FLOWDB_COLUMNAR_PATH": str(folder / "columnar"),
        "FLOWETL_LANDING": str(folder / "landing"),
        "FLOWETL_SOURCES": str(sources),
        "FLOWETL_PSEUDONYM_KEY": KEY,
        "FLOWKIT_SECRETS": str(folder / "no-secrets"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    (folder / "landing").mkdir()
    return Operator(Deployment.from_settings(), database, {**os.environ, **settings}, folder)
