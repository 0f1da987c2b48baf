"""Check the list of subsets that submitted queries may use."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import pytest
import sqlalchemy as sa

from flowmachine.approved import add, is_approved, listed, remove
from flowmachine.queries.catalogue import load_any
from flowmachine.server.actions import Actions, Refused
from flowmachine.settings import Limits
from flowmachine.tables import audit

WINDOW = {"start_date": "2016-01-01", "end_date": "2016-01-03"}
SUBSET = {"query_kind": "event_count", **WINDOW}
LISTED = Limits.load({"FLOWMACHINE_SUBSETS": "listed"})


def asked(subset: Any) -> dict[str, Any]:
    spec = {"query_kind": "unique_subscriber_counts", "aggregation_unit": "admin3", **WINDOW}
    return spec | {"subscriber_subset": subset}


def test_a_listed_subset_may_be_used_and_no_other(engine: sa.Engine) -> None:
    actions = Actions(engine, limits=LISTED)
    query_id = load_any(SUBSET).query_id
    with pytest.raises(Refused) as refused:
        actions.perform("get_aggregation_unit", asked(SUBSET))
    text = f"Subset {query_id} is not in the list of approved subsets."
    assert refused.value.payload["validation_error_messages"] == {"subscriber_subset": [text]}
    with engine.begin() as connection:
        assert add(connection, SUBSET, "for a test", LISTED) == query_id
        assert is_approved(connection, query_id)
        [line] = listed(connection)
        assert line.startswith(query_id)
        assert line.endswith("  for a test")
    assert actions.perform("get_aggregation_unit", asked(SUBSET)) == {"aggregation_unit": "admin3"}
    assert actions.perform("get_aggregation_unit", asked(None)) == {"aggregation_unit": "admin3"}
    with engine.begin() as connection:
        assert remove(connection, query_id)
        assert not remove(connection, query_id)
        assert listed(connection) == []
        notes = connection.execute(sa.select(audit.c.action, audit.c.query_id).order_by(audit.c.audit_id))
        assert notes.all() == [("approve_subset", query_id), ("remove_subset", query_id)]


@pytest.mark.parametrize(
    "wrong",
    [
        SUBSET | {"start_date": "2016-01-01 01:00:00"},
        {"query_kind": "spatial_aggregate"},
        {"query_kind": "event_count"},
    ],
)
def test_what_no_query_could_use_is_not_listed(engine: sa.Engine, wrong: dict[str, Any]) -> None:
    with engine.begin() as connection, pytest.raises(ma.ValidationError):
        add(connection, wrong, "", LISTED)
