from collections import defaultdict
from datetime import date

import numpy as np
import pytest
import shapely

from flowdb.synthetic.country import country
from flowdb.synthetic.network import build_network

START = date(2016, 1, 1)


@pytest.fixture(scope="module")
def network():
    return build_network(country(), sites=300, cells=900, start=START, days=60, seed=1)


def test_numbers_of_sites_and_cells_are_as_asked(network):
    assert len({site.id for site in network.sites}) == 300
    assert len({cell.id for cell in network.cells}) == len(network.cell_ids) == 900
    assert {cell.site_id for cell in network.cells} == {site.id for site in network.sites}


def test_every_located_version_lies_in_the_district_of_its_cell(network):
    district = dict(zip(network.cell_ids.astype(str), network.cell_district, strict=True))
    located = [cell for cell in network.cells if cell.position is not None]
    tree = shapely.STRtree([region.geometry for region in country().districts])
    found, inside = tree.query(shapely.points([cell.position for cell in located]), "within")
    assert found.tolist() == list(range(len(located)))
    assert inside.tolist() == [district[cell.id] for cell in located]


def test_every_district_has_cells(network):
    assert set(network.cell_district) == set(range(75))


def test_versions_follow_each_other_without_a_shared_day(network):
    versions = defaultdict(list)
    for cell in network.cells:
        versions[cell.id].append(cell)
    pairs = [found for found in versions.values() if len(found) > 1]
    assert 10 < len(pairs) < 200
    assert any(first.position != second.position for first, second in pairs)
    assert any(first.type != second.type for first, second in pairs)
    for first, second in pairs:
        assert (first.version, second.version) == (0, 1)
        assert (second.first_service - first.last_service).days == 1
        assert START < second.first_service < date(2016, 3, 1)
        assert second.last_service is None


def test_a_few_cells_have_no_coordinates(network):
    assert 0 < sum(cell.position is None for cell in network.cells) < 60


def test_nearby_cells_are_of_the_same_district_and_start_with_oneself(network):
    assert np.array_equal(network.nearby[:, 0], np.arange(900))
    assert (network.cell_district[network.nearby] == network.cell_district[:, None]).all()


@pytest.mark.parametrize(("sites", "cells", "field"), [(74, 200, "sites"), (100, 99, "cells")])
def test_numbers_that_do_not_fit_are_refused(sites, cells, field):
    with pytest.raises(ValueError, match=f"^{field}: "):
        build_network(country(), sites, cells, START, 7, seed=1)
