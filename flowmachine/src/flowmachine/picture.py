"""Draw a query's graph: the query on top, its inputs below, stored results green."""

from __future__ import annotations

from collections.abc import Set
from html import escape

from flowmachine.spec.query import Query

_WIDTH, _HEIGHT, _GAP, _STEP = 190, 44, 20, 100


def picture(query: Query, stored: Set[str]) -> str:
    """Draw the graph as SVG; ``stored`` are the ids of stored queries."""
    queries = list(query.graph())
    depth = {part.query_id: 0 for part in queries}
    for part in reversed(queries):
        for child in part.children:
            depth[child.query_id] = max(depth[child.query_id], depth[part.query_id] + 1)
    layers: dict[int, list[Query]] = {}
    for part in queries:
        layers.setdefault(depth[part.query_id], []).append(part)
    widest = max(len(layer) for layer in layers.values())
    width = widest * (_WIDTH + _GAP) + _GAP
    place: dict[str, tuple[float, float]] = {}
    for level, layer in layers.items():
        left = (width - len(layer) * (_WIDTH + _GAP) + _GAP) / 2
        for position, part in enumerate(layer):
            place[part.query_id] = (left + position * (_WIDTH + _GAP), _GAP + level * _STEP)
    lines = [
        _line(place[part.query_id], place[child.query_id]) for part in queries for child in part.children
    ]
    boxes = [_box(part, place[part.query_id], part.query_id in stored) for part in queries]
    height = len(layers) * _STEP - _STEP + _HEIGHT + 2 * _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
        + "".join(lines + boxes)
        + "</svg>"
    )


def _line(upper: tuple[float, float], lower: tuple[float, float]) -> str:
    middle = _WIDTH / 2
    return (
        f'<line x1="{upper[0] + middle:g}" y1="{upper[1] + _HEIGHT:g}" x2="{lower[0] + middle:g}" y2="{lower[1]:g}"'
        ' stroke="#888"/>'
    )


def _box(part: Query, corner: tuple[float, float], stored: bool) -> str:
    x, y = corner
    middle = x + _WIDTH / 2
    return (
        f"<g><title>{part.query_id}{', stored' if stored else ''}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"'
        f' fill="{"#cfe8cf" if stored else "#f2f2f2"}" stroke="#555"/>'
        f'<text x="{middle:g}" y="{y + 19:g}" text-anchor="middle" font-size="12">{escape(part.kind)}</text>'
        f'<text x="{middle:g}" y="{y + 35:g}" text-anchor="middle" font-size="10" fill="#555">'
        f"{part.query_id[:8]}</text></g>"
    )
