"""Load boundaries and cells under the names and in the forms of their downloads."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from flowetl.errors import DataFault
from flowetl.geography import load_geography

SQUARE = [[[85, 27], [86, 27], [86, 28], [85, 28], [85, 27]]]
COUNTRY = [[[80, 26], [88, 26], [88, 30], [80, 30], [80, 26]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "landed").mkdir()
    return tmp_path / "landed"


def load(operator, folder: Path) -> list[str]:
    told: list[str] = []
    load_geography(operator.deployment, folder, tell=told.append)
    return told


def collection(properties: dict[str, str | None], ring: list) -> str:
    feature = {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": ring},
    }
    return json.dumps({"type": "FeatureCollection", "features": [feature]})


GADM = {"GID_1": "NPL.1_1", "GID_0": "NPL", "COUNTRY": "Nepal", "NAME_1": "Bagmati", "NL_NAME_1": "NA"}
HDX = {"ADM1_PCODE": "NP03", "ADM0_EN": "Nepal", "ADM0_PCODE": "NP", "date": "2020-11-17"}
DOWNLOADS = [
    ("gadm41_NPL_1.json", GADM, ("NPL.1_1", "Bagmati", "NPL")),
    ("gadm41_NPL_1.json.zip", GADM, ("NPL.1_1", "Bagmati", "NPL")),
    ("npl_admbnda_adm1_nd_20240320.geojson", HDX | {"ADM1_EN": "Bagmati"}, ("NP03", "Bagmati", "NP")),
    ("hti_adm_adm1_cnigs_20181129.geojson", HDX | {"ADM1_FR": "Ouest"}, ("NP03", "Ouest", "NP")),
    (
        "npl_admin1.geojson",
        {
            "adm1_name": "Bagmati",
            "adm1_pcode": "NP03",
            "adm0_name": "Nepal",
            "adm0_pcode": "NP",
            "iso3": "NPL",
        },
        ("NP03", "Bagmati", "NP"),
    ),
    # Its group is the country at every level: the region around is found by place.
    (
        "geoBoundaries-NPL-ADM1_simplified.geojson",
        {
            "shapeName": "Bagmati",
            "shapeISO": "NP-P3",
            "shapeID": "7B1",
            "shapeGroup": "NPL",
            "shapeType": "ADM1",
        },
        ("7B1", "Bagmati", "country"),
    ),
]


def test_every_download_keeps_its_name(operator, folder) -> None:
    (folder / "boundaries").mkdir()
    (folder / "boundaries" / "admin0.geojson").write_text(
        collection({"pcod": "country", "name": "Nepal", "parent": None}, COUNTRY)
    )
    for name, properties, loaded in DOWNLOADS:
        text = collection(properties, SQUARE)
        if name.endswith(".zip"):
            with zipfile.ZipFile(folder / name, "w") as archive:
                archive.writestr(name.removesuffix(".zip"), text)
        else:
            (folder / name).write_text(text)
        # Other codes of the country than its file's are told.
        assert all("name a parent that does not exist" in told for told in load(operator, folder)), name
        found = operator.rows(
            "SELECT short_name, long_name, additional_metadata ->> 'parent' FROM geography.geoms WHERE spatial_resolution = 1"
        )
        assert found == [loaded], name
        (folder / name).unlink()


def test_two_downloads_of_one_level_are_refused(operator, folder) -> None:
    for name in ("gadm41_NPL_1.json", "npl_admin1.geojson"):
        (folder / name).write_text(collection(GADM, SQUARE))
    with pytest.raises(
        DataFault, match=r"admin1: gadm41_NPL_1.json, npl_admin1.geojson are all of this level"
    ):
        load(operator, folder)


HEADER = "radio,mcc,net,area,cell,unit,lon,lat,range,samples,changeable,created,updated,averageSignal\n"
TOWERS = (
    "GSM,429,1,1538,7,0,85.1,27.5,1000,2,1,1282569574,1300155341,0\n"
    "UMTS,429,1,1538,7,0,85.3,27.5,1000,9,1,1282569574,1300155341,0\n"
    "LTE,429,2,1538,7,0,85.4,27.5,1000,1,1,1282569574,1300155341,0\n"
)
AGAIN = "cells.csv.gz: 1 lines name a cell again, as another kind of radio: that of most samples was used"


@pytest.mark.parametrize("header", [HEADER, ""])
def test_cells_of_opencellid_with_and_without_a_header(operator, folder, header: str) -> None:
    (folder / "cells.csv.gz").write_bytes(gzip.compress((header + TOWERS).encode()))
    assert load(operator, folder) == [AGAIN]
    assert cells(operator) == [("429-1-1538-7", "UMTS", 85.3), ("429-2-1538-7", "LTE", 85.4)]


def test_cells_of_one_network_by_area_and_number(operator, folder) -> None:
    (folder / "429.csv.gz").write_bytes(gzip.compress(TOWERS.encode()))
    mapping = (
        'file: 429.csv.gz\ncolumns: {id: {join: [area, cell], with: "-"}, latitude: lat, longitude: lon}\n'
    )
    (folder / "cells.yml").write_text(mapping)
    # Numbers of two networks are two cells.
    with pytest.raises(DataFault, match=r"429\.csv\.gz: 1538-7 version 0 occurs 2 times"):
        load(operator, folder)
    (folder / "cells.yml").write_text(mapping + "only: {net: [1]}\n")
    load(operator, folder)
    assert cells(operator) == [("1538-7", None, 85.3)]
    (folder / "cells.yml").write_text(mapping + "only: {network: [1]}\n")
    with pytest.raises(DataFault, match=r"429\.csv\.gz has no column network; there are: radio, mcc"):
        load(operator, folder)


def test_a_list_without_header_has_its_columns_named(operator, folder) -> None:
    (folder / "cells.yml").write_text(
        "file: list.txt\nfields: [x, y, code]\ncolumns: {id: code, latitude: y, longitude: x}\n"
    )
    (folder / "list.txt").write_text("85.1;27.5;A\n85.2;27.5;B\n")
    load(operator, folder)
    assert cells(operator) == [("A", None, 85.1), ("B", None, 85.2)]


def test_all_cells_that_do_not_fit_are_told_at_once(operator, folder) -> None:
    (folder / "cells.csv").write_text("id,lat,lon\na,27,85\na,27,85\nb,27,85\nb,27,85\nb,27,85\n")
    with pytest.raises(DataFault, match="a version 0 occurs 2 times; b version 0 occurs 3 times"):
        load(operator, folder)


def cells(operator) -> list[tuple]:
    return operator.rows("SELECT id, type, ST_X(geom_point) FROM infrastructure.cells ORDER BY id")


def test_a_country_of_an_older_gadm_has_its_name_elsewhere(operator, folder) -> None:
    (folder / "boundaries").mkdir()
    (folder / "boundaries" / "gadm36_NPL_0.json").write_text(
        collection({"GID_0": "NPL", "NAME_0": "Nepal"}, COUNTRY)
    )
    load_geography(operator.deployment, folder)
    assert operator.rows("SELECT short_name, long_name FROM geography.geoms") == [("NPL", "Nepal")]
