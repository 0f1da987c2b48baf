"""Check the comparison with published packages and its page.

No package is asked here.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
from benchmarks import packages_report
from benchmarks.package_measures import BANDICOOT, MEASURES, SKMOB, Measure
from benchmarks.packages import compare, judged, unexplained

from flowmachine.queries.catalogue import kinds
from flowmachine.spec.query import Query

WINDOW = {"start_date": "2016-01-01", "end_date": "2016-01-15"}


@pytest.mark.parametrize(
    ("ours", "theirs", "scale", "expected"),
    [
        ({"a": 2.0}, {"a": 2.0 + 1e-6}, 1.0, (1, 1, 0, 0, 5e-7)),
        ({"a": 2.0}, {"a": 2.001}, 1.0, (1, 0, 0, 0, 0.001 / 2.001)),
        ({"a": 25.0}, {"a": 0.25}, 100.0, (1, 1, 0, 0, 0.0)),
        ({"a": 0.0}, {"a": 3e-12}, 1.0, (1, 1, 0, 0, 0.0)),
        ({"a": 1.0, "b": 1.0}, {"b": 1.0, "c": 1.0, "d": 1.0}, 1.0, (1, 1, 1, 2, 0.0)),
        ({"a": [85.5, 27.25]}, {"a": [85.5, 27.25]}, 1.0, (1, 1, 0, 0, None)),
        ({"a": [85.5, 27.25]}, {"a": [85.5, 27.2501]}, 1.0, (1, 0, 0, 0, None)),
    ],
)
def test_values_are_compared_by_subscriber(
    ours: dict[str, Any], theirs: dict[str, Any], scale: float, expected: tuple[Any, ...]
) -> None:
    compared, equal, only_ours, only_theirs, largest = expected
    assert compare(ours, theirs, scale) == {
        "compared": compared,
        "equal": equal,
        "only_ours": only_ours,
        "only_theirs": only_theirs,
        "largest_difference": largest if largest is None else pytest.approx(largest, rel=1e-6),
    }


def test_a_reason_counts_only_if_the_package_follows_it() -> None:
    differs = {"compared": 2, "equal": 1, "only_ours": 0, "only_theirs": 0}
    same = differs | {"equal": 2}
    assert not unexplained(same)
    assert unexplained(differs)
    assert unexplained(same | {"only_theirs": 1})
    assert not unexplained(differs | {"as_defined": same})
    assert unexplained(differs | {"as_defined": differs})


def _events(path: Path) -> Path:
    """Two places, a degree apart, and a contact called four times out of five."""
    rows = [
        (1, "2016-01-01 10:00:00", "x", "north", 85.0, 28.0),
        (2, "2016-01-01 10:01:00", "x", "south", 85.0, 27.0),
        (3, "2016-01-01 10:02:00", "x", "south", 85.0, 27.0),
        (4, "2016-01-01 23:00:00", "y", "north", 85.0, 28.0),
        (5, "2016-01-02 06:59:59", "x", "south", 85.0, 27.0),
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                *("number", "subscriber", "time", "type", "direction", "counterpart", "duration"),
                *("place", "lon", "lat"),
            ]
        )
        for number, time, contact, place, lon, lat in rows:
            writer.writerow([number, "a", time, "call", "out", contact, 60, place, lon, lat])
    return path


#: A degree on a ball of 6,371 km.
DEGREE = 6371 * math.pi / 180


@pytest.mark.parametrize(
    ("package", "name", "expected"),
    [
        # 28 twice and 27 three times: the mean is 27.4, the mean square of the distances 0.24.
        (SKMOB, "Radius of gyration", DEGREE * math.sqrt(0.24)),
        (SKMOB, "Radius of gyration of the 2 most frequent places", DEGREE * math.sqrt(0.24)),
        (SKMOB, "Distance travelled", 3 * DEGREE),
        (SKMOB, "Longest jump", DEGREE),
        # One event at night at either place.
        (SKMOB, "Home by nights, 22 to 7", [85.0, 27.0]),
        (SKMOB, "Longest distance from home", DEGREE),
        # Of the first half-hour only the south counts: south, north, south.
        (BANDICOOT, "Radius of gyration", DEGREE * math.sqrt(2 / 9)),
        (BANDICOOT, "Entropy of places", math.log(3) - 2 / 3 * math.log(2)),
        (BANDICOOT, "Number of places", 2),
        (BANDICOOT, "Home by nights, 19 to 7", [85.0, 28.0]),
        (BANDICOOT, "Contacts behind 80% of events", 1 / 5),
    ],
)
def test_definitions_of_packages(package: str, name: str, expected: Any, tmp_path: Path) -> None:
    (measure,) = (one for one in MEASURES if one.package == package and one.name == name)
    found = judged(measure, {}, {"a": expected}, _events(tmp_path / "events.csv"))["as_defined"]
    assert (found["compared"], found["equal"], found["only_ours"]) == (1, 1, 0)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.key)
def test_every_measure_is_one_of_ours(measure: Measure) -> None:
    query = measure.ours(WINDOW)
    assert isinstance(query, Query)
    query.check_buildable()
    assert (query.kind if measure.kind in kinds() else type(query).__name__) == measure.kind
    assert bool(measure.differs) == bool(measure.package_definition)


def test_names_are_unique() -> None:
    assert len({measure.key for measure in MEASURES}) == len(MEASURES)


def test_the_page_is_made_of_the_numbers_and_names_every_measure() -> None:
    page = packages_report.PAGE.read_text()
    found = packages_report.numbers()
    assert page == packages_report.page(found)
    for measure in MEASURES:
        assert f"| {measure.name} | `{measure.kind}` | {measure.package} `{measure.function}` |" in page
    for package in found["packages"].values():
        assert package["version"] in page


def test_every_difference_has_its_reason() -> None:
    assert packages_report.differing(packages_report.numbers()) == []


def test_versions_are_those_that_are_pinned() -> None:
    folder = Path(packages_report.__file__).parent / "peers"
    for name, package in packages_report.numbers()["packages"].items():
        assert f"{name}=={package['version']}" in (folder / f"{name}.txt").read_text().splitlines()
