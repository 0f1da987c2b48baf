"""Check sketches of subscribers against their definition, on both databases."""

from __future__ import annotations

import hashlib
import math
import random
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowmachine.sql.sketches import SKETCH, equal, estimated_difference, mixed, near, sketch

from .kinds.sketching import defined

METADATA = sa.MetaData()
SETS = sa.Table(
    "sets",
    METADATA,
    sa.Column("name", sa.Text),
    sa.Column("h", sa.BigInteger),
    prefixes=["TEMPORARY"],
)
VALUES = sa.Table(
    "values_of",
    METADATA,
    sa.Column("h", sa.BigInteger),
    sa.Column("number", sa.Double),
    sa.Column("whole", sa.BigInteger),
    sa.Column("text", sa.Text),
    prefixes=["TEMPORARY"],
)
KEYS = st.integers(-(2**63), 2**63 - 1)


@contextmanager
def duckdb() -> Iterator[sa.Connection]:
    memory = sa.create_engine("duckdb:///:memory:")
    with memory.begin() as connection:
        METADATA.create_all(connection)
        yield connection
    memory.dispose()


@contextmanager
def postgres(engine: sa.Engine) -> Iterator[sa.Connection]:
    with engine.begin() as connection:
        METADATA.create_all(connection)
        yield connection


def sketches(connection: sa.Connection, sets: dict[str, Iterable[int]]) -> sa.Subquery:
    connection.execute(sa.delete(SETS))
    rows = [{"name": name, "h": key} for name, keys in sets.items() for key in keys]
    connection.execute(SETS.insert(), [*rows, *({"name": name, "h": None} for name in sets)])
    aggregates = (number.label(name) for name, number in sketch(SETS.c.h).items())
    return sa.select(SETS.c.name, *aggregates).group_by(SETS.c.name).subquery("sketches")


def compared(connection: sa.Connection, one: Iterable[int], other: Iterable[int]) -> tuple[bool, bool, float]:
    """Return whether two sets are equal and near, and their estimated difference."""
    found = sketches(connection, {"one": one, "other": other})
    a, b = found.alias("a"), found.alias("b")
    answers = equal(a.c, b.c), near(a.c, b.c), estimated_difference(a.c, b.c)
    statement = sa.select(*answers).join(b, a.c.name < b.c.name)
    same, close, size = connection.execute(statement).one()
    return same, close, size


def check_definition(connection: sa.Connection, keys: set[int]) -> None:
    found = connection.execute(sa.select(sketches(connection, {"a": keys}))).mappings().one()
    assert {name: found[name] for name in SKETCH} == defined(keys)


#: Each bit of the parts, the sign, and keys of both thin samples.
CORNERS = {0, -1, 1 << 63 >> 1, -(2**63), 255, 63 << 20, 1 << 20, 0x3F00, 0xFFF00, 0xFC000, *range(256)}


def test_a_sketch_is_as_defined_in_duckdb() -> None:
    with duckdb() as connection:

        @settings(deadline=None)
        @given(keys=st.sets(KEYS | KEYS.map(lambda key: key & ~0xFFF00)))
        def drawn(keys: set[int]) -> None:
            check_definition(connection, keys)

        check_definition(connection, CORNERS)
        drawn()


def test_a_sketch_is_as_defined_in_postgresql(engine: sa.Engine) -> None:
    with postgres(engine) as connection:

        @settings(deadline=None, max_examples=30)
        @given(keys=st.sets(KEYS | KEYS.map(lambda key: key & ~0xFFF00)))
        def drawn(keys: set[int]) -> None:
            check_definition(connection, keys)

        check_definition(connection, CORNERS)
        drawn()


def test_sets_that_differ_by_up_to_fifteen_are_always_near() -> None:
    with duckdb() as connection:

        @settings(deadline=None, suppress_health_check=list(HealthCheck))
        @given(common=st.sets(KEYS), moved=st.sets(KEYS, min_size=1, max_size=15), data=st.data())
        def drawn(common: set[int], moved: set[int], data: st.DataObject) -> None:
            leaving = data.draw(st.sets(st.sampled_from(sorted(moved))))
            one = common - moved | leaving
            other = common - moved | moved - leaving
            same, close, _ = compared(connection, one, other)
            assert (same, close) == (False, True)

        drawn()


@pytest.fixture(params=["duckdb", "postgresql"])
def connection(request: pytest.FixtureRequest) -> Iterator[sa.Connection]:
    memory = request.param == "duckdb"
    with duckdb() if memory else postgres(request.getfixturevalue("engine")) as found:
        yield found


def test_equal_sets_are_not_near_and_far_sets_neither(connection: sa.Connection) -> None:
    keys = [random.Random(1).getrandbits(64) - 2**63 for _ in range(400)]
    assert compared(connection, keys, reversed(keys)) == (True, False, 0)
    # All of the forty differ in a bit of their own: the first forty keys of the numbers from 0.
    same, close, size = compared(connection, range(40), ())
    assert (same, close) == (False, False)
    assert size == pytest.approx(-128 * math.log(1 - 80 / 256))
    # Sixteen bits are one too many.
    assert compared(connection, range(16), ())[1] is False
    assert compared(connection, range(15), ())[1] is True


def test_a_raised_floor_takes_more_for_near(
    connection: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWMACHINE_RELEASE_FLOOR", "30")
    assert compared(connection, range(30), ())[1] is True
    assert compared(connection, range(31), ())[1] is False


@pytest.mark.parametrize("size", [20, 60, 100, 1000, 3000, 50_000, 100_000])
def test_the_size_of_a_difference_is_estimated(size: int) -> None:
    numbers = random.Random(size)
    keys = [numbers.getrandbits(64) - 2**63 for _ in range(size)]
    with duckdb() as connection:
        estimate = compared(connection, keys, ())[2]
    # Three standard deviations of the sketch that has to be used.
    sampled = size if size <= 100 else size / 64 if size <= 3000 else size / 4096
    assert estimate == pytest.approx(size, rel=3 / math.sqrt(sampled) + 0.1)


@pytest.mark.parametrize(
    ("number", "spared", "least"),
    [
        # Nobody is among one in 64, though the parts are full: at 0.4 of 256 bits, 128 ln 5 subscribers.
        (400, 1 << 8, 206),
        # Everybody is among one in 64 and nobody among one in 4096: 64 times 32 ln 5.
        (10_000, 1 << 14, 3296),
    ],
)
def test_sets_that_differ_by_many_are_not_near_because_a_coarse_sketch_is_empty(
    connection: sa.Connection, number: int, spared: int, least: int
) -> None:
    draw = random.Random(0)
    keys = {draw.getrandbits(62) & ~0xFFF00 | spared for _ in range(number)}
    same, close, size = compared(connection, keys, [])
    assert (same, close) == (False, False)
    assert size == pytest.approx(least, abs=1)


def test_a_difference_of_very_many_is_infinite() -> None:
    with duckdb() as connection:
        # Thirty keys in both thin samples, each with a bit of its own; and every part half full.
        keys = [(bit << 20) + bit for bit in range(30)] + list(range(128, 256))
        assert compared(connection, keys, ())[2] == math.inf


def scrambled(key: int, number: float | None) -> int:
    """The mix of a key and a number, as the definition says it."""
    if number == 1:
        return key
    bits = int.from_bytes(struct.pack(">f", 3e38 if number is None else number + 0.0))
    low, high = key % 2**31 + 1, key // 2**32 % 2**31 + 1
    product = high * (bits + 1)
    return key ^ low * (bits + 1) ^ product >> 32 ^ product % 2**31 << 32


NUMBERS = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    1 / 3,
    12345678905.0,
    -98765432.15,
    1e-7,
    6.02e23,
    3e38,
    1e-30,
    0.1 + 0.2,
    7.0,
]


def test_a_value_is_mixed_with_its_subscriber_alike_everywhere(engine: sa.Engine) -> None:
    numbers = random.Random(3)
    rows: list[dict[str, Any]] = [
        {"h": numbers.getrandbits(64) - 2**63, "number": number, "whole": place, "text": f"é {place}"}
        for place, number in enumerate([*NUMBERS, None])
    ]
    rows += [{"h": key, "number": 2.5, "whole": -3, "text": ""} for key in (-1, 0, 2**63 - 1, -(2**63))]
    columns = [
        VALUES.c.h,
        mixed(VALUES.c.h, VALUES.c.number),
        mixed(VALUES.c.h, VALUES.c.whole),
        mixed(VALUES.c.h, VALUES.c.whole, VALUES.c.number),
        mixed(VALUES.c.h, VALUES.c.text),
    ]
    answers = []
    with duckdb() as memory, postgres(engine) as database:
        for connection in (memory, database):
            connection.execute(VALUES.insert(), rows)
            answers.append(connection.execute(sa.select(*columns).order_by(VALUES.c.h)).all())
    assert answers[0] == answers[1]
    assert [tuple(row) for row in answers[0]] == [
        (
            row["h"],
            scrambled(row["h"], row["number"]),
            scrambled(row["h"], row["whole"]),
            scrambled(scrambled(row["h"], row["whole"]), row["number"]),
            int.from_bytes(
                hashlib.md5(f"{row['h']}:{row['text']}".encode(), usedforsecurity=False).digest()[:8],
                signed=True,
            ),
        )
        for row in sorted(rows, key=lambda row: row["h"])
    ]


def test_infinite_and_huge_numbers_are_the_largest(connection: sa.Connection) -> None:
    rows = [{"h": 5, "number": number} for number in (3e38, 1e300, math.inf)]
    connection.execute(VALUES.insert(), rows)
    found = sa.select(mixed(VALUES.c.h, VALUES.c.number)).distinct()
    assert connection.execute(found).scalars().all() == [scrambled(5, 3e38)]


def test_a_change_of_value_flips_any_bit_of_the_parts() -> None:
    """Check that people who ring once more leave the sketch as other people would."""
    numbers = random.Random(4)
    keys = [numbers.getrandbits(64) - 2**63 for _ in range(4000)]
    for before, after in ((1, 2), (2, 3), (8, 16), (0, 1), (100, 101), (0.5, 0.25)):
        moved = Counter((scrambled(key, before) ^ scrambled(key, after)) % 256 for key in keys)
        # Each of 256 differences is expected 16 times; none more often than chance allows.
        assert len(moved) > 250
        assert max(moved.values()) < 45


def test_sums_in_another_order_are_the_same_value() -> None:
    with duckdb() as connection:
        rows = [{"h": 1, "number": 0.1 + 0.2 + 0.3}, {"h": 1, "number": 0.3 + 0.2 + 0.1}]
        assert rows[0]["number"] != rows[1]["number"]
        connection.execute(VALUES.insert(), rows)
        assert len(connection.execute(sa.select(mixed(VALUES.c.h, VALUES.c.number)).distinct()).all()) == 1
