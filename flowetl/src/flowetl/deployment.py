"""Locate this deployment's files, secrets and database."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn

from flowetl.errors import ConfigurationError, Unreachable
from flowetl.moneysource import MoneySource, read_money_sources
from flowetl.settings import LoaderSettings, PseudonymSettings
from flowetl.source import Source, read_sources
from flowsettings import SettingError


@dataclass(frozen=True)
class Deployment:
    """Hold a deployment's folders, time zone and connection; ``repr`` hides secrets.

    ``landing``: the operator's files. ``columnar``: the day files. ``rejects``: what was refused, private to the
    loader. ``zone``: the zone whose days are the days of the database. ``minimum_known_cells``: of sources that give none.
    ``longest_run_hours``: after which a scheduled run is ended, because it hangs.
    ``hook``: command or address that is told of days that were not loaded. ``opt_out``: file of the numbers of those who
    want no record kept. ``retain_months``: after which days are dropped. ``report_file``: the page
    that each scheduled run writes; by default beside the rejects.
    """

    landing: Path
    columnar: Path
    rejects: Path
    sources_folder: Path
    zone: ZoneInfo
    dsn: str = field(repr=False)
    minimum_known_cells: float = 0.5
    longest_run_hours: float = 20.0
    hook: str | None = None
    opt_out: Path | None = None
    retain_months: int | None = None
    report_file: Path | None = None

    @classmethod
    def from_settings(cls) -> "Deployment":
        """Read the settings of the contracts page.

        Raises
        ------
        ConfigurationError
            Naming the setting that is missing or wrong.
        """
        try:
            given = LoaderSettings.load()
        except SettingError as error:
            raise ConfigurationError(str(error)) from error
        return cls(
            landing=given.landing,
            columnar=given.columnar,
            rejects=given.rejects or given.landing.parent / "rejects",
            sources_folder=given.sources,
            zone=ZoneInfo(given.timezone),
            minimum_known_cells=given.minimum_known_cells,
            longest_run_hours=given.longest_run_hours,
            hook=given.hook,
            opt_out=given.opt_out,
            retain_months=given.retain_months,
            report_file=given.report,
            dsn=make_dsn(
                host=given.host,
                port=given.port,
                dbname=given.database,
                user="flowdb",
                password=given.password,
                application_name="flowetl",
                # Compressing a day's small files for the log costs more than writing them uncompressed.
                options="-c jit=off -c wal_compression=off",
            ),
        )

    @property
    def report(self) -> Path:
        """Return the page that each scheduled run writes."""
        return self.report_file or self.rejects / "loading.html"

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Open a connection in autocommit mode, in the database's zone.

        Closing the connection at the end undoes uncommitted work.

        Raises
        ------
        Unreachable
            When the database does not answer.
        ConfigurationError
            When its days begin in another zone than ours.
        """
        connection = self._open()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def kept_connection(self) -> Iterator[Connection]:
        """Do as ``connect``, but keep the connection for the process's next day.

        An error closes the connection.
        """
        connection = _kept.pop(self.dsn, None)
        if connection is None or not _alive(connection):
            connection = self._open()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        while _kept:
            _, other = _kept.popitem()
            other.close()
        _kept[self.dsn] = connection

    def _open(self) -> Connection:
        try:
            connection = psycopg2.connect(self.dsn)
        except psycopg2.OperationalError as error:
            raise Unreachable(error) from error
        theirs = connection.info.parameter_status("TimeZone")
        if theirs != self.zone.key:
            connection.close()
            # Loaded anyway, every day would hold hours of its neighbour.
            raise ConfigurationError(
                f"FLOWDB_TIMEZONE is {self.zone.key!r}, but the days of the database begin in {theirs!r}: "
                "give the loader the zone that the migrations were given"
            )
        connection.autocommit = True
        return connection

    def sources(self) -> dict[str, Source]:
        """Return the configured sources by name; see ``read_sources``."""
        return read_sources(self.sources_folder)

    def money_sources(self) -> dict[str, MoneySource]:
        """Return the sources of mobile money by name; see ``read_money_sources``."""
        return read_money_sources(self.sources_folder, self.sources())

    def all_sources(self) -> list[Source | MoneySource]:
        """Return the sources of events, then those of mobile money."""
        return [*self.sources().values(), *self.money_sources().values()]

    @staticmethod
    def pseudonym_key() -> bytes:
        """Return the secret of the pseudonyms.

        Raises
        ------
        ConfigurationError
            When it is missing or shorter than 256 bits.
        """
        try:
            return PseudonymSettings.load().key
        except SettingError as error:
            raise ConfigurationError(str(error)) from error


_kept: dict[str, Connection] = {}
"""The connection that this process keeps, if any, by what it is connected to."""


def _alive(connection: Connection) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True
    except psycopg2.Error:
        connection.close()
        return False


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))
