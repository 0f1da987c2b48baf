"""Test the protocol's actions over a real server; ``test_processes`` has refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from flowmachine.queries.aggregates.spatial_aggregate import SpatialAggregate
from flowmachine.queries.catalogue import DEEPEST, load, load_any, submittable_kinds
from flowmachine.queries.schema import query_schemas
from flowmachine.server.actions import Actions, Refused
from flowmachine.spec.places import UNITS
from flowmachine.testing import HOLD_RECORDING, Client, Country, Processes, forget_jobs, free_port

DAILY = {
    "query_kind": "daily_location",
    "date": "2016-01-01",
    "method": "last",
    "aggregation_unit": "admin2",
}
COUNTED = {"query_kind": "spatial_aggregate", "locations": DAILY}
METRIC = {
    "query_kind": "event_count",
    "start_date": "2016-01-01",
    "end_date": "2016-01-03",
    "direction": "both",
}
HISTOGRAM = {"query_kind": "histogram_aggregate", "metric": METRIC, "bins": {"n_bins": 4}}


@pytest.fixture(scope="module")
def running(country: Country, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    forget_jobs(country.database)
    with ExitStack() as stack:
        processes = Processes(country, tmp_path_factory.mktemp("engine"), stack, free_port())
        processes.start("server")
        processes.start("worker")
        yield processes


@pytest.fixture(scope="module")
def client(running: Processes) -> Client:
    return running.client()


def succeed(client: Client, action: str, **params: Any) -> dict[str, Any]:
    reply = client.ask(action, **params)
    assert reply["status"] == "success", reply
    return dict(reply["payload"])


def stored(client: Client, spec: dict[str, Any]) -> str:
    query_id = succeed(client, "run_query", **spec)["query_id"]
    assert client.until_done(query_id) == "completed"
    return str(query_id)


def read(running: Processes, sql: str) -> list[dict[str, Any]]:
    """Return what the API's role reads."""
    with closing(running.country.database.connect("flowapi")) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def test_ping_and_the_echo_of_the_request_id(client: Client) -> None:
    reply = client.send(b'{"action": "ping", "request_id": "an id"}')
    assert reply == {"status": "success", "msg": "pong", "payload": {}, "request_id": "an id"}


def test_kinds_and_their_schemas(client: Client) -> None:
    kinds = succeed(client, "get_available_queries")["available_queries"]
    assert kinds == submittable_kinds()
    assert "flows" in kinds
    assert "daily_location" not in kinds
    schemas = succeed(client, "get_query_schemas")["query_schemas"]
    assert schemas == query_schemas()
    assert set(schemas["FlowmachineQuerySchema"]["discriminator"]["mapping"]) == set(kinds)


def test_a_submitted_query(client: Client, running: Processes) -> None:
    query_id = stored(client, COUNTED)
    assert succeed(client, "poll_query", query_id=query_id) == {
        "query_id": query_id,
        "query_kind": "spatial_aggregate",
        "query_state": "completed",
        "progress": {"eligible": 0, "queued": 0, "running": 0},
    }
    assert succeed(client, "get_query_kind", query_id=query_id) == {
        "query_id": query_id,
        "query_kind": "spatial_aggregate",
    }
    params = succeed(client, "get_query_params", query_id=query_id)["query_params"]
    assert params["query_kind"] == "spatial_aggregate"
    assert params["locations"]["aggregation_unit"] == "admin2"
    assert load(params).query_id == query_id
    answer = succeed(client, "get_sql_for_query_result", query_id=query_id)
    assert (answer["query_id"], answer["query_state"]) == (query_id, "completed")
    assert answer["metadata"].keys() == {"withheld", "repeats"}
    rows = {row["pcod"]: row["value"] for row in read(running, answer["sql"])}
    assert len(rows) > 5
    geo = succeed(client, "get_geo_sql_for_query_result", query_id=query_id)
    assert geo["metadata"] == answer["metadata"]
    assert geo["aggregation_unit"] == "admin2"
    features = read(running, geo["sql"])
    assert {feature["type"] for feature in features} == {"Feature"}
    assert {f["properties"]["pcod"]: f["properties"]["value"] for f in features} == rows
    assert all("centroid" in feature["properties"] and feature["geometry"] for feature in features)


OUTFLOWS = {
    "query_kind": "outflows",
    "from_location": DAILY,
    "to_location": DAILY | {"date": "2016-01-02"},
    "join_type": "inner",
}
BY_HOUR = {
    "query_kind": "total_network_objects",
    "start_date": "2016-01-01",
    "end_date": "2016-01-02",
    "aggregation_unit": "admin2",
    "total_by": "hour",
}


def stir(running: Processes, query_id: str) -> None:
    """Reorder a result's rows in the database against the served order."""
    with closing(running.country.database.connect("flowdb")) as connection, connection:
        cursor = connection.cursor()
        table = f"cache.x{query_id}"
        cursor.execute(f"CREATE TEMPORARY TABLE stirred AS SELECT * FROM {table} AS r ORDER BY md5(r::text)")
        cursor.execute(f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM stirred")


@pytest.mark.parametrize("spec", [COUNTED, OUTFLOWS, BY_HOUR], ids=lambda spec: spec["query_kind"])
def test_features_are_numbered_and_served_in_the_order_of_the_rows(
    client: Client, running: Processes, spec: dict[str, Any]
) -> None:
    query_id = stored(client, spec)
    stir(running, query_id)
    rows = read(running, succeed(client, "get_sql_for_query_result", query_id=query_id)["sql"])
    features = read(running, succeed(client, "get_geo_sql_for_query_result", query_id=query_id)["sql"])
    assert len(rows) > 5
    assert [feature["id"] for feature in features] == list(range(1, len(rows) + 1))
    for feature, row in zip(features, rows, strict=True):
        properties = dict(feature["properties"])
        if "datetime" in row:
            # Written by different hands: as a moment's text here, as a moment there.
            assert datetime.fromisoformat(properties.pop("datetime")) == row.pop("datetime")
        assert {name: properties[name] for name in row} == row


def test_features_of_flows_are_in_the_order_of_their_regions(client: Client, running: Processes) -> None:
    seen = {
        "query_kind": "unique_locations",
        "start_date": "2016-01-01",
        "end_date": "2016-01-04",
        "aggregation_unit": "admin1",
    }
    spec = {"query_kind": "flows", "from_location": seen, "to_location": seen, "join_type": "inner"}
    query_id = stored(client, spec)
    stir(running, query_id)
    features = read(running, succeed(client, "get_geo_sql_for_query_result", query_id=query_id)["sql"])
    regions = [feature["properties"]["pcod"] for feature in features]
    assert regions == sorted(regions)
    assert [feature["id"] for feature in features] == list(range(1, len(regions) + 1))
    several = 0
    for feature in features:
        for flows in (feature["properties"]["outflows"], feature["properties"]["inflows"]):
            assert list(flows) == sorted(flows)
            several += len(flows) > 2
    assert several > 0


def test_a_result_without_geography(client: Client) -> None:
    query_id = stored(client, HISTOGRAM)
    refused = client.ask("get_geo_sql_for_query_result", query_id=query_id)
    assert refused["status"] == "error"
    assert query_id in refused["msg"]
    assert refused["payload"] == {"query_id": query_id, "query_state": "errored"}


@pytest.mark.parametrize("unit", UNITS)
def test_boundaries(client: Client, running: Processes, unit: str) -> None:
    answer = succeed(client, "get_geography", aggregation_unit=unit)
    assert answer["query_state"] == "completed"
    features = read(running, answer["sql"])
    names = ("lon", "lat") if unit == "lon-lat" else ("pcod",)
    regions = {tuple(feature["properties"][name] for name in names) for feature in features}
    assert len(regions) == len(features) > (0 if unit == "admin0" else 4)
    assert all(feature["geometry"] for feature in features)
    in_order = [tuple(feature["properties"][name] for name in names) for feature in features]
    assert in_order == sorted(in_order)
    assert [feature["id"] for feature in features] == list(range(1, len(features) + 1))


def test_regions_have_names_and_the_region_that_they_lie_in(client: Client, running: Processes) -> None:
    names: dict[str | None, str | None] = {None: None}
    for unit in ("admin0", "admin1", "admin2", "admin3"):
        answer = succeed(client, "get_geography", aggregation_unit=unit)
        regions = [feature["properties"] for feature in read(running, answer["sql"])]
        assert {region["parent_name"] for region in regions} <= set(names.values())
        assert all(names[region["parent"]] == region["parent_name"] for region in regions)
        names = {region["pcod"]: region["name"] for region in regions}
        assert all(names.values())


def test_dates_and_checks(client: Client) -> None:
    days = ["2016-01-01", "2016-01-02", "2016-01-03"]
    assert succeed(client, "get_available_dates") == dict.fromkeys(("calls", "mds", "sms", "topups"), days)
    loads = succeed(client, "get_loads")["loads"]
    assert [(load["event_type"], load["date"]) for load in loads] == [
        (event_type, day) for event_type in ("calls", "mds", "sms", "topups") for day in days
    ]
    assert all(load["times_loaded"] == 1 and load["first_loaded_at"] == load["loaded_at"] for load in loads)
    checks = succeed(client, "list_qa_checks")["available_qa_checks"]
    assert {"cdr_type": "calls", "type_of_query_or_check": "count_added_rows"} in checks
    asked = {
        "cdr_type": "calls",
        "check_type": "count_added_rows",
        "start_date": "2016-01-01",
        "end_date": "2016-01-02",
    }
    outcomes = succeed(client, "get_qa_checks", **asked)["qa_checks"]
    assert [outcome["cdr_date"] for outcome in outcomes] == days[:2]
    assert all(int(outcome["outcome"]) > 0 for outcome in outcomes)
    assert succeed(client, "get_qa_checks", **asked | {"check_type": "nobody's"}) == {"qa_checks": []}


@pytest.mark.parametrize(("spec", "unit"), [(COUNTED, "admin2"), (HISTOGRAM, None)])
def test_the_unit_is_told_without_building_the_query(
    client: Client, spec: dict[str, Any], unit: str | None
) -> None:
    assert succeed(client, "get_aggregation_unit", **spec) == {"aggregation_unit": unit}


def test_a_right_is_judged_by_the_whole_query_however_it_is_spelled(client: Client) -> None:
    stored(client, HISTOGRAM)
    inner = DAILY | {"aggregation_unit": "lon-lat", "subscriber_subset": METRIC}
    told = []
    for metric in (METRIC, load_any(METRIC).query_id):
        subset = inner | {"subscriber_subset": metric}
        modal = {"query_kind": "modal_location", "locations": [DAILY | {"subscriber_subset": subset}]}
        spec = {"query_kind": "spatial_aggregate", "locations": modal}
        query_id = succeed(client, "run_query", **spec)["query_id"]
        told += [
            succeed(client, "authorise", spec=spec),
            succeed(client, "authorise", query_id=query_id),
        ]
    whole = {**inner, "subscriber_subset": METRIC}
    modal = {"query_kind": "modal_location", "locations": [DAILY | {"subscriber_subset": whole}]}
    expected = {
        "spec": load({"query_kind": "spatial_aggregate", "locations": modal}).spec(),
        "finer_kinds": [],
        "further_scopes": [],
        "query_kind": "spatial_aggregate",
        "aggregation_unit": "admin2",
        "kinds": ["daily_location", "modal_location", "spatial_aggregate"],
        "subset_kinds": ["daily_location", "event_count"],
    }
    assert told == [expected] * 4


def test_a_right_is_judged_by_a_spec_or_an_id(client: Client) -> None:
    for params in ({}, {"spec": 1}, {"query_id": "0" * 32, "spec": COUNTED}):
        refused = client.ask("authorise", **params)
        assert refused["msg"] == "Wrong parameters for action 'authorise'."
    assert client.ask("authorise", query_id="0" * 32)["payload"]["query_state"] == "awol"
    refused = client.ask("authorise", spec={"query_kind": "nonsense"})
    assert refused["payload"]["validation_error_messages"]


def nested(depth: int, innermost: Any = None) -> dict[str, Any]:
    """A spec of so many levels: an aggregate, a location, and subsets of it."""
    spec = innermost
    for _ in range(depth - 1):
        spec = DAILY | {"subscriber_subset": spec}
    return {"query_kind": "spatial_aggregate", "locations": spec}


def test_how_deep_queries_may_be_nested(client: Client, running: Processes) -> None:
    deepest = succeed(client, "run_query", **nested(DEEPEST))
    assert succeed(client, "authorise", query_id=deepest["query_id"])["subset_kinds"] == ["daily_location"]
    # By an id, too; the location of the deepest that was accepted is known now, as a part of it.
    stored(client, COUNTED)
    named = nested(DEEPEST, load_any(DAILY).query_id)
    for spec in (nested(DEEPEST + 1), nested(220), named):
        refused = client.ask("authorise", spec=spec)
        assert refused["msg"] == "Parameter validation failed."
        [problem] = refused["payload"]["validation_error_messages"]["_schema"]
        assert f"more than {DEEPEST} deep" in problem
    assert succeed(client, "authorise", spec=nested(DEEPEST - 1, load_any(DAILY).query_id))
    assert max(map(len, running.logs().splitlines())) < 50_000


def test_the_unit_of_days_that_are_not_there(client: Client) -> None:
    spec = {"query_kind": "spatial_aggregate", "locations": DAILY | {"date": "2031-01-01"}}
    assert succeed(client, "get_aggregation_unit", **spec) == {"aggregation_unit": "admin2"}


def test_a_result_that_is_not_ready(client: Client, running: Processes) -> None:
    spec = {"query_kind": "spatial_aggregate", "locations": DAILY | {"method": "most-common"}}
    with closing(running.country.database.connect("flowdb")) as lock:
        # A worker that cannot record what it computed.
        lock.cursor().execute(HOLD_RECORDING)
        query_id = succeed(client, "run_query", **spec)["query_id"]
        for action in ("get_sql_for_query_result", "get_geo_sql_for_query_result"):
            refused = client.ask(action, query_id=query_id)
            assert refused["msg"] == f"Query with id '{query_id}' is queued."
            assert refused["payload"] == {"query_id": query_id, "query_state": "queued"}
        assert succeed(client, "cancel_query", query_id=query_id) == {
            "query_id": query_id,
            "query_state": "cancelled",
        }
        lock.rollback()
    refused = client.ask("get_sql_for_query_result", query_id=query_id)
    assert refused["msg"] == f"Query with id '{query_id}' was cancelled."


def test_a_fault_of_a_kinds_own_code_is_told(country: Country, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: SpatialAggregate) -> None:
        raise ZeroDivisionError("no day is that short")

    monkeypatch.setattr(SpatialAggregate, "check", fail)
    engine = sa.create_engine(country.database.url("flowmachine"))
    try:
        with pytest.raises(Refused) as refused:
            Actions(engine).run_query(COUNTED, user=None, request_id=None)
    finally:
        engine.dispose()
    assert "no day is that short" in refused.value.message
    assert refused.value.payload == {"params": COUNTED, "orig_error_msg": "no day is that short"}
