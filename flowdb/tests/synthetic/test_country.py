import itertools

import numpy as np
import pytest
import shapely

from flowdb.synthetic.country import country


@pytest.mark.parametrize(("level", "units"), [(0, 1), (1, 5), (2, 14), (3, 75)])
def test_every_level_has_its_units_with_distinct_codes(level, units):
    regions = country().levels[level]
    assert len({region.pcod for region in regions}) == len(regions) == units
    assert len({region.name for region in regions}) == units


@pytest.mark.parametrize("level", [1, 2, 3])
def test_codes_extend_the_code_of_the_parent(level):
    parents = {region.pcod for region in country().levels[level - 1]}
    for region in country().levels[level]:
        assert region.parent in parents
        assert region.pcod.removesuffix("_1").rpartition(".")[0] == region.parent.removesuffix("_1")


@pytest.mark.parametrize("level", [1, 2, 3])
def test_units_tile_their_parent_exactly(level):
    regions = country().levels[level]
    assert shapely.coverage_is_valid(np.array([region.geometry for region in regions]))
    for parent in country().levels[level - 1]:
        parts = [region.geometry for region in regions if region.parent == parent.pcod]
        assert sum(part.area for part in parts) == pytest.approx(parent.geometry.area, rel=1e-12)
        assert shapely.coverage_union_all(parts).equals(parent.geometry)


def test_units_are_whole_and_inside_the_box():
    for region in itertools.chain(*country().levels):
        assert region.geometry.is_valid
        assert len(region.geometry.geoms) == 1
        west, south, east, north = region.geometry.bounds
        assert 80 <= west < east <= 89
        assert 26 <= south < north <= 31


def test_the_disaster_strikes_neighbours_in_the_north_west():
    land = country()
    struck = [land.districts[district].geometry for district in land.disaster]
    assert len(struck) == 5
    assert shapely.coverage_union_all(struck).geom_type == "Polygon"
    middle = land.levels[0][0].geometry.centroid
    assert all(area.centroid.x < middle.x and area.centroid.y > middle.y for area in struck)


def test_people_live_everywhere_and_most_densely_in_plains_and_cities():
    land = country()
    assert land.population.sum() == pytest.approx(1)
    assert land.population.min() * 10_000 > 25
    density = land.tile_population / land.tile_population.mean()
    assert density.max() > 10
    eastern = land.tile_centres[:, 0] > 87
    latitude = land.tile_centres[:, 1]
    assert density[eastern & (latitude < 26.9)].mean() > 2 * density[eastern & (latitude > 27.5)].mean()
