"""Compute the distances between all places."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.places import DIRECT_UNITS, UNITS, SpatialUnit
from flowmachine.spec.query import Query, Sources, query_kind
from flowmachine.spec.units import NetworkUnit, demand_points
from flowmachine.sql.geometry import geodesic_metres


@query_kind("distance_matrix", direct=True)
class DistanceMatrix(NetworkUnit, Query):
    """Compute the distance from every place to every place, itself included.

    Distances are km on the spheroid; places without a point are left out. The unit's id columns hold the
    points: of each version of a cell or a site, or of each distinct point of cells.
    """

    columns: ClassVar[dict[str, Any]] = {
        "location_from": sa.Integer(),
        "location_to": sa.Integer(),
        "value": sa.Double(),
    }

    aggregation_unit: str = optional(Choice(*UNITS, *DIRECT_UNITS), "versioned-cell")

    def check(self) -> None:
        super().check()
        demand_points(self.unit, "aggregation_unit")

    @property
    def places(self) -> dict[str, SpatialUnit]:
        return {"location_from": self.unit, "location_to": self.unit}

    def select(self, sources: Sources) -> Select[Any]:
        origin = sources.regions(self.unit).alias("origin")
        end = sources.regions(self.unit).alias("destination")
        metres = geodesic_metres(origin.c.lon, origin.c.lat, end.c.lon, end.c.lat)
        return (
            sa.select(
                origin.c.location.label("location_from"),
                end.c.location.label("location_to"),
                (metres / 1000).label("value"),
            )
            .select_from(origin.join(end, sa.true()))
            .where(origin.c.lon.is_not(None), end.c.lon.is_not(None))
        )
