"""Draw countries, ask about them level by level, and look for rests of few people."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from itertools import product

import marshmallow as ma
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from flowmachine.ledger.adding_up import keys_of_totals
from flowmachine.ledger.parts import Family, Link, Row, distinct_links
from flowmachine.queries.catalogue import kinds
from flowmachine.queries.examples import query
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import Region

from .kinds.sketching import defined

_random = random.Random(5)
KEYS = [_random.getrandbits(64) - 2**63 for _ in range(3_000)]

#: A country is its regions, a region its districts, and a district the numbers of people at its points.
Country = list[list[list[int]]]

SIZES = st.sampled_from((0, 1, 3, 7, 8, 9, 14, 15, 16, 17, 20, 31, 45))
COUNTRIES = st.lists(
    st.lists(st.lists(SIZES, min_size=1, max_size=4), min_size=1, max_size=3), min_size=1, max_size=3
)

LEVELS = 4


def sketched(people: Iterable[int]) -> int:
    found = defined(KEYS[person] for person in people)
    words = (found[name] % 2**64 for name in ("whole", "part0", "part1", "part2", "part3"))
    return sum(word << (64 * position) for position, word in enumerate(words))


def places(country: Country) -> list[dict[tuple[int, ...], range]]:
    """Return who is at each place, by level, the country first.

    Places are named by the way down to them.
    """
    found: list[dict[tuple[int, ...], range]] = [{} for _ in range(LEVELS)]
    person = 0
    for one, region in enumerate(country):
        for two, district in enumerate(region):
            for three, size in enumerate(district):
                found[3][one, two, three] = range(person, person + size)
                person += size
            found[2][one, two] = range(found[3][one, two, 0].start, person)
        found[1][(one,)] = range(found[2][one, 0].start, person)
    found[0][()] = range(person)
    return found


def published(
    country: Country, order: list[int], key: Callable[[tuple[int, ...]], int] = hash
) -> dict[tuple[int, ...], bool]:
    """Return which places are published when the levels are asked in this order."""
    by_level = places(country)
    keys = {place: key(place) for level in by_level for place in level}
    rows: dict[int, Mapping[int, Row]] = {}
    for level in order:
        rows[level] = {
            keys[place]: Row(
                keys[place],
                sketched(people),
                len(people),
                len(people) > 15,
                [keys[place[:upper]] for upper in reversed(range(level))],
            )
            for place, people in by_level[level].items()
        }
        links = [Link(upper, lower, lower - upper) for upper in rows for lower in rows if upper < lower]
        family = Family(level, links, rows, {})
        family.cut()
        rows[level] = {
            key: row._replace(published=row.published and key not in family.withheld)
            for key, row in rows[level].items()
        }
    return {place: rows[len(place)][key].published for place, key in keys.items() if len(place) in rows}


def unknown(
    place: tuple[int, ...], out: Mapping[tuple[int, ...], bool], sizes: Mapping[tuple[int, ...], int]
) -> set[int]:
    """Return how many people may be left of a place, by all ways to subtract."""
    below = [inner for inner in sizes if len(inner) == len(place) + 1 and inner[:-1] == place]
    ways = (unknown(inner, out, sizes) | ({0} if out.get(inner) else set()) for inner in below)
    return {sizes[place]} | ({sum(way) for way in product(*ways)} if below else set())


@settings(max_examples=max(settings.default.max_examples // 2, 1), deadline=None)
@given(country=COUNTRIES, order=st.permutations(range(LEVELS)), asked=st.integers(2, LEVELS))
def test_no_rest_is_of_few_people(country: Country, order: list[int], asked: int) -> None:
    out = published(country, order[:asked])
    sizes = {place: len(people) for level in places(country) for place, people in level.items()}
    for place, is_out in out.items():
        if is_out:
            assert not unknown(place, out, sizes) & set(range(1, 16)), place


@settings(max_examples=max(settings.default.max_examples // 5, 1), deadline=None)
@given(country=COUNTRIES)
def test_nothing_is_withheld_of_a_country_without_small_places(country: Country) -> None:
    large = [[[size + 16 for size in district] for district in region] for region in country]
    assert all(published(large, [2, 0, 3, 1]).values())


def test_results_made_again_are_one_result() -> None:
    """Check that a hundred makings of each level are no million chains."""
    same = {key: Row(key, key, 20, True, [key]) for key in range(1, 5)}
    other = {key: Row(key, key + 1, 20, True, [key]) for key in range(1, 5)}
    rows = {release: same if release < 100 else other for release in range(201)}
    links = [Link(total, part, 1) for total in range(100) for part in range(100, 201)]
    assert distinct_links(200, links, rows) == [Link(0, 100, 1), Link(0, 200, 1)]


COMPARED = sorted(
    kind for kind, cls in kinds().items() if issubclass(cls, Aggregate) and cls.uncompared is None
)


@pytest.mark.parametrize("unit", ["admin3", "lon-lat"])
@pytest.mark.parametrize("kind", COMPARED)
def test_rows_of_every_kind_have_the_keys_of_its_totals(kind: str, unit: str) -> None:
    try:
        asked = query(kind, unit)
    except ma.ValidationError:
        pytest.skip("the kind needs areas")
    assert isinstance(asked, Aggregate)
    rows = sa.table("rows", *map(sa.column, asked.published.columns))
    totals = asked.totals
    keys, relation = keys_of_totals(asked, totals, rows)
    sa.select(keys).select_from(relation).compile(dialect=postgresql.dialect())
    has_places = any(isinstance(part, Region) for part in asked.published.parts)
    assert bool(totals) == (has_places and asked.adds_up)
    assert len({total.question.query_id for total in totals}) == len(totals)


def asked_often(times: int) -> Family:
    """Return one of so many questions at three levels about the same people.

    Each question divides in its own way the 60 people of a district that did not leave, and the other people.
    """
    chance = random.Random(times)
    rows: dict[int, dict[int, Row]] = {}
    inside, outside = list(range(60)), list(range(60, 600))
    for number in range(times):
        chance.shuffle(inside)
        chance.shuffle(outside)
        country = Row(0, sketched(range(600)), 600, True, ())
        some = Row(1, sketched(range(60)), 60, False, (0,))
        others = [Row(2, sketched(outside[:300]), 300, True, (0,))]
        others.append(Row(3, sketched(outside[300:]), 240, True, (0,)))
        points = [
            Row(4, sketched(inside[:25]), 25, True, (1, 0)),
            Row(5, sketched(inside[25:]), 35, True, (1, 0)),
        ]
        for level, made in enumerate(([country], [some, *others], points)):
            rows[3 * number + level] = {row.key: row for row in made}
    of_levels = [range(level, 3 * times, 3) for level in range(3)]
    links = [
        Link(total, part, lower - upper)
        for upper, lower in ((0, 1), (1, 2), (0, 2))
        for total in of_levels[upper]
        for part in of_levels[lower]
    ]
    return Family(3 * times - 2, links, rows, {})


def test_work_grows_with_the_answers_about_the_same_people_and_not_with_their_chains() -> None:
    """Check that a release looks at each earlier answer a few times."""
    work = {}
    for times in (20, 80):
        family = asked_often(times)
        family.cut()
        work[times] = family.work
    assert work[80] < 5 * work[20]
    assert work[80] < 20 * 3 * 80
