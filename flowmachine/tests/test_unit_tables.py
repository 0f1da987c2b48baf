"""Check which tables a spec may name to place cells, and their columns."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from flowdb.testing import Database
from flowdb.unit_tables import change_unit_tables
from flowmachine.server.actions import Actions, Refused

TABLES = {
    "geography.mapping": "id TEXT, admin2pcod TEXT, place INT",
    "geography.without_id": "cell TEXT, admin2pcod TEXT, place INT",
    "geography.places": "place INT, geom_point geometry",
    "geography.other_places": "name INT, geom_point geometry",
    "geography.pointless": "place INT",
    "geography.not_allowed": "id TEXT, admin2pcod TEXT, place INT, geom_point geometry",
    "flowmachine.mapping": "id TEXT, admin3pcod TEXT",
    'geography."Capital; --"': "id TEXT, admin2pcod TEXT",
}

LON_LAT = {"aggregation_unit": "lon-lat", "mapping_table": "geography.mapping"}
AT_PLACES = LON_LAT | {"geom_table": "geography.places", "geom_table_join_column": "place"}
NOT_MAPPED = ["geom_table_join_on not in mapping table's columns."]


def execute(database: Database, *statements: str) -> None:
    with closing(database.connect("flowdb")) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture(scope="module")
def allowing(module_database: Database) -> Database:
    """A database with all of the tables, of which all but one are allowed."""
    execute(
        module_database,
        "CREATE SCHEMA flowmachine",
        *(f"CREATE TABLE {name} ({columns})" for name, columns in TABLES.items()),
    )
    names = {name.replace('"', "") for name in TABLES} - {"geography.not_allowed"}
    change_unit_tables(module_database.deployment, allow=names)
    return module_database


def daily(**fields: Any) -> dict[str, Any]:
    return {
        "query_kind": "daily_location",
        "date": "2016-01-01",
        "method": "last",
        "aggregation_unit": "admin2",
        **fields,
    }


def refusal(database: Database, spec: dict[str, Any]) -> dict[str, Any] | None:
    """Return the server's refusal of a spec, or None."""
    engine = sa.create_engine(database.url("flowmachine"), poolclass=sa.NullPool)
    try:
        Actions(engine).perform("get_aggregation_unit", spec)
    except Refused as refused:
        # As it goes over the wire, where keys are texts.
        return dict(json.loads(json.dumps(refused.payload["validation_error_messages"])))
    return None


@pytest.mark.parametrize(
    "fields",
    [
        {"mapping_table": "geography.mapping"},
        {"mapping_table": "geography.Capital; --"},
        {"mapping_table": "mapping", "aggregation_unit": "admin3"},
        # Nothing that an administrative unit does not use is looked at.
        {"geom_table": "no.such", "geom_table_join_column": "at all"},
        {"aggregation_unit": "lon-lat", "geom_table": "infrastructure.cells"},
        LON_LAT,
        LON_LAT | {"geom_table": "infrastructure.cells", "geom_table_join_column": "id"},
        AT_PLACES,
    ],
)
def test_accepted(allowing: Database, fields: dict[str, Any]) -> None:
    assert refusal(allowing, {"query_kind": "geography", "aggregation_unit": "admin2", **fields}) is None


@pytest.mark.parametrize(
    ("fields", "messages"),
    [
        *(
            ({"mapping_table": name}, {"mapping_table": [f"{name} is not a known table."]})
            for name in (
                "geography.not_allowed",
                "geography.no_such_table",
                "a; drop table b",
                # Numbers are kept of these, too, but they are no tables.
                "devices",
                "mobile_money",
                # Names are taken as written.
                "geography.capital; --",
                "geography.Mapping",
                "etl.versions",
                "events.calls",
                "",
                ".",
            )
        ),
        ({"mapping_table": "geography.without_id"}, {"mapping_table": NOT_MAPPED}),
        ({"mapping_table": "geography.mapping", "aggregation_unit": "admin3"}, {"mapping_table": NOT_MAPPED}),
        (LON_LAT | {"geom_table_join_column": "no_column"}, {"geom_table_join_column": NOT_MAPPED}),
        (
            LON_LAT | {"geom_table_join_column": "place"},
            {"geom_table_join_column": ["infrastructure.cells has no column place."]},
        ),
        (AT_PLACES | {"geom_table_join_column": None}, {"geom_table_join_column": NOT_MAPPED}),
        (AT_PLACES | {"mapping_table": "geography.without_id"}, {"mapping_table": NOT_MAPPED}),
        (
            AT_PLACES | {"geom_table": "geography.not_allowed"},
            {"geom_table": ["geography.not_allowed is not a known table."]},
        ),
        (
            AT_PLACES | {"geom_table": "geography.pointless"},
            {"geom_table": ["geography.pointless has no column geom_point."]},
        ),
        (
            AT_PLACES | {"geom_table": "geography.other_places"},
            {"geom_table_join_column": ["geography.other_places has no column place."]},
        ),
        (
            {"mapping_table": "x", "geom_table": "y", "geom_table_join_column": "z"}
            | {"aggregation_unit": "lon-lat"},
            {"mapping_table": ["x is not a known table."], "geom_table": ["y is not a known table."]},
        ),
        (
            {"aggregation_unit": "lon-lat", "geom_table": "geography.places"},
            {
                "geom_table": [
                    "geography.places places cells through a mapping_table only: give one, or leave geom_table out."
                ]
            },
        ),
    ],
)
def test_refused_wherever_the_unit_is(
    allowing: Database, fields: dict[str, Any], messages: dict[str, Any]
) -> None:
    assert refusal(allowing, {"query_kind": "geography", "aggregation_unit": "admin2", **fields}) == messages
    days = [daily(), daily(**fields)]
    modal = {
        "query_kind": "spatial_aggregate",
        "locations": {"query_kind": "modal_location", "locations": days},
    }
    assert refusal(allowing, modal) == {"locations": {"locations": {"1": messages}}}


def test_a_table_is_allowed_as_long_as_it_is_that_table(database: Database) -> None:
    spec = {"query_kind": "geography", "aggregation_unit": "admin2", "mapping_table": "geography.mapping"}
    unknown = {"mapping_table": ["geography.mapping is not a known table."]}
    create = "CREATE TABLE geography.mapping (id TEXT, admin2pcod TEXT)"
    allow: dict[str, Any] = {"allow": ["geography.mapping"]}

    execute(database, create)
    assert refusal(database, spec) == unknown
    change_unit_tables(database.deployment, **allow)
    assert refusal(database, spec) is None
    change_unit_tables(database.deployment, forbid=["geography.mapping"])
    assert refusal(database, spec) == unknown
    change_unit_tables(database.deployment, **allow)
    execute(database, "DROP TABLE geography.mapping", create)
    assert refusal(database, spec) == unknown
    change_unit_tables(database.deployment, **allow)
    # Another allowed table under the same name would have its own numbers.
    execute(database, "CREATE TABLE geography.other (id TEXT, admin2pcod TEXT)")
    change_unit_tables(database.deployment, allow=["geography.other"])
    execute(database, "DROP TABLE geography.mapping", "ALTER TABLE geography.other RENAME TO mapping")
    assert refusal(database, spec) == unknown
