"""Draw random values that many processes can repeat exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def generator(*key: int) -> np.random.Generator:
    """Return a stream that depends only on its key.

    Days can therefore be made in any order and by any process.
    """
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(key)))


class GroupedDraw:
    """Draw items by weight within groups.

    Group g occupies the interval [g, g + 1) of one cumulative curve, so that a draw for any mix of groups is
    a single binary search.
    """

    def __init__(self, groups: NDArray[np.integer], weights: Floats) -> None:
        """Build the curve.

        `groups` must count 0, 1, 2, ... in ascending order. Every group needs a positive total weight.
        """
        self._starts: Integers = np.searchsorted(groups, np.arange(int(groups[-1]) + 2)).astype(np.int64)
        totals = np.add.reduceat(weights, self._starts[:-1])
        running = np.cumsum(weights / totals[groups])
        before = np.concatenate(([0.0], running))[self._starts[:-1]]
        self._curve: Floats = running - before[groups] + groups

    def draw(self, groups: NDArray[np.integer], random: np.random.Generator) -> Integers:
        """Draw one item index for each entry of `groups`."""
        found = np.searchsorted(self._curve, groups + random.random(len(groups)), side="right")
        # Rounding of the running sum may end a group's curve slightly off its bound.
        return np.clip(found, self._starts[groups], self._starts[np.asarray(groups) + 1] - 1)


def matrix_draw(weights: Floats) -> GroupedDraw:
    """Draw columns for the given rows; an item is row * columns + column."""
    rows, columns = weights.shape
    return GroupedDraw(np.repeat(np.arange(rows), columns), weights.ravel())


def apportion(total: int, shares: Floats, least: int = 0) -> Integers:
    """Split `total` into whole numbers proportional to `shares`.

    The largest-remainder method decides; no number is below `least`.
    """
    exact = shares / shares.sum() * (total - least * len(shares))
    counts = np.floor(exact).astype(np.int64)
    short = total - least * len(shares) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts + least
