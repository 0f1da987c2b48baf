"""Numbers of contacts and shares of the most frequent, on worlds drawn as tables."""

from __future__ import annotations

import pytest

from flowmachine.queries.catalogue import load_any

from ..specs import metric
from ..world import Stage, drawn

CONTACTS = drawn(
    """
    subscriber | time    | counterpart | outgoing
    ann        | 1 10:00 | bob         | out
    ann        | 1 11:00 | bob         | in
    ann        | 1 12:00 | bob         | in
    ann        | 2 21:00 | cat         | out
    ann        | 2 22:00 | ann         | out
    ann        | 3 03:00 | -           | out
    bob        | 1 10:00 | bob         | in
    """
)


def test_degree_leaves_out_oneself_and_the_unknown(stage_in_utc: Stage, executor: str) -> None:
    spec = metric("subscriber_degree")
    assert stage_in_utc.evaluate(load_any(spec), CONTACTS, executor) == [("ann", 2)]
    incoming = load_any(spec | {"direction": "in"})
    assert stage_in_utc.evaluate(incoming, CONTACTS, executor) == [("ann", 1)]


@pytest.mark.parametrize(("proportion", "share"), [(0.5, 0.25), (0.6, 0.5), (0.99, 1.0)])
def test_pareto_counts_oneself_and_the_unknown(
    stage_in_utc: Stage, executor: str, proportion: float, share: float
) -> None:
    query = load_any(metric("pareto_interactions", proportion=proportion))
    # Ann's six events: three with Bob, one each with Cat, herself and an unknown party.
    assert stage_in_utc.evaluate(query, CONTACTS, executor) == [("ann", share), ("bob", 1.0)]
