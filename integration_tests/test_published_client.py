"""The published client, unmodified, against the real stack: every kind of query, blocking and asynchronous."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from published_environment import run_script

if TYPE_CHECKING:
    from conftest import Stack

FIRST_DAY = {"start_date": "2016-01-01", "end_date": "2016-01-02"}
THREE_DAYS = {"start_date": "2016-01-01", "end_date": "2016-01-04"}
BOTH = {"event_types": ["calls", "sms"]}


def spec(name: str, **arguments: Any) -> dict[str, Any]:
    return {"spec": f"{name}_spec", **arguments}


def daily(day: int = 1, method: str = "last", unit: str = "admin3", **more: Any) -> dict[str, Any]:
    return spec("daily_location", date=f"2016-01-{day:02}", aggregation_unit=unit, method=method, **more)


def query(function: str, geographic: bool = True, **arguments: Any) -> dict[str, Any]:
    return {"function": function, "arguments": arguments, "geographic": geographic}


def modal(*days: int) -> dict[str, Any]:
    return spec("modal_location", locations=[daily(day) for day in days])


UNIQUE = spec("unique_locations", **THREE_DAYS, aggregation_unit="admin3")
UNIT = {"aggregation_unit": "admin3"}

#: Name -> query, and the columns of its result.
QUERIES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "daily": (query("spatial_aggregate", locations=daily()), ["pcod", "value"]),
    "daily most common": (
        query("spatial_aggregate", locations=daily(method="most-common", **BOTH)),
        ["pcod", "value"],
    ),
    "daily at points": (query("spatial_aggregate", locations=daily(unit="lon-lat")), ["lon", "lat", "value"]),
    "most frequent": (
        query(
            "spatial_aggregate", locations=spec("most_frequent_location", **FIRST_DAY, **UNIT, hours=(20, 4))
        ),
        ["pcod", "value"],
    ),
    "modal from dates": (
        query(
            "spatial_aggregate",
            locations=spec(
                "modal_location_from_dates", **THREE_DAYS, aggregation_unit="admin3", method="last"
            ),
        ),
        ["pcod", "value"],
    ),
    "modal": (query("spatial_aggregate", locations=modal(1, 2)), ["pcod", "value"]),
    "radius of gyration": (
        query("joined_spatial_aggregate", locations=daily(), metric=spec("radius_of_gyration", **FIRST_DAY)),
        ["pcod", "value"],
    ),
    "event count": (
        query(
            "joined_spatial_aggregate",
            locations=daily(),
            metric=spec("event_count", **FIRST_DAY, **BOTH),
            method="median",
        ),
        ["pcod", "value"],
    ),
    "unique subscribers": (query("unique_subscriber_counts", **FIRST_DAY, **UNIT), ["pcod", "value"]),
    "events by day": (
        query("location_event_counts", **FIRST_DAY, **UNIT, count_interval="day"),
        ["pcod", "date", "value"],
    ),
    "outgoing events by hour": (
        query("location_event_counts", **FIRST_DAY, **UNIT, count_interval="hour", direction="out"),
        ["pcod", "date", "hour", "value"],
    ),
    "network objects": (query("total_network_objects", **FIRST_DAY, **UNIT), ["pcod", "value", "datetime"]),
    "trips": (query("trips_od_matrix", **THREE_DAYS, **UNIT), ["pcod_from", "pcod_to", "value"]),
    "flows": (query("flows", from_location=daily(), to_location=daily(4)), ["pcod_from", "pcod_to", "value"]),
    "flows back": (
        query("flows", from_location=daily(4), to_location=daily()),
        ["pcod_from", "pcod_to", "value"],
    ),
    "flows to places": (
        query("flows", from_location=daily(), to_location=UNIQUE, join_type="left outer"),
        ["pcod_from", "pcod_to", "value"],
    ),
    "inflows": (query("inflows", from_location=modal(1, 2), to_location=daily(4)), ["pcod", "value"]),
    "outflows": (query("outflows", from_location=UNIQUE, to_location=UNIQUE), ["pcod", "value"]),
}


@pytest.fixture(scope="module")
def answers(stack: Stack, token: str, published_python: Path) -> dict[str, Any]:
    """What the published client got."""
    queries = {name: asked for name, (asked, _) in QUERIES.items()}
    found: dict[str, Any] = run_script(
        published_python, "run_queries.py", {"url": stack.api, "token": token, "queries": queries}
    )
    return found


def test_dates_boundaries_and_checks(answers: dict[str, Any]) -> None:
    found = answers["blocking"]
    days = [f"2016-01-{day:02}" for day in range(1, 8)]
    assert found["dates"] == dict.fromkeys(("calls", "mds", "sms", "topups"), days)
    assert found["geography"] == 75
    pairs = [(check["cdr_type"], check["type_of_query_or_check"]) for check in found["checks"]]
    assert len(pairs) == len(set(pairs))
    assert {kind for kind, _ in pairs} == {"calls", "mds", "sms", "topups"}
    assert int(found["outcome"]) > 1000
    assert [check["cdr_date"] for check in found["outcomes"]] == ["2016-01-01", "2016-01-02"]
    assert found["outcomes"][0]["outcome"] == found["outcome"]


@pytest.mark.parametrize("name", QUERIES)
def test_each_kind(answers: dict[str, Any], name: str) -> None:
    found = answers["blocking"]["queries"][name]
    asked, columns = QUERIES[name]
    assert found["status"] == "completed"
    assert found["table"]["columns"] == columns
    assert found["table"]["rows"], "a country of 2,000 subscribers has regions with more than 15"
    if asked["function"] not in ("total_network_objects", "joined_spatial_aggregate"):
        value = columns.index("value")
        assert min(row[value] for row in found["table"]["rows"]) > 15
    assert answers["asynchronous"][name] == found["table"]


@pytest.mark.parametrize("name", [name for name, (asked, _) in QUERIES.items() if asked["geographic"]])
def test_each_kind_on_the_map(answers: dict[str, Any], name: str) -> None:
    found = answers["blocking"]["queries"][name]
    columns = QUERIES[name][1]
    features = found["features"]
    assert {feature["type"] for feature in features} == {"Feature"}
    assert all("centroid" in feature["properties"] for feature in features)
    if "pcod_from" in columns:
        outflows = {
            (feature["properties"]["pcod"], to, value)
            for feature in features
            for to, value in feature["properties"]["outflows"].items()
        }
        assert outflows == {tuple(row) for row in found["table"]["rows"] if None not in row}
    else:
        listed = [[feature["properties"][column] for column in columns] for feature in features]
        assert sorted(map(str, listed)) == sorted(map(str, found["table"]["rows"]))


def test_flows_have_a_direction(answers: dict[str, Any]) -> None:
    there = answers["blocking"]["queries"]["flows"]["table"]["rows"]
    back = answers["blocking"]["queries"]["flows back"]["table"]["rows"]
    assert sorted([end, start, value] for start, end, value in there) == sorted(back)
    assert sorted(there) != sorted(back)
