"""Cells, sites, device models and boundaries."""

import json
from pathlib import Path

import pytest

from flowetl.errors import DataFault
from flowetl.geography import load_geography

FILES = {
    "sites.csv": "id,version,name,latitude,longitude,date_of_first_service,date_of_last_service\ns1,0,Hill,27.5,85.25,2015-01-01,\n",
    "cells.csv": (
        "id,site_id,version,name,type,latitude,longitude,date_of_first_service,date_of_last_service\n"
        "c1,s1,0,Hill A,4G,27.5,85.25,2015-01-01,2016-01-10\n"
        "c1,s1,1,Hill A,4G,27.6,85.25,2016-01-11,\n"
        "c2,s1,0,Hill B,2G,,,2015-01-01,\n"
    ),
    "tacs.csv": "id,brand,model,hnd_type,software_os_name,software_os_vendor\n35123456,Danfe,D1,Smart,Android,Google\n",
}


def square(west: float, south: float, size: float = 1) -> dict:
    ring = [
        [west, south],
        [west + size, south],
        [west + size, south + size],
        [west, south + size],
        [west, south],
    ]
    return {"type": "Polygon", "coordinates": [ring]}


def unit(pcod: str, geometry: dict, parent: str | None = "N") -> dict:
    return {
        "type": "Feature",
        "properties": {"pcod": pcod, "name": pcod.lower(), "parent": parent},
        "geometry": geometry,
    }


def collection(*units: dict) -> str:
    return json.dumps({"type": "FeatureCollection", "features": units})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "geography"
    (folder / "boundaries").mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "boundaries" / "admin0.geojson").write_text(collection(unit("N", square(80, 26, 8), None)))
    (folder / "boundaries" / "admin1.geojson").write_text(
        collection(unit("N.1", square(85, 27)), unit("N.2", square(86, 27)))
    )
    return folder


def load(operator, folder: Path) -> dict[str, tuple[int, int, int]]:
    return {
        changes.file: (changes.added, changes.changed, changes.removed)
        for changes in load_geography(operator.deployment, folder)
    }


def test_everything_arrives(operator, folder) -> None:
    load(operator, folder)
    cells = operator.rows(
        "SELECT id, version, site_id, type, date_of_last_service::text, ST_X(geom_point), ST_Y(geom_point) "
        "FROM infrastructure.cells ORDER BY id, version"
    )
    assert cells == [
        ("c1", 0, "s1", "4G", "2016-01-10", 85.25, 27.5),
        ("c1", 1, "s1", "4G", None, 85.25, 27.6),
        ("c2", 0, "s1", "2G", None, None, None),
    ]
    assert operator.value("SELECT count(*) FROM infrastructure.sites WHERE geom_point IS NOT NULL") == 1
    assert operator.rows("SELECT id, hnd_type FROM infrastructure.tacs") == [(35123456, "Smart")]
    assert operator.rows(
        "SELECT admin1pcod, admin1name, parent_pcod, ST_Area(geom) FROM geography.admin1 ORDER BY 1"
    ) == [
        ("N.1", "n.1", "N", 1.0),
        ("N.2", "n.2", "N", 1.0),
    ]
    assert operator.rows("SELECT location_id FROM etl.location_keys ORDER BY 1") == [("c1",), ("c2",)]


def test_the_same_again_changes_nothing_and_stored_results_stay_fresh(operator, folder) -> None:
    load(operator, folder)
    version = operator.value("SELECT cells_version()")
    keys = operator.rows("SELECT * FROM etl.location_keys ORDER BY 1")
    assert set(load(operator, folder).values()) == {(0, 0, 0)}
    assert operator.value("SELECT cells_version()") == version
    assert operator.rows("SELECT * FROM etl.location_keys ORDER BY 1") == keys


def test_changed_cells_are_replaced_new_versions_added_and_boundaries_follow_the_file(
    operator, folder
) -> None:
    load(operator, folder)
    version = operator.value("SELECT cells_version()")
    moved = FILES["cells.csv"].replace("27.6", "27.7") + "c3,s1,0,New,5G,27,85,2016-02-01,\n"
    (folder / "cells.csv").write_text(moved)
    (folder / "boundaries" / "admin1.geojson").write_text(
        collection(unit("N.1", square(85, 27, 2)), unit("N.3", square(83, 27)))
    )
    changes = load(operator, folder)
    assert changes["cells.csv"] == (1, 1, 0)
    assert changes["admin1.geojson"] == (1, 1, 1)
    assert operator.rows("SELECT ST_Y(geom_point) FROM infrastructure.cells WHERE version = 1") == [(27.7,)]
    assert operator.rows("SELECT admin1pcod, ST_Area(geom) FROM geography.admin1 ORDER BY 1") == [
        ("N.1", 4.0),
        ("N.3", 1.0),
    ]
    assert operator.value("SELECT cells_version()") > version


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("cells.csv", "id,name\nc1,x\n", "cells.csv: wrong columns: missing latitude, longitude"),
        (
            "sites.csv",
            FILES["sites.csv"].replace("27.5", "97.5"),
            "sites.csv line 2: latitude '97.5': is not within 90",
        ),
        (
            "sites.csv",
            FILES["sites.csv"].replace("2015-01-01", "1/1/15"),
            "line 2: date_of_first_service '1/1/15'",
        ),
        (
            "sites.csv",
            FILES["sites.csv"].replace("27.5", ""),
            "s1 version 0: needs both latitude and longitude",
        ),
        ("sites.csv", FILES["sites.csv"].split("\n")[0], "sites.csv holds no records"),
        (
            "cells.csv",
            FILES["cells.csv"].replace("2016-01-11", "2016-01-10"),
            "versions 0 and 1 of c1 are both in service",
        ),
        (
            "cells.csv",
            FILES["cells.csv"].replace("2016-01-10", "2014-01-10"),
            "is before date_of_first_service",
        ),
        ("cells.csv", FILES["cells.csv"].replace("c2,s1,0", "c1,s1,0"), "c1 version 0 occurs 2 times"),
        ("tacs.csv", FILES["tacs.csv"].replace("35123456", "x"), "tacs.csv line 2: id 'x'"),
        ("tacs.csv", FILES["tacs.csv"].replace(",Google", ""), "tacs.csv line 2: has not 6 fields"),
        ("boundaries/admin0.geojson", collection(), "admin0.geojson holds 0 units; level 0 is the country"),
        ("boundaries/admin0.geojson", "[]", "is not a GeoJSON FeatureCollection"),
        (
            "boundaries/admin1.geojson",
            collection(unit("N.1", square(1, 1), None)),
            "feature 1: property parent is missing",
        ),
        (
            "boundaries/admin1.geojson",
            collection(unit("N.1", {"type": "Point"})),
            "N.1 is a Point; allowed: Polygon",
        ),
        (
            "boundaries/admin1.geojson",
            collection(
                unit("N.1", {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]})
            ),
            "N.1 is not a valid polygon: Self-intersection[",
        ),
    ],
)
def test_a_wrong_file_is_told_and_nothing_is_loaded(operator, folder, name, text, told) -> None:
    (folder / name).write_text(text)
    with pytest.raises(DataFault) as raised:
        load(operator, folder)
    assert told in str(raised.value)
    assert operator.value("SELECT count(*) FROM infrastructure.cells") == 0
    assert operator.value("SELECT count(*) FROM geography.geoms") == 0


def test_a_folder_with_none_of_the_files(operator, tmp_path) -> None:
    with pytest.raises(DataFault, match=r"holds neither cells.csv, sites.csv, tacs.csv nor boundaries"):
        load(operator, tmp_path)
    archive = tmp_path / "boundaries" / "gadm41_NPL_shp.zip"
    archive.parent.mkdir()
    archive.write_bytes(b"")
    with pytest.raises(DataFault, match=r"There is gadm41_NPL_shp\.zip: unpack archives of several files"):
        load(operator, tmp_path)


def test_a_new_version_beside_a_loaded_one_is_refused(operator, folder) -> None:
    load(operator, folder)
    header = FILES["cells.csv"].splitlines()[0]
    cells = folder / "cells.csv"
    cells.write_text(f"{header}\nc1,s1,2,Hill A,4G,27.7,85.25,2016-02-01,\n")
    with pytest.raises(
        DataFault,
        match="versions 1 and 2 of c1 are both in service on 2016-02-01; version 1 is loaded already and not in the file",
    ):
        load(operator, folder)
    closed = "c1,s1,1,Hill A,4G,27.6,85.25,2016-01-11,2016-01-31"
    cells.write_text(f"{header}\n{closed}\nc1,s1,2,Hill A,4G,27.7,85.25,2016-02-01,\n")
    assert load(operator, folder)["cells.csv"] == (1, 1, 0)


def test_a_boundary_with_heights_and_a_numeric_parent_is_loaded_once(operator, folder) -> None:
    path = folder / "boundaries" / "admin1.geojson"
    shape = square(85, 27)
    high = {"type": "Polygon", "coordinates": [[[*point, 1200] for point in shape["coordinates"][0]]]}
    path.write_text(collection(unit("N.1", high, 7)))
    assert load(operator, folder)["admin1.geojson"] == (1, 0, 0)
    assert load(operator, folder)["admin1.geojson"] == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "cells.csv",
            FILES["cells.csv"].replace("Hill", "Hügel").encode("latin-1"),
            "cells.csv is not UTF-8: byte",
        ),
        (
            "cells.csv",
            FILES["cells.csv"].replace("Hill A", '"Hill" A', 1).encode(),
            "cells.csv after line 1: ",
        ),
        ("boundaries/admin1.geojson", b'{"features": null}', "features is not a list of features"),
        ("boundaries/admin1.geojson", b'{"features": [1]}', "features is not a list of features"),
        (
            "boundaries/admin1.geojson",
            collection(unit("N.1", {"type": "Polygon", "coordinates": 1})).encode(),
            "admin1.geojson: N.1: ",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_a_line(operator, folder, name, content, told) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(DataFault) as raised:
        load(operator, folder)
    assert told in str(raised.value)


def case(number: str) -> Path:
    (folder,) = (Path(__file__).parent / "cases").glob(f"{number}-*")
    return folder


def test_boundaries_of_gadm_are_loaded_as_downloaded(operator, tmp_path) -> None:
    admin1 = case("60") / "boundaries" / "admin1.geojson"
    (tmp_path / "boundaries").mkdir()
    (tmp_path / "boundaries" / "admin1.geojson").write_bytes(admin1.read_bytes())
    load(operator, tmp_path)
    assert operator.rows("SELECT admin1pcod, admin1name FROM geography.admin1") == [("ZZZ.1_1", "North")]
    assert operator.value("SELECT additional_metadata ->> 'parent' FROM geography.geoms") == "ZZZ"


def test_a_self_crossing_boundary_names_the_place_or_is_repaired(operator) -> None:
    with pytest.raises(
        DataFault, match=r"ZZ1 is not a valid polygon: Self-intersection\[81 27\]; .* --repair"
    ):
        load(operator, case("64"))
    load_geography(operator.deployment, case("64"), repair=True)
    assert operator.value("SELECT ST_IsValid(geom) FROM geography.geoms WHERE short_name = 'ZZ1'")


def test_boundaries_of_another_system_are_in_degrees_after(operator, tmp_path) -> None:
    load(operator, case("66"))
    west, south = operator.rows(
        "SELECT ST_XMin(geom), ST_YMin(geom) FROM geography.geoms WHERE short_name = 'ZZ1'"
    )[0]
    # 200 km west of the central meridian of zone 45, which is 87 degrees east, and 2,900 km from the equator.
    assert (round(west), round(south)) == (85, 26)
    (tmp_path / "boundaries").mkdir()
    unsaid = (case("66") / "boundaries" / "admin1.geojson").read_text().replace('"crs"', '"srs"')
    (tmp_path / "boundaries" / "admin1.geojson").write_text(unsaid)
    with pytest.raises(
        DataFault, match="ZZ1: coordinates are beyond 180 and 90, so that they are not degrees"
    ):
        load(operator, tmp_path)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("67", "admin1: all 1 cells lie outside; with latitude and longitude exchanged 1 lie inside"),
        ("82", "admin0: all 3 cells lie outside; with latitude and longitude exchanged 3 lie inside"),
        ("71", "admin1: regions overlap, and a cell in both would count twice: ZZ1 and ZZ2 share 67%"),
    ],
)
def test_what_cannot_fit_together_is_refused(operator, number: str, told: str) -> None:
    with pytest.raises(DataFault) as raised:
        load(operator, case(number))
    assert told in str(raised.value)
    assert operator.value("SELECT count(*) FROM geography.geoms") == 0


def test_a_sliver_between_neighbours_is_no_overlap(operator, folder) -> None:
    thin = square(86.0, 27)
    thin["coordinates"][0] = [
        [x - 0.0001 if x == min(p[0] for p in thin["coordinates"][0]) else x, y]
        for x, y in thin["coordinates"][0]
    ]
    (folder / "boundaries" / "admin1.geojson").write_text(
        collection(unit("N.1", square(85, 27)), unit("N.2", thin))
    )
    load(operator, folder)


def test_what_is_doubtful_is_told(operator, tmp_path) -> None:
    (tmp_path / "cells.csv").write_text("id,lat,lon\nz,0,0\nfar,50,10\n")
    (tmp_path / "sites.csv").write_text("id;latitude;longitude\ns1;27;85\n")
    (tmp_path / "boundaries").mkdir()
    (tmp_path / "boundaries" / "admin1.geojson").write_text(collection(unit("N.1", square(85, 27))))
    told: list[str] = []
    load_geography(operator.deployment, tmp_path, tell=told.append)
    assert told == [
        "admin1: all 2 cells lie in no region, such as far, z",
        "1 cells lie at latitude 0, longitude 0, such as z: leave both empty if unknown",
        "1 sites have no cell, such as s1",
    ]


def test_codes_may_be_numbers(operator) -> None:
    load(operator, case("72"))
    codes = operator.rows("SELECT short_name FROM geography.geoms WHERE spatial_resolution = 1 ORDER BY 1")
    assert codes == [("0",), ("10",)]


def test_a_cell_list_needs_an_id_and_a_place(operator) -> None:
    load(operator, case("88"))
    assert operator.rows("SELECT id, version, ST_X(geom_point), site_id FROM infrastructure.cells") == [
        ("M0", 0, 81.0, None)
    ]


def test_an_export_of_opencellid_is_loaded_as_downloaded(operator) -> None:
    load(operator, case("80"))
    assert operator.rows("SELECT id, type, ST_Y(geom_point) FROM infrastructure.cells ORDER BY 1") == [
        ("429-1-1538-1072", "GSM", 27.1),
        ("429-1-1538-11137", "LTE", 27.2),
    ]


def test_every_fault_of_a_cell_list_is_told_at_once(operator) -> None:
    with pytest.raises(DataFault) as raised:
        load(operator, case("90"))
    for told in (
        "line 2: latitude '127': is not within 90",
        "line 3: version 'x'",
        "line 4: Q2 version 0: needs both latitude and longitude",
        "line 5: latitude 'abc'",
        "line 6: id '': is empty",
    ):
        assert told in str(raised.value)
