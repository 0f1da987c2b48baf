"""Read nothing, for tests of everything around queries."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.settings import Gate
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Integer, Text, optional, required
from flowmachine.spec.published import NothingPersonal, Published, Value
from flowmachine.spec.query import NotBuildable, Sources, query_kind
from flowmachine.spec.units import Unit


@query_kind("dummy_query", summary="Nothing, after a while. Test servers only.")
class DummyQuery(Unit, Aggregate):
    """Return the parameter after ``dummy_delay`` seconds.

    The kind is refused unless the setting FLOWMACHINE_TEST_KINDS is on.
    """

    needs_database: ClassVar[bool] = True
    uncompared: ClassVar[str | None] = "it is about no subscriber"

    dummy_param: str = required(Text(), "Distinguishes queries.")
    dummy_delay: int = optional(Integer(), 0, "Seconds it takes.")

    def check_buildable(self) -> None:
        if not Gate.load().test_kinds:
            raise NotBuildable("dummy_query is for tests only; FLOWMACHINE_TEST_KINDS is not on.")

    def select(self, sources: Sources) -> Select[Any]:
        waited = sa.select(sa.func.pg_sleep(self.dummy_delay)).subquery("waited")
        return sa.select(sa.literal(self.dummy_param).label("dummy_param")).select_from(waited)

    @property
    def published(self) -> Published:
        return Published((Value("dummy_param", sa.Text()),), NothingPersonal("it reads nothing"))
