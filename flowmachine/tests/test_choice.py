"""Which executor computes a query, as plan and explanation decide."""

from __future__ import annotations

import dataclasses
from datetime import date

import pytest

from flowmachine.queries.catalogue import load
from flowmachine.settings import Choice
from flowmachine.stores.choice import choose_executor

from .job_rows import aggregate, data


def test_the_columnar_executor_computes_from_whole_files() -> None:
    assert choose_executor(aggregate(1, 2), data(), Choice()) == "duckdb"


def test_a_day_without_a_file_goes_to_the_database() -> None:
    whole = data()
    day = ("calls", date(2016, 1, 2))
    without = dataclasses.replace(whole, files={key: path for key, path in whole.files.items() if key != day})
    assert choose_executor(aggregate(1, 2), without, Choice()) == "postgres"


def test_a_day_on_the_list_of_damage_goes_to_the_database() -> None:
    damaged = dataclasses.replace(data(), listed_damage=frozenset([("calls", date(2016, 1, 2))]))
    assert choose_executor(aggregate(1, 2), damaged, Choice()) == "postgres"
    assert choose_executor(aggregate(1, 3), damaged, Choice()) == "duckdb"
    assert choose_executor(aggregate(1, 2), damaged, Choice("duckdb")) == "duckdb"


@pytest.mark.parametrize("setting", ["auto", "duckdb", "spark", "postgres"])
def test_some_kinds_are_computed_by_the_database_only(setting: str) -> None:
    query = load({"query_kind": "dummy_query", "dummy_param": "x", "aggregation_unit": "admin3"})
    assert choose_executor(query, data(), Choice(setting, spark_from=0)) == "postgres"


def test_a_cluster_computes_queries_over_many_events() -> None:
    days = {("calls", date(2016, 1, 1)): 600, ("calls", date(2016, 1, 2)): 400}
    counted = dataclasses.replace(data(), rows=days)
    assert choose_executor(aggregate(1, 2), counted, Choice(spark_from=999)) == "spark"
    assert choose_executor(aggregate(1, 2), counted, Choice(spark_from=1000)) == "duckdb"
    assert choose_executor(aggregate(1, 2), counted, Choice()) == "duckdb"
