"""Count subscribers by their usual environments, homes and workplaces."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar

import sqlalchemy as sa
from marshmallow import validate
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.queries.places._usual import LABELS, USUAL, Thresholds, labelled, permanences
from flowmachine.queries.places.daily_permanence import DailyPermanence
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Choice, Entries, Form, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.published import KeepOver, Measure, Published, Region, Value
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.sql.functions import fifteen_digits


class UsualLabels(Entries):
    """Accept at least one label; order and repeats do not matter."""

    form: ClassVar[Form] = Form("list[str]", example=["usual", "home"])

    def __init__(self) -> None:
        super().__init__(Choice(*LABELS), validate=validate.Length(min=1))

    def settle(self, value: Iterable[str]) -> tuple[str, ...] | None:
        found = tuple(label for label in LABELS if label in set(value))
        return None if found == LABELS else found

    def describe(self) -> dict[str, Any]:
        return {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(LABELS)}}


@query_kind(
    "usual_environment_counts",
    summary="Subscribers by usual location, home or workplace; of n such each counts 1/n.",
)
class UsualEnvironmentCounts(Thresholds, Aggregate):
    """Count subscribers by the locations with each label.

    Locations are labelled as by ``permanence_location``. A subscriber with n locations of a label counts 1/n at each. Rows of the labels ``home`` and ``work`` are released only if
    those for whom the location is usual and not so labelled are nobody or over the floor (Eurostat's multimno 1.0.0,
    usual environment aggregation).
    """

    adds: ClassVar[str | None] = "share"
    adds_up: ClassVar[bool] = False

    daily_permanence: DailyPermanence = required(Nested("daily_permanence"))
    labels: tuple[str, ...] | None = optional(
        UsualLabels(), doc="Any of ``usual``, ``home`` and ``work``; None stands for all."
    )

    @property
    def unit(self) -> SpatialUnit:
        return self.daily_permanence.unit

    @cached_property
    def children(self) -> tuple[Query, ...]:
        return permanences(self.daily_permanence)

    def contributors(self, sources: Sources) -> FromClause:
        parts = []
        for label in self.labels or LABELS:
            found = self._labelled(sources, label, label)
            number = sa.func.count().over(partition_by=found.c.subscriber)
            parts.append(
                sa.select(
                    found.c.location,
                    sa.literal(label, sa.Text).label("label"),
                    found.c.subscriber,
                    (1.0 / sa.cast(number, sa.Double)).label("share"),
                )
            )
        return sa.union_all(*parts).subquery("people")

    def _labelled(self, sources: Sources, label: str, name: str) -> FromClause:
        return labelled(sources, self.daily_permanence, self, label, name)

    def value(self, contributors: FromClause) -> ColumnElement[Any]:
        # Forty-five thirds are not more than fifteen.
        return fifteen_digits(super().value(contributors))

    def rows(self, sources: Sources, counted: Select[Any]) -> Select[Any]:
        counts = counted.subquery("counts")
        usual = self._labelled(sources, USUAL, "everybody")
        everybody = (
            sa.select(usual.c.location, sa.func.count().label("people"))
            .group_by(usual.c.location)
            .subquery("usual_people")
        )
        others = (everybody.c.people - counts.c.subscribers).label("others")
        return sa.select(counts, others).join(everybody, everybody.c.location == counts.c.location)

    @property
    def published(self) -> Published:
        return Published(
            (
                Region(self.unit),
                Value("label", sa.Text()),
                Value("value", sa.Double()),
                Measure("subscribers", sa.BigInteger()),
            ),
            KeepOver("value", beside=("subscribers", "others")),
        )
