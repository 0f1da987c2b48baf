"""Define what can go wrong with a load, and who has to act."""

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2


class LoadError(Exception):
    """Base all deliberate errors.

    The message names the file or field, never an identifier.
    """


class ConfigurationError(LoadError):
    """Report a wrong setting or source file, which the administrator must change."""


class NotReady(LoadError):
    """Report a file that is absent or incomplete beyond the source's wait.

    The next scheduled load looks again.
    """


class Changed(NotReady):
    """Report that the file changed while it was read; an immediate retry may succeed."""


class DataFault(LoadError):
    """Report content that cannot be loaded; the operator must deliver a new file.

    This is never retried.
    """


class Held(DataFault):
    """Report a readable but doubtful day.

    The day is held back until accepted, or until a better file arrives.
    """


class Busy(LoadError):
    """Report that another load or a long query holds the day; a retry may succeed."""


class Unreachable(LoadError):
    """Report that the database does not answer; a retry may succeed.

    The text is the server's or the network's.
    """

    def __init__(
        self,
        error: psycopg2.Error,
        settings: str = "FLOWDB_HOST, FLOWDB_PORT and FLOWDB_POSTGRES_PASSWORD are",
        database: str = "the database",
    ) -> None:
        told = str(error).strip().splitlines() or ["the connection was lost"]
        super().__init__(
            f"{database} does not answer: {told[0]}. Look whether it is running and {settings} right, "
            "then repeat the command"
        )


class UnexpectedFault(LoadError):
    """Report an unforeseen error by class and place, because its text may quote data.

    ``transient`` is true for a broken connection, which may recover.
    """

    def __init__(self, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        code = getattr(error, "pgcode", None)
        told = f"unexpected {type(error).__name__}{f' ({code})' if code else ''}{place}"
        cure = _cure(error)
        super().__init__(f"{told}: {cure}. The day is as it was before" if cure else told)
        self.transient = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)


_FULL = "the disk is full: make room ({place}) and load the day again"
_BY_SQLSTATE = {
    "53100": _FULL.format(place="the database's"),
    "53200": "the database ran out of memory: load fewer days at once (--max-parallel), or give it more",
    "42501": "the database refuses the loader a right: the loader connects as flowdb; run the migrations again",
    "57P01": "the database was stopped: start it; the load is tried again by itself",
    "57P03": "the database is starting: the load is tried again by itself",
}


def _cure(error: Exception) -> str | None:
    """Explain a machine's fault and its cure; None for any other error."""
    if isinstance(error, psycopg2.Error):
        lost = (
            "the connection to the database was lost: look whether it runs; the load is tried again by itself"
        )
        broken = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
        return _BY_SQLSTATE.get(error.pgcode or "", lost if broken else None)
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return _FULL.format(place=str(getattr(error, "filename", None) or "temporary and columnar folder"))
    if isinstance(error, PermissionError):
        return f"{error.filename} may not be read or written by the loader: give its user the right"
    # DuckDB's own class is not imported here, because most importers of this module need no DuckDB.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException":
        return "memory ran out: load fewer days at once (--max-parallel), or give the loader more"
    return None


@contextmanager
def told_by_place() -> Iterator[None]:
    """Turn unforeseen errors into errors whose text is safe to log."""
    try:
        yield
    except LoadError:
        raise
    except Exception as error:
        raise UnexpectedFault(error) from None
