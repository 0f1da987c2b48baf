"""Refuse histograms whose edges enclose few with those of earlier ones.

Bins add up to the number of subscribers below an edge, counted from another edge of the histogram. Bins up to 10 and
bins up to 11 of one metric differ by those from 10 to 11. If these are few, the later histogram is refused. It is
refused, too, if nobody is between: the largest value would otherwise be the lowest edge that is not refused.

Edges are the nodes of a graph. A published bin connects two: the number of subscribers between them is known. A thin
slice, of nobody to few, connects two, too: one edge is nearly the other. A circle through a slice tells how many are
in it. So a histogram is refused if it adds a circle with a slice.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import sqlalchemy as sa

from flowmachine.ledger.once import any_of, bound, built_once
from flowmachine.ledger.recording import NOT_COMPARED, note_differences, record
from flowmachine.ledger.twins import TooNear, behind_values, candidates, tell_of_twins
from flowmachine.spec.aggregate import Aggregate, ValuesBehind
from flowmachine.spec.published import differences, floor
from flowmachine.sql.sketches import equal
from flowmachine.tables import jobs, ledger_results, ledger_rows

#: Returns the number of subscribers between each two neighbouring edges.
CountBetween = Callable[[Sequence[float]], Sequence[int]]


class EdgesTooNear(TooNear):
    """Report an earlier histogram with other edges, and few subscribers between."""

    def __init__(self, query_id: str) -> None:
        super().__init__(
            query_id,
            f"Edges of this histogram differ from those of query {query_id}, and no more than {floor()} subscribers"
            " have a value between. Use the same edges, or edges further apart.",
        )


#: Most edges of different histograms of nearly the same values: others wait while these are compared.
MOST_EDGES = 10_000

#: Most of these for which one user asks, so that nobody leaves others only known edges.
MOST_OF_ONE = 1_250


class TooManyEdges(TooNear):
    """Report earlier histograms whose edges are too many to compare with further ones."""

    def __init__(self, named: Cuts, *, of_one: bool) -> None:
        whose = "The histograms that you asked for" if of_one else "All histograms"
        most = MOST_OF_ONE if of_one else MOST_EDGES
        which = "all edges of query {}, or some of them" if named.is_same else "all edges of query {}"
        super().__init__(
            named.query_id,
            f"{whose} of these values would have more than {most:,} edges together. Use"
            f" {which.format(named.query_id)}: known edges are always answered.",
        )


@dataclass(frozen=True)
class Cuts:
    """Hold a histogram's edges, ascending: bins exclude their upper edge.

    ``tells_ends`` says that the outer edges are the smallest and the largest value. ``is_same`` says that all
    values are those of the new histogram; otherwise those of few subscribers differ. ``asked_by`` is the user, and
    ``release`` is the number in the ledger.
    """

    query_id: str
    edges: tuple[float, ...]
    tells_ends: bool = False
    is_same: bool = True
    asked_by: str | None = None
    release: int | None = None

    @property
    def text(self) -> str:
        """Return what the ledger keeps."""
        return json.dumps({"edges": self.edges, "tells_ends": self.tells_ends, "asked_by": self.asked_by})

    @classmethod
    def read(cls, query_id: str, text: str, *, is_same: bool, release: int | None = None) -> Cuts:
        """Return the cuts of the ledger; earlier versions kept no edges."""
        known: Any = json.loads(text) if text.startswith("{") else {"edges": (), "tells_ends": True}
        return cls(
            query_id, tuple(known["edges"]), known["tells_ends"], is_same, known.get("asked_by"), release
        )


def cuts_of(query: ValuesBehind, edges: Iterable[float]) -> Cuts:
    """Return the cuts of a histogram with these edges, lower and upper ones."""
    found = sorted(set(edges))
    if query.includes_highest:
        # The last bin goes up to the next number, without it.
        *found, highest = found
        # If all values are equal, the only bin has one edge.
        found = [*(found or [highest]), math.nextafter(highest, math.inf)]
    return Cuts(query.query_id, tuple(found), query.tells_ends)


def judge(
    connection: sa.Connection, values: ValuesBehind, cuts: Cuts, rows: sa.Table, count: CountBetween
) -> None:
    """Record a histogram's values and edges in one row; refuse or report near edges.

    ``rows`` has the row of ``values``. Raises TooNear.
    """
    cuts = replace(cuts, asked_by=connection.execute(_asker(), {"asked": cuts.query_id}).scalar())
    values = values.with_edges(cuts.text)
    made = record(connection, values, rows)
    earlier = _earlier(connection, values, made)
    found = nearest(cuts, earlier, count)
    if found is None:
        _leave_out(connection, cuts, earlier, made)
        return
    if differences() == "on":
        raise found
    told = f"Edges of {values.query_id} enclose few subscribers together with those of {found.query_id}."
    note_differences(connection, values, made, {"edges": [found.query_id]}, told)


def nearest(own: Cuts, earlier: Sequence[Cuts], count: CountBetween) -> TooNear | None:
    """Return an error that names the first histogram that is too near; else None."""
    for other in earlier:
        # Extremes of nearly the same values tell a value, whatever is between.
        if own.tells_ends and other.tells_ends and not other.is_same:
            return TooNear(other.query_id)
    own, *earlier = _without_ends([own, *earlier])
    # The bins are sums of bins that are known.
    if any(cuts.is_same and set(cuts.edges).issuperset(own.edges) for cuts in earlier):
        return None
    others = _distinct(own, earlier)
    if not others:
        return None
    return _too_many(own, others) or _first_circle(own, others, count)


def _leave_out(connection: sa.Connection, own: Cuts, earlier: Sequence[Cuts], made: int) -> None:
    """Compare later histograms with the earlier one that has all edges of this.

    They are not compared with this. So the histograms that are compared are no more than their edges, however many are asked for.
    """
    for cuts in earlier:
        if cuts.is_same and cuts.tells_ends >= own.tells_ends and set(cuts.edges).issuperset(own.edges):
            row = sa.update(ledger_rows).where(ledger_rows.c.release == made)
            connection.execute(row.values(repeats=cuts.release, size=NOT_COMPARED))
            return


def _distinct(own: Cuts, earlier: Sequence[Cuts]) -> list[Cuts]:
    """Return the histograms with edges that no other histogram has.

    With equal edges each row repeats the earlier one where few differ.
    """
    first = {cuts.edges: cuts for cuts in reversed(earlier) if cuts.edges and cuts.edges != own.edges}
    others = list(reversed(first.values()))
    # Histograms made of known edges may be many. Those with edges of their own are few, and larger ones come first.
    largest: list[set[float]] = []
    parts = set()
    for cuts in sorted((cuts for cuts in others if cuts.is_same), key=lambda cuts: -len(cuts.edges)):
        edges = set(cuts.edges)
        if any(edges <= larger for larger in largest):
            parts.add(cuts.edges)
        else:
            largest.append(edges)
    return [cuts for cuts in others if not (cuts.is_same and cuts.edges in parts)]


def _too_many(own: Cuts, others: Sequence[Cuts]) -> TooManyEdges | None:
    """Return an error that names the histogram with the most edges of a new one."""
    of_asker = [cuts for cuts in others if cuts.asked_by == own.asked_by]
    limits = ((others, MOST_EDGES, False), (of_asker, MOST_OF_ONE, True))
    for found, most, of_one in limits:
        if found and sum(len(cuts.edges) for cuts in (own, *found)) > most:
            edges = set(own.edges)
            named = max(others, key=lambda cuts: (cuts.is_same, len(edges.intersection(cuts.edges))))
            return TooManyEdges(named, of_one=of_one)
    return None


def _first_circle(own: Cuts, others: Sequence[Cuts], count: CountBetween) -> EdgesTooNear | None:
    edges = sorted({edge for cuts in (own, *others) for edge in cuts.edges})
    below = dict(zip(edges, accumulate(count(edges), initial=0), strict=True))

    def tells(number: int) -> bool:
        known = others[:number]
        return circles([own, *known], below) > circles(known, below)

    if not tells(len(others)):
        return None
    # The number of circles never falls with more histograms.
    named = bisect_left(range(len(others)), True, lo=1, key=tells)
    return EdgesTooNear(others[named - 1].query_id)


def _without_ends(found: Sequence[Cuts]) -> list[Cuts]:
    """Put edges beyond the smallest and largest value on these, if they are published.

    Nobody is beyond, and all know.
    """
    ends = next((cuts.edges for cuts in found if cuts.tells_ends and cuts.is_same and cuts.edges), None)
    if ends is None:
        return list(found)
    low, high = ends[0], ends[-1]
    return [
        replace(cuts, edges=tuple(dict.fromkeys(min(max(edge, low), high) for edge in cuts.edges)))
        if cuts.is_same
        else cuts
        for cuts in found
    ]


def circles(found: Sequence[Cuts], below: Mapping[float, int]) -> int:
    """Return the number of thin slices that close a circle of slices and bins.

    ``below`` has the number of subscribers below each edge. An edge of other values is another node.
    """
    nodes: list[tuple[float, int]] = []
    parents: dict[tuple[float, int], tuple[float, int]] = {}

    def top(node: tuple[float, int]) -> tuple[float, int]:
        while parents[node] != node:
            parents[node] = node = parents[parents[node]]
        return node

    bins = set()
    for number, cuts in enumerate(found):
        here = [(edge, 0 if cuts.is_same else number + 1) for edge in cuts.edges]
        for node in here:
            if node not in parents:
                parents[node] = node
                nodes.insert(bisect_left(nodes, node), node)
        for one, other in pairwise(here):
            bins.add((one, other))
            parents[top(one)] = top(other)
    closed = 0
    for one, other in pairwise(nodes):
        if (one, other) in bins or below[other[0]] - below[one[0]] > floor():
            continue
        if top(one) == top(other):
            closed += 1
        parents[top(one)] = top(other)
    return closed


def _earlier(connection: sa.Connection, values: Aggregate, made: int) -> list[Cuts]:
    """Return the earlier histograms of the same or nearly the same values, by age."""
    found = candidates(connection, values, made)
    if not found:
        return []
    rows = connection.execute(_cuts_of(), {"made": made, "candidates": found})
    return [Cuts.read(row.query_id, row.statistic, is_same=row.is_same, release=row.release) for row in rows]


@built_once
def _asker() -> sa.Select[Any]:
    """Select the user for whom a query is released."""
    return sa.select(jobs.c.requested_by).where(jobs.c.query_id == bound("asked", sa.Text())).limit(1)


@built_once
def _cuts_of() -> sa.Select[Any]:
    """Select the edges of releases, and whether their values are those of a release."""
    mine, theirs, results = ledger_rows.alias("mine"), ledger_rows.alias("theirs"), ledger_results.c
    is_same = equal(behind_values(mine), behind_values(theirs))
    return (
        sa.select(results.release, results.query_id, results.statistic, is_same.label("is_same"))
        .select_from(mine)
        .join(theirs, theirs.c.row_key == mine.c.row_key)
        .join(ledger_results, results.release == theirs.c.release)
        .where(
            mine.c.release == bound("made"),
            theirs.c.release == any_of("candidates", sa.Integer()),
            tell_of_twins(mine, theirs),
        )
        .order_by(results.release)
    )
