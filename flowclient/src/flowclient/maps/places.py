"""Joining a result with the areas that it speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowclient.frames import table

if TYPE_CHECKING:
    import pandas

#: WGS 84, longitude and latitude in degrees.
CRS = "EPSG:4326"
#: Columns that identify a place; a server that knows the names of its areas gives ``name``, too.
KEYS = ("pcod", "lon", "lat")


def require_geopandas() -> Any:
    """Return geopandas, or say what to install."""
    try:
        import geopandas
    except ImportError:
        raise ImportError("This needs geopandas: install flowclient[geo].") from None
    return geopandas


def geodataframe(collection: dict[str, Any]) -> Any:
    """Return a GeoJSON FeatureCollection as a GeoDataFrame in WGS 84.

    The features' ``centroid`` is left out.
    """
    geopandas = require_geopandas()
    features = collection["features"]
    if not features:
        return geopandas.GeoDataFrame({"geometry": []}, crs=CRS)
    shapes = geopandas.GeoDataFrame.from_features(
        [{**feature, "properties": {}} for feature in features], crs=CRS
    )
    properties = [
        {name: value for name, value in feature["properties"].items() if name != "centroid"}
        for feature in features
    ]
    return shapes.join(table(properties))


def keys_of(areas: Any) -> list[str]:
    """Return the columns that identify an area."""
    return [name for name in KEYS if name in areas.columns]


def ends_of(result: pandas.DataFrame) -> bool:
    """Return whether a result speaks of pairs of places."""
    return any(name.endswith("_from") and name.removesuffix("_from") in KEYS for name in result.columns)


def located(result: pandas.DataFrame, geography: dict[str, Any], *, keep_redacted: bool = True) -> Any:
    """Join a result with the areas it speaks of.

    Parameters
    ----------
    result : pandas.DataFrame
        With columns ``pcod``, or ``lon`` and ``lat``; or these with ``_from`` and ``_to``.
    geography : dict
        FeatureCollection of the result's aggregation unit.
    keep_redacted : bool
        Whether areas without a row are kept.

    Returns
    -------
    geopandas.GeoDataFrame
        Areas, with a column ``withheld``; or lines from origin to destination.

    Raises
    ------
    ValueError
        If the result has no such columns.
    """
    return placed(result, geodataframe(geography), keep_redacted=keep_redacted)


def placed(result: pandas.DataFrame, areas: Any, *, keep_redacted: bool = True) -> Any:
    """Join a result with areas that :func:`geodataframe` made; see :func:`located`."""
    keys = keys_of(areas)
    if keys and all(f"{key}_from" in result.columns for key in keys):
        return _lines(result, areas, keys)
    if not all(key in result.columns for key in keys):
        raise ValueError(f"A result with columns {list(result.columns)} has no places.")
    own = [*keys, *(["name"] if "name" in areas.columns and "name" not in result.columns else []), "geometry"]
    joined = areas[own].merge(result.assign(_present=True), on=keys, how="left" if keep_redacted else "inner")
    return joined.assign(withheld=joined["_present"].isna()).drop(columns="_present")


def _lines(result: pandas.DataFrame, areas: Any, keys: list[str]) -> Any:
    from shapely import LineString

    points = points_of(areas)
    ends = list(
        zip(*(rows(result, [f"{key}{end}" for key in keys]) for end in ("_from", "_to")), strict=True)
    )
    # Subscribers whose other location is unknown have no line, and neither have those who stayed.
    drawn = [origin in points and target in points and origin != target for origin, target in ends]
    lines = [LineString([points[a], points[b]]) for (a, b), kept in zip(ends, drawn, strict=True) if kept]
    return require_geopandas().GeoDataFrame(
        # By `loc`, for which an empty list is one of rows; without it there would be no columns left.
        result.loc[drawn].reset_index(drop=True),
        geometry=lines,
        crs=CRS,
    )


def points_of(areas: Any) -> dict[tuple[Any, ...], Any]:
    """Return a point within each area, because a centroid may lie outside."""
    return dict(zip(rows(areas, keys_of(areas)), areas.geometry.representative_point(), strict=True))


def names_of(areas: Any) -> dict[tuple[Any, ...], str]:
    """Return a label for each area: its name where known, else its id."""
    keys = keys_of(areas)
    called = areas["name"] if "name" in areas.columns else [None] * len(areas)
    return {
        key: str(name) if isinstance(name, str) and name else ", ".join(map(str, key))
        for key, name in zip(rows(areas, keys), called, strict=True)
    }


def rows(frame: Any, columns: list[str]) -> list[tuple[Any, ...]]:
    return list(frame[columns].itertuples(index=False, name=None))
