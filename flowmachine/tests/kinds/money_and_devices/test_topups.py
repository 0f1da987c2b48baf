"""Top-ups and the balances between them, on worlds drawn as tables."""

from __future__ import annotations

import pytest

from flowmachine.queries.catalogue import load_any

from ..specs import metric
from ..world import Stage, drawn

TOPUPS = drawn(
    """
    subscriber | time    | type   | recharge_amount | pre_event_balance | post_event_balance
    ann        | 1 06:00 | topups | 10              | 2                 | 12
    ann        | 3 06:00 | topups | 20              | 4                 | 24
    """
)

#: Six hours at 2, forty-eight at the mean of 12 and 4, eighteen at 24.
HOURS_AT = [(6, 2.0), (48, 8.0), (18, 24.0)]
MEAN = sum(hours * level for hours, level in HOURS_AT) / 72
SQUARES = sum(3600 * hours * (level - MEAN) ** 2 for hours, level in HOURS_AT)


@pytest.mark.parametrize(
    ("statistic", "value"),
    [
        ("count", 2),
        ("max", 24),
        ("min", 2),
        ("sum", MEAN * 72 * 3600),
        ("avg", MEAN),
        ("variance", SQUARES / (72 * 3600 - 1)),
        ("stddev", (SQUARES / (72 * 3600 - 1)) ** 0.5),
        ("median", 8.0),
        ("mode", 8.0),
    ],
)
def test_topup_balance(stage_in_utc: Stage, executor: str, statistic: str, value: float) -> None:
    query = load_any(metric("topup_balance", statistic=statistic))
    assert stage_in_utc.evaluate(query, TOPUPS, executor) == [("ann", pytest.approx(value, rel=1e-9))]


@pytest.mark.parametrize(("statistic", "value"), [("sum", 30), ("count", 2), ("avg", 15), ("mode", 10)])
def test_topup_amount(stage_in_utc: Stage, executor: str, statistic: str, value: float) -> None:
    query = load_any(metric("topup_amount", statistic=statistic))
    assert stage_in_utc.evaluate(query, TOPUPS, executor) == [("ann", value)]
