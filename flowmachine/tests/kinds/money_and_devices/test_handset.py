"""Handsets of subscribers, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest

from flowmachine.queries.catalogue import load_any

from ..specs import metric
from ..world import Stage, drawn

DEVICES_USED = drawn(
    """
    subscriber | time    | tac
    ann        | 1 10:00 | 11111111
    ann        | 1 11:00 | 11111111
    ann        | 1 12:00 | 33333333
    ann        | 1 13:00 | -
    bob        | 1 10:00 | 22222222
    bob        | 1 10:00 | 33333333
    cat        | 1 10:00 | 99999999
    dan        | 1 10:00 | -
    """
)


@pytest.mark.parametrize(
    ("method", "rows"),
    [
        ("last", [("ann", "Zed"), ("bob", "acme"), ("cat", None)]),
        # Of equally common brands the one that sorts first by bytes: capitals come before small letters.
        ("most-common", [("ann", "Acme"), ("bob", "Zed"), ("cat", None)]),
    ],
)
def test_handset(stage_in_utc: Stage, executor: str, method: str, rows: list[Any]) -> None:
    query = load_any(metric("handset", characteristic="brand", method=method))
    assert stage_in_utc.evaluate(query, DEVICES_USED, executor) == rows
