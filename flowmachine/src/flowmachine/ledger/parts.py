"""Keep totals less their published parts over the floor, or nobody.

A released row is a total of the rows of other questions: a region of its districts, outflows of flows. Who is
in the total and in no published part must be nobody or more than the floor, because an analyst can subtract.
The later answer is cut: its smallest part is withheld, or the total where the parts are out already. A part
that is not published counts as its own published parts, down to the finest level.

Totals and parts find each other by their questions. They also find each other by who is in them, because one
question can be asked in several ways.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.ledger.keys import packed, row_key
from flowmachine.ledger.once import any_of, built_once
from flowmachine.ledger.recording import note_differences
from flowmachine.ledger.twins import TooNear
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import KeepGroups, KeepShares, Region, floor
from flowmachine.sql.sketches import PARTS
from flowmachine.tables import ledger_places, ledger_results, ledger_rows, ledger_sums, ledger_totals


class Link(NamedTuple):
    """Say that rows of the release ``part`` are parts of rows of ``total``.

    ``position`` is that of the total's keys in ``parts_of``, from 1.
    """

    total: int
    part: int
    position: int


class Row(NamedTuple):
    """Hold a row of a release, with the sketch of those behind its number."""

    key: int
    people: int
    subscribers: int
    published: bool
    parts_of: Sequence[int]


#: Releases of which each has parts of the rows of the one before, and the positions of their totals' keys.
Path = tuple[tuple[int, int], ...]

_WORD = 2**64 - 1

#: Made once, because each alias copies all columns.
_OF_PARTS = ledger_results.alias("of_parts")
_OWN, _FIRST = ledger_rows.alias("own"), ledger_rows.alias("first")


@dataclass
class Cut:
    """Name the rows to withhold by their keys, and the queries that they add up with."""

    keys: set[int] = field(default_factory=set)
    query_ids: set[str] = field(default_factory=set)


def report(
    connection: sa.Connection, query: Aggregate, rows: FromClause, release: int, fewest: int = 0
) -> None:
    """Write an audit row that names the queries with which few are left."""
    cut = to_withhold(connection, query, rows, release, fewest)
    if cut.keys:
        earlier = sorted(cut.query_ids)
        told = f"Of totals few subscribers are left by rows of {query.query_id} and {', '.join(earlier)}."
        note_differences(connection, query, release, {"parts": earlier}, told)


class RestTooSmall(TooNear):
    """Report an earlier answer that leaves few of what is behind published numbers."""

    def __init__(self, query_id: str) -> None:
        super().__init__(
            query_id,
            f"Numbers behind this answer and the answer to query {query_id} would leave few subscribers of a region."
            " Ask with places at the level of that query, or with larger places only.",
        )


def refuse(connection: sa.Connection, query: Aggregate, rows: FromClause, release: int, fewest: int) -> None:
    """Refuse a release of which nothing can be withheld and a rest is small.

    Raises RestTooSmall. Rows of fewer subscribers than ``fewest`` are not told.
    """
    cut = to_withhold(connection, query, rows, release, fewest)
    for query_id in sorted(cut.query_ids):
        raise RestTooSmall(query_id)


def to_withhold(
    connection: sa.Connection, query: Aggregate, rows: FromClause, release: int, fewest: int = 0
) -> Cut:
    """Return the rows of a release that would leave a total a small rest.

    ``rows`` has the columns of ``judged``; the rows are in the ledger. Rows of fewer subscribers than ``fewest``
    count as absent.
    """
    links = links_of(connection, release)
    if not links:
        return Cut()
    releases = {release, *(link.total for link in links), *(link.part for link in links)}
    found = _rows(connection, releases)
    found[release] = {
        key: row._replace(published=row.published and row.subscribers >= fewest)
        for key, row in found[release].items()
    }
    links = distinct_links(release, links, found)
    family = Family(release, links, found, _groups(connection, query, rows))
    family.cut()
    if not family.withheld:
        return Cut()
    named = sa.select(ledger_results.c.query_id).where(ledger_results.c.release.in_(family.causes))
    return Cut(family.withheld, set(connection.execute(named).scalars()))


@dataclass
class Family:
    """Decide what to withhold of a new release, given its totals and parts.

    ``rows`` are those of all releases that the links name, by release and key. ``groups`` has the keys that
    are withheld together with a key.
    """

    new: int
    links: Sequence[Link]
    rows: Mapping[int, Mapping[int, Row]]
    groups: Mapping[int, frozenset[int]]
    withheld: set[int] = field(default_factory=set)
    causes: set[int] = field(default_factory=set)
    #: How many groups of parts were looked at and compared.
    work: int = 0

    def cut(self) -> None:
        """Withhold rows until no total has a small rest."""
        tests = list(self._tests())
        changed = True
        while changed:
            changed = False
            for total, row, path in tests:
                changed |= self._cut_at(total, row, path)

    def _cut_at(self, total: int, row: Row, path: Path) -> bool:
        """Withhold rows until the rest of one total is safe; return whether one was."""
        changed = False
        while self._is_published(total, row) and self._leaves_few(row, path):
            if total == self.new:
                smallest = row
            elif (found := self._smallest(row.key, path)) is not None:
                smallest = found
            else:
                break  # The earlier answers leave this rest, and are out.
            self.withheld |= self.groups.get(smallest.key, {smallest.key})
            self.causes |= {total, *(part for part, _ in path)} - {self.new}
            changed = True
        return changed

    def _tests(self) -> Iterator[tuple[int, Row, Path]]:
        """Yield each published total with each chain of parts through the new release.

        Totals of the same people are one total, and releases with the same parts of it are one release: many
        may ask about the same people.
        """
        alike: dict[Any, list[tuple[int, Row]]] = defaultdict(list)
        for total in self._below:
            for row in self.rows[total].values():
                if row.published:
                    alike[total == self.new, row.key, row.people].append((total, row))
        for (is_new, *_), same in alike.items():
            releases = [total for total, _ in same]
            total, row = same[0]
            for path in self._chains(releases, [row], frozenset(releases), through_new=is_new):
                if is_new or any(part == self.new for part, _ in path):
                    yield total, row, path

    def _chains(
        self, releases: Sequence[int], rows: Sequence[Row], seen: frozenset[int], *, through_new: bool
    ) -> Iterator[Path]:
        """Yield the chains of parts of rows that are the same in all the releases.

        What is published needs no parts, but rows of the new release may be withheld.
        """
        alike: dict[Any, list[tuple[int, int]]] = {}
        for step in dict.fromkeys(step for release in releases for step in self._below.get(release, ())):
            if step[0] in seen or not (through_new or step[0] in self._to_new):
                continue
            parts = tuple((row.key, self._parts[step].get(row.key, ())) for row in rows)
            self.work += len(parts)
            if any(group for _, group in parts):
                same = tuple(
                    (key, tuple((row.key, row.people, row.published) for row in group))
                    for key, group in parts
                )
                alike.setdefault((step[0] == self.new, same), []).append(step)
        for (is_new, _), steps in alike.items():
            first, below = steps[0], [part for part, _ in steps]
            yield (first,)
            found = (part for row in rows for part in self._parts[first].get(row.key, ()))
            not_out = [part for part in found if is_new or not part.published]
            if not_out:
                more = seen | set(below)
                for longer in self._chains(below, not_out, more, through_new=through_new or is_new):
                    yield (first, *longer)

    @cached_property
    def _to_new(self) -> frozenset[int]:
        """Return the new release, and all of which it is a part."""
        above: dict[int, set[int]] = defaultdict(set)
        for link in self.links:
            above[link.part].add(link.total)
        reached, frontier = {self.new}, {self.new}
        while frontier:
            frontier = {total for part in frontier for total in above[part]} - reached
            reached |= frontier
        return frozenset(reached)

    @cached_property
    def _below(self) -> Mapping[int, Sequence[tuple[int, int]]]:
        """Return the parts of each release, with the positions of their totals' keys."""
        found: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for link in self.links:
            found[link.total].append((link.part, link.position))
        return dict(found)

    @cached_property
    def _parts(self) -> Mapping[tuple[int, int], Mapping[int, Sequence[Row]]]:
        """Return the rows of a release by the key of the total at a position."""
        found: dict[tuple[int, int], dict[int, list[Row]]] = {}
        for _, part, position in self.links:
            if (part, position) in found:
                continue
            by_key = found[part, position] = defaultdict(list)
            for row in self.rows[part].values():
                by_key[row.parts_of[position - 1]].append(row)
            for found_rows in by_key.values():
                found_rows.sort(key=lambda row: row.key)
        return {step: dict(rows) for step, rows in found.items()}

    def _is_published(self, release: int, row: Row) -> bool:
        return row.published and not (release == self.new and row.key in self.withheld)

    def _covered(self, key: int, path: Path) -> int | None:
        """Return the people in published parts of a total; None if there are none."""
        if not path:
            return None
        step, rest = path[0], path[1:]
        found, people = False, 0
        for row in self._parts[step].get(key, ()):
            more = row.people if self._is_published(step[0], row) else self._covered(row.key, rest)
            if more is not None:
                found, people = True, people ^ more
        return people if found else None

    def _leaves_few(self, row: Row, path: Path) -> bool:
        self.work += 1
        covered = self._covered(row.key, path)
        if covered is None:
            return False
        left = row.people ^ covered
        return left != 0 and (left >> 64).bit_count() <= floor()

    def _smallest(self, key: int, path: Path) -> Row | None:
        """Return the new release's smallest row whose absence leaves more of a total."""
        return min(self._candidates(key, path), key=lambda row: (row.subscribers, row.key), default=None)

    def _candidates(self, key: int, path: Path) -> Iterator[Row]:
        (release, position), rest = path[0], path[1:]
        for row in self._parts[release, position].get(key, ()):
            if self._is_published(release, row):
                if release == self.new and self._covered(row.key, rest) != row.people:
                    yield row
            elif rest:
                yield from self._candidates(row.key, rest)


def distinct_links(new: int, links: Sequence[Link], rows: Mapping[int, Mapping[int, Row]]) -> list[Link]:
    """Return links between releases that differ.

    A result may be made hundreds of times from the same data. The chains of levels would otherwise be as many
    as the product of these numbers.
    """
    first: dict[Any, int] = {}
    stands_for = {
        release: release
        if release == new
        else first.setdefault(
            frozenset(
                (row.key, row.people, row.published, tuple(row.parts_of)) for row in rows[release].values()
            ),
            release,
        )
        for release in sorted(rows)
    }
    return list(
        dict.fromkeys(Link(stands_for[link.total], stands_for[link.part], link.position) for link in links)
    )


def links_of(connection: sa.Connection, release: int) -> list[Link]:
    """Return the links to all totals above a release, and to all parts below.

    Further away than next to the release only those links are returned that go through a row that did not leave:
    what left needs no parts.
    """
    found: dict[Link, None] = {}
    for upwards in (True, False):
        reached, frontier = {release}, {release}
        while frontier:
            next_links = _next(upwards=upwards, further=frontier != {release})
            rows = connection.execute(next_links, {"releases": sorted(frontier)})
            links = [Link(*row) for row in rows]
            found |= dict.fromkeys(links)
            frontier = {link.total if upwards else link.part for link in links} - reached
            reached |= frontier
    return list(found)


@built_once
def _next(*, upwards: bool, further: bool) -> sa.CompoundSelect[Any]:
    """Select the links from releases to their totals, or to their parts."""
    of_releases = any_of("releases", sa.Integer())
    results, totals, sums, rows, own = ledger_results, ledger_totals, ledger_sums, ledger_rows, _OF_PARTS
    by_question = (
        sa.select(results.c.release, totals.c.release, totals.c.position)
        .join(totals, totals.c.question == results.c.query_id)
        .where((totals if upwards else results).c.release == of_releases)
    )
    same = sa.and_(
        rows.c.row_key == sums.c.row_key,
        rows.c.whole == sums.c.whole,
        rows.c.subscribers == sums.c.subscribers,
        rows.c.release != sums.c.release,
    )
    by_people = (
        sa.select(rows.c.release, sums.c.release, sums.c.position)
        .select_from(sums)
        .join(rows, same)
        .join(results, results.c.release == rows.c.release)
        .join(own, own.c.release == sums.c.release)
        .where(
            (sums if upwards else rows).c.release == of_releases,
            rows.c.subscribers > floor(),
            results.c.measure == own.c.measure,
        )
    )
    if not upwards:
        linked = [by_people.where(~rows.c.served) if further else by_people]
    else:
        if further:
            by_people = by_people.where(_has_part_not_out(sums))
        # Of totals of the same people that left, one is enough.
        sum_ = (sums.c.release, sums.c.position, sums.c.row_key)
        first = sa.func.min(rows.c.release)
        linked = [
            by_people.with_only_columns(first, sums.c.release, sums.c.position)
            .where(rows.c.served)
            .group_by(*sum_),
            by_people.where(~rows.c.served),
        ]
    return by_question.union(*linked)


def _has_part_not_out(sums: FromClause) -> sa.Exists:
    """Return whether a row did not leave that is part of a sum."""
    part, place = ledger_rows.alias("part"), ledger_places.alias("place")
    return sa.exists().where(
        part.c.release == sums.c.release,
        ~part.c.served,
        place.c.place == part.c.place,
        place.c.parts_of[sums.c.position] == sums.c.row_key,
    )


def _rows(connection: sa.Connection, releases: set[int]) -> dict[int, dict[int, Row]]:
    """Return the rows of releases by key."""
    found: dict[int, dict[int, Row]] = {release: {} for release in releases}
    rows = connection.execute(_rows_of(), {"releases": sorted(releases)})
    for release, key, subscribers, served, parts_of, *words in rows:
        people = 0
        for position, word in enumerate(words):
            people |= (word & _WORD) << (64 * position)
        found[release][key] = Row(key, people, subscribers, served, parts_of)
    return found


@built_once
def _rows_of() -> sa.Select[Any]:
    """Select the rows of releases, with the sketches of those behind their numbers."""
    own, first = _OWN, _FIRST
    # A row that repeats an earlier one has the earlier number, so that those behind that one count.
    behind = [sa.func.coalesce(first.c[name], own.c[name]) for name in ("whole", *PARTS)]
    repeated = sa.and_(first.c.release == own.c.repeats, first.c.row_key == own.c.row_key)
    return (
        sa.select(
            own.c.release, own.c.row_key, own.c.subscribers, own.c.served, ledger_places.c.parts_of, *behind
        )
        .select_from(own.join(ledger_places, ledger_places.c.place == own.c.place).outerjoin(first, repeated))
        .where(own.c.release == any_of("releases", sa.Integer()))
    )


def _groups(connection: sa.Connection, query: Aggregate, rows: FromClause) -> dict[int, frozenset[int]]:
    """Return for each row the rows that leave together with it.

    Where each row leaves by itself there are none.
    """
    rule: Any = query.published.rule
    if not isinstance(rule, KeepGroups | KeepShares):
        return {}
    columns = [
        rows.c[name]
        for part in query.published.parts
        if (part.source if isinstance(part, Region) else next(iter(part.columns))) in rule.by
        for name in part.columns
    ]
    groups: dict[str, set[int]] = defaultdict(set)
    for key, group in connection.execute(sa.select(row_key(query, rows), packed(*columns))):
        groups[group].add(key)
    return {key: frozenset(keys) for keys in groups.values() for key in keys}
