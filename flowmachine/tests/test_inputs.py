"""Check that only few nearly equal locations may be joined to others in a day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
import sqlalchemy as sa

from flowmachine.ledger.inputs import Input, TooManyNear, judge, locations
from flowmachine.queries import DailyLocation, Flows, SpatialAggregate
from flowmachine.tables import audit, jobs, ledger_inputs

from .in_memory import key_of
from .kinds.sketching import defined


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.begin() as connection:
        yield connection


@pytest.fixture(autouse=True)
def one_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWMACHINE_NEAR_INPUTS", "1")


def located(day: int) -> DailyLocation:
    return DailyLocation(date=f"2016-01-{day:02}", method="last", aggregation_unit="admin3")


def moved(day: int) -> Flows:
    return Flows(from_location=located(day), to_location=located(31))


def asked_by(connection: sa.Connection, day: int, user: str | None) -> None:
    job = {
        "query_id": moved(day).query_id,
        "store": "released",
        "kind": "flows",
        "spec": {},
        "state": "executing",
    }
    connection.execute(sa.insert(jobs).values(**job, requested_by=user))


def join(
    connection: sa.Connection, day: int, people: Iterable[int], making: str = "a", unit: str = "admin3"
) -> None:
    numbers = list(people)
    sketch = {"subscribers": len(numbers), **defined(map(key_of, numbers))}
    judge(connection, moved(day), [Input(located(day).query_id, making, unit, sketch)])


def near(connection: sa.Connection) -> list[str | None]:
    return list(connection.execute(sa.select(ledger_inputs.c.near).order_by(ledger_inputs.c.at)).scalars())


def test_more_near_locations_than_allowed_are_refused(connection: sa.Connection) -> None:
    join(connection, 1, range(100))
    join(connection, 2, range(1, 100))
    with pytest.raises(TooManyNear) as refused:
        join(connection, 3, range(2, 100))
    assert str(refused.value) == (
        f"The locations of this query differ by few subscribers from those of query {located(1).query_id}, and you"
        " joined 1 such locations in 24 hours. No more are allowed. Use the locations of that query, or others that"
        " differ by more."
    )


# Somebody who is elsewhere counts in both places, so thirty are fifteen. Of 2,000, two percent are forty.
@pytest.mark.parametrize(
    ("size", "missing", "is_near"), [(120, 0, False), (120, 1, True), (120, 30, True), (120, 31, False)]
)
def test_locations_are_near_if_few_differ(
    connection: sa.Connection, size: int, missing: int, is_near: bool
) -> None:
    join(connection, 1, range(size))
    join(connection, 2, range(missing, size))
    assert near(connection) == [None, located(1).query_id if is_near else None]


def test_other_units_and_other_users_are_not_compared(connection: sa.Connection) -> None:
    asked_by(connection, 3, "ada")
    join(connection, 1, range(100))
    join(connection, 2, range(1, 100), unit="admin2")
    join(connection, 3, range(2, 100))
    assert near(connection) == [None, None, None]
    users = connection.execute(sa.select(ledger_inputs.c.username)).scalars()
    assert sorted(users) == ["", "", "ada"]


def test_a_location_made_anew_is_not_near_itself(connection: sa.Connection) -> None:
    join(connection, 1, range(100))
    join(connection, 1, range(1, 100), making="b")
    assert near(connection) == [None, None]


def test_two_queries_that_join_one_location_at_a_time_record_it_once(connection: sa.Connection) -> None:
    """Check what two workers do: both find it new, and one is judged second."""
    join(connection, 1, range(100))
    join(connection, 2, range(1, 100))
    join(connection, 2, range(1, 100))
    assert near(connection) == [None, located(1).query_id]


def test_a_report_names_the_query_and_refuses_nothing(
    connection: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "report")
    asked_by(connection, 1, "ada")
    for day in (1, 2, 3):
        if day > 1:
            asked_by(connection, day, "ada")
        join(connection, day, range(day, 100))
    [row] = connection.execute(sa.select(audit)).all()
    assert (row.action, row.username, row.query_id) == ("near_inputs", "ada", moved(3).query_id)
    assert row.params == {"near": located(1).query_id}
    assert row.message == (
        f"Locations of {moved(3).query_id} are near those of {located(1).query_id}, and those of 1 others."
    )


def test_only_locations_that_are_joined_count() -> None:
    assert [part.query_id for part in locations(moved(1))] == [located(1).query_id, located(31).query_id]
    assert locations(SpatialAggregate(locations=located(1))) == []
