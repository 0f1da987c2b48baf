"""Summarise a column by subscriber, and fill one result's gaps from another.

These kinds are for direct use only, as those of ``_combining``.
"""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import STATISTICS, statistic, statistic_type
from flowmachine.spec.fields import Choice, Listed, Text, optional, required
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query, Sources, SubscriberMetric, holds_subscribers, query_kind
from flowmachine.spec.subsets import AnyQuery


@query_kind("per_subscriber_statistic", direct=True)
class PerSubscriberStatistic(SubscriberMetric):
    """Take a statistic of a column over each subscriber's rows in a query.

    It makes a metric of any column of numbers, such as an entropy.
    """

    query: Query = required(AnyQuery())
    column: str = required(Text())
    statistic: str = optional(Choice(*STATISTICS), "avg")

    def check(self) -> None:
        if "subscriber" not in getattr(self.query, "columns", ()):
            raise ma.ValidationError({"query": [f"{self.query.kind} has no column subscriber."]})
        # Keys of places and subscribers are numbers, of which no statistic has a meaning.
        numbers = [
            name
            for name, type_ in self.query.columns.items()
            if isinstance(type_, sa.Integer | sa.Numeric)
            and name not in self.query.places
            and not holds_subscribers(name)
        ]
        if self.column not in numbers:
            raise ma.ValidationError({"column": [f"Must be one of: {', '.join(numbers) or 'none'}."]})

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        type_ = statistic_type(self.statistic, self.query.columns[self.column])
        return {"subscriber": sa.Text(), "value": type_}

    def select(self, sources: Sources) -> Select[Any]:
        rows = sources.stored(self.query)
        value = sa.cast(statistic(self.statistic, rows.c[self.column]), self.columns["value"])
        return sa.select(rows.c.subscriber, value.label("value")).group_by(rows.c.subscriber)


@query_kind("combine_first", direct=True)
class CombineFirst(Query):
    """Join two queries fully, and fill nulls of the first from the second.

    ``on`` are the columns in which rows are equal, each present in both; the other columns are those of both.
    """

    first: Query = required(AnyQuery())
    second: Query = required(AnyQuery())
    on: tuple[str, ...] = optional(Listed(Text()), ("subscriber",))

    def check(self) -> None:
        if set(self.first.columns) != set(self.second.columns):
            raise ma.ValidationError({"second": ["Must have the same columns as first."]})
        if self.first.places != self.second.places:
            raise ma.ValidationError({"second": ["Must have the same spatial unit as first."]})
        for column in self.on:
            if column not in self.first.columns:
                raise ma.ValidationError({"on": [f"Must be one of: {', '.join(self.first.columns)}."]})

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return self.first.columns

    @property
    def unit(self) -> SpatialUnit | None:
        return self.first.unit

    @property
    def stands_for(self) -> str:
        # Of two queries with a row for each subscriber, the result has one, too.
        alike = self.first.stands_for == self.second.stands_for and self.on == ("subscriber",)
        return self.first.stands_for if alike else self.kind

    def select(self, sources: Sources) -> Select[Any]:
        first = sa.select(sources.stored(self.first)).subquery("first_rows")
        second = sa.select(sources.stored(self.second)).subquery("second_rows")
        equal = sa.and_(*(first.c[name] == second.c[name] for name in self.on))
        filled = (sa.func.coalesce(first.c[name], second.c[name]).label(name) for name in self.columns)
        return sa.select(*filled).select_from(first.join(second, equal, full=True))
