"""Random samples of a subscriber-level result.

Rows are ordered by a keyed hash of the subscriber, so a sample depends on the seed and on who is in the result, not on
physical row order.
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
from flowmachine.sql.functions import subscriber_number

METHODS = ("system", "bernoulli", "random_ids")


@dataclass(frozen=True)
class RandomSample:
    """A repeatable sample: exactly one of ``size`` (rows) and ``fraction`` (between 0 and 1) is given."""

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


def sampled(statement: Select[Any], sampling: RandomSample) -> Select[Any]:
    """The sample of a statement's rows: those whose keyed hash comes first.

    All columns take part in the hash, so that rows are ordered alike in every store, whatever their physical order.
    """
    rows = statement.subquery("rows")
    row = sa.func.concat_ws(":", *(sa.cast(_portable(column), sa.Text) for column in rows.c))
    hashed = sa.func.md5(sa.literal(f"{sampling.sampling_method}:{sampling.seed!r}:").concat(row))
    ranked = sa.select(
        rows,
        sa.func.row_number().over(order_by=[hashed, *rows.c]).label("rank"),
        sa.func.count().over().label("total"),
    ).subquery("ranked")
    size: Any = (
        sampling.size if sampling.size is not None else sa.func.floor(ranked.c.total * sampling.fraction)
    )
    return sa.select(*(ranked.c[column.name] for column in rows.c)).where(ranked.c.rank <= size)


def _portable(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A subscriber as the integer key that both stores share, a list as its items; other columns as they are."""
    if isinstance(column.type, sa.ARRAY):
        return sa.func.array_to_string(column, ",")
    return subscriber_number(column) if holds_subscribers(column.name) else column
