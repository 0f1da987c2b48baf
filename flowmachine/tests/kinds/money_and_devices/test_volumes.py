"""Volumes of data sessions, on worlds drawn as tables."""

from __future__ import annotations

from typing import Any

import pytest

from ..specs import WINDOW, rows
from ..world import Stage, drawn


@pytest.mark.parametrize(
    ("volume", "statistic", "value"),
    [("total", "sum", 6.0), ("upload", "max", 1.0), ("download", "count", 1), ("download", "stddev", None)],
)
def test_volumes(stage_in_utc: Stage, executor: str, volume: str, statistic: str, value: Any) -> None:
    world = drawn(
        """
        subscriber | time    | type  | volume_total | volume_upload | volume_download
        ann        | 1 10:00 | mds   | 2            | 0.5           | 1.5
        ann        | 1 11:00 | mds   | 4            | 1             | -
        bob        | 1 11:00 | calls | -            | -             | -
        """
    )
    fields = {"volume": volume, "statistic": statistic}
    assert rows(stage_in_utc, executor, world, "mds_volume", **WINDOW, **fields) == [("ann", value)]
