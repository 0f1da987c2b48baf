"""Measure how many of a subscriber's contacts are reciprocal."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.contacts.contact_reciprocal import ContactReciprocal
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Query, Sources, query_kind


@query_kind("proportion_contact_reciprocal", direct=True)
class ProportionContactReciprocal(Query):
    """Compute the share of each subscriber's contacts that are reciprocal, 0 to 1."""

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "proportion": sa.Double()}
    reads_cells: ClassVar[bool] = False

    contact_reciprocal: ContactReciprocal = required(Nested("contact_reciprocal"))

    def select(self, sources: Sources) -> Select[Any]:
        contacts = sources.stored(self.contact_reciprocal)
        share = sa.func.avg(sa.cast(sa.case((contacts.c.reciprocal, 1), else_=0), sa.Double))
        return sa.select(contacts.c.subscriber, share.label("proportion")).group_by(contacts.c.subscriber)
