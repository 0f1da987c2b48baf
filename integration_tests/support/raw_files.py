"""Read the operator's files by their rules, without any code of the loader.

Expected answers are counted from the result.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path

from shapely import Point
from shapely.geometry import shape


def people_by_region(
    landing: Path, unit: str, days: list[date], kinds: tuple[str, ...]
) -> dict[str, set[str]]:
    """Return the numbers seen in each region by events of the kinds."""
    boundaries = json.loads((landing / "boundaries" / f"{unit}.geojson").read_text())["features"]
    shapes = {feature["properties"]["pcod"]: shape(feature["geometry"]) for feature in boundaries}
    with (landing / "cells.csv").open() as file:
        cells = [cell for cell in csv.DictReader(file) if cell["latitude"]]
    people = defaultdict(set)
    for day in days:
        regions = defaultdict(list)
        for cell in cells:
            first, last = cell["date_of_first_service"], cell["date_of_last_service"]
            if (first or "0") <= day.isoformat() <= (last or "9"):
                point = Point(float(cell["longitude"]), float(cell["latitude"]))
                regions[cell["id"]] += [pcod for pcod, area in shapes.items() if area.contains(point)]
        for kind in kinds:
            for line in good_lines(landing, kind, day):
                for pcod in regions.get(line["cell_id"], []):
                    people[pcod].add(_number(line["msisdn"]))
    return people


def good_lines(landing: Path, kind: str, day: date) -> list[dict[str, str]]:
    """Return the readable lines of that day that name their subscriber."""
    with gzip.open(landing / "cdr" / f"{kind}_{day}.csv.gz", "rt") as file:
        header, *lines = [line.split(",") for line in file.read().splitlines() if line]
    records = (_served(dict(zip(header, line, strict=True))) for line in lines if len(line) == len(header))
    return [record for record in records if _is_good(record, day)]


def _served(line: dict[str, str]) -> dict[str, str]:
    """Return a line with its served party as ``msisdn``.

    In a file of calls the record type says which party is served.
    """
    if "calling" not in line:
        return line
    parties = (line["calling"], line["called"])
    served, other = parties if line["record_type"] == "MOC" else parties[::-1]
    return line | {"msisdn": served, "other_msisdn": other}


def _is_good(line: dict[str, str], day: date) -> bool:
    try:
        time = datetime.strptime(line.get("time") or line["start_time"], "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return False
    return (
        time.date() == day
        and line.get("record_type", "MOC") in ("MOC", "MTC", "SMMO", "SMMT", "")
        and re.fullmatch("[0-9]{7,15}", _number(line["msisdn"])) is not None
    )


def _number(text: str) -> str:
    """Normalise a number: no plus sign, double zero or spaces."""
    digits = re.sub(r"[\s().-]", "", text)
    return digits[1:] if digits.startswith("+") else digits.removeprefix("00")
