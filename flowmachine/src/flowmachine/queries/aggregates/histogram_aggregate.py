"""Count subscribers by ranges of a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from marshmallow import validate
from sqlalchemy.sql import FromClause, Select

from flowmachine.queries.aggregates._ends import Ends, as_double, listed_ranges, values_of
from flowmachine.queries.families import HISTOGRAM_METRICS
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Entries, Form, Integer, Number, load_fields, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.published import AllOrNothing, Published, Value
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.spec.steps import Steps
from flowmachine.sql.functions import fifteen_digits

#: Maximum number of bins in a submitted spec.
MOST_BINS = 1000


@dataclass(frozen=True)
class HistogramBins:
    """Hold either a number of equally wide bins, or the edges of the bins."""

    n_bins: int | None = None
    bin_list: tuple[float, ...] | None = None


class Bins(ma.fields.Field[HistogramBins]):
    """Accept ``{"n_bins": n}`` or ``{"bin_list": [edges]}``."""

    component = "HistogramBins"
    form: ClassVar[Form] = Form("int | Sequence[float]", "histogram_bins", example={"n_bins": 5}, argument=5)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> HistogramBins:
        if isinstance(value, HistogramBins):
            value = self.canonical(value)
        edges = Entries(Number(), validate=validate.Length(min=2))
        values = load_fields({"n_bins": Integer(at_least=1), "bin_list": edges}, value, **kwargs)
        given = {name: found for name, found in values.items() if found is not ma.missing}
        if len(given) > 1:
            raise ma.ValidationError({"_schema": ["Only one of n_bins or bin_list may be provided."]})
        if not given:
            raise ma.ValidationError({"_schema": ["One of n_bins or bin_list must be provided."]})
        if "n_bins" in given:
            return HistogramBins(n_bins=given["n_bins"])
        if any(lower >= upper for lower, upper in pairwise(given["bin_list"])):
            raise ma.ValidationError({"bin_list": ["Must be strictly ascending."]})
        return HistogramBins(bin_list=tuple(given["bin_list"]))

    def beyond_limits(self, value: HistogramBins, steps: Steps) -> dict[str, list[str]]:
        """Return messages about more bins than ``MOST_BINS``."""
        name, bins = "n_bins", value.n_bins
        if bins is None:
            name, bins = "bin_list", len(value.bin_list or ()) - 1
        text = f"A histogram can have {MOST_BINS} bins at most, not {bins}."
        return {name: [text]} if bins > MOST_BINS else {}

    def canonical(self, value: HistogramBins) -> Any:
        if value.n_bins is not None:
            return {"n_bins": value.n_bins}
        assert value.bin_list is not None
        return {"bin_list": list(value.bin_list)}

    def describe(self) -> dict[str, Any]:
        return {"$ref": f"#/components/schemas/{self.component}"}

    def component_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "n_bins": {"type": "integer", "minimum": 1},
                "bin_list": {"type": "array", "minItems": 2, "items": {"type": "number"}},
            },
            "additionalProperties": False,
        }


@dataclass(frozen=True)
class Range:
    """Hold the lowest and highest values counted, both inclusive."""

    lower_bound: float
    upper_bound: float


#: A value is on an edge if it lies below the edge by at most this share of the larger end. Two numbers that
#: are equal in fifteen digits are no further apart, and computing with doubles loses several times less.
_ON_THE_EDGE = 5e-15


class Bounds(ma.fields.Field[Range]):
    """Accept ``{"lower_bound", "upper_bound"}`` or a list of the two.

    The published client sends lists.
    """

    component = "Bounds"
    form: ClassVar[Form] = Form(
        "Sequence[float] | Mapping[str, float] | None",
        "bounds",
        covers_none=True,
        example={"lower_bound": 0, "upper_bound": 10},
    )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Range:
        if isinstance(value, Range):
            value = self.canonical(value)
        if isinstance(value, list | tuple) and len(value) == 2:
            value = dict(zip(("lower_bound", "upper_bound"), value, strict=True))
        fields: Mapping[str, ma.fields.Field] = {"lower_bound": Number(), "upper_bound": Number()}
        for field in fields.values():
            field.required = True
        found = Range(**load_fields(fields, value))
        if found.lower_bound >= found.upper_bound:
            raise ma.ValidationError({"_schema": ["lower_bound should be less than upper_bound"]})
        return found

    def canonical(self, value: Range) -> Any:
        return {"lower_bound": value.lower_bound, "upper_bound": value.upper_bound}

    def describe(self) -> dict[str, Any]:
        return {"$ref": f"#/components/schemas/{self.component}"}

    def component_schema(self) -> dict[str, Any]:
        bounds = {
            "type": "object",
            "properties": {"lower_bound": {"type": "number"}, "upper_bound": {"type": "number"}},
            "required": ["lower_bound", "upper_bound"],
            "additionalProperties": False,
        }
        pair = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}
        return {"oneOf": [bounds, pair]}


@query_kind("histogram_aggregate", sql_version=2, summary="The number of subscribers by ranges of a metric.")
class HistogramAggregate(Aggregate):
    """Count subscribers in bins of a metric's values.

    All bins are published, or one row of nulls. With ``n_bins`` the bins are equally wide, from the bounds of
    ``range``, else of the values. The last bin includes its upper edge, and values outside the range are left
    out. With ``bin_list`` every bin excludes its upper edge. Values and edges are compared, and edges
    published, as decimals of fifteen digits.
    """

    geographic: ClassVar[bool] = False
    range_columns: ClassVar[tuple[str, ...]] = ("lower_edge", "upper_edge")
    #: The outer edges are then the smallest and the largest value.
    extremes: ClassVar[Mapping[str, tuple[Any, ...]]] = {"range": (None,), "bins.bin_list": (None,)}

    metric: Query = required(Nested(*HISTOGRAM_METRICS, component="HistogrammableMetrics"))
    bins: HistogramBins = required(Bins(), "Number of bins, or their edges.")
    range: Range | None = optional(
        Bounds(), doc="Lowest and highest value counted; by default all are.", null=False
    )

    def check(self) -> None:
        if self.range is None or self.bins.n_bins is None:
            return
        # The statement multiplies the two, and PostgreSQL refuses an overflow.
        if not math.isfinite((self.range.upper_bound - self.range.lower_bound) * self.bins.n_bins):
            raise ma.ValidationError({"range": {"_schema": ["Is too wide to be cut into bins."]}})

    def spec(self) -> dict[str, Any]:
        return {name: value for name, value in super().spec().items() if (name, value) != ("range", None)}

    @property
    def values_behind(self) -> Ends:
        equally_wide = self.bins.n_bins is not None
        return Ends(
            self.query_id,
            self.metric,
            tells_ends=equally_wide and self.range is None,
            includes_highest=equally_wide,
        )

    def contributors(self, sources: Sources) -> FromClause:
        values = values_of(self.metric, sources)
        if self.bins.bin_list is not None:
            bins = listed_ranges(self.bins.bin_list)
            inside = sa.and_(values.c.x >= bins.c.lower_edge, values.c.x < bins.c.upper_edge)
            return sa.select(bins, values.c.subscriber).join(values, inside).subquery("in_bins")
        assert self.bins.n_bins is not None
        return _numbered(values, self.bins.n_bins, self.range)

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        if self.bins.bin_list is not None:
            return _with_empty_bins(counted, listed_ranges(self.bins.bin_list))
        assert self.bins.n_bins is not None
        return _with_edges(counted, self.bins.n_bins)

    @property
    def published(self) -> Published:
        edges = (Value("lower_edge", sa.Double()), Value("upper_edge", sa.Double()))
        return Published((Value("value", sa.BigInteger()), *edges), AllOrNothing("value"), ("lower_edge",))


def _with_empty_bins(counted: Select[Any], bins: FromClause) -> Select[Any]:
    filled = counted.subquery("filled")
    same = sa.and_(filled.c.lower_edge == bins.c.lower_edge, filled.c.upper_edge == bins.c.upper_edge)
    numbers = [column for column in filled.c if column.name not in bins.c]
    zeros = [sa.func.coalesce(column, 0).label(column.name) for column in numbers]
    return sa.select(bins, *zeros).select_from(bins.outerjoin(filled, same))


def _numbered(values: FromClause, count: int, bounds: Range | None) -> FromClause:
    """Return each subscriber's bin.

    Columns are ``number``, and ``low``, ``high`` and ``slack`` of all bins.
    """
    low = sa.func.min(values.c.x) if bounds is None else _decimal(bounds.lower_bound)
    high = sa.func.max(values.c.x) if bounds is None else _decimal(bounds.upper_bound)
    slack = sa.func.greatest(sa.func.abs(low), sa.func.abs(high)) * as_double(_ON_THE_EDGE)
    ends = sa.select(low.label("low"), high.label("high"), slack.label("slack"))
    ends_of = (ends.select_from(values) if bounds is None else ends).cte("ends")
    width = ends_of.c.high - ends_of.c.low
    # Doubles lie next to the decimals that they stand for, on either side of an edge.
    above = values.c.x - ends_of.c.low + ends_of.c.slack
    position = sa.func.floor(above * count / sa.func.nullif(width, 0.0))
    number = sa.func.coalesce(sa.func.least(position, count - 1), 0.0)
    return (
        sa.select(number.label("number"), ends_of, values.c.subscriber)
        .select_from(values.join(ends_of, values.c.x.between(ends_of.c.low, ends_of.c.high)))
        .subquery("in_bins")
    )


def _with_edges(counted: Select[Any], count: int) -> Select[Any]:
    """Select the non-empty bins, and one empty bin if there are others.

    One empty bin withholds all bins.
    """
    filled = counted.cte("filled")
    low, high, number = filled.c.low, filled.c.high, filled.c.number
    width = high - low

    def edge(at: Any) -> Any:
        between = low + at * width / float(count)
        return sa.case(
            (at == float(count), high),
            (sa.func.abs(between) <= filled.c.slack, 0.0),
            else_=fifteen_digits(between),
        )

    # All values are equal: one bin without width.
    constant = width == 0.0
    numbers = [column for column in filled.c if column.name not in ("number", "low", "high", "slack")]
    full = sa.select(
        *numbers,
        edge(number).label("lower_edge"),
        sa.case((constant, high), else_=edge(number + 1.0)).label("upper_edge"),
    )
    wanted = sa.case((sa.func.max(width) == 0.0, 1), else_=count)
    bins = sa.select(wanted.label("wanted"), sa.func.count().label("found")).select_from(filled).cte("bins")
    zeros = [sa.literal(0, sa.BigInteger) for _ in numbers]
    lacking = sa.select(*zeros, _null(), _null()).select_from(bins).where(bins.c.found < bins.c.wanted)
    return sa.select(full.union_all(lacking).subquery("histogram"))


def _decimal(value: float) -> Any:
    return as_double(float(f"{value:.15g}"))


def _null() -> Any:
    return sa.cast(sa.null(), sa.Double)
