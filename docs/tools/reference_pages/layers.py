"""Draws the rooms of flowmachine in layers, from the imports of its modules."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import pairwise
from statistics import fmean

import grimp

PACKAGE = "flowmachine"
#: Rooms that only start processes or help tests: every arrow would lead away from them and say nothing.
LEFT_OUT = {"__init__", "__main__", "testing"}
BOX, GAP, ROW, HEIGHT, MARGIN = 136, 26, 92, 38, 24


def imports() -> dict[str, set[str]]:
    """Each room of the engine, with the rooms that its modules import."""
    graph = grimp.build_graph(PACKAGE)
    found: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        importer = _room(module)
        found[importer] |= {_room(name) for name in graph.find_modules_directly_imported_by(module)}
    return {room: found[room] - {room} - LEFT_OUT for room in sorted(found) if room not in LEFT_OUT}


def levels(rooms: dict[str, set[str]]) -> dict[str, int]:
    """Return each room's level.

    A room at level 0 imports no other room, and every arrow leads to a lower level.
    """

    @cache
    def level(room: str) -> int:
        return 1 + max(map(level, rooms[room]), default=-1)

    return {room: level(room) for room in rooms}


def picture() -> str:
    """The rooms as an SVG picture. An arrow that follows from two others is not drawn."""
    rooms = imports()
    level = levels(rooms)
    paths = [_path(importer, imported, level) for importer, imported in sorted(_needed(rooms))]
    rows = _rows(level, paths)
    width = max(sum(_width(node) + GAP for node in row) for row in rows) - GAP + 2 * MARGIN
    place: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        x = (width - sum(_width(node) + GAP for node in row) + GAP) / 2
        for node in row:
            place[node] = x + _width(node) / 2, MARGIN + (len(rows) - 1 - number) * ROW
            x += _width(node) + GAP
    bottom = 2 * MARGIN + (len(rows) - 1) * ROW + HEIGHT
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {bottom}" role="img" font-family="sans-serif" '
        'font-size="14" text-anchor="middle">',
        f"<title>The rooms of {PACKAGE}: an arrow leads from a room to a room that it imports.</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#0b6e69"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{bottom}" fill="white"/>',
        '<g stroke="#0b6e69" stroke-width="1.4" fill="none" marker-end="url(#tip)">',
        *(f'<path d="{_curve([place[node] for node in path])}"/>' for path in paths),
        '</g><g fill="#f3f6f6" stroke="#0b6e69" stroke-width="1.4">',
        *(
            f'<rect x="{place[room][0] - BOX / 2:.0f}" y="{place[room][1]:.0f}" width="{BOX}" height="{HEIGHT}" rx="6"/>'
            for room in rooms
        ),
        '</g><g fill="#12302e">',
        *(f'<text x="{place[room][0]:.0f}" y="{place[room][1] + 24:.0f}">{room}</text>' for room in rooms),
        "</g></svg>",
    ]
    return "\n".join(drawn) + "\n"


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def _needed(rooms: dict[str, set[str]]) -> set[tuple[str, str]]:
    """The arrows without those that a longer way replaces."""

    @cache
    def below(room: str) -> frozenset[str]:
        return frozenset(rooms[room]).union(*(below(other) for other in rooms[room]))

    return {
        (room, imported)
        for room, found in rooms.items()
        for imported in found
        if not any(imported in below(other) for other in found)
    }


def _path(importer: str, imported: str, level: dict[str, int]) -> list[str]:
    """An arrow as the rooms at its ends and one bend on each level between them."""
    bends = [f"{importer}>{imported} {number}" for number in range(level[importer] - 1, level[imported], -1)]
    return [importer, *bends, imported]


def _rows(level: dict[str, int], paths: list[list[str]]) -> list[list[str]]:
    """Order each level's rooms and bends so that few arrows cross.

    Each stands at the mean of its neighbours.
    """
    rows: list[list[str]] = [[] for _ in range(1 + max(level.values()))]
    for room, number in level.items():
        rows[number].append(room)
    neighbours: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        for number, node in enumerate(path[1:-1], 1):
            rows[level[path[0]] - number].append(node)
        for upper, lower in pairwise(path):
            neighbours[upper].add(lower)
            neighbours[lower].add(upper)
    for sweep in range(24):
        for row, fixed in pairwise(rows if sweep % 2 else rows[::-1]):
            at = {node: number / len(row) for number, node in enumerate(row)}
            mean = {
                node: fmean(
                    [at[other] for other in sorted(neighbours[node] & at.keys())] or [number / len(fixed)]
                )
                for number, node in enumerate(fixed)
            }
            fixed.sort(key=lambda node: (mean[node], node))
    return rows


def _width(node: str) -> int:
    return 10 if ">" in node else BOX


def _curve(points: list[tuple[float, float]]) -> str:
    """Draw a line from a box's lower edge through its bends to another's upper edge."""
    (x, y), *between, (last_x, last_y) = points
    stops = [(x, y + HEIGHT), *((at, height + HEIGHT / 2) for at, height in between), (last_x, last_y)]
    parts = [f"M{stops[0][0]:.0f} {stops[0][1]:.0f}"]
    for (from_x, from_y), (to_x, to_y) in pairwise(stops):
        middle = (from_y + to_y) / 2
        parts.append(f"C{from_x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {to_y:.0f}")
    return "".join(parts)
