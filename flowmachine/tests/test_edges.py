"""Hold the comparison of histograms' edges to its definition in linear algebra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmachine.ledger.edges import MOST_EDGES, Cuts, EdgesTooNear, TooManyEdges, circles, cuts_of, nearest
from flowmachine.ledger.twins import TooNear
from flowmachine.queries import EventCount, HistogramAggregate

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


def test_edges_are_compared_up_to_a_number() -> None:
    """Check that nothing is counted beyond the limit, as others wait meanwhile."""
    edges = tuple(map(float, range(MOST_EDGES // 2)))
    earlier = [Cuts("first", edges), Cuts("second", tuple(edge + 0.5 for edge in edges))]
    asked: list[int] = []

    def count(found: Sequence[float]) -> list[int]:
        asked.append(len(found))
        return [FLOOR + 1] * (len(found) - 1)

    found = nearest(Cuts("third", (0.0, 1.0)), earlier, count)
    assert isinstance(found, TooManyEdges)
    assert "query second" in str(found)
    assert asked == []
    # Equal edges repeat the earlier rows, and are not refused.
    assert nearest(Cuts("third", edges), earlier[:1], count) is None
    assert nearest(Cuts("third", tuple(edge + 0.5 for edge in edges)), earlier[:1], count) is None
    assert asked == [MOST_EDGES]
    # Edges of the same values add nothing, so that nothing is counted.
    assert nearest(Cuts("third", edges), earlier, count) is None
    assert asked == [MOST_EDGES]
