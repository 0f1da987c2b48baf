import csv
import gzip
import hashlib
import json
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
import shapely

from flowdb.synthetic.__main__ import main

pytestmark = pytest.mark.slow

START = date(2016, 2, 8)
DAYS = 4
SUBSCRIBERS = 600
HEADERS = {
    "calls": "call_id,record_type,start_time,duration,calling,called,imsi,imei,cell_id",
    "sms": "sms_id,record_type,time,msisdn,other_msisdn,imsi,imei,cell_id",
    "mds": "session_id,start_time,duration,bytes_up,bytes_down,msisdn,imsi,imei,cell_id",
    "topups": "transaction_id,time,channel,amount,fee,tax,balance_before,balance_after,msisdn,imsi,imei,cell_id",
}


def run(output, *more, seed=1, processes=1):
    options = {"output": output, "subscribers": SUBSCRIBERS, "days": DAYS, "start": START, "seed": seed}
    options |= {"processes": processes, "sites": 100, "cells": 300}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return main([*arguments, "--quiet", *more])


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    assert run(folder) == 0
    return folder


def checksums(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def lines(output, kind, day):
    with gzip.open(output / f"cdr/{kind}_{day.isoformat()}.csv.gz", "rt") as file:
        return file.read().splitlines()


def days():
    return [START + timedelta(days=number) for number in range(DAYS)]


def rows(output, kind):
    """Return the distinct well-formed rows of all days, with their file's day."""
    time = "time" if kind in ("sms", "topups") else "start_time"
    for day in days():
        header, *body = lines(output, kind, day)
        for row in csv.DictReader([header, *dict.fromkeys(body)]):
            if "calling" in row:
                parties = (row.pop("calling"), row.pop("called"))
                row["msisdn"], row["other_msisdn"] = parties if row["record_type"] == "MOC" else parties[::-1]
            if row["cell_id"] is None or row["msisdn"] in ("", "anonymous"):
                continue
            try:
                row["moment"] = datetime.strptime(row[time], "%Y-%m-%d %H:%M:%S")
            except ValueError:
                continue
            yield day, row


def test_equal_seeds_give_equal_files_whatever_the_processes(output, tmp_path):
    assert run(tmp_path, processes=2) == 0
    assert checksums(tmp_path) == checksums(output)


def test_another_seed_gives_other_people_in_the_same_country(output, tmp_path):
    assert run(tmp_path, seed=2) == 0
    ours, theirs = checksums(output), checksums(tmp_path)
    same = {name for name in ours if ours[name] == theirs[name]}
    assert same == {f"boundaries/admin{level}.geojson" for level in range(4)}


@pytest.mark.parametrize("kind", HEADERS)
def test_columns_and_days(output, kind):
    assert all(lines(output, kind, day)[0] == HEADERS[kind] for day in days())
    found = list(rows(output, kind))
    assert all(row["moment"].date() == day for day, row in found)
    assert all(len(row["msisdn"]) == 13 and row["msisdn"].startswith("97798") for _, row in found)


@pytest.mark.parametrize("kind", HEADERS)
def test_duplicates_and_broken_rows_are_those_expected(output, kind):
    expected = json.loads((output / "truth/expected.json").read_text())["files"]
    broken = Counter()
    duplicates = 0
    for day in days():
        told = expected[f"{kind}_{day.isoformat()}.csv.gz"]
        _, *body = lines(output, kind, day)
        assert len(body) == told["rows"]
        assert len(body) - len(set(body)) == told["duplicates"]
        well_formed = sum(found == day for found, _ in rows(output, kind))
        assert len(set(body)) - well_formed == sum(told["malformed"].values())
        broken.update(told["malformed"])
        duplicates += told["duplicates"]
    assert broken.total() > 0
    assert duplicates > 0 or kind == "topups"


def test_every_kind_of_fault_occurs(output):
    expected = json.loads((output / "truth/expected.json").read_text())["files"]
    broken = sum((Counter(told["malformed"]) for told in expected.values()), Counter())
    assert set(broken) == {"time", "msisdn", "columns", "withheld"}


@pytest.mark.parametrize(
    ("kind", "key", "outgoing"), [("calls", "call_id", "MOC"), ("sms", "sms_id", "SMMO")]
)
def test_legs_pair_up_by_id(output, kind, key, outgoing):
    legs = defaultdict(list)
    for _, row in rows(output, kind):
        legs[row[key]].append(row)
    sizes = Counter(len(found) for found in legs.values())
    assert set(sizes) == {1, 2}
    assert sizes[2] > 3 * sizes[1]
    for found in legs.values():
        assert sum(row["record_type"] == outgoing for row in found) <= 1
        if len(found) == 2:
            one, other = found
            assert (one["msisdn"], one["other_msisdn"]) == (other["other_msisdn"], other["msisdn"])
            assert one["record_type"] != other["record_type"]
            assert one["moment"] == other["moment"]
            assert one.get("duration") == other.get("duration")
        else:
            assert not found[0]["other_msisdn"].startswith("97798")


def test_balances_are_conserved_within_and_between_topups(output):
    last = {}
    for _, row in sorted(rows(output, "topups"), key=lambda found: found[1]["moment"]):
        amount, fee, tax, before, after = (
            Decimal(row[name]) for name in ("amount", "fee", "tax", "balance_before", "balance_after")
        )
        assert after == before + amount - fee - tax
        assert before <= last.get(row["msisdn"], before)
        last[row["msisdn"]] = after
    assert last


def test_activity_follows_the_hour_and_reaches_the_chosen_mean(output):
    found = [row["moment"] for kind in HEADERS for _, row in rows(output, kind)]
    hours = Counter(moment.hour for moment in found)
    assert hours[19] > 2 * hours[7] > 8 * hours[3]
    # A few very active people shift the mean of such a small country.
    assert 5 < len(found) / SUBSCRIBERS / DAYS < 10


def test_cells_are_known_or_missing(output):
    with (output / "cells.csv").open() as file:
        known = {row["id"] for row in csv.DictReader(file)}
    used = Counter(row["cell_id"] for kind in HEADERS for _, row in rows(output, kind))
    assert set(used) - known == {""}
    assert 0 < used[""] / used.total() < 0.02


def test_rows_are_roughly_in_time_order(output):
    moments = [row["moment"] for day, row in rows(output, "calls") if day == START]
    late = [latest - moment for latest, moment in zip(running_maximum(moments), moments, strict=True)]
    assert timedelta(0) < max(late) < timedelta(minutes=10)


def running_maximum(moments):
    latest = moments[0]
    for moment in moments:
        latest = max(latest, moment)
        yield latest


def cell_districts(output):
    """Return district codes of located cells, by point in polygon."""
    with (output / "cells.csv").open() as file:
        cells = [row for row in csv.DictReader(file) if row["longitude"]]
    features = json.loads((output / "boundaries/admin3.geojson").read_text())["features"]
    tree = shapely.STRtree([shapely.geometry.shape(feature["geometry"]) for feature in features])
    points = shapely.points([(float(row["longitude"]), float(row["latitude"])) for row in cells])
    found, inside = tree.query(points, "within")
    return {cells[a]["id"]: features[b]["properties"]["pcod"] for a, b in zip(found, inside, strict=True)}


def test_the_displaced_are_seen_at_home_before_and_at_their_destination_after(output):
    districts = cell_districts(output)
    with gzip.open(output / "truth/subscribers.csv.gz", "rt") as file:
        truth = {row["msisdn"]: row for row in csv.DictReader(file)}
    disaster = date(2016, 2, 10)
    fled = {msisdn for msisdn, row in truth.items() if row["left"] == disaster.isoformat()}
    assert len(fled) > 20
    seen = {"home_admin3": Counter(), "destination_admin3": Counter()}
    for kind in HEADERS:
        for day, row in rows(output, kind):
            if row["msisdn"] in fled and row["cell_id"] in districts:
                place = "home_admin3" if day < disaster else "destination_admin3"
                seen[place][districts[row["cell_id"]] == truth[row["msisdn"]][place]] += 1
    assert seen["home_admin3"][True] > 2 * seen["home_admin3"][False]
    assert seen["destination_admin3"][True] > 100
    assert seen["destination_admin3"][False] == 0


def test_resume_keeps_finished_days_and_makes_the_missing(output, tmp_path):
    assert run(tmp_path) == 0
    whole = checksums(tmp_path)
    kept = tmp_path / "cdr/calls_2016-02-08.csv.gz"
    before = kept.stat().st_mtime_ns
    (tmp_path / "cdr/mds_2016-02-10.csv.gz").unlink()
    (tmp_path / "truth/expected.json").unlink()
    assert run(tmp_path, "--resume") == 0
    assert checksums(tmp_path) == whole
    assert kept.stat().st_mtime_ns == before


def test_resume_refuses_files_of_other_parameters(output, capsys):
    before = checksums(output)
    assert run(output, "--resume", seed=3) == 2
    assert "other parameters" in capsys.readouterr().err
    assert checksums(output) == before


def test_a_tiny_quiet_country(tmp_path):
    arguments = [
        "--output",
        str(tmp_path),
        "--subscribers",
        "100",
        "--days",
        "1",
        "--events-per-subscriber-day",
        "0.01",
    ]
    assert main([*arguments, "--processes", "1", "--no-disaster", "--quiet"]) == 0
    expected = json.loads((tmp_path / "truth/expected.json").read_text())
    assert expected["disaster_districts"] == []
    assert len(expected["files"]) == 4


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--subscribers", "99"),
        ("--days", "0"),
        ("--cells", "80"),
        ("--events-per-subscriber-day", "0"),
        ("--timezone", "Moon/Base"),
    ],
)
def test_options_out_of_range_are_refused_by_name(tmp_path, capsys, option, value):
    with pytest.raises(SystemExit):
        main(["--output", str(tmp_path), "--sites", "100", option, value])
    message = capsys.readouterr().err
    assert f"argument {option}" in message
    assert value in message
