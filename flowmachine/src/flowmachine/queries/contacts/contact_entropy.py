"""Measure how irregular each subscriber's contacts are."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy.sql import Select

from flowmachine.queries._entropy import ENTROPY_COLUMNS, entropy
from flowmachine.queries.contacts._contacts import Contacts
from flowmachine.spec.query import Query, Sources, query_kind


@query_kind("contact_entropy", direct=True)
class ContactEntropy(Contacts, Query):
    """Compute the entropy, in nats, of the contacts of each subscriber's events.

    Subscribers without contacts have no row.
    """

    columns: ClassVar[dict[str, Any]] = ENTROPY_COLUMNS

    def select(self, sources: Sources) -> Select[Any]:
        contacts = self.contacts(sources)
        return entropy(contacts, contacts.c.counterpart)
