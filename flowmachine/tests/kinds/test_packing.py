"""Check that subsets which differ by few subscribers count the same subscribers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from flowdb.keys import subscriber_key
from flowmachine.data import DataState
from flowmachine.ledger import packing
from flowmachine.ledger.inputs import TooManyNear
from flowmachine.queries.catalogue import load, load_any
from flowmachine.server.geojson import result_statement
from flowmachine.spec.subsets import SubscriberSet, set_of
from flowmachine.sql.sketches import SKETCH
from flowmachine.tables import audit, ledger_inputs, ledger_subsets

from .world import Stage, World, drawn

Spec = dict[str, Any]

#: The victim is active on the first day only, in the district of the twenty.
PEOPLE = drawn(
    """
    subscriber | time    | cell | type
    victim     | 1 10:00 | in-B | calls
    b1..20     | 1 10:00 | in-B | calls
    b1..20     | 2 10:00 | in-B | calls
    s1..40     | 1 10:00 | in-b | calls
    s1..40     | 3 10:00 | in-b | calls
    t1..14     | 1 10:00 | in-b | topups
    u1..14     | 1 10:00 | in-b | sms
    m1..60     | 1 10:00 | in-b | mds
    """
)


def active(first: int, last: int, **more: Any) -> Spec:
    window = {"start_date": f"2016-01-{first:02}", "end_date": f"2016-01-{last + 1:02}"}
    return {"query_kind": "event_count", **window, **more}


def counted(subset: Spec | None, day: int = 1) -> Spec:
    """How many of a subset are where, on a day."""
    daily = {"query_kind": "daily_location", "date": f"2016-01-{day:02}", "method": "last"}
    return {
        "query_kind": "spatial_aggregate",
        "locations": daily | {"aggregation_unit": "admin3", "subscriber_subset": subset},
    }


class Asked:
    """Answer queries one after the other over one world, as a worker does."""

    def __init__(self, stage: Stage, world: World, connection: sa.Connection, data: DataState) -> None:
        self.stage, self.connection, self.data = stage, connection, data
        people = {event.subscriber for event in world.events}
        connection.execute(sa.text("RESET ROLE"))
        connection.execute(
            sa.text("INSERT INTO etl.subscriber_keys VALUES (:key, :name)"),
            [{"key": subscriber_key(name), "name": name} for name in people],
        )
        connection.execute(sa.text("SET LOCAL ROLE flowmachine"))

    def rows(self, spec: Spec, executor: str, making: str = "") -> list[tuple[Any, ...]]:
        query = load(spec)
        chosen = self.stage.executors[executor]
        *parts, _ = query.graph()
        fingerprints = self.data.fingerprints(query)
        for part in parts:
            if isinstance(part, SubscriberSet):
                made = fingerprints[part.query_id] + making
                storing = packing.storing(part, made, chosen, self.data, self.connection)
            else:
                storing = chosen.storing(part, self.data, self.connection)
            with storing:
                pass
        self.stored = chosen.release(query, self.data, self.connection)
        return [tuple(row) for row in self.connection.execute(result_statement(query))]

    def repeats(self) -> list[str]:
        """Return the queries that the metadata of the last answer name."""
        assert self.stored.metadata is not None
        return self.stored.metadata["repeats"]

    def used(self) -> list[tuple[str, str | None]]:
        """Return each subset with the subset whose set is used in its place."""
        earlier = ledger_subsets.alias()
        joined = ledger_subsets.outerjoin(earlier, ledger_subsets.c.used == earlier.c.subset)
        select = sa.select(ledger_subsets.c.query_id, earlier.c.query_id).select_from(joined)
        return [tuple(row) for row in self.connection.execute(select.order_by(ledger_subsets.c.subset))]


def id_of(spec: Spec) -> str:
    return load_any(spec).query_id


ALL_DAYS, LATER_DAYS = active(1, 3, event_types=["calls"]), active(2, 3, event_types=["calls"])
WITH_TOPUPS = active(1, 3, event_types=["calls", "topups"])
WITH_SMS_AND_TOPUPS = active(1, 3, event_types=["calls", "sms", "topups"])
WITH_DATA = active(1, 3, event_types=["calls", "mds"])


@pytest.fixture
def asked(stage_in_utc: Stage) -> Iterator[Asked]:
    with stage_in_utc.loaded(PEOPLE) as (connection, data):
        yield Asked(stage_in_utc, PEOPLE, connection, data)


@pytest.mark.parametrize("pair", [(ALL_DAYS, LATER_DAYS), (LATER_DAYS, ALL_DAYS)])
def test_two_windows_a_day_apart_do_not_place_who_left(
    asked: Asked, executor: str, pair: tuple[Spec, Spec], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (asked.rows(counted(subset), executor) for subset in pair)
    assert first == second
    assert asked.used() == [(id_of(pair[0]), None), (id_of(pair[1]), id_of(pair[0]))]
    assert id_of(pair[0]) in asked.repeats()
    # Without packing, the difference of the two answers is the victim's place.
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
    with_victim, without = (dict(asked.rows(counted(subset), executor)) for subset in (ALL_DAYS, LATER_DAYS))
    assert sorted(with_victim[place] - without[place] for place in with_victim) == [0, 1]


def test_a_subset_in_a_subset_is_packed_too(asked: Asked, executor: str) -> None:
    outer = active(1, 3, event_types=["calls"])
    first, second = (
        asked.rows(counted({**outer, "subscriber_subset": inner}), executor)
        for inner in (ALL_DAYS, LATER_DAYS)
    )
    assert first == second


def test_sets_far_apart_are_used_as_they_are(asked: Asked, executor: str) -> None:
    first, second = (asked.rows(counted(subset), executor) for subset in (ALL_DAYS, WITH_DATA))
    assert sum(value for _, value in second) == sum(value for _, value in first)
    assert asked.used() == [(id_of(ALL_DAYS), None), (id_of(WITH_DATA), None)]
    # The answers are equal, so the later names the earlier answer; the set is its own.
    assert asked.repeats() == [id_of(counted(ALL_DAYS))]


def test_a_replaced_set_replaces_nothing(asked: Asked, executor: str) -> None:
    for subset in (ALL_DAYS, WITH_TOPUPS, WITH_SMS_AND_TOPUPS):
        asked.rows(counted(subset), executor)
    # The third is 14 from the second and 28 from the first.
    assert asked.used() == [
        (id_of(ALL_DAYS), None),
        (id_of(WITH_TOPUPS), id_of(ALL_DAYS)),
        (id_of(WITH_SMS_AND_TOPUPS), None),
    ]


def test_a_making_has_the_same_set_in_every_store_and_again(asked: Asked) -> None:
    made = [asked.rows(counted(subset), "duckdb") for subset in (ALL_DAYS, LATER_DAYS)]
    # The other store has no result of the set that is used.
    made += [asked.rows(counted(LATER_DAYS), executor) for executor in ("postgres", "duckdb", "postgres")]
    assert made == [made[0]] * 5
    assert len(asked.used()) == 2


def test_a_day_that_is_loaded_again_is_counted_anew(asked: Asked, executor: str) -> None:
    asked.rows(counted(ALL_DAYS), executor)
    asked.rows(counted(LATER_DAYS), executor)
    asked.rows(counted(ALL_DAYS), executor, "another load")
    asked.rows(counted(LATER_DAYS), executor, "another load")
    first, second = id_of(ALL_DAYS), id_of(LATER_DAYS)
    assert asked.used() == [(first, None), (second, first), (first, None), (second, first)]


def test_few_subscribers_are_no_set_to_be_compared_with(asked: Asked, executor: str) -> None:
    few, more = active(1, 3, event_types=["topups"]), active(1, 3, event_types=["topups", "sms"])
    for subset in (few, more):
        asked.rows(counted(subset), executor)
    assert asked.used() == [(id_of(few), None), (id_of(more), None)]


def test_a_report_names_both_and_changes_nothing(
    asked: Asked, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "report")
    equal = active(1, 3, event_types=["calls"], hours={"start_hour": 0, "end_hour": 18})
    first, second = (asked.rows(counted(subset), executor) for subset in (ALL_DAYS, LATER_DAYS))
    assert first != second
    select = sa.select(audit.c.query_id, audit.c.params).where(audit.c.action == "near_subsets")
    assert asked.connection.execute(select).all() == [(id_of(LATER_DAYS), {"near": id_of(ALL_DAYS)})]
    assert asked.used() == [(id_of(ALL_DAYS), None)]
    # An equal set is no difference.
    asked.rows(counted(equal), executor)
    assert asked.connection.execute(select).all() == [(id_of(LATER_DAYS), {"near": id_of(ALL_DAYS)})]


def test_large_sets_lie_one_percent_apart(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = drawn(
        """
        subscriber | time    | cell | type
        s1..2000   | 1 10:00 | in-b | calls
        t1..18     | 1 10:00 | in-b | topups
        m1..60     | 1 10:00 | in-b | mds
        """
    )
    with stage_in_utc.loaded(world) as (connection, data):
        asked = Asked(stage_in_utc, world, connection, data)
        for subset in (ALL_DAYS, WITH_TOPUPS, WITH_DATA):
            asked.rows(counted(subset), executor)
        ids = [id_of(subset) for subset in (ALL_DAYS, WITH_TOPUPS, WITH_DATA)]
        assert asked.used() == [(ids[0], None), (ids[1], ids[0]), (ids[2], None)]
        monkeypatch.setenv("FLOWMACHINE_SUBSET_RADIUS", "0")
        asked.rows(counted(WITH_TOPUPS), executor, "a smaller radius")
        assert asked.used()[-1] == (ids[1], None)


def test_of_two_near_sets_at_the_same_moment_one_is_used(engine: sa.Engine) -> None:
    """Fifty pairs: sketches of a pair differ in one bit, others in half."""
    random = Random(0)

    def judge(sketch: dict[str, int], day: int, hour: int, start: Barrier) -> packing.Used | None:
        query = set_of(load_any(active(1, day, hours={"start_hour": hour, "end_hour": 24})))
        start.wait(60)
        with engine.begin() as connection:
            return packing.judged(connection, query, "made", {"subscribers": 1000, **sketch}, lambda: [1])

    with ThreadPoolExecutor(2) as pool:
        for number in range(50):
            one = {name: random.getrandbits(63) for name in SKETCH}
            other = one | {"whole": one["whole"] ^ 1, "part0": one["part0"] ^ 1}
            start = Barrier(2)
            found = [
                pool.submit(judge, sketch, 2 + number % 25, 2 * (number // 25) + hour, start)
                for hour, sketch in enumerate((one, other))
            ]
            assert [used.result() is None for used in found].count(True) == 1


def moved(**more: Any) -> Spec:
    """Return flows from the places of the first day to those of the second."""
    first, second = (counted(None, day)["locations"] for day in (1, 2))
    return {"query_kind": "flows", "from_location": first | more, "to_location": second}


def test_locations_that_differ_by_few_are_joined_only_so_often(
    asked: Asked, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWMACHINE_NEAR_INPUTS", "1")
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "report")
    first = moved(event_types=["calls"])
    for spec in (first, moved(event_types=["calls", "topups"])):
        asked.rows(spec, executor)
        # Asked again, the same locations count once.
        asked.rows(spec, executor)
    near = sa.select(sa.func.count(ledger_inputs.c.near))
    assert asked.connection.execute(near).scalar_one() == 1
    with pytest.raises(TooManyNear, match=id_of(first["from_location"])):
        asked.rows(moved(event_types=["calls", "sms"]), executor)


def filled_up(**more: Any) -> Spec:
    """Count the places of the first day, and those of the second day of who has none."""
    first, second = (
        {
            "query_kind": "majority_location",
            "subscriber_location_weights": visited(day, **(more if day == 1 else {})),
            "include_unlocatable": False,
        }
        for day in (1, 2)
    )
    places = {"query_kind": "coalesced_location", "preferred_location": first, "fallback_location": second}
    weighed = places | {"subscriber_location_weights": visited(2), "weight_threshold": 1}
    return {"query_kind": "spatial_aggregate", "locations": weighed}


def visited(day: int, **more: Any) -> Spec:
    return {"query_kind": "location_visits", "locations": [counted(None, day)["locations"] | more]}


def test_locations_that_are_joined_deeper_are_counted(
    asked: Asked, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check places that fill up others: flows between both would tell them."""
    monkeypatch.setenv("FLOWMACHINE_NEAR_INPUTS", "1")
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "report")
    for types in (["calls"], ["calls", "topups"]):
        asked.rows(filled_up(event_types=types), executor)
    earlier = filled_up(event_types=["calls"])["locations"]["preferred_location"]
    near = sa.select(ledger_inputs.c.near).where(ledger_inputs.c.near.is_not(None))
    assert asked.connection.execute(near).scalars().all() == [id_of(earlier)]
    with pytest.raises(TooManyNear, match=id_of(earlier)):
        asked.rows(filled_up(event_types=["calls", "sms"]), executor)
