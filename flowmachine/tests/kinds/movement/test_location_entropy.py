"""Entropy of places, on worlds drawn as tables."""

from __future__ import annotations

import math

from ..contacts.test_contacts import CONTACTS
from ..specs import WINDOW, near, rows
from ..world import Stage


def test_entropy_of_places(stage_in_utc: Stage, executor: str) -> None:
    found = rows(stage_in_utc, executor, CONTACTS, "location_entropy", **WINDOW)
    # Three events at one cell, one at a cell that is in no list, one at a third, one nowhere.
    cells = 0.6 * math.log(5 / 3) + 2 * 0.2 * math.log(5)
    assert found == near(("ann", cells), ("bob", 0.0))
    regions = rows(stage_in_utc, executor, CONTACTS, "location_entropy", **WINDOW, aggregation_unit="admin3")
    assert regions == near(("ann", 0.75 * math.log(4 / 3) + 0.25 * math.log(4)), ("bob", 0.0))
