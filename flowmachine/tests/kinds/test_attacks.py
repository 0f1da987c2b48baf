"""Try what an analyst would try, to find the place of one person.

Each attack compares two answers that differ by that person. A missing row counts as an answer, too.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from flowmachine.ledger.edges import EdgesTooNear
from flowmachine.ledger.keys import row_key
from flowmachine.ledger.twins import TooNear
from flowmachine.queries import (
    DailyLocation,
    EventCount,
    Handset,
    HistogramAggregate,
    Inflows,
    JoinedSpatialAggregate,
    Outflows,
    SpatialAggregate,
    TopUpAmount,
    UniqueVisitorCounts,
)
from flowmachine.queries._combining import Subset
from flowmachine.queries.catalogue import kinds, load_any
from flowmachine.queries.movement.displacement_status import NOT_SEEN
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.query import NotBuildable, Query
from flowmachine.sql.contributors import counted, rows_of
from flowmachine.tables import audit, ledger_results, ledger_rows, result_name

from .drawing import SPECS, WORLDS, worlds
from .world import Stage, drawn

#: Districts of 20, 15 and 16 people on day 3, and v. All ring on day 2 but v, who rings late on day 1.
CROWD = """
    subscriber | time    | cell
    a1..20     | 1 10:00 | in-b
    a1..20     | 2 10:00 | in-b
    a1..20     | 3 10:00 | in-b
    b1..15     | 1 10:00 | in-B
    b1..15     | 2 10:00 | in-B
    b1..15     | 3 10:00 | in-B
    c1..16     | 1 10:00 | in-é
    c1..16     | 2 10:00 | in-é
    c1..16     | 3 10:00 | in-é
    v          | 1 23:00 | in-é
    v          | 3 12:00 | {cell}
"""

#: Sixteen more ring on day 3 only, as v does in the middle of these days.
NEWCOMERS = CROWD + "    n1..16     | 3 10:00 | in-a1\n"

ALL_BUT_V = tuple(
    f"{name}{number}"
    for name, most in (("a", 20), ("b", 15), ("c", 16), ("n", 16))
    for number in range(1, most + 1)
)


def homes(**more: Any) -> DailyLocation:
    return DailyLocation(date="2016-01-03", method="last", aggregation_unit="admin3", **more)


def of_those_who_rang(start: str) -> SpatialAggregate:
    """Return the homes on day 3 of those who rang from ``start`` to day 2."""
    rang = {"start_date": start, "end_date": "2016-01-03", "aggregation_unit": "admin2"}
    return SpatialAggregate(locations=homes(subscriber_subset={"query_kind": "unique_locations", **rang}))


#: Two questions, of which only the first is about v.
ATTACKS = {
    "a sample of all but one": (
        SpatialAggregate(locations=homes()),
        SpatialAggregate(locations=Subset(query=homes(), column="subscriber", values=ALL_BUT_V)),
    ),
    "windows a second apart": (
        of_those_who_rang("2016-01-01 23:00:00"),
        of_those_who_rang("2016-01-01 23:00:01"),
    ),
    "whole days": (of_those_who_rang("2016-01-01"), of_those_who_rang("2016-01-02")),
}


@pytest.mark.parametrize("first", [0, 1], ids=["v first", "v second"])
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("cell", ["in-b", "in-B", "in-é"])
def test_two_answers_that_differ_by_a_person_are_the_same(
    stage_in_utc: Stage,
    executor: str,
    monkeypatch: pytest.MonkeyPatch,
    attack: str,
    first: int,
    cell: str,
) -> None:
    """Check that neither values nor missing rows say where v is."""
    one, other = ATTACKS[attack][first], ATTACKS[attack][1 - first]
    world = drawn(CROWD.format(cell=cell))

    def differ() -> bool:
        with stage_in_utc.loaded(world) as (connection, state):
            rows = [stage_in_utc.run(query, world, executor, connection, state) for query in (one, other)]
        return rows[0] != rows[1]

    assert not differ()
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
    assert differ(), "the attack has to work where answers are judged alone"


def of_all_but_v(query: Query) -> Query:
    return Subset(query=query, column="subscriber", values=ALL_BUT_V)


def moves(cls: type[Outflows | Inflows], join: str, located: Query) -> Aggregate:
    """Return moves from day 2, where v made no call."""
    before = DailyLocation(date="2016-01-02", method="last", aggregation_unit="admin3")
    return cls(from_location=before, to_location=located, join_type=join)


def calls(start: str) -> EventCount:
    return EventCount(start_date=start, end_date="2016-01-04")


#: Pairs of answers that differ by v alone: in a row without a place, in one place, in one bin, in a value.
SUBTLE: dict[str, tuple[Aggregate, Aggregate]] = {
    "the null row": (
        moves(Outflows, "full outer", homes()),
        moves(Outflows, "full outer", of_all_but_v(homes())),
    ),
    "the null row of the other join": (
        moves(Outflows, "full outer", homes()),
        moves(Outflows, "right", of_all_but_v(homes())),
    ),
    "places they came to": (
        moves(Inflows, "right", homes()),
        moves(Inflows, "right", of_all_but_v(homes())),
    ),
    "one bin": (
        HistogramAggregate(metric=calls("2016-01-01"), bins={"bin_list": [0, 100]}),
        HistogramAggregate(metric=of_all_but_v(calls("2016-01-01")), bins={"bin_list": [0, 100]}),
    ),
    "the smallest value": (
        JoinedSpatialAggregate(locations=homes(), metric=calls("2016-01-01"), method="min"),
        JoinedSpatialAggregate(locations=of_all_but_v(homes()), metric=calls("2016-01-01"), method="min"),
    ),
    "values of equal subscribers": (
        JoinedSpatialAggregate(locations=homes(), metric=calls("2016-01-01 23:00:00"), method="sum"),
        JoinedSpatialAggregate(locations=homes(), metric=calls("2016-01-01 23:00:01"), method="sum"),
    ),
}


@pytest.mark.parametrize("first", [0, 1], ids=["v first", "v second"])
@pytest.mark.parametrize("attack", SUBTLE)
def test_answers_that_differ_subtly_are_the_same_with_their_metadata(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, attack: str, first: int
) -> None:
    pair = SUBTLE[attack][first], SUBTLE[attack][1 - first]
    world = drawn(NEWCOMERS.format(cell="in-é"))

    def answers() -> list[Any]:
        with stage_in_utc.loaded(world) as (connection, state):
            found = []
            for query in pair:
                rows = stage_in_utc.run(query, world, executor, connection, state)
                last = sa.select(ledger_results.c.withheld).order_by(ledger_results.c.release.desc()).limit(1)
                found.append((set(rows), connection.execute(last).scalar()))
            return found

    one, other = answers()
    assert one == other
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
    (one, _), (other, _) = answers()
    assert one != other, "the attack has to work where answers are judged alone"


#: Sixteen with a smartphone, and twenty and v with another.
HANDSETS = """
    subscriber | time    | cell | tac
    a1..16     | 3 10:00 | in-b | 11111111
    c1..16     | 3 10:00 | in-b | 33333333
    b1..4      | 3 10:00 | in-b | 33333333
    v          | 3 10:00 | in-b | 33333333
"""


@pytest.mark.parametrize("first", [0, 1], ids=["v first", "v second"])
def test_shares_tell_nothing_of_somebody_with_another_share(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Check that a row repeats where only the others at the place differ."""
    world = drawn(HANDSETS)
    phone = Handset(start_date="2016-01-03", end_date="2016-01-04", characteristic="hnd_type", method="last")
    homes_of_both = (homes(), of_all_but_v(homes()))

    def answers() -> list[Any]:
        with stage_in_utc.loaded(world) as (connection, state):
            return [
                stage_in_utc.run(
                    JoinedSpatialAggregate(locations=located, metric=phone, method="distr"),
                    *(world, executor, connection, state),
                )
                for located in (homes_of_both[first], homes_of_both[1 - first])
            ]

    one, other = answers()
    assert len(one) == 2
    assert one == other
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
    one, other = answers()
    assert {row[:3] for row in one} == {row[:3] for row in other}
    assert not set(one) & set(other), "the attack has to work where answers are judged alone"


@pytest.mark.parametrize("first", [0, 1], ids=["v first", "v second"])
def test_the_edges_of_two_histograms_do_not_tell_a_value(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Check that the largest value of all, and of all but one, is not in two answers."""
    everybody = calls("2016-01-01")
    pair = [
        HistogramAggregate(metric=metric, bins={"n_bins": 1})
        for metric in (everybody, of_all_but_v(everybody))
    ]
    asked = pair[first], pair[1 - first]
    # All others ring at most three times, and v once more.
    world = drawn(NEWCOMERS.format(cell="in-é") + "v | 2 10:00 | in-é\n" * 2)

    def answers() -> list[Any]:
        with stage_in_utc.loaded(world) as (connection, state):
            return [stage_in_utc.run(query, world, executor, connection, state) for query in asked]

    with pytest.raises(TooNear, match=f"that of query {asked[0].query_id}"):
        answers()
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "off")
    one, other = answers()
    assert one[0][-1] != other[0][-1], "the attack has to work where answers are judged alone"


#: Twenty ring once, twenty twice and twenty five times, v three times.
CALLERS = "subscriber | time | cell\n" + "".join(
    f"{who} | 2 10:0{call} | in-b\n"
    for who, calls_made in (("a1..20", 1), ("b1..20", 2), ("c1..20", 5), ("v", 3))
    for call in range(calls_made)
)


def by_calls(*edges: float, **more: Any) -> HistogramAggregate:
    bins = {"bins": {"bin_list": list(edges)}} if edges else {}
    return HistogramAggregate(metric=calls("2016-01-01"), **bins, **more)


#: Histograms whose bins, added up, differ by v, or by nobody.
THIN: dict[str, list[HistogramAggregate]] = {
    "up to 3 and up to 4": [by_calls(0, 2, 3), by_calls(0, 2, 4)],
    "an inner edge": [by_calls(0, 3, 9), by_calls(0, 4, 9)],
    "three histograms": [by_calls(0, 2, 3), by_calls(4, 9), by_calls(0, 9)],
    "two edges that differ": [by_calls(1, 3, 6), by_calls(0, 4, 7)],
    "the last bin, which includes its edge": [
        by_calls(bins={"n_bins": 1}, range=[0, 3]),
        by_calls(0, 3),
    ],
    "a bin of all below the largest value": [by_calls(0, 100), by_calls(0, 5.5)],
    "a bin of all": [by_calls(0, 100), by_calls(0, 50)],
}


#: Of twenty the amounts deviate by 2.8, of twenty by 14, and of v by 5.7.
SPENDERS = "subscriber | time | cell | type | recharge_amount\n" + "".join(
    f"{who} | 1 1{hour}:00 | in-b | topups | {amount * hour}\n"
    for who, amount in (("a1..20", 4), ("c1..20", 20), ("v", 8))
    for hour in (0, 1)
)


def by_spread(statistic: str, *edges: float) -> HistogramAggregate:
    """Count subscribers by the deviation of their topups, or by its square."""
    window = {"start_date": "2016-01-01", "end_date": "2016-01-04"}
    metric = TopUpAmount(**window, statistic=statistic)
    return HistogramAggregate(metric=metric, bins={"bin_list": list(edges)})


@pytest.mark.parametrize("turn", [1, -1], ids=["deviation first", "variance first"])
def test_a_variance_does_not_tell_who_is_between_edges_of_the_deviation(
    stage_in_utc: Stage, executor: str, turn: int
) -> None:
    world = drawn(SPENDERS)
    first, last = [by_spread("stddev", 0, 5, 100), by_spread("variance", 0, 37, 10_000)][::turn]
    wide = by_spread("variance", 0, 25, 10_000)
    with stage_in_utc.loaded(world) as (connection, state):
        assert stage_in_utc.run(first, world, executor, connection, state)[0][0] is not None
        with pytest.raises(EdgesTooNear):
            stage_in_utc.run(last, world, executor, connection, state)
    with stage_in_utc.loaded(world) as (connection, state):
        for query in (by_spread("stddev", 0, 5, 100), wide):
            assert stage_in_utc.run(query, world, executor, connection, state)[0][0] is not None


@pytest.mark.parametrize("attack", THIN)
@pytest.mark.parametrize("turn", [1, -1], ids=["in turn", "backwards"])
def test_bins_added_up_do_not_tell_who_is_between_edges(
    stage_in_utc: Stage, executor: str, monkeypatch: pytest.MonkeyPatch, attack: str, turn: int
) -> None:
    """Check that the last histogram is refused, whether v or nobody is between."""
    *first, last = THIN[attack][::turn]
    world = drawn(CALLERS)
    with stage_in_utc.loaded(world) as (connection, state):
        for query in first:
            assert stage_in_utc.run(query, world, executor, connection, state)[0][0] is not None
        with pytest.raises(EdgesTooNear):
            stage_in_utc.run(last, world, executor, connection, state)
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "report")
    with stage_in_utc.loaded(world) as (connection, state):
        for query in (*first, last):
            assert stage_in_utc.run(query, world, executor, connection, state)[0][0] is not None
        reported = sa.select(audit.c.params).where(audit.c.action == "differences")
        assert any("edges" in params for params in connection.execute(reported).scalars())


def test_histograms_with_many_between_their_edges_are_answered(stage_in_utc: Stage, executor: str) -> None:
    """Check finer and coarser bins, and tidy edges beside the ends of the values."""
    asked = [
        by_calls(0, 2, 100),
        by_calls(0, 2, 4, 100),
        by_calls(0, 4, 100),
        by_calls(2, 100),
        by_calls(bins={"n_bins": 1}),
        by_calls(0, 2, 1000),
    ]
    world = drawn(CALLERS)
    with stage_in_utc.loaded(world) as (connection, state):
        for query in asked:
            assert stage_in_utc.run(query, world, executor, connection, state)[0][0] is not None


COUNTED = sorted(
    kind
    for kind, cls in kinds().items()
    if issubclass(cls, Aggregate) and cls.uncompared is None and kind in SPECS
)


@pytest.mark.parametrize("kind", COUNTED)
@settings(max_examples=max(settings.default.max_examples // 5, 1))
@given(data=st.data())
def test_rows_that_differ_by_few_are_equal_or_absent_in_both(
    stage_in_utc: Stage, executor: str, kind: str, data: st.DataObject
) -> None:
    rows_do_not_tell(stage_in_utc, executor, kind, data)


def rows_do_not_tell(stage_in_utc: Stage, executor: str, kind: str, data: st.DataObject) -> None:
    """Release two drawn questions about a drawn world, and compare their rows."""
    world = data.draw(WORLDS.get(kind, worlds)(), "world")
    first, second = (load_any(data.draw(SPECS[kind](), name)) for name in ("first", "second"))
    assert isinstance(first, Aggregate)
    assert isinstance(second, Aggregate)
    with stage_in_utc.loaded(world) as (connection, state):
        try:
            for query in (first, second):
                state.check(query)
                stage_in_utc.run(query, world, executor, connection, state)
        except TooNear:
            return  # The whole answer is refused.
        except NotBuildable:
            reject()  # Some periods lie beyond the days that are loaded.
        sources = stage_in_utc.executors["postgres"].sources(state, connection)
        if executor != "postgres":
            for part in (*first.children, *second.children):
                store_all(stage_in_utc, part, connection, state)
        sets = behind(first, sources, connection) | behind(second, sources, connection)
        rows = [ledger(query, connection) for query in (first, second)]
        common = rows[0].keys() & rows[1].keys()
        differences = {key: len(sets[rows[0][key]] ^ sets[rows[1][key]]) for key in common}
        if first != second and sum(differences.values()) <= 28 and first.measure == second.measure:
            values = [released(query, connection) for query in (first, second)]
            for key, difference in differences.items():
                if 1 <= difference <= 15:
                    assert values[0].get(key) == values[1].get(key)


def store_all(stage: Stage, query: Query, connection: sa.Connection, state: Any) -> None:
    """Store a query and its parts as tables, to look at its contributors."""
    for part in query.graph():
        with stage.executors["postgres"].storing(part, state, connection):
            pass


#: The first numbers of a row's sketches.
Sketched = tuple[int, int | None]


def behind(query: Aggregate, sources: Any, connection: sa.Connection) -> dict[Any, frozenset[Any]]:
    """Return the subscribers behind rows, with what they add, by their sketches."""
    keys, groups = contributing(query, sources, connection)
    for key, people in list(groups.items()) if query.shares_of else ():
        # A share tells of everybody in its group, too.
        for other, more in list(groups.items()):
            if group_of(query, keys, key) == group_of(query, keys, other):
                people |= {("beside", *person) for person in more if person[0] != "beside"}
    as_they_are = query.shares_of or query.sketches_itself
    select = (rows_of if as_they_are else counted)(query, sources, sketched=True)
    rows = connection.execute(select).mappings()
    # Rows of kinds that have a row for nobody have sketches of nobody.
    nobody: dict[Any, frozenset[Any]] = {(0, None): frozenset(), (0, 0): frozenset()}
    return nobody | {
        (row["whole"], row.get("value_whole")): frozenset(groups[tuple(str(row[name]) for name in keys)])
        for row in rows
    }


def contributing(
    query: Aggregate, sources: Any, connection: sa.Connection
) -> tuple[list[str], dict[tuple[str, ...], set[tuple[Any, ...]]]]:
    """Return the key columns of a query's contributors, and who they are by key."""
    groups: dict[tuple[str, ...], set[tuple[Any, ...]]] = defaultdict(set)
    if isinstance(query, UniqueVisitorCounts):
        # A difference of two numbers tells of who is in one of them.
        for part in (query.unique_subscriber_counts, query.active_at_reference_location_counts):
            for key, people in contributing(part, sources, connection)[1].items():
                groups[key] ^= people
        return ["location"], groups
    relation = query.contributors(sources)
    names = list(relation.c.keys())
    position = names.index("subscriber")
    for row in connection.execute(sa.select(relation)):
        if row[position] is not None:
            groups[tuple(map(str, row[:position]))].add(tuple(row[position:]))
    return names[:position], groups


def group_of(query: Aggregate, keys: list[str], key: tuple[str, ...]) -> list[Any]:
    """Return the group of which a row is a share."""
    named = dict(zip(keys, key, strict=True))
    named["seen"] = named.get("status") != NOT_SEEN
    return [named[name] for name in query.shares_of]


def ledger(query: Aggregate, connection: sa.Connection) -> dict[int, Sketched]:
    """Return the first numbers of the sketches of a query's last release, by key."""
    # The outer edges of a histogram are judged apart, under its id.
    last = sa.select(sa.func.max(ledger_results.c.release)).where(
        ledger_results.c.query_id == query.query_id, ledger_results.c.measure == query.measure[0]
    )
    columns = ledger_rows.c.row_key, ledger_rows.c.whole, ledger_rows.c.value_whole
    rows = sa.select(*columns).where(ledger_rows.c.release == last.scalar_subquery())
    return {key: tuple(sketches) for key, *sketches in connection.execute(rows)}


def released(query: Aggregate, connection: sa.Connection) -> dict[int, Any]:
    """Return the published numbers by key of the row."""
    columns = (sa.column(name, type_) for name, type_ in query.published.columns.items())
    table = sa.table(result_name(query.query_id), *columns, schema="cache")
    numbers = (table.c[name] for name in query.published.measures)
    return {key: found for key, *found in connection.execute(sa.select(row_key(query, table), *numbers))}
