"""Draw interactive maps with Leaflet embedded, so that they open without network."""

from __future__ import annotations

import base64
import math
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from flowclient.maps.panels import Panel, values_of
from flowclient.maps.places import keys_of, names_of, rows

_SCALE = ("#ffffcc", "#fd8d3c", "#800026")
_LINE_COLOUR = "#08519c"
_WIDEST_LINE = 8.0
_NARROWEST_LINE = 1.0
#: How far a line is bent, of its length, and how long an arrow's head is, of the map's width.
_BEND, _HEAD = 0.15, 0.012
_STEPS = 16
#: A fill that says: there is no number here.
_HATCH = (
    '<svg width="0" height="0" style="position:absolute"><defs><pattern id="withheld" width="6" height="6" '
    'patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#dddddd"/>'
    '<line x1="0" y1="0" x2="0" y2="6" stroke="#888888" stroke-width="2"/></pattern></defs></svg>'
)


def _require_folium() -> Any:
    try:
        import folium
    except ImportError:
        raise ImportError("Maps need folium: install flowclient[maps].") from None
    return folium


@cache
def _vendored(name: str, kind: str) -> str:
    """Return a file of Leaflet as an address that holds it."""
    content = files("flowclient.maps").joinpath("vendor", name).read_bytes()
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def explore(panel: Panel, *, column: str = "value", tiles: Any = None, **options: Any) -> Any:
    """Return a folium map, over the areas' outlines unless ``tiles`` is given.

    ``tiles`` names a background.
    """
    folium = _require_folium()
    drawn = folium.Map(tiles=tiles, **options)
    # folium would fetch these, and eight files that nothing here needs, from five hosts.
    drawn.default_js = [("leaflet", _vendored("leaflet.js", "text/javascript"))]
    drawn.default_css = [("leaflet_css", _vendored("leaflet.css", "text/css"))]
    if panel.areas.empty:
        return drawn
    west, south, east, north = panel.areas.total_bounds
    drawn.fit_bounds([[south, west], [north, east]])
    numbers = list(values_of([panel], column))
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    if panel.of_flows:
        _add(folium, drawn, _outlines(panel), tooltip=["place"])
        _add(
            folium,
            drawn,
            _flow_features(panel, column, high, abs(east - west)),
            tooltip=["from", "to", column],
        )
    else:
        _add(folium, drawn, _area_features(panel, column, low, high), tooltip=["place", *_shown(panel)])
    drawn.get_root().html.add_child(folium.Element(_HATCH + _legend(panel, column, low, high)))
    return drawn


def _add(folium: Any, drawn: Any, features: list[dict[str, Any]], tooltip: list[str]) -> None:
    if not features:
        return
    folium.GeoJson(
        {"type": "FeatureCollection", "features": features},
        style_function=lambda feature: feature["properties"]["style"],
        # A point of lon-lat is drawn as a disc: the default marker is an image from outside.
        marker=folium.CircleMarker(radius=6, fill=True),
        tooltip=folium.GeoJsonTooltip(tooltip),
    ).add_to(drawn)


def _shown(panel: Panel) -> list[str]:
    keys = keys_of(panel.areas)
    return [name for name in panel.places.columns if name not in (*keys, "name", "geometry", "withheld")]


def _area_features(panel: Panel, column: str, low: float, high: float) -> list[dict[str, Any]]:
    names = names_of(panel.areas)
    keys = rows(panel.places, keys_of(panel.areas))
    features = []
    for key, (_, row) in zip(keys, panel.places.iterrows(), strict=True):
        value = row[column]
        missing = _is_missing(value)
        style = {"color": "#666666", "weight": 1, "fillOpacity": 0.8}
        style["fillColor"] = "url(#withheld)" if missing else _colour(float(value), low, high)
        properties = {
            name: _text(row[name], panel.without_row if name == column else "") for name in _shown(panel)
        }
        features.append(
            _feature(row["geometry"], {"place": _called(names, key), **properties, "style": style})
        )
    return features


def _outlines(panel: Panel) -> list[dict[str, Any]]:
    style = {"color": "#999999", "weight": 1, "fillColor": "#f5f5f5", "fillOpacity": 0.6}
    names = names_of(panel.areas)
    return [
        _feature(geometry, {"place": _called(names, key), "style": style})
        for key, geometry in zip(rows(panel.areas, keys_of(panel.areas)), panel.areas.geometry, strict=True)
    ]


def _flow_features(panel: Panel, column: str, high: float, width: float) -> list[dict[str, Any]]:
    names, keys = names_of(panel.areas), keys_of(panel.areas)
    present = panel.places[panel.places[column].notna()].sort_values(column, ascending=False)
    ends = zip(*(rows(present, [f"{key}{end}" for key in keys]) for end in ("_from", "_to")), strict=True)
    features = []
    for (origin, target), line, value in zip(ends, present.geometry, present[column], strict=True):
        wide = max(_NARROWEST_LINE, _WIDEST_LINE * float(value) / high) if high > 0 else 1.0
        style = {"color": _LINE_COLOUR, "weight": wide, "opacity": 0.65, "fill": False}
        said = {
            "from": _called(names, origin),
            "to": _called(names, target),
            column: _text(value),
            "style": style,
        }
        features.append(_feature(_bent(line.coords[0], line.coords[-1], _HEAD * width), said))
    return features


def _bent(start: tuple[float, float], end: tuple[float, float], head: float) -> Any:
    """Return a bent line with an arrow's head.

    Both directions of a pair are then visible.
    """
    from shapely import MultiLineString

    across = (end[1] - start[1], start[0] - end[0])
    middle = [(a + b) / 2 + _BEND * off * 2 for a, b, off in zip(start, end, across, strict=True)]
    curve = [
        tuple(
            (1 - t) ** 2 * a + 2 * (1 - t) * t * m + t**2 * b
            for a, m, b in zip(start, middle, end, strict=True)
        )
        for t in (step / _STEPS for step in range(_STEPS + 1))
    ]
    angle = math.atan2(end[1] - middle[1], end[0] - middle[0])
    sides = [
        (end[0] - head * math.cos(angle + turn), end[1] - head * math.sin(angle + turn))
        for turn in (0.45, -0.45)
    ]
    return MultiLineString([curve, [sides[0], end, sides[1]]])


def _feature(geometry: Any, properties: dict[str, Any]) -> dict[str, Any]:
    from shapely.geometry import mapping

    return {"type": "Feature", "geometry": mapping(geometry), "properties": properties}


def _called(names: dict[tuple[Any, ...], str], key: tuple[Any, ...]) -> str:
    """Return a place's name, with its code where that says more."""
    code = ", ".join(map(str, key))
    # A tooltip is HTML, and a name is only a text.
    return escape(names[key] if names[key] == code else f"{names[key]} ({code})")


def _is_missing(value: Any) -> bool:
    import pandas

    return not isinstance(value, list | tuple) and bool(pandas.isna(value))


def _text(value: Any, missing: str = "") -> str:
    if _is_missing(value):
        return escape(missing)
    return f"{value:,.6g}" if isinstance(value, float) else escape(str(value))


def _colour(value: float, low: float, high: float) -> str:
    """Return a colour between those of the scale."""
    share = (value - low) / (high - low) if high > low else 0.5
    place = min(share, 1 - 1e-9) * (len(_SCALE) - 1)
    below, above = (_SCALE[int(place) + step] for step in (0, 1))
    parts = [
        round(int(a, 16) + (int(b, 16) - int(a, 16)) * (place % 1))
        for a, b in ((below[at : at + 2], above[at : at + 2]) for at in (1, 3, 5))
    ]
    return "#" + "".join(f"{part:02x}" for part in parts)


def _legend(panel: Panel, column: str, low: float, high: float) -> str:
    lines = [f"<b>{escape(column)}</b>"]
    if panel.places.empty:
        lines.append("no rows to draw")
    elif panel.of_flows:
        for value in (high, high / 2, high / 10):
            wide = max(_NARROWEST_LINE, _WIDEST_LINE * value / high) if high > 0 else 1.0
            lines.append(
                f'<span style="display:inline-block;width:40px;border-top:{wide:.1f}px solid {_LINE_COLOUR};'
                f'vertical-align:middle"></span> {value:,.4g}'
            )
    else:
        lines.append(
            f'{low:,.6g} <span style="display:inline-block;width:110px;height:12px;vertical-align:middle;'
            f'background:linear-gradient(to right,{",".join(_SCALE)})"></span> {high:,.6g}'
        )
        if panel.places[column].isna().any():
            lines.append(
                '<svg width="18" height="12" style="vertical-align:middle"><rect width="18" height="12" '
                f'fill="url(#withheld)" stroke="#666666"/></svg> {escape(panel.without_row)}'
            )
    return (
        '<div class="legend" style="position:absolute;bottom:24px;left:10px;z-index:1000;background:#fffffff0;'
        'padding:6px 10px;border:1px solid #bbbbbb;font:13px sans-serif;line-height:1.6">'
        f"{'<br>'.join(lines)}</div>"
    )
