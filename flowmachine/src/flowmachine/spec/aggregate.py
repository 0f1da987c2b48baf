"""Define kinds that may be submitted, and who stands behind their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.levels import coarser
from flowmachine.spec.published import EXTREMES, Published
from flowmachine.spec.query import Query, Sources


@dataclass(frozen=True)
class Total:
    """Name a question whose rows are each made of rows of another question.

    ``ends`` has the suffix of the part's region for each suffix of the total's, where the two differ. Regions
    may be at a coarser level. Other key columns of the total have their names in the part, too.
    """

    question: Aggregate
    ends: Mapping[str, str] = field(default_factory=dict)

    def at_all_levels(self) -> Iterator[Total]:
        """Yield this total and those at the coarser levels."""
        yield self
        for question in coarser(self.question):
            yield Total(question, self.ends)


class Aggregate(Query):
    """Define kinds that may be submitted and released through the gate.

    A kind declares who stands behind its rows, once, as ``contributors``. The gate makes rows, counts and
    sketches of them. A kind whose rows cannot be made of subscribers has a ``select`` and says why in
    ``uncompared``.
    """

    #: Whether the result can be served as GeoJSON.
    geographic: ClassVar[bool] = True
    #: Values of fields, all at once, with which a published value may be one subscriber's own.
    extremes: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    #: Why rows are compared with those of no other answer; None for all kinds with contributors.
    uncompared: ClassVar[str | None] = None
    #: Column of ``contributors`` whose sum is the value; None where each subscriber counts as one.
    adds: ClassVar[str | None] = None
    #: Whether each subscriber stands in one row, or in one row of each label, so that rows make up totals.
    adds_up: ClassVar[bool] = True
    #: Columns of the groups of which rows are shares: a row then tells of everybody in its group.
    shares_of: ClassVar[tuple[str, ...]] = ()
    #: Columns with the edges of the ranges of values that rows count subscribers by.
    range_columns: ClassVar[tuple[str, ...]] = ()
    #: Whether ``select`` has ``subscribers`` and sketches, made of those of other aggregates.
    sketches_itself: ClassVar[bool] = False

    @property
    def further_scopes(self) -> tuple[str, ...]:
        """Return the simple scopes that this query needs beside those for its kinds."""
        met = self.extremes and all(attrgetter(at)(self) in values for at, values in self.extremes.items())
        return (EXTREMES,) if met else ()

    def contributors(self, sources: Sources) -> FromClause:
        """Return who stands behind each row, each subscriber once for a key.

        Columns are the key columns of the rows, then ``subscriber``, then what the subscriber adds to the
        value, if anything but one.
        """
        raise NotImplementedError

    def value(self, contributors: FromClause) -> ColumnElement[Any]:
        """Return the aggregate of contributors that is published as ``value``."""
        return sa.func.count() if self.adds is None else sa.func.sum(contributors.c[self.adds])

    @property
    def measure(self) -> tuple[str, str]:
        """Return what a value measures, and the statistic of the measured numbers.

        Only answers that measure the same are compared.
        """
        return "subscribers", "count"

    @property
    def judged_apart(self) -> Sequence[Aggregate]:
        """Return answers behind ``Reference`` columns, compared as answers of their own."""
        return ()

    @property
    def fewest_apart(self) -> int:
        """Return the fewest subscribers of a row of ``judged_apart`` that is told."""
        return 0

    @property
    def values_behind(self) -> ValuesBehind | None:
        """Return the values of which rows count ranges, with edges; else None."""
        return None

    @property
    def totals(self) -> Sequence[Total]:
        """Return the questions whose rows are made of this question's rows.

        By default these are the same question at coarser levels, if rows add up. Somebody may be in a total and
        in none of its parts: the gate compares who is in them.
        """
        return [Total(question) for question in coarser(self)] if self.adds_up else []

    @cached_property
    def all_totals(self) -> tuple[Total, ...]:
        """Return ``totals``, made once."""
        return tuple(self.totals)

    @property
    def family(self) -> str:
        """Return the id of this question at its coarsest level.

        Rows of one family that add up differ by what the gate keeps to nobody or many.
        """
        levels = [total.question for total in self.all_totals if total.question.kind == self.kind]
        return (levels[-1] if levels else self).query_id

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        """Turn the counted groups of contributors into rows; other columns must stay.

        Columns are the key columns, ``value``, ``subscribers`` and any sketches.
        """
        return counted

    @property
    def published(self) -> Published:
        """Return what is published of ``select``: columns, order and release rule."""
        raise NotImplementedError

    @classmethod
    def check_declared(cls, name: str) -> None:
        if cls.published is Aggregate.published:
            raise TypeError(f"{name} declares no release rule")
        has_contributors = cls.contributors is not Aggregate.contributors
        if has_contributors + cls.sketches_itself + (cls.uncompared is not None) != 1:
            raise TypeError(f"{name} declares no contributors, and not why its rows have none")


class ValuesBehind(Aggregate):
    """Hold everybody with a number, in one row, behind counts of their ranges.

    Its id and kind are those of the aggregate. It is not registered as a kind and cannot be submitted.
    """

    #: Whether the outer edges are the smallest and the largest number.
    tells_ends: bool
    #: Whether the last range includes its upper edge.
    includes_highest: bool

    def with_edges(self, edges: str) -> ValuesBehind:
        """Return the same values with a text of the aggregate's edges for the ledger."""
        raise NotImplementedError

    def as_compared(self, edge: float) -> float:
        """Return an edge in the numbers by which histograms are compared."""
        return edge

    def counted_between(self, edges: Sequence[float], sources: Sources) -> Select[Any]:
        """Select ``lower_edge`` and ``subscribers`` from each edge up to the next.

        ``subscribers`` is null for the last edge.
        """
        raise NotImplementedError
