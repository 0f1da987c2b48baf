"""Estimate the people behind a count of subscribers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries.aggregates._weighting import Weighting, weighted_rows
from flowmachine.queries.aggregates.spatial_aggregate import SpatialAggregate
from flowmachine.queries.families import COUNTS, REFERENCE_LOCATIONS
from flowmachine.spec.aggregate import Aggregate, Total
from flowmachine.spec.fields import Choice, Integer, Number, TableName, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit, Tables
from flowmachine.spec.published import Measure, Published, floor
from flowmachine.spec.query import EventSelection, NotBuildable, Query, Sources, query_kind
from flowmachine.spec.units import qualified


class Counted(Nested):
    """Accept a count, of which the contributors are read and not the result."""

    def inputs(self, value: Query) -> tuple[Query, ...]:
        """Return what a query with this count reads: what the count itself reads."""
        return value.children


@query_kind(
    "population_estimate",
    summary="A count as people: each subscriber times the people per subscriber at home.",
)
class PopulationEstimate(Aggregate):
    """Weigh a count's subscribers by the people for each subscriber at their home.

    ``weighted_value`` is the sum over subscribers of what they add to ``value``, times the weight of their home
    location. With ``weighting`` ``population`` a home's weight is its population in ``weights_table`` divided by
    its subscribers, whom ``counts`` may leave out. Homes of fewer than ``minimum_residents`` subscribers have the
    ratio of all listed homes in the region one level up, or else of the whole table. With ``weight`` the table
    holds weights, times ``deduplication_factor``.

    In each row only homes of more subscribers than the floor have their own weight; all others have the mean
    weight of these, or the ratio of the whole table. ``coverage`` is the share of the subscribers with
    their own weight. It is null where the others are few. ``subscribers`` are those counted (factors of
    de-duplication and population: Eurostat's multimno 1.0.0, Estimation; weights by home region: our choice).

    A ratio tells how many live there. So the estimate is refused where homes of ``minimum_residents`` and earlier
    answers at other levels would leave few residents of a region.

    Rows are released as those of ``counts``, unweighted. Weighted rows need not add up to weighted totals.
    """

    counts: Aggregate = required(Counted(*COUNTS, component="Counts"))
    home_location: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))
    weights_table: str = required(
        TableName(),
        "Table with the columns ``pcod`` and ``population`` or ``weight``, allowed as mapping tables are.",
        example="geography.population",
    )
    weighting: str = optional(Choice("population", "weight"), "population")
    deduplication_factor: float = optional(
        Number(0.0, 1.0, above=True), 1.0, "People for each SIM card, beside ``weight`` only.", example=1.0
    )
    minimum_residents: int = optional(
        Integer(at_least=16), 100, "Subscribers of a home with a ratio of its own.", example=50
    )

    def check(self) -> None:
        if self.home_location.unit is None or not self.home_location.unit.has_polygons:
            raise ma.ValidationError({"home_location": ["home_location must be at an admin level."]})
        if self.weighting == "population" and self.deduplication_factor != 1:
            text = "Only with weighting weight: a calibrated weight holds it already."
            raise ma.ValidationError({"deduplication_factor": [text]})

    def check_tables(self, tables: Tables) -> None:
        columns = tables.columns(self._table)
        problem: str | None
        if columns is None:
            problem = f"{self.weights_table} is not a known table."
        elif not {"pcod", self.weighting} <= set(columns):
            problem = f"weights_table must have the columns pcod and {self.weighting}."
        else:
            problem = tables.weights_problem(self._table, self.weighting)
        if problem is not None:
            raise ma.ValidationError({"weights_table": [problem]})

    def check_buildable(self) -> None:
        self.counts.check_buildable()
        # The deployment may have raised the floor since the specification was read.
        if self.minimum_residents <= floor():
            raise NotBuildable(f"minimum_residents must be greater than or equal to {floor() + 1}.")

    @property
    def _table(self) -> str:
        table = qualified(self.weights_table)
        assert table is not None
        return table

    @property
    def unit(self) -> SpatialUnit | None:
        return self.counts.unit

    # Other kinds declare these four as constants. Here they follow from the count, which a type checker cannot see.
    @property
    def geographic(self) -> bool:  # type: ignore[override]
        return self.counts.geographic

    @property
    def subjects(self) -> tuple[str, ...]:
        return (*self.counts.subjects, self._table)

    @property
    def events(self) -> Sequence[EventSelection]:
        return self.counts.events

    @property
    def adds(self) -> str | None:  # type: ignore[override]
        return self.counts.adds

    @property
    def adds_up(self) -> bool:  # type: ignore[override]
        return self.counts.adds_up

    @property
    def shares_of(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.counts.shares_of

    @property
    def judged_apart(self) -> Sequence[Aggregate]:
        """Return the residents of each home, whom the weights tell."""
        return (*self.counts.judged_apart, SpatialAggregate(locations=self.home_location))

    @property
    def fewest_apart(self) -> int:
        return self.minimum_residents

    @property
    def measure(self) -> tuple[str, str]:
        # Only numbers with the same weights can be repeated. The count itself is compared with all counts.
        measured, statistic = self.counts.measure
        weights = [self.home_location.query_id, self._table, self.weighting]
        factors = [str(self.deduplication_factor), str(self.minimum_residents)]
        return measured, " ".join([statistic, *weights, *factors])

    @property
    def totals(self) -> Sequence[Total]:
        return self.counts.totals

    @property
    def family(self) -> str:
        return self.counts.family

    def contributors(self, sources: Sources) -> FromClause:
        # Counted and weighed in one statement, in which they are made once.
        known: tuple[Sources, FromClause] | None = self.__dict__.get("_people")
        if known is None or known[0] is not sources:
            people = sa.select(self.counts.contributors(sources)).cte("people")
            known = self.__dict__["_people"] = sources, people
        return known[1]

    def value(self, contributors: FromClause) -> ColumnElement[Any]:
        return self.counts.value(contributors)

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        weighting = Weighting(
            self.home_location,
            self._table,
            self.weighting,
            self.deduplication_factor,
            self.minimum_residents,
        )
        weighted = weighted_rows(sources, self.contributors(sources), self.adds, weighting)
        rows = self.counts.rows(sources, counted).subquery("counts")
        # Regions may be null.
        same = [
            sa.func.coalesce(rows.c[name], -1) == sa.func.coalesce(weighted.c[name], -1)
            if name.startswith("location")
            else rows.c[name] == weighted.c[name]
            for name in (column.name for column in weighted.c)
            if name not in ("weighted_value", "coverage")
        ]
        return sa.select(rows, weighted.c.weighted_value, weighted.c.coverage).join(weighted, sa.and_(*same))

    @property
    def published(self) -> Published:
        published = self.counts.published
        further = [Measure("weighted_value", sa.Double())]
        if "subscribers" not in published.columns:
            further.append(Measure("subscribers", sa.BigInteger()))
        further.append(Measure("coverage", sa.Double()))
        return Published((*published.parts, *further), published.rule, published.ordering)
