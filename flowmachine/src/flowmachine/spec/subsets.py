"""Define the set of subscribers that stands for a subset.

It is a part of its own between a subset and the queries that count only its subscribers, so that all of them
count the same set, see ``flowmachine.ledger.packing``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.fields import required
from flowmachine.spec.query import Query, Sources, query_kind, registered
from flowmachine.spec.reading import Reading


class AnyQuery(ma.fields.Field[Query]):
    """Accept a query of any kind."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, reading: Reading | None = None, **kwargs: Any
    ) -> Query:
        return value if isinstance(value, Query) else (reading or Reading()).one_of(registered, value)


@query_kind("subscriber_set", direct=True)
class SubscriberSet(Query):
    """Select the subscribers of a query, each once.

    A stored set may be that of an earlier query whose subscribers differ by few.
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text()}
    reads_cells: ClassVar[bool] = False

    query: Query = required(AnyQuery())

    def select(self, sources: Sources) -> Select[Any]:
        rows = sources.stored(self.query)
        return sa.select(rows.c.subscriber).where(rows.c.subscriber.is_not(None)).distinct()


def set_of(query: Query) -> SubscriberSet:
    """Return the set that stands for a query as a subset; made once."""
    # Queries refuse new attributes; cached properties are kept in the same way.
    found: SubscriberSet | None = query.__dict__.get("_set")
    if found is None:
        found = query.__dict__["_set"] = SubscriberSet(query=query)
    return found
