"""Remember the scopes of submitted queries, so that polling skips the engine."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from flowapi.engine import Conversation, Reply
from flowapi.errors import ApiError, refused_by_engine
from flowapi.scopes import needed_scopes
from flowapi.usage import QueryScopes

REMEMBERED = 10_000
_QUERY_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def unknown_query(query_id: str) -> ApiError:
    """Refuse an unknown query id.

    404 tells clients that running the query again may help.
    """
    return ApiError(404, f"Unknown query id: '{query_id[:128]}'", status="awol")


async def read_spec(
    spec: Mapping[str, object], engine: Conversation
) -> tuple[frozenset[str], dict[str, Any]]:
    """Return the scopes that a spec needs and its canonical form; validate the spec.

    Raises
    ------
    ApiError
        400, with the engine's findings, if it refuses the spec; 500 if it fails.
    """
    reply = await engine.ask("authorise", {"spec": spec})
    return _scopes_told(reply), reply.payload["spec"]


class KnownQueries:
    """Map query ids to the complex scopes that they need.

    An id names one whole query for ever, subsets included. The scopes depend on nothing else, so entries
    never become stale.
    """

    def __init__(self, told: QueryScopes) -> None:
        self._scopes: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._told = told

    def remember(self, query_id: str, scopes: frozenset[str]) -> None:
        """Store a query's scopes; evict the least recently used beyond the limit."""
        if query_id not in self._scopes:
            self._told.note(query_id, scopes)
        self._scopes[query_id] = scopes
        self._scopes.move_to_end(query_id)
        if len(self._scopes) > REMEMBERED:
            self._scopes.popitem(last=False)

    async def scopes_of(self, query_id: str, engine: Conversation) -> frozenset[str]:
        """Return the complex scopes that a submitted query needs.

        Raises
        ------
        ApiError
            404 if the id is unknown, 500 if the engine fails.
        """
        if not _QUERY_ID.fullmatch(query_id):
            raise unknown_query(query_id)
        scopes = self._scopes.get(query_id)
        if scopes is None:
            reply = await engine.ask("authorise", {"query_id": query_id})
            if reply.state == "awol":
                raise unknown_query(query_id)
            scopes = _scopes_told(reply)
        self.remember(query_id, scopes)
        return scopes


def _scopes_told(reply: Reply) -> frozenset[str]:
    if not reply.ok:
        raise refused_by_engine(reply)
    told = reply.payload
    return needed_scopes(
        told["aggregation_unit"],
        told["query_kind"],
        told["kinds"],
        told["subset_kinds"],
        told["further_scopes"],
        told["finer_kinds"],
    )
