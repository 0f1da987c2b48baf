"""Shares of event types, on a world drawn as a table."""

from __future__ import annotations

import marshmallow as ma
import pytest

from flowmachine.queries import ProportionEventType

from ..world import Stage, drawn

DAYS = {"start_date": "2016-01-01", "end_date": "2016-01-03"}
WORLD = drawn(
    """
    subscriber | time    | type  | outgoing
    ann        | 1 10:00 | calls | out
    ann        | 1 11:00 | calls | in
    ann        | 2 10:00 | sms   | out
    ann        | 2 11:00 | sms   | in
    bob        | 1 10:00 | calls | out
    cat        | 1 10:00 | sms   | in
    cat        | 3 10:00 | calls | in
    """
)


def test_shares_of_types(stage_in_utc: Stage, executor: str) -> None:
    texts = ProportionEventType(**DAYS, numerator=["sms"])
    # Bob has sent none and has no row.
    assert stage_in_utc.evaluate(texts, WORLD, executor) == [("ann", 0.5), ("cat", 1.0)]
    sent = ProportionEventType(**DAYS, numerator=["sms"], numerator_direction="out")
    assert stage_in_utc.evaluate(sent, WORLD, executor) == [("ann", 0.25)]
    of_sent = ProportionEventType(**DAYS, numerator=["sms"], numerator_direction="out", direction="out")
    assert stage_in_utc.evaluate(of_sent, WORLD, executor) == [("ann", 0.5)]
    all_ = ProportionEventType(**DAYS, numerator=["calls", "sms"], event_types=["calls", "sms"])
    assert stage_in_utc.evaluate(all_, WORLD, executor) == [("ann", 1.0), ("bob", 1.0), ("cat", 1.0)]


def test_the_part_is_of_the_whole() -> None:
    with pytest.raises(ma.ValidationError, match="Must be among the event types: calls"):
        ProportionEventType(**DAYS, numerator=["sms"], event_types=["calls"])
