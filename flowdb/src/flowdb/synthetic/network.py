"""Build the operator's network: sites near people, versioned cells, device models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from flowdb.synthetic.country import TILE_SAFE_RADIUS, Country, kilometres
from flowdb.synthetic.draws import Floats, GroupedDraw, Integers, apportion, generator

NEIGHBOURS = 4
SHARE_WITHOUT_COORDINATES = 0.02
SHARE_WITH_TWO_VERSIONS = 0.03
TECHNOLOGIES = np.array(["2G", "3G", "4G"])


@dataclass(frozen=True)
class Version:
    """Hold one state of a site or cell.

    `position` is (longitude, latitude), or None where the operator lost it.
    """

    id: str
    site_id: str
    version: int
    name: str
    type: str
    position: tuple[float, float] | None
    first_service: date
    last_service: date | None


@dataclass(frozen=True)
class Device:
    tac: int
    brand: str
    model: str
    handset_type: str
    system: str
    vendor: str


@dataclass(frozen=True)
class Network:
    """Hold cells by index, ordered by district.

    `nearby[c, 0]` is c itself; the rest are other cells of its district.
    """

    sites: list[Version]
    cells: list[Version]
    cell_ids: NDArray[np.bytes_]
    cell_district: Integers
    cell_positions: Floats
    nearby: NDArray[np.int32]
    draw_cell: GroupedDraw

    def cells_in(self, districts: Integers, random: np.random.Generator) -> NDArray[np.int32]:
        """Draw one cell in each given district, weighted by traffic."""
        return self.draw_cell.draw(districts, random).astype(np.int32)


def build_network(country: Country, sites: int, cells: int, start: date, days: int, seed: int) -> Network:
    """Build sites and cells; every district has a site.

    `cells` >= `sites` >= the number of districts.

    Raises:
        ValueError: the numbers do not fit.
    """
    districts = len(country.districts)
    if sites < districts:
        raise ValueError(f"sites: {sites} is too few, every one of {districts} districts needs one")
    if cells < sites:
        raise ValueError(f"cells: {cells} is too few, every one of {sites} sites needs one")
    random = generator(seed, 1)
    per_district = apportion(sites, country.population**0.8, least=1)
    site_district = np.repeat(np.arange(districts), per_district)

    order = np.argsort(country.tile_district, kind="stable")
    tiles = GroupedDraw(country.tile_district[order], country.tile_population[order])
    site_tile = order[tiles.draw(site_district, random)]
    site_positions = _scatter(country.tile_centres[site_tile], random)
    site_weight = (
        country.population[site_district] / per_district[site_district] * random.lognormal(0, 0.5, sites)
    )

    sectors = apportion(cells, site_weight**0.5, least=1)
    cell_site = np.repeat(np.arange(sites), sectors)
    sector = np.arange(cells) - np.repeat(np.cumsum(sectors) - sectors, sectors)
    cell_district = site_district[cell_site]
    cell_positions = site_positions[cell_site]
    cell_weight = (site_weight / sectors)[cell_site]

    moved = random.random(sites) < SHARE_WITH_TWO_VERSIONS if days > 2 else np.zeros(sites, bool)
    moved_on = np.array([start + timedelta(days=int(day)) for day in random.integers(1, max(days, 2), sites)])
    # A moved site stays on its tile and therefore in its district.
    moved_to = _scatter(country.tile_centres[site_tile], random)
    upgraded = ~moved[cell_site] & (random.random(cells) < SHARE_WITH_TWO_VERSIONS if days > 2 else False)
    upgraded_on = random.integers(1, max(days, 2), cells)
    built = np.array([start - timedelta(days=int(day)) for day in random.integers(30, 3000, sites)])
    lost = random.random(cells) < SHARE_WITHOUT_COORDINATES
    technology = random.choice(len(TECHNOLOGIES), cells, p=(0.4, 0.45, 0.15))

    site_rows: list[Version] = []
    for site in range(sites):
        change = moved_on[site] if moved[site] else None
        positions = [site_positions[site], moved_to[site]]
        site_rows += _versions(f"S{site:05d}", "", f"Site {site}", ["", ""], positions, built[site], change)
    cell_rows: list[Version] = []
    for cell in range(cells):
        site = int(cell_site[cell])
        generation = int(technology[cell])
        types = [str(TECHNOLOGIES[generation]), str(TECHNOLOGIES[generation])]
        change = moved_on[site] if moved[site] else None
        positions = [site_positions[site], moved_to[site]]
        if upgraded[cell]:
            change = start + timedelta(days=int(upgraded_on[cell]))
            positions[1] = positions[0]
            types[1] = str(TECHNOLOGIES[min(generation + 1, 2)])
        located = [None, None] if lost[cell] else positions
        cell_rows += _versions(
            _cell_id(site, int(sector[cell])),
            f"S{site:05d}",
            f"Site {site} sector {sector[cell]}",
            types,
            located,
            built[site],
            change,
        )
    return Network(
        sites=site_rows,
        cells=cell_rows,
        cell_ids=np.array(
            [_cell_id(int(s), int(k)) for s, k in zip(cell_site, sector, strict=True)], dtype="S"
        ),
        cell_district=cell_district,
        cell_positions=cell_positions,
        nearby=_nearby(cell_positions, cell_district),
        draw_cell=GroupedDraw(cell_district, cell_weight),
    )


def _cell_id(site: int, sector: int) -> str:
    return f"{site:05d}-{sector:02d}"


def _scatter(centres: Floats, random: np.random.Generator) -> Floats:
    """Return a point near each tile's middle, certainly inside the tile."""
    radius = TILE_SAFE_RADIUS * np.sqrt(random.random(len(centres)))
    angle = 2 * np.pi * random.random(len(centres))
    return np.round(centres + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]), 6)


def _versions(
    id: str,
    site_id: str,
    name: str,
    types: list[str],
    positions: list[Floats] | list[None],
    built: date,
    change: date | None,
) -> list[Version]:
    """Return one version, or two adjacent versions.

    The first version ends on the day before the second begins.
    """
    places = [
        None if position is None else (float(position[0]), float(position[1])) for position in positions
    ]
    if change is None:
        return [Version(id, site_id, 0, name, types[0], places[0], built, None)]
    return [
        Version(id, site_id, 0, name, types[0], places[0], built, change - timedelta(days=1)),
        Version(id, site_id, 1, name, types[1], places[1], change, None),
    ]


def _nearby(positions: Floats, districts: Integers) -> NDArray[np.int32]:
    """Return each cell and its nearest neighbours in the district.

    A cell without neighbours is repeated.
    """
    nearby = np.repeat(np.arange(len(positions), dtype=np.int32)[:, None], NEIGHBOURS, axis=1)
    for district in range(int(districts[-1]) + 1):
        members = np.flatnonzero(districts == district)
        apart = kilometres(positions[members][:, None], positions[members][None])
        np.fill_diagonal(apart, -1)
        found = members[np.argsort(apart, axis=1, kind="stable")[:, :NEIGHBOURS]]
        nearby[members, : found.shape[1]] = found
    return nearby


BRANDS = ("Yeti", "Himal", "Danfe", "Rhodo", "Tara", "Orion", "Kestrel", "Juno")
SYSTEMS = {
    "Smart": (("Android", "Google"), ("Android", "Google"), ("iOS", "Apple"), ("Windows Phone", "Microsoft")),
    "Feature": (("Series 40", "Nokia"), ("Proprietary", "")),
    "Basic": (("", ""),),
}


def build_devices(seed: int, count: int = 240) -> list[Device]:
    """Return device models, best-selling first."""
    random = generator(seed, 2)
    devices = []
    for number in range(count):
        handset_type = ("Smart", "Feature", "Smart", "Basic", "Feature")[number % 5]
        systems = SYSTEMS[handset_type]
        system, vendor = systems[int(random.integers(len(systems)))]
        brand = BRANDS[int(random.integers(len(BRANDS)))]
        devices.append(
            Device(
                35_000_000 + number * 1_373, brand, f"{brand} {100 + number}", handset_type, system, vendor
            )
        )
    return devices
