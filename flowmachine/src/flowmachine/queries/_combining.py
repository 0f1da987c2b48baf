"""Combine results by hand: kinds for direct use only.

They cannot be submitted and no schema publishes them. Their identity and storage are like those of all
others. A part of a query's rows can stand wherever the query can. A union cannot, because a subscriber may
then be in several rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowdb.keys import subscriber_key
from flowmachine.spec.fields import Choice, Flag, Listed, Number, Text, optional, required
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query, Sources, holds_subscribers, query_kind
from flowmachine.spec.sampling import SampleSettings, Sampling
from flowmachine.spec.subsets import AnyQuery
from flowmachine.sql.functions import subscriber_number
from flowmachine.sql.samples import sampled


class Scalar(ma.fields.Field[Any]):
    """Accept a text or a number."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ma.ValidationError("Must be a text or a number.")
        return value


def column_types(query: Query) -> dict[str, Any]:
    """Return the columns of a query's frames with SQLAlchemy types.

    Regions are given by their ids.
    """
    found: dict[str, Any] = {}
    for name, type_ in query.columns.items():
        if name in query.places:
            suffix = name.removeprefix("location")
            found |= {f"{id_}{suffix}": t for id_, t in query.places[name].id_columns.items()}
        else:
            found[name] = type_
    return found


class Part(Query):
    """Select some of a query's rows; usable in its place."""

    query: Query
    #: The parent's own sampling was done when the parent was stored.
    sampling = None

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return self.query.columns

    @property
    def unit(self) -> SpatialUnit | None:
        return self.query.unit

    @property
    def places(self) -> dict[str, SpatialUnit]:
        return self.query.places

    @property
    def order(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.query.order

    @property
    def ids_by_name(self) -> bool:  # type: ignore[override]
        return self.query.ids_by_name

    @property
    def stands_for(self) -> str:
        return self.query.stands_for

    def __getattr__(self, name: str) -> Any:
        # Other parameters come from the parent: a part of a daily location still has a date.
        if name.startswith("_") or "query" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.query, name)

    def _rows(self, sources: Sources) -> FromClause:
        return sources.stored(self.query)

    def _where(
        self, sources: Sources, column: str, test: Callable[[ColumnElement[Any]], ColumnElement[bool]]
    ) -> Select[Any]:
        rows = self._rows(sources)
        condition: ColumnElement[bool] | None = None
        for place, unit in self.query.places.items():
            id_column = column.removesuffix(place.removeprefix("location"))
            if id_column in unit.id_columns:
                regions = sources.regions(unit)
                named = sa.select(regions.c.location).where(test(regions.c[id_column]))
                condition = rows.c[place].in_(named)
        if condition is None:
            condition = test(rows.c[column])
        return sa.select(*(rows.c[name] for name in self.columns)).where(condition)

    def _check_column(self, column: str) -> Any:
        types = column_types(self.query)
        if column not in types:
            raise ma.ValidationError({"column": [f"Must be one of: {', '.join(types)}."]})
        return types[column]


@query_kind("subset", direct=True)
class Subset(Part):
    """Select the rows whose ``column`` is one of ``values``.

    Subscribers are given as pseudonyms, regions by their ids.
    """

    query: Query = required(AnyQuery())
    column: str = required(Text())
    values: tuple[Any, ...] = required(Listed(Scalar()))

    def check(self) -> None:
        textual = isinstance(self._check_column(self.column), sa.Text)
        if any(isinstance(value, str) != textual for value in self.values):
            raise ma.ValidationError({"values": [f"Must be {'texts' if textual else 'numbers'}."]})

    def select(self, sources: Sources) -> Select[Any]:
        if holds_subscribers(self.column):
            keys = [subscriber_key(value) for value in self.values]
            return self._where(sources, self.column, lambda column: subscriber_number(column).in_(keys))
        return self._where(sources, self.column, lambda column: column.in_(self.values))


@query_kind("numeric_subset", direct=True)
class NumericSubset(Part):
    """Select the rows whose ``column`` lies between ``low`` and ``high``, inclusive."""

    query: Query = required(AnyQuery())
    column: str = required(Text())
    low: float = required(Number())
    high: float = required(Number())

    def check(self) -> None:
        if not isinstance(self._check_column(self.column), sa.Integer | sa.Numeric):
            raise ma.ValidationError({"column": [f"{self.column} is not a number."]})

    def select(self, sources: Sources) -> Select[Any]:
        return self._where(sources, self.column, lambda column: column.between(self.low, self.high))


@query_kind("random_sample", direct=True)
class RandomSample(Part):
    """Draw some rows by a seed.

    ``sample`` gives ``sampling_method``, ``seed`` and one of ``size`` and ``fraction``.
    """

    query: Query = required(AnyQuery())
    sample: SampleSettings = required(Sampling())

    def select(self, sources: Sources) -> Select[Any]:
        rows = self._rows(sources)
        return sampled(sa.select(rows), self.columns, self.sample)


@query_kind("union", direct=True)
class Union(Query):
    """Concatenate queries with equal columns and one spatial unit.

    Repeats are kept unless ``all`` is false.
    """

    queries: tuple[Query, ...] = required(Listed(AnyQuery()))
    all: bool = optional(Flag(), True)

    def check(self) -> None:
        first = self.queries[0]
        if any(list(query.columns) != list(first.columns) for query in self.queries):
            raise ma.ValidationError({"queries": ["All must have the same columns."]})
        if any(query.places != first.places for query in self.queries):
            raise ma.ValidationError({"queries": ["All must have the same spatial unit."]})

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return self.queries[0].columns

    @property
    def unit(self) -> SpatialUnit | None:
        return self.queries[0].unit

    def select(self, sources: Sources) -> Select[Any]:
        parts = [
            sa.select(*(rows.c[name] for name in self.columns))
            for rows in (sources.stored(query) for query in self.queries)
        ]
        united = (sa.union_all(*parts) if self.all else sa.union(*parts)).subquery("united")
        return sa.select(united)


@query_kind("join", direct=True)
class Join(Query):
    """Join two queries where the columns ``on`` are equal.

    ``on`` may be ``subscriber``, ``location`` or any other column. ``how`` is ``inner``, ``left``, ``right``
    or ``full``. Names of other columns get the suffixes ``left_append`` and ``right_append``.
    """

    left: Query = required(AnyQuery())
    right: Query = required(AnyQuery())
    on: tuple[str, ...] = optional(Listed(Text()), ("subscriber",))
    how: str = optional(Choice("inner", "left", "right", "full"), "inner")
    left_append: str = optional(Text(), "")
    right_append: str = optional(Text(), "_right")

    def check(self) -> None:
        for column in self.on:
            if column not in self.left.columns or column not in self.right.columns:
                both = ", ".join(name for name in self.left.columns if name in self.right.columns)
                raise ma.ValidationError({"on": [f"{column} is not a column of both; {both or 'none'} is."]})
            if self.left.places.get(column) != self.right.places.get(column):
                raise ma.ValidationError({"on": [f"{column} has not the same spatial unit in both."]})
        names = [*self.on, *(new for _, _, new in self._others)]
        if len(set(names)) < len(names):
            raise ma.ValidationError({"right_append": ["Two columns would have one name."]})

    @property
    def _others(self) -> list[tuple[str, str, str]]:
        """List the columns beside the keys: side, name there, name here."""
        sides = (("left", self.left, self.left_append), ("right", self.right, self.right_append))
        return [
            (side, name, f"{name}{append}")
            for side, query, append in sides
            for name in query.columns
            if name not in self.on
        ]

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        keys = {name: self.left.columns[name] for name in self.on}
        return keys | {new: self._side(side).columns[name] for side, name, new in self._others}

    @property
    def places(self) -> dict[str, SpatialUnit]:
        found = {name: unit for name, unit in self.left.places.items() if name in self.on}
        return found | {
            new: unit
            for side, name, new in self._others
            if (unit := self._side(side).places.get(name)) is not None
        }

    def _side(self, side: str) -> Query:
        return self.left if side == "left" else self.right

    def select(self, sources: Sources) -> Select[Any]:
        left = sa.select(sources.stored(self.left)).subquery("left_rows")
        right = sa.select(sources.stored(self.right)).subquery("right_rows")
        equal = sa.and_(*(left.c[name] == right.c[name] for name in self.on))
        if self.how == "right":
            joined = right.join(left, equal, isouter=True)
        else:
            joined = left.join(right, equal, isouter=self.how != "inner", full=self.how == "full")
        keys = [sa.func.coalesce(left.c[name], right.c[name]).label(name) for name in self.on]
        sides = {"left": left, "right": right}
        others = [sides[side].c[name].label(new) for side, name, new in self._others]
        return sa.select(*keys, *others).select_from(joined)
