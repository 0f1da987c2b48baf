"""Load boundaries, cells and devices as they are downloaded."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from pyogrio.raw import write

from flowetl.errors import ConfigurationError, DataFault
from flowetl.geography import load_geography

COUNTRY = [("NPL", "Nepal", None, (80, 26, 88, 30))]
DISTRICTS = [("NPL.1_1", "East", "NPL", (85, 27, 86, 28)), ("NPL.2_1", "West", "NPL", (86, 27, 87, 28))]


def write_layer(
    path: Path, regions, names, layer=None, driver="GPKG", crs="EPSG:4326", flip=False, append=False
):
    """One layer of a vector file, whose columns are named code, name and parent."""
    boxes = [shapely.box(*bounds) for *_, bounds in regions]
    if flip:
        boxes = [shapely.transform(box, lambda xy: xy * 100_000) for box in boxes]
    columns = [np.array([region[place] for region in regions], object) for place in range(len(names))]
    write(
        path,
        np.array([shapely.to_wkb(box) for box in boxes], object),
        columns,
        np.array(names, object),
        layer=layer,
        driver=driver,
        geometry_type="Polygon",
        crs=crs,
        append=append,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "geography" / "boundaries").mkdir(parents=True)
    return tmp_path / "geography"


def load(operator, folder: Path) -> list[str]:
    told: list[str] = []
    load_geography(operator.deployment, folder, tell=told.append)
    return told


def regions(operator) -> list[tuple]:
    return operator.rows(
        "SELECT short_name, long_name, spatial_resolution, additional_metadata ->> 'parent', ST_XMin(geom) "
        "FROM geography.geoms ORDER BY spatial_resolution, short_name"
    )


LOADED = [("NPL", "Nepal", 0, None, 80), ("NPL.1_1", "East", 1, "NPL", 85), ("NPL.2_1", "West", 1, "NPL", 86)]


def test_a_geopackage_of_gadm_as_downloaded(operator, folder) -> None:
    path = folder / "boundaries" / "gadm41_NPL.gpkg"
    write_layer(path, COUNTRY, ("GID_0", "COUNTRY"), "ADM_ADM_0")
    write_layer(path, DISTRICTS, ("GID_1", "NAME_1", "GID_0"), "ADM_ADM_1", append=True)
    assert load(operator, folder) == []
    assert regions(operator) == LOADED
    # One level of such a file is chosen by its layer.
    path.rename(folder / "boundaries" / "nepal.gpkg")
    with pytest.raises(DataFault, match=r"boundaries/boundaries\.yml"):
        load(operator, folder)
    (folder / "boundaries" / "boundaries.yml").write_text(
        "admin0: {file: nepal.gpkg, layer: ADM_ADM_0}\nadmin1: {file: nepal.gpkg, layer: ADM_ADM_1}\n"
    )
    assert load(operator, folder) == []
    assert regions(operator) == LOADED


def test_a_shapefile_of_hdx_as_downloaded(operator, folder) -> None:
    names = ("ADM0_PCODE", "ADM0_EN")
    write_layer(folder / "boundaries" / "admin0.shp", COUNTRY, names, driver="ESRI Shapefile")
    write_layer(
        folder / "boundaries" / "admin1.shp",
        DISTRICTS,
        ("ADM1_PCODE", "ADM1_EN", "ADM0_PCODE"),
        driver="ESRI Shapefile",
    )
    assert load(operator, folder) == []
    assert regions(operator) == LOADED


def test_names_of_properties_that_nobody_knows_are_mapped(operator, folder) -> None:
    write_layer(folder / "provinces.gpkg", DISTRICTS, ("code", "label", "in"))
    (folder / "boundaries.yml").write_text("admin1: {file: provinces.gpkg, pcod: code, name: label}\n")
    load(operator, folder)
    assert [(row[0], row[3]) for row in regions(operator)] == [("NPL.1_1", None), ("NPL.2_1", None)]
    (folder / "boundaries.yml").write_text(
        "admin1: {file: provinces.gpkg, pcod: code, name: label, parent: in}\n"
    )
    load(operator, folder)
    assert [row[3] for row in regions(operator)] == ["NPL", "NPL"]


def test_coordinates_in_metres_are_converted(operator, folder) -> None:
    write_layer(
        folder / "boundaries" / "admin0.gpkg", COUNTRY, ("GID_0", "COUNTRY"), crs="EPSG:3857", flip=True
    )
    load(operator, folder)
    ((_, _, _, _, west),) = regions(operator)
    assert west == pytest.approx(80 * 100_000 / 111_319.49, rel=1e-5)


def test_files_that_cannot_be_right(operator, folder) -> None:
    path = folder / "boundaries" / "admin0.gpkg"
    write_layer(path, COUNTRY, ("GID_0", "COUNTRY"), "a")
    write_layer(path, COUNTRY, ("GID_0", "COUNTRY"), "b", append=True)
    with pytest.raises(DataFault, match=r"admin0.gpkg has the layers a, b: name one in boundaries\.yml"):
        load(operator, folder)
    (folder / "boundaries.yml").write_text("admin0: {file: boundaries/admin0.gpkg, layer: c}")
    with pytest.raises(DataFault, match=r"has no layer 'c'; there are: a, b"):
        load(operator, folder)
    path.write_bytes(b"no database")
    with pytest.raises(DataFault, match="cannot be read"):
        load(operator, folder)
    path.unlink()
    write_layer(path, COUNTRY, ("GID_0", "COUNTRY"), "a", crs="+proj=laea +lat_0=28 +lon_0=84")
    (folder / "boundaries.yml").unlink()
    with pytest.raises(DataFault, match="does not name the system of its coordinates by an EPSG code"):
        load(operator, folder)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("admin4: {file: x}", "'admin4' is no level; allowed: admin0, admin1, admin2, admin3"),
        ("admin1: {file: x, code: y}", "admin1.code: no such key; allowed: file, layer, pcod"),
        ("admin1: {file: x, pcod: y}", "pcod and name are given both or neither"),
    ],
)
def test_wrong_mappings_of_boundaries(operator, folder, text, told) -> None:
    (folder / "boundaries.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        load(operator, folder)


def test_a_mapping_leaves_its_folder_never(operator, folder) -> None:
    (folder / "boundaries.yml").write_text("admin1: {file: ../x.gpkg}")
    with pytest.raises(DataFault, match=r"file '\.\./x\.gpkg' is not in the folder of boundaries\.yml"):
        load(operator, folder)


CELLS = "MCC|LAC|CI|Breite|Länge|seit|bis\n429|1538|7|27,5|85.25|01.02.2015|\n"
MAPPING = """
file: antennen.txt
delimiter: "|"
encoding: latin-1
dates: ["%d.%m.%Y", "%Y%m%d"]
columns:
  id: {join: [MCC, LAC, CI], with: "-"}
  latitude: Breite
  longitude: Länge
  date_of_first_service: seit
"""


def test_cells_with_other_names_dates_and_encodings(operator, folder) -> None:
    (folder / "cells.yml").write_text(MAPPING)
    (folder / "antennen.txt").write_bytes(CELLS.replace("27,5", "27.5").encode("latin-1"))
    assert load(operator, folder) == []
    found = operator.rows(
        "SELECT id, version, date_of_first_service::text, ST_Y(geom_point) FROM infrastructure.cells"
    )
    assert found == [("429-1538-7", 0, "2015-02-01", 27.5)]


def test_all_faults_of_a_mapped_list_are_told_at_once(operator, folder) -> None:
    (folder / "cells.yml").write_text(MAPPING)
    (folder / "antennen.txt").write_bytes((CELLS + "1|2|3|27|85|2015-02-01|\n1|2|3\n").encode("latin-1"))
    with pytest.raises(DataFault) as error:
        load(operator, folder)
    told = str(error.value)
    assert "line 2: latitude '27,5'" in told
    assert "line 3: date_of_first_service '2015-02-01': is not of the form %d.%m.%Y or %Y%m%d" in told
    assert "line 4: has not 7 fields" in told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  id: {join: [MCC, LAC, CI]", "  name: {join: [MCC, LAC, CI]", "missing id; not known none"),
        ("  id: {", "  place: x\n  id: {", "not known place; allowed id, version"),
        ("latitude: Breite", "latitude: Hoehe", "has no column Hoehe; there are: MCC, LAC, CI, Breite"),
        ("latin-1", "utf-9", "'utf-9' is not an encoding"),
    ],
)
def test_wrong_mappings_of_lists(operator, folder, old, new, told) -> None:
    assert old in MAPPING
    (folder / "cells.yml").write_text(MAPPING.replace(old, new))
    (folder / "antennen.txt").write_bytes(CELLS.encode("latin-1"))
    with pytest.raises((ConfigurationError, DataFault), match=told):
        load(operator, folder)


def test_device_models_with_other_names(operator, folder) -> None:
    (folder / "tacs.yml").write_text("file: gsma.csv\ncolumns: {id: TAC, brand: Marke, model: Modell}\n")
    (folder / "gsma.csv").write_text("TAC;Marke;Modell;Rest\n35123456;Danfe;D1;x\n")
    load(operator, folder)
    assert operator.rows("SELECT id::integer, brand, model FROM infrastructure.tacs") == [
        (35123456, "Danfe", "D1")
    ]


def test_files_that_were_not_read_are_told(operator, folder) -> None:
    write_layer(folder / "boundaries" / "admin0.gpkg", COUNTRY, ("GID_0", "COUNTRY"))
    (folder / "Cells_2020.csv").write_text("x")
    (folder / "boundaries" / "admin2_new.geojson").write_text("x")
    (folder / "calls_2020-01-01.csv").write_text("x")
    told = load(operator, folder)
    assert [text.split(" ")[0] for text in told] == ["Cells_2020.csv", "admin2_new.geojson"]
