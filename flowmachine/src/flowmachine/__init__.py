"""Provide the query engine.

``flowmachine.connect()`` is its direct use; the services are ``python -m flowmachine``.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

__version__ = version("flowmachine")

if TYPE_CHECKING:
    from flowmachine.direct import Session
    from flowmachine.settings import Computing, Database


def connect(database: Database | None = None, computing: Computing | None = None) -> Session:
    """Open a session for direct use.

    Missing settings are read from secret files and the environment.
    """
    # Imported when called, so that services load only what they use.
    from flowmachine.direct import Session
    from flowmachine.settings import Computing, Database

    return Session(database or Database.load(), computing or Computing.load())


def __dir__() -> list[str]:
    """Show the public names in completion."""
    return ["__doc__", "__version__", "connect", "queries"]
