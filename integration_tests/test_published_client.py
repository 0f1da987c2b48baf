"""Run every kind of query with the unmodified published client.

The stack is real; both connections, blocking and asynchronous, are used.
"""

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
WEEK = spec("unique_locations", start_date="2016-01-01", end_date="2016-01-08", aggregation_unit="admin1")

DAY_METRICS = {
    "total active periods": spec("total_active_periods", start_date="2016-01-01", total_periods=2, **BOTH),
    "nocturnal events": spec("nocturnal_events", **FIRST_DAY, hours=(20, 4), **BOTH),
    "subscriber degree": spec("subscriber_degree", **FIRST_DAY, **BOTH),
    "unique location counts": spec("unique_location_counts", **FIRST_DAY, aggregation_unit="admin3", **BOTH),
    "topup amount": spec("topup_amount", **THREE_DAYS, statistic="avg"),
    "topup balance": spec("topup_balance", **THREE_DAYS, statistic="avg"),
    "displacement": spec(
        "displacement",
        **FIRST_DAY,
        statistic="avg",
        reference_location=daily(unit="lon-lat"),
        **BOTH,
    ),
    "pareto interactions": spec("pareto_interactions", **THREE_DAYS, proportion="0.8", **BOTH),
}
VISITS = spec("location_visits", locations=[daily(1), daily(2)])
LATER_VISITS = spec("location_visits", locations=[daily(4), daily(5)])


def coalesced(visits: dict[str, Any]) -> dict[str, Any]:
    majority = spec("majority_location", subscriber_location_weights=visits)
    return spec(
        "coalesced_location",
        preferred_location=majority,
        fallback_location=majority,
        subscriber_location_weights=visits,
        weight_threshold=2,
    )


MOBILITY = spec(
    "mobility_classification", locations=[coalesced(VISITS), coalesced(LATER_VISITS)], stay_length_threshold=2
)
MEANINGFUL = {
    "aggregation_unit": "admin1",
    "labels": {
        "evening": {
            "type": "Polygon",
            "coordinates": [[[1e-06, -0.5], [1e-06, -1.1], [1.1, -1.1], [1.1, -0.5], [1e-06, -0.5]]],
        },
        "day": {
            "type": "Polygon",
            "coordinates": [[[-1.1, -0.5], [-1.1, 0.5], [-1e-06, 0.5], [-1e-06, -0.5], [-1.1, -0.5]]],
        },
    },
    "tower_hour_of_day_scores": [-1] * 7 + [0] * 2 + [1] * 8 + [0] * 4 + [-1] * 3,
    "tower_day_of_week_scores": {
        "monday": 1,
        "tuesday": 1,
        "wednesday": 1,
        "thursday": 0,
        "friday": -1,
        "saturday": -1,
        "sunday": -1,
    },
}

#: Queries whose every row may be withheld, because few subscribers have each label at each place.
SPARSE = {"introversion", "mobility by place", "mobility of flows", "between labels", "days seen by place"}

#: Kinds whose value is not a number of subscribers.
NOT_COUNTS = (
    "total_network_objects",
    "aggregate_network_objects",
    "joined_spatial_aggregate",
    "location_introversion",
    "meaningful_locations_aggregate",
    "meaningful_locations_between_label_od_matrix",
    "meaningful_locations_between_dates_od_matrix",
)

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
    "trips": (
        query("trips_od_matrix", start_date="2016-01-01", end_date="2016-01-08", aggregation_unit="admin1"),
        ["pcod_from", "pcod_to", "value"],
    ),
    "flows": (query("flows", from_location=daily(), to_location=daily(4)), ["pcod_from", "pcod_to", "value"]),
    "flows there": (
        query("flows", from_location=daily(unit="admin1"), to_location=WEEK),
        ["pcod_from", "pcod_to", "value"],
    ),
    "flows back": (
        query("flows", from_location=WEEK, to_location=daily(unit="admin1")),
        ["pcod_from", "pcod_to", "value"],
    ),
    "flows to places": (
        query("flows", from_location=daily(), to_location=UNIQUE, join_type="left outer"),
        ["pcod_from", "pcod_to", "value"],
    ),
    "inflows": (query("inflows", from_location=modal(1, 2), to_location=daily(4)), ["pcod", "value"]),
    "outflows": (query("outflows", from_location=UNIQUE, to_location=UNIQUE), ["pcod", "value"]),
    "sample by size": (
        query(
            "spatial_aggregate",
            locations=spec("random_sample", query=daily(unit="admin0"), size=100, seed=0.5),
        ),
        ["pcod", "value"],
    ),
    "sample by fraction": (
        query(
            "spatial_aggregate",
            locations=spec(
                "random_sample",
                query=daily(unit="admin0"),
                sampling_method="bernoulli",
                fraction=0.5,
                seed=0.2,
                estimate_count=False,
            ),
        ),
        ["pcod", "value"],
    ),
    **{
        name: (
            query("joined_spatial_aggregate", locations=daily(unit="admin1"), metric=metric),
            ["pcod", "value"],
        )
        for name, metric in DAY_METRICS.items()
    },
    "handset types": (
        query(
            "joined_spatial_aggregate",
            locations=daily(unit="admin1"),
            metric=spec("handset", **FIRST_DAY),
            method="distr",
        ),
        ["pcod", "metric", "key", "value"],
    ),
    "introversion": (
        query("location_introversion", **FIRST_DAY, aggregation_unit="admin1", direction="in", **BOTH),
        ["pcod", "value"],
    ),
    "median of network objects": (
        query(
            "aggregate_network_objects",
            total_network_objects=spec("total_network_objects", **FIRST_DAY, **UNIT),
            statistic="median",
            aggregate_by="day",
        ),
        ["pcod", "value", "datetime"],
    ),
    "flows of majorities": (
        query(
            "flows",
            from_location=spec("majority_location", subscriber_location_weights=VISITS),
            to_location=spec("majority_location", subscriber_location_weights=LATER_VISITS),
        ),
        ["pcod_from", "pcod_to", "value"],
    ),
    "homes": (
        query("meaningful_locations_aggregate", **THREE_DAYS, label="unknown", **MEANINGFUL),
        ["label", "pcod", "value"],
    ),
    "between labels": (
        query(
            "meaningful_locations_between_label_od_matrix",
            **THREE_DAYS,
            label_a="unknown",
            label_b="evening",
            **MEANINGFUL,
        ),
        ["label_from", "label_to", "pcod_from", "pcod_to", "value"],
    ),
    "between dates": (
        query(
            "meaningful_locations_between_dates_od_matrix",
            start_date_a="2016-01-01",
            end_date_a="2016-01-02",
            start_date_b="2016-01-01",
            end_date_b="2016-01-05",
            label="unknown",
            **MEANINGFUL,
        ),
        ["label_from", "label_to", "pcod_from", "pcod_to", "value"],
    ),
    "histogram": (
        query("histogram_aggregate", False, metric=spec("event_count", **FIRST_DAY), bins=[1, 3, 1000]),
        ["value", "lower_edge", "upper_edge"],
    ),
    "active at reference": (
        query(
            "active_at_reference_location_counts",
            reference_locations=daily(method="most-common"),
            unique_locations=UNIQUE,
        ),
        ["pcod", "value"],
    ),
    "unmoving": (query("unmoving_counts", unique_locations=UNIQUE), ["pcod", "value"]),
    "unmoving at reference": (
        query(
            "unmoving_at_reference_location_counts",
            reference_locations=daily(method="most-common"),
            unique_locations=UNIQUE,
        ),
        ["pcod", "value"],
    ),
    "consecutive trips": (
        query("consecutive_trips_od_matrix", **THREE_DAYS, **UNIT),
        ["pcod_from", "pcod_to", "value"],
    ),
    "mobility by place": (
        query("labelled_spatial_aggregate", locations=coalesced(VISITS), labels=MOBILITY),
        ["pcod", "value_label", "value"],
    ),
    "mobility of flows": (
        query(
            "labelled_flows",
            from_location=coalesced(VISITS),
            to_location=coalesced(LATER_VISITS),
            labels=MOBILITY,
        ),
        ["pcod_from", "pcod_to", "value_label", "value"],
    ),
    "days seen": (
        query("calendar_activity", False, start_date="2016-01-01", total_periods=2),
        ["grp", "value"],
    ),
    "days seen by place": (
        query(
            "localised_calendar_activity",
            start_date="2016-01-01",
            total_periods=2,
            locations=daily(unit="admin1"),
        ),
        ["pcod", "value_label", "value"],
    ),
}


@pytest.fixture(scope="module")
def answers(stack: Stack, token: str, published_python: Path) -> dict[str, Any]:
    """Return the published client's results."""
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
    if name in SPARSE and not found["table"]["rows"]:
        return
    assert found["table"]["columns"] == columns
    assert found["table"]["rows"], "a country of 2,000 subscribers has regions with more than 15"
    if asked["function"] not in NOT_COUNTS:
        value = columns.index("value")
        assert min(row[value] for row in found["table"]["rows"]) > 15
    assert answers["asynchronous"][name] == found["table"]


@pytest.mark.parametrize("name", [name for name, (asked, _) in QUERIES.items() if asked["geographic"]])
def test_each_kind_on_the_map(answers: dict[str, Any], name: str) -> None:
    found = answers["blocking"]["queries"][name]
    columns = QUERIES[name][1]
    features = found["features"]
    assert bool(features) == bool(found["table"]["rows"])
    assert {feature["type"] for feature in features} <= {"Feature"}
    assert all("centroid" in feature["properties"] for feature in features)
    if "value_label" in columns or "label_from" in columns:
        return
    if "pcod_from" in columns:
        outflows = {
            (feature["properties"]["pcod"], to, value)
            for feature in features
            for to, value in feature["properties"]["outflows"].items()
        }
        assert outflows == {tuple(row) for row in found["table"]["rows"] if None not in row}
    else:
        listed = [[feature["properties"][column] for column in columns] for feature in features]
        # The client's frame turns whole numbers into floats and prints fifteen digits.
        number = columns.index("value")
        rest = [
            sorted((str(row[:number] + row[number + 1 :]), float(row[number])) for row in rows)
            for rows in (listed, found["table"]["rows"])
        ]
        assert [name for name, _ in rest[0]] == [name for name, _ in rest[1]]
        assert [value for _, value in rest[0]] == pytest.approx([value for _, value in rest[1]], rel=1e-9)


def test_flows_have_a_direction(answers: dict[str, Any]) -> None:
    there = answers["blocking"]["queries"]["flows there"]["table"]["rows"]
    back = answers["blocking"]["queries"]["flows back"]["table"]["rows"]
    assert sorted([end, start, value] for start, end, value in there) == sorted(back)
    assert sorted(there) != sorted(back)
