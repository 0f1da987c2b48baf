"""Check that the client's functions match the kinds of the engine's registry."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from flowclient.checks import specification_problems
from flowclient.kinds import FRACTIONS
from flowclient.results import result_columns
from flowmachine.queries.catalogue import load_any, submittable_kinds
from flowmachine.queries.examples import example, variants
from flowmachine.queries.schema import query_schemas

#: The areas have a route of their own, and the dummy has no known columns.
KINDS = [kind for kind in submittable_kinds() if kind not in ("geography", "dummy_query")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_client_knows_the_columns_of_an_empty_result(kind):
    published = [load_any(example(kind)), *(query for _, _, query in variants(kind))]
    assert [result_columns(query.spec()) for query in published] == [
        list(query.published.columns) for query in published
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_clients_check_finds_nothing_in_what_the_registry_accepts(kind):
    assert specification_problems(example(kind), query_schemas()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_client_knows_which_columns_are_no_whole_numbers(kind):
    published = [load_any(example(kind)), *(query for _, _, query in variants(kind))]
    fractions = {
        name
        for query in published
        for name, column in query.published.columns.items()
        if isinstance(column, sa.Float) or (name == "value" and isinstance(column, sa.Numeric))
    }
    assert set(FRACTIONS.get(kind, ())) == fractions
