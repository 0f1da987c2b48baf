"""Check contacts, their balance and reciprocity on worlds drawn as tables."""

from __future__ import annotations

import math

import marshmallow as ma
import pytest

from flowmachine.queries import (
    ContactBalance,
    ContactReciprocal,
    ContactReferenceLocationsStats,
    CounterpartsSubset,
    EventCount,
)
from flowmachine.queries.catalogue import load_any

from ..specs import WINDOW, near, rows
from ..world import Stage, drawn

CONTACTS = drawn(
    """
    subscriber | time    | counterpart | outgoing | cell
    ann        | 1 10:00 | bob         | out      | in-b
    ann        | 1 11:00 | bob         | in       | in-b
    ann        | 1 12:00 | bob         | in       | unknown
    ann        | 2 10:00 | cat         | out      | -
    ann        | 2 11:00 | ann         | out      | in-B
    ann        | 2 10:30 | -           | out      | in-b
    bob        | 1 10:00 | ann         | in       | in-B
    """
)


def test_balance(stage_in_utc: Stage, executor: str) -> None:
    found = rows(stage_in_utc, executor, CONTACTS, "contact_balance", **WINDOW)
    assert found == [("ann", "bob", 3, 0.75), ("ann", "cat", 1, 0.25), ("bob", "ann", 1, 1.0)]
    out = rows(
        stage_in_utc,
        executor,
        CONTACTS,
        "contact_balance",
        **WINDOW,
        direction="out",
        exclude_self_calls=False,
    )
    assert out == near(("ann", "ann", 1, 1 / 3), ("ann", "bob", 1, 1 / 3), ("ann", "cat", 1, 1 / 3))


@pytest.mark.parametrize(
    ("include", "people"), [(False, ["ann", "bob", "cat"]), (True, ["ann", "bob", "cat", "dan"])]
)
def test_contacts_are_subscribers(
    stage_in_utc: Stage, executor: str, include: bool, people: list[str]
) -> None:
    world = drawn(
        """
        subscriber | time    | counterpart | outgoing
        ann        | 1 10:00 | bob         | out
        ann        | 1 10:00 | cat         | out
        dan        | 1 11:00 | ann         | out
        bob        | 2 11:00 | x           | out
        eve        | 2 11:00 | x           | out
        """
    )
    first_day = ContactBalance(start_date="2016-01-01", end_date="2016-01-02")
    contacts = first_day.counterparts_subset(include_subscribers=include)
    assert isinstance(contacts, CounterpartsSubset)
    assert stage_in_utc.evaluate(contacts, world, executor) == [(name,) for name in people]
    # Of Bob and Eve, both active on the second day, Bob alone was somebody's contact on the first.
    events = EventCount(start_date="2016-01-02", end_date="2016-01-03", subscriber_subset=contacts)
    assert stage_in_utc.evaluate(events, world, executor) == [("bob", 1)]
    assert load_any(events.spec()) == events


RECIPROCAL = ContactReciprocal(**WINDOW)


def test_reciprocal_contacts(stage_in_utc: Stage, executor: str) -> None:
    # Ann's call to herself and her call with an unknown party have no contact.
    assert stage_in_utc.evaluate(RECIPROCAL, CONTACTS, executor) == [
        ("ann", "bob", 2, 1, 1.0, 0.5, True),
        ("ann", "cat", 0, 1, 0.0, 0.5, False),
        ("bob", "ann", 1, 0, 1.0, 0.0, False),
    ]


def test_shares_of_reciprocal_contacts_and_events(stage_in_utc: Stage, executor: str) -> None:
    of_contacts = rows(
        stage_in_utc,
        executor,
        CONTACTS,
        "proportion_contact_reciprocal",
        contact_reciprocal=RECIPROCAL,
    )
    assert of_contacts == [("ann", 0.5), ("bob", 0.0)]
    # One of Ann's four outgoing events is with Bob; three of her six.
    for direction, share in (("out", [("ann", 0.25)]), ("both", [("ann", 0.5), ("bob", 0.0)])):
        found = rows(
            stage_in_utc,
            executor,
            CONTACTS,
            "proportion_event_reciprocal",
            **WINDOW,
            contact_reciprocal=RECIPROCAL,
            direction=direction,
        )
        assert found == share


HALF_AND_QUARTERS = 0.5 * math.log(2) + 2 * 0.25 * math.log(4)


def test_entropy_of_contacts(stage_in_utc: Stage, executor: str) -> None:
    found = rows(stage_in_utc, executor, CONTACTS, "contact_entropy", **WINDOW)
    three_to_one = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert found == near(("ann", three_to_one), ("bob", 0.0))


def test_events_by_place_and_contact(stage_in_utc: Stage, executor: str) -> None:
    balance = ContactBalance(**WINDOW)
    for statistic, value in (("avg", 2.0), ("max", 3), ("sum", 4), ("median", 2.0)):
        found = rows(
            stage_in_utc,
            executor,
            CONTACTS,
            "per_contact_event_stats",
            contact_balance=balance,
            statistic=statistic,
        )
        assert found[0] == ("ann", value)
    # Of Ann's five events with a cell, three are at one; regions do not know one of the cells.
    for unit, value in (("cell", 5 / 3), ("admin3", 2.0)):
        found = rows(
            stage_in_utc,
            executor,
            CONTACTS,
            "per_location_event_stats",
            **WINDOW,
            aggregation_unit=unit,
        )
        assert found == near(("ann", value), ("bob", 1.0))


def test_distances_to_the_places_of_contacts(stage_in_utc: Stage, executor: str) -> None:
    """Count each contact once, and leave out those without a place."""
    world = drawn(
        """
        subscriber | time    | counterpart | outgoing | cell
        ann        | 1 10:00 | bob         | out      | in-b
        ann        | 1 11:00 | bob         | out      | in-b
        ann        | 1 12:00 | cat         | out      | in-b
        ann        | 1 13:00 | dan         | out      | in-b
        bob        | 1 10:00 | ann         | in       | in-B
        cat        | 1 12:00 | ann         | in       | in-b
        dan        | 1 13:00 | ann         | in       | unknown
        """
    )
    places = {
        "query_kind": "daily_location",
        "date": "2016-01-01",
        "method": "last",
        "aggregation_unit": "lon-lat",
    }
    balance = {"query_kind": "contact_balance", **WINDOW}

    def found(statistic: str) -> dict[str, float]:
        stats = ContactReferenceLocationsStats(
            contact_balance=balance, contact_locations=places, statistic=statistic
        )
        return dict(stage_in_utc.evaluate(stats, world, executor))

    farthest = found("max")
    assert farthest["ann"] > 0
    # From Ann it is as far to Bob as back, and Cat is where Ann is.
    assert farthest == {"ann": farthest["bob"], "bob": farthest["bob"], "cat": 0.0}
    assert found("count") == {"ann": 2, "bob": 1, "cat": 1}
    assert found("avg")["ann"] == pytest.approx(farthest["ann"] / 2)
    with pytest.raises(ma.ValidationError, match="Must be at aggregation unit lon-lat"):
        ContactReferenceLocationsStats(
            contact_balance=balance, contact_locations={**places, "aggregation_unit": "admin3"}
        )
