"""Find subscribers seen for the first time."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.activity.unique_subscribers import UniqueSubscribers
from flowmachine.spec.fields import required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Query, Sources, query_kind


@query_kind("new_subscribers", direct=True)
class NewSubscribers(Query):
    """Select the subscribers of ``focal`` who are not among those of ``benchmark``."""

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text()}
    reads_cells: ClassVar[bool] = False

    benchmark: UniqueSubscribers = required(Nested("unique_subscribers"))
    focal: UniqueSubscribers = required(Nested("unique_subscribers"))

    def select(self, sources: Sources) -> Select[Any]:
        focal = sa.select(sources.stored(self.focal)).subquery("focal")
        benchmark = sa.select(sources.stored(self.benchmark)).subquery("benchmark")
        known = focal.outerjoin(benchmark, focal.c.subscriber == benchmark.c.subscriber)
        return sa.select(focal.c.subscriber).select_from(known).where(benchmark.c.subscriber.is_(None))
