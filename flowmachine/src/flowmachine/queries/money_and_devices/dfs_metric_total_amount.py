"""Sum mobile money at each location on each day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.fields import Choice, Moment, required
from flowmachine.spec.places import UNITS, SpatialUnit
from flowmachine.spec.published import KeepOver, Published, Region, Value
from flowmachine.spec.query import EventSelection, Sources, query_kind
from flowmachine.spec.units import demand_polygons
from flowmachine.spec.windows import Window
from flowmachine.tables import admin_table, location_table


@query_kind(
    "dfs_metric_total_amount",
    sql_version=2,
    component="DFSTotalMetricAmount",
    summary="A mobile money total by day, at the areas of both parties, end date included.",
)
class DFSTotalMetricAmount(Window, Aggregate):
    """Sum a metric of mobile-money transactions by local date and region.

    A transaction counts at the cells of both parties; with both parties in one region, it counts there twice.
    ``end_date`` is inclusive: its 24 hours count. A row is judged by the distinct mobile-money subscribers at
    that region's side of the transactions that have the metric.
    """

    adds_up: ClassVar[bool] = False
    geographic: ClassVar[bool] = False
    #: No columnar file has the transactions.
    needs_database: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("mobile_money",)

    end_date: datetime = required(Moment(), "The last day, ISO text or a date.", example="2016-01-08")
    metric: str = required(Choice("amount", "commission", "fee", "discount"))
    aggregation_unit: str = required(Choice(*UNITS))

    def check(self) -> None:
        demand_polygons(self.aggregation_unit)

    def check_buildable(self) -> None:
        super().check_buildable()
        EventSelection(self.start_date, self.end_date + timedelta(days=1)).check()

    @property
    def unit(self) -> SpatialUnit:
        return SpatialUnit(self.aggregation_unit)

    def contributors(self, sources: Sources) -> FromClause:
        transactions = sa.table(
            "transactions",
            sa.column("id", sa.BigInteger),
            sa.column(self.metric, sa.Numeric),
            sa.column("timestamp", sa.DateTime(timezone=True)),
            schema="dfs",
        )
        parties = sa.table(
            "transactions_metadata",
            *(sa.column(name) for name in ("transaction_id", "subscriber_id", "cell_id", "cell_version")),
            schema="dfs",
        )
        subscribers = sa.table(
            "subscribers", sa.column("id", sa.BigInteger), sa.column("msisdn", sa.Text), schema="dfs"
        )
        cells = location_table()
        boundaries, pcod = admin_table(self.unit)
        regions = sources.regions(self.unit)
        placed = (
            transactions.join(parties, parties.c.transaction_id == transactions.c.id)
            .outerjoin(subscribers, subscribers.c.id == parties.c.subscriber_id)
            .join(cells, sa.and_(cells.c.id == parties.c.cell_id, cells.c.version == parties.c.cell_version))
            .join(boundaries, sa.func.ST_Within(cells.c.geom_point, boundaries.c.geom))
            .join(regions, regions.c.pcod == pcod)
        )
        # The database's zone is the deployment's, so its dates are local dates.
        date = sa.cast(transactions.c.timestamp, sa.Date)
        return (
            sa.select(
                date.label("date"),
                regions.c.location,
                subscribers.c.msisdn.label("subscriber"),
                sa.func.sum(transactions.c[self.metric]).label("amount"),
            )
            .select_from(placed)
            .where(
                transactions.c.timestamp >= sources.utc(self.start_date).replace(tzinfo=UTC),
                transactions.c.timestamp < sources.utc(self.end_date + timedelta(days=1)).replace(tzinfo=UTC),
                # Subscribers with a null metric contribute nothing to a sum, so they must not count as its
                # subscribers.
                transactions.c[self.metric].is_not(None),
            )
            .group_by(date, regions.c.location, subscribers.c.msisdn)
            .subquery("amounts")
        )

    @property
    def measure(self) -> tuple[str, str]:
        return f"mobile money {self.metric}", "sum"

    def value(self, contributors: FromClause) -> ColumnElement[Any]:
        return sa.func.sum(contributors.c.amount)

    @property
    def published(self) -> Published:
        return Published(
            (Value("date", sa.Date()), Region(self.unit), Value("value", sa.Numeric())),
            KeepOver("subscribers"),
        )
