"""The network's sites or cells on a date, on a map whose distances are true."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement, FromClause, Select

from flowmachine.spec.fields import Choice, Moment, optional, required
from flowmachine.spec.places import SITES, VERSIONED_CELLS, SpatialUnit
from flowmachine.spec.query import Sources, field_group
from flowmachine.tables import location_table, site_table


@field_group
class Infrastructure:
    """Fields of a kind about the versions of sites or cells in service on a date: from their first day on, before their last."""

    point_collection: str = optional(Choice("sites", "cells"), "sites")
    date: datetime = required(Moment())

    @property
    def unit(self) -> SpatialUnit:
        return SITES if self.point_collection == "sites" else VERSIONED_CELLS


def in_service(sources: Sources, query: Infrastructure) -> Select[Any]:
    """``location``, ``id`` and ``point`` (WGS 84) of the places in service that have a point. For the database only."""
    regions = sources.regions(query.unit)
    table = site_table() if query.unit == SITES else location_table()
    id_column = regions.c[next(iter(query.unit.id_columns))]
    first, last = table.c.date_of_first_service, table.c.date_of_last_service
    joined = regions.join(table, sa.and_(table.c.id == id_column, table.c.version == regions.c.version))
    day = query.date.date()
    return (
        sa.select(regions.c.location, table.c.id, table.c.geom_point.label("point"))
        .select_from(joined)
        .where(
            table.c.geom_point.is_not(None),
            sa.or_(first.is_(None), first <= day),
            sa.or_(last.is_(None), last > day),
        )
    )


def projection(points: FromClause) -> ColumnElement[str]:
    """The azimuthal equidistant map, in metres, about the mean of points: within 500 km of it true to a thousandth."""
    x, y = sa.func.ST_X(points.c.point), sa.func.ST_Y(points.c.point)
    return sa.select(
        sa.func.concat("+proj=aeqd +datum=WGS84 +lon_0=", sa.func.avg(x), " +lat_0=", sa.func.avg(y))
    ).scalar_subquery()
