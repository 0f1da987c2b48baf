"""List the contacts of some subscribers as subscribers."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.fields import Flag, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Query, Sources, query_kind


@query_kind("counterparts_subset", direct=True)
class CounterpartsSubset(Query):
    """List every contact once; ``include_subscribers`` adds the contacts' subscribers."""

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text()}
    reads_cells: ClassVar[bool] = False

    contact_balance: Query = required(Nested("contact_balance"))
    include_subscribers: bool = optional(Flag(), False)

    def select(self, sources: Sources) -> Select[Any]:
        balance = sources.stored(self.contact_balance)
        counterparts = sa.select(balance.c.msisdn_counterpart.label("subscriber")).distinct()
        if not self.include_subscribers:
            return counterparts
        everybody = sa.union(counterparts, sa.select(balance.c.subscriber)).subquery("everybody")
        return sa.select(everybody)
