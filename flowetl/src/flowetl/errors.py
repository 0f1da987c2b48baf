"""What can go wrong with a load, and who has to act."""

import traceback
from pathlib import Path

import psycopg2


class LoadError(Exception):
    """Base of everything flowetl raises on purpose. The message names the file or field, never an identifier."""


class ConfigurationError(LoadError):
    """A setting or a source file is wrong: the administrator has to change it."""


class NotReady(LoadError):
    """The file is absent or still being written, for longer than the source waits: the next scheduled load looks again."""


class Changed(NotReady):
    """The file changed while it was read: trying again at once may succeed."""


class DataFault(LoadError):
    """The file's content cannot be loaded: the operator has to deliver another one. Never retried."""


class Busy(LoadError):
    """Another load of the same day, or a long query on it, holds the day: trying again later may succeed."""


class Unreachable(LoadError):
    """The database does not answer: trying again later may succeed. The text is the server's or the network's."""

    def __init__(self, error: psycopg2.OperationalError) -> None:
        told = str(error).strip().splitlines() or ["the connection was lost"]
        super().__init__(
            f"the database does not answer: {told[0]}. Look whether it is running and FLOWDB_HOST, FLOWDB_PORT and "
            "FLOWDB_POSTGRES_PASSWORD are right, then repeat the command"
        )


class UnexpectedFault(LoadError):
    """Something nobody foresaw, told by class and place: the original text may quote a record.

    ``transient`` is true for a broken connection, which may be whole again later.
    """

    def __init__(self, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        code = getattr(error, "pgcode", None)
        super().__init__(f"unexpected {type(error).__name__}{f' ({code})' if code else ''}{place}")
        self.transient = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
