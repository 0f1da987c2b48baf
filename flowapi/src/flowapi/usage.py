"""Tell the auth app when tokens were last used and which scopes queries need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from flowapi.logs import Logs
from flowapi.noting import NoteFile, now

_LONGEST_ID = 36
#: Lines of the files; a query's scopes take some hundred characters.
_MOST_TOKENS = 1_000_000
_MOST_QUERIES = 20_000


class TokenUse(NoteFile):
    """Record tokens' last uses: a ``jti`` and a moment a line.

    Only ids of verified tokens may be recorded, so that unknown callers cannot grow the file.
    """

    def __init__(self, path: Path | None, logs: Logs, clock: Callable[[], datetime] = now) -> None:
        super().__init__(path, logs, "token use", _MOST_TOKENS, clock)

    def note(self, token_id: str | None) -> None:
        """Record that the token is used now."""
        if not token_id or len(token_id) > _LONGEST_ID or not token_id.isascii():
            return
        if token_id.isprintable() and " " not in token_id:
            self.put(token_id)


class QueryScopes(NoteFile):
    """Record the scopes of queries that callers ask for by id, also of those refused.

    A line has the query's id, the moment and the scopes. Specifications and callers stay here.
    """

    def __init__(self, path: Path | None, logs: Logs, clock: Callable[[], datetime] = now) -> None:
        super().__init__(path, logs, "scopes of queries", _MOST_QUERIES, clock)

    def note(self, query_id: str, scopes: Iterable[str]) -> None:
        """Record what the query needs."""
        self.put(query_id, sorted(scopes))
