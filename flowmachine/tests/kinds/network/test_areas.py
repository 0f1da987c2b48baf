"""Areas around sites: the nearest site's share of the country, and circles."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from shapely.geometry import Point, shape

from flowmachine.queries import LocationArea

from ..land import SITES
from ..oracle import metres
from ..specs import rows_of
from ..world import Stage


@pytest.fixture
def country(stage_in_utc: Stage) -> Iterator[None]:
    """A boundary around the regions."""
    with stage_in_utc.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO geography.geoms (spatial_resolution, short_name, geom)"
                " VALUES (0, 'country', ST_Multi(ST_MakeEnvelope(84, 27, 86, 29, 4326)))"
            )
        )
    yield
    with stage_in_utc.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM geography.geoms WHERE spatial_resolution = 0"))


def areas(stage: Stage, **fields: Any) -> dict[tuple[str, int], tuple[Any, float]]:
    query = LocationArea(date="2016-01-02", **fields)
    found = {
        place[:2]: (shape(json.loads(geom)), km) for place, geom, km in rows_of(stage, query, "postgres")
    }
    assert found.keys() == {(site.id, site.version) for site in SITES if site.point} - {("moved", 0)}
    return found


@pytest.mark.usefixtures("country")
def test_the_country_is_divided_among_the_nearest_sites(stage_in_utc: Stage) -> None:
    found = areas(stage_in_utc)
    points = {(site.id, site.version): site.point for site in SITES if site.point}
    asked = 0
    for x in range(1, 40, 3):
        for y in range(1, 40, 3):
            here = (84 + x / 20, 27 + y / 20)
            near = sorted((metres(points[place], here), place) for place in found)
            if near[1][0] > near[0][0] * 1.01:
                asked += 1
                assert [place for place in found if found[place][0].contains(Point(here))] == [near[0][1]]
    assert asked > 100
    # One degree by one is 111 km by 98 km in the middle of the square.
    assert sum(km for _, km in found.values()) == pytest.approx(4 * 110.8 * 98.4, rel=0.01)
    assert found["outside", 0][1] == 0


def test_circles(stage_in_utc: Stage) -> None:
    for place, (area, km) in areas(stage_in_utc, method="radius", radius=2).items():
        (lon, lat), *_ = (site.point for site in SITES if (site.id, site.version) == place)
        assert km == pytest.approx(math.pi * 4, rel=0.03 if place[0] == "outside" else 0.003)
        if place[0] != "outside":
            assert {round(metres((lon, lat), corner) / 2000, 2) for corner in area.exterior.coords} == {1.0}


@pytest.mark.usefixtures("country")
def test_circles_end_where_another_site_is_nearer(stage_in_utc: Stage) -> None:
    whole, circles, both = (
        areas(stage_in_utc, method=method, radius=2) for method in ("voronois", "radius", "radius-voronois")
    )
    for place in whole:
        expected = whole[place][0].intersection(circles[place][0])
        assert both[place][0].symmetric_difference(expected).area < 1e-6
    # Half a circle of 2 km, and half of the 247 m to the only near site, which is to the east.
    assert both["p", 0][1] == pytest.approx(math.pi * 4 / 2 + 0.1237 * 4, rel=0.005)
