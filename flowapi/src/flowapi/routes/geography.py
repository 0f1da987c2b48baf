"""Serve the shapes of spatial units."""

from __future__ import annotations

from quart import Blueprint, Response

from flowapi.access import require
from flowapi.delivery import deliver
from flowapi.encoding import GeoJsonEncoder
from flowapi.errors import ApiError, refused_by_engine
from flowapi.openapi import FEATURES, Operation, answer, describe, parameter
from flowapi.scopes import GET_RESULT, geography_scope
from flowapi.services import engine, services

blueprint = Blueprint("geography", __name__, url_prefix="/api/0")


_UNITS = ["admin0", "admin1", "admin2", "admin3", "lon-lat"]


@blueprint.get("/geography/<aggregation_unit>")
@describe(
    Operation(
        path="/api/0/geography/{aggregation_unit}",
        method="get",
        name="geography.get_geography",
        summary="The shapes of a spatial unit, in WGS84, with names and the codes of the areas that they lie in.",
        scopes=["get_result", "<aggregation_unit>:geography:geography"],
        parameters=[
            parameter("aggregation_unit", "Spatial unit.", {"type": "string", "enum": list(_UNITS)}),
        ],
        replies={200: answer("The shapes", {"application/geo+json": FEATURES})},
        errors=(400,),
    )
)
async def get_geography(aggregation_unit: str) -> Response:
    """Return the shapes of one unit, as a FeatureCollection in WGS84."""
    require(frozenset({GET_RESULT, geography_scope(aggregation_unit)}))
    services().logs.query.info("get_geography", aggregation_unit=aggregation_unit)
    reply = await engine().ask("get_geography", {"aggregation_unit": aggregation_unit})
    if not reply.ok:
        raise refused_by_engine(reply)
    if reply.state != "completed":
        raise ApiError(500, f"The shapes are in the unexpected state {reply.state!r}.", status="Error")
    return await deliver(reply.payload["sql"], GeoJsonEncoder(), filename=f"{aggregation_unit}.geojson")
