"""Build the land: four nested levels of regions and the places of people.

The outline is covered by a mesh of small six-sided tiles that share their (wandering) edges exactly. Every
region is a connected set of tiles, so levels nest and neighbours meet without gap or overlap.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cache
from math import cos, pi, radians, sin

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from flowdb.synthetic.draws import Floats, Integers, apportion, generator

CODE = "NPL"
NAME = "Nepali"
GEOGRAPHY_SEED = 2016
REGION_NAMES = ("Far Western", "Mid Western", "Western", "Central", "Eastern")
ZONES_PER_REGION = (2, 3, 3, 3, 3)
DISTRICTS = 75
DISASTER_DISTRICTS = 5
DISASTER_SHARE = 0.11
KILOMETRES_PER_DEGREE = 111.0

# Longitude, latitude; drawn by hand, clockwise from the north-western corner.
OUTLINE = (
    (80.8, 30.1), (81.6, 30.4), (82.5, 30.0), (83.3, 29.5), (84.1, 29.2), (84.7, 28.7), (85.5, 28.3), (86.3, 28.05),
    (87.2, 27.9), (88.1, 27.9), (88.2, 27.2), (88.0, 26.4), (87.0, 26.45), (86.0, 26.7), (85.1, 26.85), (84.3, 27.35),
    (83.4, 27.4), (82.6, 27.7), (81.7, 28.0), (80.9, 28.5), (80.2, 28.9), (80.4, 29.6),
)  # fmt: skip
# Longitude, latitude, relative population, reach in degrees; the capital comes first.
CITIES = (
    (85.25, 27.65, 0.16, 0.10), (87.3, 26.7, 0.05, 0.09), (83.9, 28.15, 0.05, 0.08), (84.5, 27.6, 0.04, 0.08),
    (83.4, 27.6, 0.03, 0.08), (81.6, 28.15, 0.03, 0.08), (80.7, 28.75, 0.03, 0.08), (86.0, 26.85, 0.03, 0.08),
    (88.0, 26.6, 0.02, 0.07), (81.3, 29.5, 0.03, 0.08), (85.0, 27.1, 0.03, 0.07), (82.3, 28.1, 0.02, 0.07),
)  # fmt: skip

TILE_SPACING = 0.062
TILE_SIDE = TILE_SPACING / 3**0.5
# Half the distance from a tile's middle to its sides. Every point this near is inside, however the sides
# wander.
TILE_SAFE_RADIUS = TILE_SPACING / 4

Edge = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Region:
    """Describe one region of one level; `parent` is empty for the country."""

    pcod: str
    name: str
    parent: str
    geometry: MultiPolygon


@dataclass(frozen=True)
class Country:
    """Hold regions by level, and each tile's middle, district and share of people.

    Middles are in degrees. A district is an index into level 3.
    """

    levels: tuple[tuple[Region, ...], ...]
    tile_centres: Floats
    tile_district: Integers
    tile_population: Floats
    core: int
    disaster: Integers

    @property
    def districts(self) -> tuple[Region, ...]:
        return self.levels[3]

    @property
    def population(self) -> Floats:
        """Return the share of the people per district."""
        return np.bincount(self.tile_district, self.tile_population).astype(np.float64)

    @property
    def distances(self) -> Floats:
        """Return kilometres between the districts' centres of population."""
        weight = self.tile_population[:, None] * self.tile_centres
        centres = np.column_stack(
            [np.bincount(self.tile_district, weight[:, axis]) / self.population for axis in (0, 1)]
        )
        return kilometres(centres[:, None, :], centres[None, :, :])


def kilometres(first: Floats, second: Floats) -> Floats:
    """Return distances on a plane, accurate enough for a country this size."""
    across = (first[..., 0] - second[..., 0]) * cos(radians(28.2))
    along = first[..., 1] - second[..., 1]
    return KILOMETRES_PER_DEGREE * np.hypot(across, along)


@cache
def country() -> Country:
    """Build the generator's only country."""
    random = generator(GEOGRAPHY_SEED)
    centres, polygons, neighbours = _mesh(random)
    everywhere = np.arange(len(centres))
    regions = _divide(everywhere, len(ZONES_PER_REGION), centres, neighbours, random)
    zones = [
        _divide(region, count, centres, neighbours, random)
        for region, count in zip(regions, ZONES_PER_REGION, strict=True)
    ]
    sizes = np.array([len(zone) for region in zones for zone in region], dtype=float)
    counts = iter(apportion(DISTRICTS, sizes, least=2))

    names = _Names(random)
    levels: list[list[Region]] = [[Region(CODE, NAME, "", _merge(polygons, everywhere))], [], [], []]
    tile_district = np.zeros(len(centres), dtype=np.int64)
    for r, region in enumerate(regions, start=1):
        levels[1].append(Region(f"{CODE}.{r}_1", REGION_NAMES[r - 1], CODE, _merge(polygons, region)))
        for z, zone in enumerate(zones[r - 1], start=1):
            levels[2].append(
                Region(f"{CODE}.{r}.{z}_1", names.zone(), levels[1][-1].pcod, _merge(polygons, zone))
            )
            for d, district in enumerate(
                _divide(zone, int(next(counts)), centres, neighbours, random), start=1
            ):
                tile_district[district] = len(levels[3])
                levels[3].append(
                    Region(
                        f"{CODE}.{r}.{z}.{d}_1",
                        names.district(),
                        levels[2][-1].pcod,
                        _merge(polygons, district),
                    )
                )
    disaster = _north_west(centres, tile_district)
    return Country(
        levels=tuple(tuple(level) for level in levels),
        tile_centres=centres,
        tile_district=tile_district,
        tile_population=_population(centres, tile_district, disaster),
        core=int(tile_district[np.argmin(kilometres(centres, np.array(CITIES[0][:2])))]),
        disaster=disaster,
    )


def _mesh(random: np.random.Generator) -> tuple[Floats, list[Polygon], list[list[int]]]:
    """Return middles, shapes and neighbours of tiles with middles in the outline."""
    outline = Polygon(OUTLINE)
    shapely.prepare(outline)
    west, south, east, north = outline.bounds
    row_height = TILE_SPACING * 3**0.5 / 2
    centres = [
        (west + (column + row % 2 / 2) * TILE_SPACING, south + row * row_height)
        for row in range(int((north - south) / row_height) + 1)
        for column in range(int((east - west) / TILE_SPACING) + 1)
    ]
    centres = [centre for centre in centres if outline.contains(Point(centre))]

    corners: dict[tuple[int, int], Floats] = {}
    paths: dict[Edge, list[Floats]] = {}
    owners: dict[Edge, list[int]] = {}
    polygons: list[Polygon] = []
    for tile, (x, y) in enumerate(centres):
        keys = []
        for step in range(6):
            corner = np.array(
                [x + TILE_SIDE * cos(pi / 6 + step * pi / 3), y + TILE_SIDE * sin(pi / 6 + step * pi / 3)]
            )
            # Neighbours compute a shared corner with different rounding; a coarse grid makes it one key.
            key = (round(corner[0] / TILE_SIDE * 4), round(corner[1] / TILE_SIDE * 4))
            keys.append(key)
            if key not in corners:
                corners[key] = corner + random.uniform(-0.22, 0.22, 2) * TILE_SIDE
        ring: list[Floats] = []
        for start, end in zip(keys, keys[1:] + keys[:1], strict=True):
            edge: Edge = (start, end) if start < end else (end, start)
            owners.setdefault(edge, []).append(tile)
            if edge not in paths:
                paths[edge] = _wander(corners[edge[0]], corners[edge[1]], random)
            path = paths[edge] if edge[0] == start else paths[edge][::-1]
            ring.extend(path[:-1])
        polygons.append(Polygon(np.round(ring, 5)))
    neighbours: list[list[int]] = [[] for _ in centres]
    for pair in owners.values():
        if len(pair) == 2:
            neighbours[pair[0]].append(pair[1])
            neighbours[pair[1]].append(pair[0])
    return np.array(centres), polygons, neighbours


def _wander(start: Floats, end: Floats, random: np.random.Generator) -> list[Floats]:
    """Draw a path with three bends between two corners."""
    middle = (start + end) / 2 + random.uniform(-0.1, 0.1, 2) * TILE_SIDE
    first = (start + middle) / 2 + random.uniform(-0.05, 0.05, 2) * TILE_SIDE
    second = (middle + end) / 2 + random.uniform(-0.05, 0.05, 2) * TILE_SIDE
    return [start, first, middle, second, end]


def _divide(
    tiles: Integers, count: int, centres: Floats, neighbours: list[list[int]], random: np.random.Generator
) -> list[Integers]:
    """Split connected tiles into `count` connected parts, from west to east.

    The parts have similar sizes.
    """
    points = centres[tiles]
    seeds = points[np.linspace(0, len(points) - 1, count).astype(int)]
    for _ in range(25):
        nearest = np.argmin(kilometres(points[:, None], seeds[None]), axis=1)
        seeds = np.array(
            [
                points[nearest == part].mean(axis=0) if (nearest == part).any() else seeds[part]
                for part in range(count)
            ]
        )
    seeds = seeds[np.argsort(seeds[:, 0], kind="stable")]

    # Grow the parts from seeds over tiles of random difficulty, so that borders become irregular.
    hardness = dict(zip(tiles.tolist(), random.uniform(0.5, 1.5, len(tiles)), strict=True))
    taken: dict[int, int] = {}
    front = [(0.0, int(tiles[np.argmin(kilometres(points, seed))]), part) for part, seed in enumerate(seeds)]
    heapq.heapify(front)
    while front:
        cost, tile, part = heapq.heappop(front)
        if tile in taken:
            continue
        taken[tile] = part
        for neighbour in neighbours[tile]:
            if neighbour in hardness and neighbour not in taken:
                heapq.heappush(front, (cost + hardness[neighbour], neighbour, part))
    owner = np.array([taken[tile] for tile in tiles.tolist()])
    return [tiles[owner == part] for part in range(count)]


def _merge(polygons: list[Polygon], tiles: Integers) -> MultiPolygon:
    merged: BaseGeometry = shapely.coverage_union_all([polygons[tile] for tile in tiles])
    return merged if isinstance(merged, MultiPolygon) else MultiPolygon([merged])


def _north_west(centres: Floats, tile_district: Integers) -> Integers:
    """Return the north-westernmost district and its nearest neighbours."""
    middles = np.array([centres[tile_district == district].mean(axis=0) for district in range(DISTRICTS)])
    first = int(np.argmax(middles[:, 1] - 0.6 * middles[:, 0]))
    return np.sort(np.argsort(kilometres(middles, middles[first]), kind="stable")[:DISASTER_DISTRICTS])


def _population(centres: Floats, tile_district: Integers, disaster: Integers) -> Floats:
    """Return each tile's share of people: dense south, thin north, a few cities."""
    corner = OUTLINE.index((88.0, 26.4))
    southern = sorted(OUTLINE[corner:-1])
    northern = OUTLINE[: corner - 1]
    south = np.interp(centres[:, 0], *np.array(southern).T)
    north = np.interp(centres[:, 0], *np.array(northern).T)
    density = np.exp(-2.2 * np.clip((centres[:, 1] - south) / (north - south), 0, 1))
    density /= density.sum()
    for longitude, latitude, weight, reach in CITIES:
        away = kilometres(centres, np.array([longitude, latitude])) / KILOMETRES_PER_DEGREE
        bump = np.exp(-0.5 * (away / reach) ** 2)
        density += weight * bump / bump.sum()

    raw = np.bincount(tile_district, density)
    # Real districts differ a hundredfold. These differ about twentyfold, so that even a small country has
    # enough people everywhere to be published.
    share = 0.65 * raw**0.9 / (raw**0.9).sum() + 0.35 / DISTRICTS
    inside = np.isin(np.arange(DISTRICTS), disaster)
    share[inside] *= DISASTER_SHARE / share[inside].sum()
    share[~inside] *= (1 - DISASTER_SHARE) / share[~inside].sum()
    return density / raw[tile_district] * share[tile_district]


class _Names:
    """Invent local-sounding names."""

    FIRST = (
        "Bal",
        "Kal",
        "Dhan",
        "Sur",
        "Man",
        "Ram",
        "Gor",
        "Tan",
        "Bar",
        "Lam",
        "Sal",
        "Jan",
        "Pal",
        "Mor",
        "Nag",
    )
    LAST = ("pur", "khola", "danda", "tar", "gaun", "kot", "ganj", "bari", "thali", "pokhara")

    def __init__(self, random: np.random.Generator) -> None:
        names = [first + last for first in self.FIRST for last in self.LAST]
        self._names = [names[position] for position in random.permutation(len(names))]

    def district(self) -> str:
        return self._names.pop()

    def zone(self) -> str:
        return self._names.pop() + " Zone"
