"""Hold single rules on what operators deliver that no case of ``cases`` has."""

import datetime as dt
import hashlib
import json
from pathlib import Path

import pytest

from flowetl.errors import DataFault
from flowetl.events import TERABYTE, YEAR_SECONDS
from flowetl.geography import load_geography
from flowetl.sampling import find, sample

from .test_deliveries import COUNTRY, load, regions, write_layer
from .test_forms import BASE, DAY, given, text
from .test_forms import deliver as deliver_of

deliver = deliver_of
NOON = 1_586_952_000
"""Noon of the day, in seconds since 1970 in UTC."""


def test_numbers_with_other_marks_and_times_in_milliseconds(operator, deliver) -> None:
    assert dt.datetime.fromtimestamp(NOON, dt.UTC).date() == DAY
    seconds = ("1.234,5", str(int(YEAR_SECONDS)), str(int(YEAR_SECONDS) + 1))
    lines = [f"MOC;{NOON}123;9841000001;9842000001;c1;{text}" for text in seconds]
    deliver(
        {f"calls_{DAY}.csv": "\n".join([";".join([*BASE["fields"], "seconds"]), *lines, ""])},
        fields=[*BASE["fields"], "seconds"],
        format={"delimiter": ";"},
        mapping=BASE["mapping"]
        | {
            "datetime": {"column": "started", "format": "epoch_ms"},
            "duration": {"column": "seconds", "format": {"decimal": ",", "thousands": "."}},
        },
        # A value that cannot be right is empty; here that is one in three.
        rejects={"maximum_unreadable": 0.5},
    )
    found = operator.rows("SELECT DISTINCT datetime FROM events.calls")
    assert found == [(dt.datetime(2020, 4, 15, 12, 0, 0, 123_000, dt.UTC),)]
    durations = operator.rows("SELECT duration::float FROM events.calls ORDER BY 1 NULLS LAST")
    assert durations == [(1234.5,), (float(YEAR_SECONDS),), (None,)]


def test_a_volume_beyond_a_terabyte_is_none(operator) -> None:
    who = operator.alice
    most = int(TERABYTE) * 1_000_000
    operator.write(
        "mds",
        [
            [name, "2016-01-01 12:00:00", 1, up, 0, who.msisdn, who.imsi, who.imei, "c1"]
            for name, up in (("a", most), ("b", most + 1_000_000), ("c", -1))
        ],
    )
    operator.load("mds")
    found = operator.rows("SELECT id, volume_upload::float FROM events.mds ORDER BY id")
    assert found == [("a", float(TERABYTE)), ("b", None), ("c", None)]


def test_other_texts_are_subscribers_only_where_the_source_says_so(operator, deliver) -> None:
    texts = (
        "2f1b7c1e-9d4e-4b8a-9c0e-3b5a1d2c4e6f",
        "qL8R4QIcQ/ZsRqOAbeRfcZhilN/MksRtDaErMA==",
        hashlib.sha512(b"somebody").hexdigest(),
    )
    lines = [f"MOC,{DAY} 10:00:00,{text},9842000001,c1" for text in texts]
    files = {f"calls_{DAY}.csv": "\n".join([",".join(BASE["fields"]), *lines, ""])}
    with pytest.raises(DataFault, match=r"mapping\.msisdn must be a number of 8 or 10 digits") as error:
        deliver(files, rejects={"tolerated": 0})
    assert not [text for text in texts if text in str(error.value)]
    said = {"msisdn": {"form": "text", "pattern": "[0-9A-Za-z+/=-]{36,128}"}}
    assert deliver(files, identifiers=BASE["identifiers"] | said).rows == 3
    assert operator.value("SELECT count(DISTINCT msisdn) FROM events.calls") == 3


def test_cells_are_trimmed_alike_and_what_is_unknown_is_told(operator, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "cells.csv").write_text("id;lat;lon\r\n A1 ;27;85\r\n", encoding="utf-8-sig")
    (tmp_path / "lists" / "tacs.csv").write_text("id,brand,model,hnd_type\n99123456,Danfe,D1,Smart\n")
    load_geography(operator.deployment, tmp_path / "lists")
    who, other = operator.alice, operator.bob
    cells = (" A1", "", "")
    operator.write(
        "calls",
        [operator.call(f"n{at}", f"1{at}:00:00", who, other, cell=cell) for at, cell in enumerate(cells)],
    )
    operator.load()
    note = operator.value("SELECT note FROM etl.loads")
    assert "only 1 of 3 records name a cell" in note
    assert "only 0 of 3 records are of a device model in tacs.csv" in note
    assert operator.rows("SELECT location_id FROM events.calls WHERE location_id IS NOT NULL") == [("A1",)]


def test_source_check_tells_of_other_days(operator) -> None:
    given(operator, days="by_record")
    path = operator.deployment.landing / f"calls_{DAY}.csv"
    path.write_text(text(3) + text(2, DAY - dt.timedelta(1), 10, header=False))
    source, item, date = find(operator.deployment, Path(path.name), None, None)
    found = sample(operator.deployment, source, item, date, 1)
    assert "2 records are of other days, 2020-04-14 to 2020-04-14" in found.suspicious
    # The name of a description is enough, too.
    assert find(operator.deployment, Path("s"), None, None)[:2] == (source, item)


def test_boundaries_that_are_empty_or_belong_nowhere(operator, tmp_path: Path) -> None:
    folder = tmp_path / "geography"
    (folder / "boundaries").mkdir(parents=True)
    write_layer(folder / "boundaries" / "admin0.fgb", COUNTRY, ("GID_0", "COUNTRY"), driver="FlatGeobuf")
    ring = [[85, 27], [86, 27], [86, 28], [85, 28], [85, 27]]

    def districts(coordinates: list) -> None:
        shape = {"type": "Polygon", "coordinates": coordinates}
        properties = {"pcod": "N.1", "name": "East", "parent": "X"}
        feature = {"type": "Feature", "properties": properties, "geometry": shape}
        content = json.dumps({"type": "FeatureCollection", "features": [feature]})
        (folder / "boundaries" / "admin1.geojson").write_text(content)

    districts([])
    with pytest.raises(DataFault, match=r"admin1\.geojson: N\.1 is an empty polygon"):
        load(operator, folder)
    districts([ring])
    assert load(operator, folder) == ["admin1: 1 regions name a parent that does not exist, such as N.1"]
    assert [region[0] for region in regions(operator)] == ["NPL", "N.1"]
