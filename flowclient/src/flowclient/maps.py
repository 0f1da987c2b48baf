"""Results on a map. The packages that draw are imported when first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowclient.frames import table

if TYPE_CHECKING:
    import pandas

#: WGS 84, longitude and latitude in degrees.
CRS = "EPSG:4326"
_WITHHELD = {"color": "lightgrey", "edgecolor": "grey", "hatch": "///"}
_WITHHELD_LABEL = "withheld or none"
_WIDEST_LINE = 6.0
_SCALE = ("#ffffcc", "#fd8d3c", "#800026")


def require_geopandas() -> Any:
    """Return geopandas, or say what to install."""
    try:
        import geopandas
    except ImportError:
        raise ImportError("This needs geopandas: install flowclient[geo].") from None
    return geopandas


def _require_folium() -> Any:
    try:
        import folium
    except ImportError:
        raise ImportError("Maps need folium: install flowclient[maps].") from None
    return folium


def _require_matplotlib() -> Any:
    try:
        import matplotlib.patches
        import matplotlib.pyplot
    except ImportError:
        raise ImportError("Maps need matplotlib: install flowclient[maps].") from None
    return matplotlib


def geodataframe(collection: dict[str, Any]) -> Any:
    """Return a GeoJSON FeatureCollection as a GeoDataFrame in WGS 84, without the ``centroid`` of its features."""
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
    areas = geodataframe(geography)
    keys = [name for name in ("pcod", "lon", "lat") if name in areas.columns]
    if all(f"{key}_from" in result.columns for key in keys):
        return _lines(result, areas, keys)
    if not all(key in result.columns for key in keys):
        raise ValueError(f"A result with columns {list(result.columns)} has no places.")
    joined = areas[[*keys, "geometry"]].merge(
        result.assign(_present=True), on=keys, how="left" if keep_redacted else "inner"
    )
    return joined.assign(withheld=joined["_present"].isna()).drop(columns="_present")


def _lines(result: pandas.DataFrame, areas: Any, keys: list[str]) -> Any:
    from shapely import LineString

    # A point within each area; the centroid of a bent coast may lie in the sea.
    points = dict(zip(_rows(areas, keys), areas.geometry.representative_point(), strict=True))
    ends = list(
        zip(
            _rows(result, [f"{key}_from" for key in keys]),
            _rows(result, [f"{key}_to" for key in keys]),
            strict=True,
        )
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


def _rows(frame: Any, columns: list[str]) -> list[tuple[Any, ...]]:
    return list(frame[columns].itertuples(index=False, name=None))


def _are_lines(places: Any) -> bool:
    return any(name.endswith("_from") for name in places.columns)


def _widths(values: pandas.Series) -> pandas.Series:
    largest = values.max()
    return values * (_WIDEST_LINE / largest) if largest > 0 else values * 0 + 1


def plot(places: Any, *, column: str = "value", kind: str | None = None, **options: Any) -> Any:
    """Draw what :func:`located` returns, and return the axes."""
    matplotlib = _require_matplotlib()
    if kind not in (None, "areas", "lines"):
        raise ValueError(f"Invalid kind of map: '{kind}'. Expected 'areas' or 'lines'.")
    if kind == "lines" or (kind is None and _are_lines(places)):
        drawn = places[places[column].notna()]
        if drawn.empty:
            # Of nothing geopandas draws nothing either, but warns.
            return options.pop("ax", None) or matplotlib.pyplot.figure().gca()
        return drawn.plot(linewidth=_widths(drawn[column]).tolist(), **options)
    # Drawn in two steps because geopandas refuses a colour scale over nothing but gaps.
    withheld = places[places[column].isna()]
    shown = places[places[column].notna()]
    axes = options.pop("ax", None)
    if not shown.empty:
        axes = shown.plot(column=column, ax=axes, **{"legend": True, **options})
    if not withheld.empty:
        axes = withheld.plot(ax=axes, **_WITHHELD)
        patch = matplotlib.patches.Patch(
            facecolor=_WITHHELD["color"],
            edgecolor=_WITHHELD["edgecolor"],
            hatch=_WITHHELD["hatch"],
            label=_WITHHELD_LABEL,
        )
        axes.legend(handles=[patch], loc="lower left")
    return axes


def explore(places: Any, *, column: str = "value", tiles: Any = None, **options: Any) -> Any:
    """Return what :func:`located` returns as an interactive folium map, without a background unless ``tiles`` names one."""
    folium = _require_folium()
    import branca.colormap

    drawn = folium.Map(tiles=tiles, **options)
    if places.empty:
        return drawn
    west, south, east, north = places.total_bounds
    drawn.fit_bounds([[south, west], [north, east]])
    present = places[column].dropna()
    low, high = (present.min(), present.max()) if len(present) else (0, 1)
    colours = branca.colormap.LinearColormap(_SCALE, vmin=low, vmax=high)
    colours.caption = column
    lines = _are_lines(places)

    def style(feature: dict[str, Any]) -> dict[str, Any]:
        value = feature["properties"][column]
        if value is None:
            return {
                "color": _WITHHELD["edgecolor"],
                "fillColor": _WITHHELD["color"],
                "dashArray": "4",
                "weight": 1,
            }
        if lines:
            return {"color": colours(value), "weight": max(1.0, _WIDEST_LINE * value / high)}
        return {"color": "grey", "fillColor": colours(value), "fillOpacity": 0.7, "weight": 1}

    fields = [name for name in places.columns if name != "geometry"]
    # A point of lon-lat is drawn as a disc: the default marker is an image from outside.
    folium.GeoJson(
        places.to_json(),
        style_function=style,
        marker=folium.CircleMarker(radius=5, fill=True),
        tooltip=folium.GeoJsonTooltip(fields),
    ).add_to(drawn)
    colours.add_to(drawn)
    return drawn
