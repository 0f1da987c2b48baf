"""Random samples of a subscriber-level result.

Rows are ordered by a keyed hash of the subscriber, so a sample depends on its settings and on who is in the result, not
on physical row order: the same settings choose alike among the subscribers of two days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, Select

from flowmachine.fields import Choice, Flag, Integer, Number, load_fields, optional
from flowmachine.registry import field_group, holds_subscribers
from flowmachine.sql.functions import at_most_share, in_order, subscriber_number

METHODS = ("system", "bernoulli", "random_ids")


@dataclass(frozen=True)
class RandomSample:
    """A repeatable sample: exactly one of ``size`` (rows) and ``fraction`` (between 0 and 1) is given.

    Samples that differ in method, seed, size or fraction are independent of each other.
    """

    sampling_method: str
    seed: float
    size: int | None = None
    fraction: float | None = None
    estimate_count: bool = True


class Sampling(ma.fields.Field[RandomSample]):
    """A sampling method with its seed and size, or null."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> RandomSample:
        if isinstance(value, RandomSample):
            value = asdict(value)
        if not isinstance(value, Mapping):
            raise ma.ValidationError({"_schema": f"Invalid data type: {value}"})
        method = value.get("sampling_method")
        if method is None:
            raise ma.ValidationError({"sampling_method": ["Missing data for required field."]})
        if method not in METHODS:
            raise ma.ValidationError({"sampling_method": [f"Unsupported value: {method}"]})
        seed = Number(-1.0, 1.0) if method == "random_ids" else Number()
        fields: dict[str, ma.fields.Field] = {
            "sampling_method": Choice(*METHODS),
            "seed": seed,
            "size": _nullable(Integer(at_least=1)),
            "fraction": _nullable(Number(0.0, 1.0, exclusive=True)),
            "estimate_count": Flag(load_default=True),
        }
        seed.required = True
        values = load_fields(fields, value)
        if (values["size"] is None) == (values["fraction"] is None):
            raise ma.ValidationError(
                {"_schema": ["Must provide exactly one of 'size' or 'fraction' for a random sample."]}
            )
        return RandomSample(**values)

    def canonical(self, value: RandomSample) -> Any:
        return asdict(value)

    def describe(self) -> dict[str, Any]:
        return {"$ref": "#/components/schemas/RandomSample"}


def _nullable(field: ma.fields.Field) -> ma.fields.Field:
    field.allow_none, field.load_default = True, None
    return field


@field_group
class Sampled:
    """The field of a kind whose result may be sampled."""

    sampling: RandomSample | None = optional(Sampling())


def sampled(statement: Select[Any], columns: Mapping[str, Any], sampling: RandomSample) -> Select[Any]:
    """The sample of a statement's rows, given with the types of its columns: those whose keyed hash comes first.

    The hash is of the subscriber, or in a result without subscribers of the texts and lists that name a row, and of the
    row's number among those of one name. What was measured takes no part: it differs from day to day, and the databases
    write doubles in different ways.
    """
    rows = statement.subquery("rows")
    naming = [name for name in columns if holds_subscribers(name)] or [
        name for name, type_ in columns.items() if isinstance(type_, sa.Text | sa.ARRAY)
    ]
    names = [_portable(name, rows.c[name]) for name in naming]
    # Doubles may differ in their last digits, so they decide only between rows that are alike in all else.
    others = sorted(
        columns.keys() - set(naming), key=lambda name: (isinstance(columns[name], sa.Double), name)
    )
    order = [in_order(sa.type_coerce(rows.c[name], columns[name])) for name in others]
    number = sa.func.row_number().over(partition_by=names or None, order_by=order or None)
    settings = f"{sampling.sampling_method}:{sampling.seed!r}:{sampling.size}:{sampling.fraction!r}"
    texts = (sa.func.coalesce(sa.cast(name, sa.Text), "null") for name in names)
    hashed = sa.func.md5(sa.func.concat_ws(":", settings, *texts, sa.cast(number, sa.Text)))
    keyed = sa.select(rows, hashed.label("hash")).subquery("keyed")
    ties = (in_order(_portable(name, keyed.c[name])) for name in naming)
    ranked = sa.select(
        keyed,
        sa.func.row_number().over(order_by=[keyed.c.hash, *ties]).label("rank"),
        sa.func.count().over().label("total"),
    ).subquery("ranked")
    chosen = (
        at_most_share(ranked.c.rank, sampling.fraction, ranked.c.total)
        if sampling.fraction is not None
        else ranked.c.rank <= sampling.size
    )
    return sa.select(*(ranked.c[name] for name in columns)).where(chosen)


def _portable(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A subscriber as the integer key that both stores share, a list as its items; other columns as they are."""
    if isinstance(column.type, sa.ARRAY):
        return sa.func.array_to_string(column, ",", type_=sa.Text())
    return subscriber_number(column) if holds_subscribers(name) else column
