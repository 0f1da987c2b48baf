"""Project the network's sites or cells on a date onto a map with true distances."""

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
    """Hold the fields of kinds about versions of sites or cells in service on a date.

    A version is in service from its first day until before its last.
    """

    point_collection: str = optional(Choice("sites", "cells"), "sites")
    date: datetime = required(Moment())

    @property
    def unit(self) -> SpatialUnit:
        return SITES if self.point_collection == "sites" else VERSIONED_CELLS


def in_service(sources: Sources, query: Infrastructure) -> Select[Any]:
    """Return ``location``, ``id`` and ``point`` (WGS 84) of places in service.

    Places without a point are left out. For the database only.
    """
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
    """Return the azimuthal equidistant projection about the mean of points.

    The map is in metres; within 500 km of the mean it is true to a thousandth.
    """
    x, y = sa.func.ST_X(points.c.point), sa.func.ST_Y(points.c.point)
    return sa.select(
        sa.func.concat("+proj=aeqd +datum=WGS84 +lon_0=", sa.func.avg(x), " +lat_0=", sa.func.avg(y))
    ).scalar_subquery()
