"""List the boundaries or points of a spatial unit's regions."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import FromClause, Select
from sqlalchemy.types import UserDefinedType

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import NothingPersonal, Published, Region, Value
from flowmachine.spec.query import Sources, query_kind
from flowmachine.spec.units import Unit
from flowmachine.tables import admin_table


class Geometry(UserDefinedType[str]):
    """Select a geometry as hexadecimal well-known binary."""

    cache_ok = True

    def get_col_spec(self, **kwargs: Any) -> str:
        return "geometry"


@query_kind("geography")
class Geography(Unit, Aggregate):
    """List each region with its geometry.

    Administrative units have polygons, other units distinct points.
    """

    needs_database: ClassVar[bool] = True
    uncompared: ClassVar[str | None] = "it is about no subscriber"

    def check(self) -> None:
        super().check()
        if not (self.unit.has_polygons or self.unit.has_points):
            raise ma.ValidationError({"aggregation_unit": [f"{self.aggregation_unit} has no geometries."]})

    def select(self, sources: Sources) -> Select[Any]:
        regions = sources.regions(self.unit)
        if not self.unit.has_polygons:
            point = sa.func.ST_SetSRID(sa.func.ST_MakePoint(regions.c.lon, regions.c.lat), 4326)
            return sa.select(regions.c.location, point.label("geom"))
        table, pcod = admin_table(self.unit)
        joined: FromClause = regions.join(table, regions.c.pcod == pcod)
        return sa.select(regions.c.location, table.c.geom).select_from(joined)

    @property
    def published(self) -> Published:
        return Published(
            (Region(self.unit), Value("geom", Geometry())),
            NothingPersonal("boundaries and cell positions hold nothing about subscribers"),
            tuple(self.unit.id_columns),
        )
