"""Hold the comparison of histograms' edges to its definition in linear algebra."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from flowdb.testing import Database
from flowmachine.ledger.commands import prune
from flowmachine.ledger.edges import (
    MOST_EDGES,
    MOST_OF_ONE,
    Cuts,
    EdgesTooNear,
    TooManyEdges,
    circles,
    cuts_of,
    judge,
    nearest,
)
from flowmachine.ledger.recording import NOT_COMPARED
from flowmachine.ledger.twins import TooNear
from flowmachine.queries import EventCount, HistogramAggregate
from flowmachine.tables import audit, jobs, ledger_results, ledger_rows

from .in_memory import Told, empty_ledger, in_memory, table_of

FLOOR = 15

#: How many subscribers have each value from 0 on; many are thin slices.
values = st.lists(st.sampled_from([0, 1, 7, 8, 15, 16, 40]), min_size=9, max_size=9)
histograms = st.lists(
    st.lists(st.integers(0, 9), min_size=2, max_size=5, unique=True).map(sorted).map(tuple),
    min_size=1,
    max_size=5,
)


def counting(numbers: Sequence[int]) -> Callable[[Sequence[float]], list[int]]:
    """Return what counts the subscribers between neighbouring edges."""
    return lambda edges: [sum(numbers[int(low) : int(high)]) for low, high in pairwise(edges)]


def is_published(numbers: Sequence[int], edges: tuple[float, ...]) -> bool:
    return all(count > FLOOR for count in counting(numbers)(edges))


def rank(rows: Sequence[Sequence[int]]) -> int:
    return int(np.linalg.matrix_rank(np.array(rows))) if rows else 0


def indicator(low: float, high: float) -> list[int]:
    return [int(low <= value < high) for value in range(9)]


@given(numbers=values, drawn=histograms, near=st.sets(st.integers(0, 4)))
def test_circles_are_counted_as_the_sums_that_bins_and_slices_share(
    numbers: list[int], drawn: list[tuple[float, ...]], near: set[int]
) -> None:
    """Check that circles are the sums of thin slices that are also sums of bins.

    The values of some histograms are other subscribers', so that their edges are others.
    """
    found = [
        Cuts("id", edges, is_same=number not in near)
        for number, edges in enumerate(drawn)
        if is_published(numbers, edges)
    ]
    nodes = sorted(
        {(edge, 0 if cuts.is_same else at + 1) for at, cuts in enumerate(found) for edge in cuts.edges}
    )
    below = {edge: sum(numbers[:edge]) for edge in range(10)}

    def step(one: tuple[float, int], other: tuple[float, int]) -> list[int]:
        return [int(node == other) - int(node == one) for node in nodes]

    bins = [
        step((low, at if not cuts.is_same else 0), (high, at if not cuts.is_same else 0))
        for at, cuts in enumerate(found, start=1)
        for low, high in pairwise(cuts.edges)
    ]
    slices = [
        step(one, other)
        for one, other in pairwise(nodes)
        if below[int(other[0])] - below[int(one[0])] <= FLOOR
    ]
    assert circles(found, below) == rank(bins) + rank(slices) - rank([*bins, *slices])


@given(numbers=values, drawn=histograms)
def test_no_slice_of_few_is_a_sum_of_bins(numbers: list[int], drawn: list[tuple[float, ...]]) -> None:
    """Check that published bins add up to no slice of nobody to few."""
    published: list[Cuts] = []
    for number, edges in enumerate(drawn):
        cuts = Cuts(str(number), edges)
        if is_published(numbers, edges) and nearest(cuts, published, counting(numbers)) is None:
            published.append(cuts)
    bins = [indicator(*pair) for cuts in published for pair in pairwise(cuts.edges)]
    edges = {edge for cuts in published for edge in cuts.edges}
    for low, high in combinations(sorted(edges), 2):
        if sum(numbers[int(low) : int(high)]) <= FLOOR:
            assert rank([*bins, indicator(low, high)]) > rank(bins), (low, high)


@pytest.mark.parametrize("between", [0, 1, 15, 16])
def test_an_edge_of_another_histogram_has_sixteen_between(between: int) -> None:
    """Check nobody, one, the floor and one more between two last edges."""
    numbers = [20, 20, between]
    earlier, later = Cuts("earlier", (0, 1, 2)), Cuts("later", (0, 1, 3))
    found = nearest(later, [earlier], counting(numbers))
    assert (found is None) == (between > FLOOR)
    if found is not None:
        assert isinstance(found, EdgesTooNear)
        assert found.query_id == "earlier"
        assert "query earlier" in str(found)
        assert "no more than 15" in str(found)


def test_the_first_histogram_that_is_too_near_is_named() -> None:
    numbers = [20, 20, 1, 20]
    earlier = [Cuts("coarse", (0, 1)), Cuts("near", (0, 2, 4)), Cuts("nearer", (0, 2))]
    found = nearest(Cuts("later", (0, 3, 4)), earlier, counting(numbers))
    assert found is not None
    assert found.query_id == "near"


def test_tidy_edges_beyond_published_ends_tell_nothing() -> None:
    """Check both orders, and that the ends of other values are no ends of these."""
    numbers = [0, 20, 20, 0, 0]
    ends, tidy = Cuts("ends", (1, 3), tells_ends=True), Cuts("tidy", (0, 2, 5))
    assert nearest(tidy, [ends], counting(numbers)) is None
    assert nearest(ends, [tidy], counting(numbers)) is None
    assert nearest(Cuts("tidier", (0, 2, 4)), [ends, tidy], counting(numbers)) is None
    assert nearest(Cuts("tidier", (0, 2, 4)), [tidy], counting(numbers)) is not None
    others = Cuts("ends", (1, 3), tells_ends=True, is_same=False)
    assert nearest(Cuts("tidier", (0, 2, 4)), [tidy, others], counting(numbers)) is not None


def test_values_of_nearly_the_same_subscribers() -> None:
    """Check that equal edges repeat, and others and the ends are refused."""
    numbers = [20, 20, 20]
    near = Cuts("near", (0, 1, 3), is_same=False)
    assert nearest(Cuts("own", (0, 1, 3)), [near], counting(numbers)) is None
    assert nearest(Cuts("own", (0, 2, 3)), [near], counting(numbers)) is not None
    assert nearest(Cuts("own", (1, 2)), [near], counting(numbers)) is None
    ends = Cuts("near", (0, 3), tells_ends=True, is_same=False)
    found = nearest(Cuts("own", (0, 3), tells_ends=True), [ends], counting(numbers))
    assert isinstance(found, TooNear)
    assert found.query_id == "near"


def test_cuts_are_read_as_they_were_written() -> None:
    cuts = Cuts("id", (0.1, 2.5, 1e300), tells_ends=True)
    assert Cuts.read("id", cuts.text, is_same=True) == cuts
    earlier_version = Cuts.read("id", "ends", is_same=False)
    assert (earlier_version.edges, earlier_version.tells_ends, earlier_version.is_same) == ((), True, False)


def test_a_last_bin_with_its_edge_ends_above_the_edge() -> None:
    """Check equally wide bins, listed edges, and one bin of equal values."""
    metric = EventCount(start_date="2016-01-01", end_date="2016-01-02")
    wide, listed, ranged = (
        HistogramAggregate(metric=metric, **more).values_behind
        for more in (
            {"bins": {"n_bins": 2}},
            {"bins": {"bin_list": [0, 1, 2]}},
            {"bins": {"n_bins": 2}, "range": [0, 2]},
        )
    )
    above = float(np.nextafter(2, 3))
    assert cuts_of(wide, [0, 1, 1, 2]) == Cuts(wide.query_id, (0, 1, above), tells_ends=True)
    assert cuts_of(listed, [2, 1, 1, 0]) == Cuts(listed.query_id, (0, 1, 2))
    assert cuts_of(ranged, [0, 1, 2]) == Cuts(ranged.query_id, (0, 1, above))
    assert cuts_of(wide, [2]) == Cuts(wide.query_id, (2, above), tells_ends=True)


def test_a_bin_of_nearly_the_same_values_is_no_slice() -> None:
    """Check that what a published bin tells is no secret, however few are in it."""
    assert circles([Cuts("near", (0, 1), is_same=False)], {0: 0, 1: FLOOR}) == 0


def test_equal_edges_of_other_values_are_other_edges() -> None:
    near, same = Cuts("near", (0, 1), is_same=False), Cuts("same", (0, 1))
    assert circles([near, same], {0: 0, 1: 20}) == 1
    assert circles([same, near], {0: 0, 1: 20}) == 1
    assert circles([same, same], {0: 0, 1: 20}) == 0
    assert circles([near, Cuts("nearer", (0, 1), is_same=False)], {0: 0, 1: 20}) == 1


def test_a_count_for_each_two_neighbours_is_needed() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        nearest(Cuts("later", (0, 2)), [Cuts("earlier", (0, 1))], lambda edges: [20] * (len(edges) - 2))


def test_cuts_are_values() -> None:
    assert len({Cuts("id", (0, 1)), Cuts("id", (0, 1)), Cuts("id", (0, 2))}) == 2


@pytest.mark.parametrize("number", range(5))
def test_the_earliest_with_which_a_circle_closes_is_named(number: int) -> None:
    """Check each of five earlier histograms, the first and the last too."""
    numbers = [20] * 12 + [1, 20]
    earlier = [Cuts(f"query {at}", (at, at + 2)) for at in range(5)]
    earlier[number] = Cuts(f"query {number}", (number, 13))
    found = nearest(Cuts("own", (number, 12)), earlier, counting(numbers))
    assert found is not None
    assert found.query_id == f"query {number}"


def test_edges_between_published_ends_stay() -> None:
    """Check both ends of three edges, and an edge beside each of them."""
    numbers = [20, 1, 20, 20, 1, 20]
    ends = Cuts("ends", (0, 3, 6), tells_ends=True)
    assert nearest(Cuts("own", (-1, 1)), [ends, Cuts("low", (0, 2))], counting(numbers)) is not None
    assert nearest(Cuts("own", (4, 7)), [ends, Cuts("high", (5, 6))], counting(numbers)) is not None
    assert nearest(Cuts("own", (-1, 3, 7)), [ends], lambda edges: []) is None


def test_edges_that_are_all_beyond_an_end_are_one_edge() -> None:
    beyond, ends = Cuts("beyond", (4, 5)), Cuts("ends", (0, 3), tells_ends=True)
    assert nearest(Cuts("own", (0, 1, 3)), [beyond, ends], counting([20, 20, 20])) is None


def test_edges_of_a_histogram_may_be_left_out() -> None:
    """Check that bins are put together without a count, but of the same values only."""
    numbers = [20, 20, 1, 20]
    fine, other = Cuts("fine", (0, 1, 2, 4)), Cuts("other", (0, 3))
    asked: list[int] = []

    def count(edges: Sequence[float]) -> list[int]:
        asked.append(len(edges))
        return counting(numbers)(edges)

    for edges in combinations(fine.edges, 2):
        assert nearest(Cuts("own", edges), [fine, other], count) is None
    assert asked == []
    near = Cuts("near", fine.edges, is_same=False)
    assert nearest(Cuts("own", (0, 1, 4)), [near], count) is not None


def at(start: float, length: int) -> tuple[float, ...]:
    return tuple(start + number for number in range(length))


def no_count(edges: Sequence[float]) -> list[int]:
    raise AssertionError("others wait while edges are counted")


def many(edges: Sequence[float]) -> list[int]:
    return [FLOOR + 1] * (len(edges) - 1)


def test_edges_are_compared_up_to_a_number() -> None:
    """Check that nothing is counted beyond the limit, as others wait meanwhile."""
    each = MOST_OF_ONE - 2
    users = -(-MOST_EDGES // each)
    earlier = [Cuts(f"q{user}", at(user * each, each), asked_by=f"u{user}") for user in range(users)]
    left = MOST_EDGES - sum(len(cuts.edges) for cuts in earlier[:-1])
    full = [*earlier[:-1], Cuts("last", at(-MOST_EDGES, left - 2), asked_by="u")]
    assert nearest(Cuts("own", (0.0, 1.5), asked_by="new"), full, many) is None
    found = nearest(Cuts("own", (0.0, 1.0, 1.5), asked_by="new"), full, no_count)
    assert isinstance(found, TooManyEdges)
    assert str(found) == (
        "All histograms of these values would have more than 10,000 edges together. Use all edges of query q0, or"
        " some of them: known edges are always answered."
    )
    assert nearest(Cuts("own", at(3, 40), asked_by="new"), full, no_count) is None
    # What is part of another histogram's edges does not count.
    parts = [Cuts(f"part {number}", at(number, 3), asked_by="u0") for number in range(40)]
    assert nearest(Cuts("own", (0.0, 1.5), asked_by="new"), [*parts, *full], many) is None


@pytest.mark.parametrize("asker", ["me", None])
def test_one_user_leaves_edges_to_others(asker: str | None) -> None:
    earlier = [
        Cuts("theirs", (0.0, 4.5, 5.0), asked_by="you"),
        Cuts("mine", at(0, MOST_OF_ONE - 3), asked_by=asker),
        Cuts("near", (0.0, 4.5), is_same=False, asked_by="you"),
    ]
    assert nearest(Cuts("own", (0, 1.5, 2.5), asked_by=asker), earlier, many) is None
    found = nearest(Cuts("own", (0, 1.5, 2.5, 4.5), asked_by=asker), earlier, no_count)
    assert isinstance(found, TooManyEdges)
    assert str(found) == (
        "The histograms that you asked for of these values would have more than 1,250 edges together. Use all"
        " edges of query theirs, or some of them: known edges are always answered."
    )
    assert nearest(Cuts("own", (0, 1.5, 2.5, 4.5), asked_by="you"), earlier, many) is None
    # The first histogram of a user always has room, and edges of others' values are used whole.
    near = [Cuts("near", at(0, MOST_OF_ONE), is_same=False, asked_by=asker)]
    found = nearest(Cuts("own", (0, 1.5), asked_by=asker), near, no_count)
    assert isinstance(found, TooManyEdges)
    assert str(found).endswith("Use all edges of query near: known edges are always answered.")
    assert nearest(Cuts("own", at(0, MOST_OF_ONE + 1), asked_by=asker), near, no_count) is not None
    assert nearest(Cuts("own", at(0, MOST_OF_ONE + 1), asked_by="else"), near, many) is not None


@pytest.fixture(scope="module")
def engine() -> Iterator[sa.Engine]:
    with in_memory() as engine:
        yield engine


#: Twenty people have each number from 0 to 2, but two of them have another.
NUMBERS = {one: min(one // 20, 2) for one in range(60)} | {19: 3, 39: 3}


@dataclass
class Asked:
    """Ask for histograms in a ledger in memory."""

    connection: sa.Connection

    def histogram(
        self, *edges: float, numbers: dict[int, int] = NUMBERS, day: int = 1, asked_by: str | None = None
    ) -> str:
        """Judge the edges of a histogram; return its id."""
        metric = EventCount(start_date=f"2016-01-0{day}", end_date="2016-01-08")
        values = HistogramAggregate(metric=metric, bins={"bin_list": list(edges)}).values_behind
        row = Told((), frozenset(numbers), numbers).judged(values)

        def count(edges: Sequence[float]) -> list[int]:
            return [sum(low <= one < high for one in numbers.values()) for low, high in pairwise(edges)]

        if asked_by is not None:
            job = {"query_id": values.query_id, "store": "released", "requested_by": asked_by}
            self.connection.execute(sa.insert(jobs).values(job))
        with table_of(self.connection, values, [row]) as rows:
            judge(self.connection, values, cuts_of(values, edges), rows, count)
        return values.query_id

    @property
    def notes(self) -> list[sa.Row[Any]]:
        return list(self.connection.execute(sa.select(audit)).all())


@pytest.fixture
def ask(engine: sa.Engine) -> Iterator[Asked]:
    with empty_ledger(engine) as connection:
        yield Asked(connection)


def test_a_histogram_of_the_same_values_is_compared(ask: Asked) -> None:
    """Check that the earliest is named, and that the ledger has edges and user."""
    first = ask.histogram(0, 3, asked_by="me")
    ask.histogram(1, 3)
    with pytest.raises(EdgesTooNear, match=f"query {first},"):
        ask.histogram(0, 4)
    assert not ask.notes
    kept = sa.select(ledger_results.c.measure, ledger_results.c.statistic).order_by(ledger_results.c.release)
    measure, statistic = ask.connection.execute(kept).first() or ("", "")
    assert measure == "ends"
    assert Cuts.read(first, statistic, is_same=True) == Cuts(first, (0, 3), asked_by="me")


def test_histograms_of_other_values_are_not_compared(ask: Asked) -> None:
    """Check that a histogram of other values does not count."""
    ask.histogram(0, 3, numbers=dict.fromkeys(range(60), 2))
    second = ask.histogram(0, 3, day=2)
    with pytest.raises(EdgesTooNear, match=second):
        ask.histogram(0, 4)


def test_values_of_which_one_differs_are_nearly_the_same(ask: Asked) -> None:
    first = ask.histogram(0, 1, 3)
    near = NUMBERS | {0: 1}
    # With the same values these edges would be answered.
    with pytest.raises(EdgesTooNear, match=first):
        ask.histogram(0, 3, numbers=near, day=2)


def test_a_report_names_both_histograms(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "report")
    first = ask.histogram(0, 3)
    ask.histogram(0, 1)
    assert not ask.notes
    later = ask.histogram(0, 4)
    [row] = ask.notes
    assert (row.action, row.query_id, row.params) == ("differences", later, {"edges": [first]})
    assert row.message == (f"Edges of {later} enclose few subscribers together with those of {first}.")


def test_the_edges_of_a_user_count_in_later_histograms(ask: Asked) -> None:
    fine = [0, *(1 + number / 2_000 for number in range(1_000)), 2]
    ask.histogram(*fine, asked_by="me")
    finer = [0, *(2 + number / 2_000 for number in range(1_000))]
    with pytest.raises(TooManyEdges, match="that you asked for"):
        ask.histogram(*finer, asked_by="me")
    ask.histogram(0, 2, asked_by="me")


def compared(connection: sa.Connection) -> int:
    """Return how many histograms later ones are compared with."""
    rows = sa.select(sa.func.count()).where(ledger_rows.c.size != NOT_COMPARED)
    return connection.execute(rows).scalar_one()


def test_histograms_of_known_edges_are_not_compared_again(ask: Asked) -> None:
    """Check that their number does not matter, and that their edges stay known."""
    first = ask.histogram(0, 1, 2, 3)
    for _ in range(3):
        ask.histogram(0, 1, 3)
        ask.histogram(0, 1, 2, 3, day=2)
    assert compared(ask.connection) == 1
    with pytest.raises(EdgesTooNear, match=first):
        ask.histogram(0, 1, 4)


def test_what_a_forgotten_histogram_stood_for_is_compared_again(database: Database) -> None:
    engine = sa.create_engine(database.url("flowmachine"))
    with engine.begin() as connection:
        ask = Asked(connection)
        first, later = ask.histogram(0, 1, 2, 3), ask.histogram(0, 1, 3)
        of_first = sa.update(ledger_results).where(ledger_results.c.query_id == first)
        connection.execute(of_first.values(at=date(2016, 1, 1)))
        assert prune(connection, date(2016, 1, 2)).releases == 1
        assert compared(connection) == 1
        with pytest.raises(EdgesTooNear, match=later):
            ask.histogram(0, 4)
    engine.dispose()
