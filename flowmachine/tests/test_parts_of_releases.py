"""Hold what is withheld for parts to its definition, in a ledger in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmachine.ledger.adding_up import keys_of_totals
from flowmachine.ledger.keys import form
from flowmachine.queries import (
    CoalescedLocation,
    DailyLocation,
    Flows,
    Inflows,
    LabelledSpatialAggregate,
    Outflows,
    SpatialAggregate,
)
from flowmachine.queries.catalogue import load_any
from flowmachine.spec.aggregate import Aggregate
from flowmachine.tables import audit, ledger_results, ledger_rows, ledger_sums, ledger_totals

from .in_memory import Answered, ask, empty_ledger, in_memory, table_of
from .kinds.sketching import defined, signed
from .kinds.specs import classified, on
from .test_parts import COUNTRIES, KEYS, LEVELS, Country, places, published

UNITS = ("admin0", "admin2", "admin3", "lon-lat")

Place = tuple[int, ...]


@pytest.fixture(scope="module")
def engine() -> Iterator[sa.Engine]:
    with in_memory() as engine:
        yield engine


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    with empty_ledger(engine) as connection:
        yield connection


def located(unit: str, day: int = 1) -> DailyLocation:
    return DailyLocation(date=f"2016-01-{day:02}", method="last", aggregation_unit=unit)


def counted(unit: str, day: int = 1) -> SpatialAggregate:
    return SpatialAggregate(locations=located(unit, day))


def named(place: Place) -> tuple[Any, ...]:
    """Return the id of a place: the code of a region, or a point in a district."""
    if len(place) < 3:
        return (("c", "c1", "c1")[len(place)] + "".join(str(number + 1) for number in place),)
    one, two, three = place
    return 1.5, 10.0 * (one + 1) + (two + 1) + 0.125 * three


def key_of_row(asked: Aggregate, *values: Any) -> int:
    """Return a row's key by its definition."""
    texts = ["\x1e" if value is None else str(value) for value in values]
    return signed(int(hashlib.md5("\x1f".join([form(asked), *texts]).encode()).hexdigest()[:16], 16))  # noqa: S324


def judged(people: range, **columns: Any) -> dict[str, Any]:
    size = len(people)
    return {**columns, "value": size, "subscribers": size, "kept": size > 15} | defined(
        KEYS[person] for person in people
    )


def released(connection: sa.Connection, country: Country, asked: Sequence[tuple[int, int]]) -> set[Place]:
    """Return the places that leave, when these levels are asked about, each of a day."""
    found: set[Place] = set()
    for level, day in asked:
        question = counted(UNITS[level], day)
        names = {named(place): place for place in places(country)[level]}
        rows = [
            judged(people, **dict(zip(question.published.keys, named(place), strict=True)))
            for place, people in places(country)[level].items()
        ]
        answer = ask(connection, question, rows)
        found |= {names[key] for key in answer.values}
        small = any(not row["kept"] for row in rows)
        cut = len(answer.values) < sum(row["kept"] for row in rows)
        assert answer.answer.withheld == ["floor"] * small + ["parts"] * cut
    return found


@settings(max_examples=max(10, settings.default.max_examples // 5))
@given(
    country=COUNTRIES,
    order=st.permutations(range(LEVELS)),
    asked=st.integers(2, LEVELS),
    days=st.tuples(*[st.integers(1, 2)] * LEVELS),
)
def test_what_leaves_is_what_the_rests_allow(
    engine: sa.Engine, country: Country, order: list[int], asked: int, days: tuple[int, ...]
) -> None:
    """Check levels of one question, and of questions about the same people."""
    expected = published(
        country, order[:asked], lambda place: key_of_row(counted(UNITS[len(place)]), *named(place))
    )
    with empty_ledger(engine) as connection:
        found = released(connection, country, [(level, days[level]) for level in order[:asked]])
    assert found == {place for place, is_out in expected.items() if is_out}


def test_a_report_names_the_queries_that_leave_few(
    connection: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "report")
    country = [[[40], [14]]]
    assert released_all(connection, country, 1, 2) == {(0,), (0, 0)}
    [row] = connection.execute(sa.select(audit.c.query_id, audit.c.params, audit.c.message)).all()
    region, district = counted("admin2").query_id, counted("admin3").query_id
    told = f"Of totals few subscribers are left by rows of {district} and {region}."
    assert row == (district, {"parts": [region]}, told)


def released_all(connection: sa.Connection, country: Country, *levels: int) -> set[Place]:
    found: set[Place] = set()
    for level in levels:
        question = counted(UNITS[level])
        names = {named(place): place for place in places(country)[level]}
        rows = [
            judged(people, **dict(zip(question.published.keys, named(place), strict=True)))
            for place, people in places(country)[level].items()
        ]
        found |= {names[key] for key in ask(connection, question, rows).values}
    return found


def labels() -> tuple[LabelledSpatialAggregate, SpatialAggregate]:
    everywhere = load_any(on(2))
    assert isinstance(everywhere, CoalescedLocation)
    labelled = LabelledSpatialAggregate(locations=everywhere, labels=load_any(classified(on(1), on(2))))
    return labelled, SpatialAggregate(locations=everywhere)


def by_label(connection: sa.Connection, *, label_first: bool) -> tuple[Answered, Answered]:
    """Ask about labels and everybody; one person in one place has no label."""
    labelled, everybody = labels()
    with_labels = [
        judged(range(40), pcod="c111", value_label="mobile"),
        judged(range(40, 60), pcod="c111", value_label="stable"),
        judged(range(100, 130), pcod="c112", value_label="mobile"),
        judged(range(130, 160), pcod="c112", value_label="stable"),
    ]
    without = [judged(range(61), pcod="c111"), judged(range(100, 160), pcod="c112")]
    if label_first:
        first = ask(connection, labelled, with_labels)
        return first, ask(connection, everybody, without)
    second = ask(connection, everybody, without)
    return ask(connection, labelled, with_labels), second


def test_labels_of_a_place_are_withheld_together(connection: sa.Connection) -> None:
    labelled, everybody = by_label(connection, label_first=False)
    assert everybody.values == {("c111",): 61, ("c112",): 60}
    assert labelled.values == {("c112", "mobile"): 30, ("c112", "stable"): 30}
    assert labelled.answer.withheld == ["parts"]


def test_a_total_is_withheld_where_its_labels_are_out(connection: sa.Connection) -> None:
    labelled, everybody = by_label(connection, label_first=True)
    assert len(labelled.values) == 4
    assert everybody.values == {("c112",): 60}
    assert everybody.answer.withheld == ["parts"]
    later = sa.select(ledger_rows.c.subscribers, ledger_rows.c.served).where(
        ledger_rows.c.release == sa.select(sa.func.max(ledger_rows.c.release)).scalar_subquery()
    )
    assert set(connection.execute(later)) == {(61, False), (60, True)}


def moves(cls: type[Flows | Outflows | Inflows]) -> Aggregate:
    return cls(from_location=located("admin3", 1), to_location=located("admin3", 2))


#: How many went from a place to another.
PAIRS = {("c111", "c111"): 40, ("c111", "c112"): 20, ("c111", "c121"): 3, ("c112", "c121"): 30}


def asked_of_moves(connection: sa.Connection, cls: type[Flows | Outflows | Inflows]) -> dict[Any, Any]:
    people, start = {}, 0
    for pair, size in PAIRS.items():
        people[pair], start = list(range(start, start + size)), start + size
    if cls is not Flows:
        ends: dict[tuple[str, ...], list[int]] = {}
        for pair, numbers in people.items():
            ends.setdefault(pair[:1] if cls is Outflows else pair[1:], []).extend(numbers)
        people = ends  # type: ignore[assignment]
    question = moves(cls)
    rows = [
        judged(range(len(numbers)), **dict(zip(question.published.keys, key, strict=True)))
        | defined(KEYS[number] for number in numbers)
        for key, numbers in people.items()
    ]
    return ask(connection, question, rows).values


def test_flows_are_cut_beside_their_sums(connection: sa.Connection) -> None:
    assert asked_of_moves(connection, Outflows) == {("c111",): 63, ("c112",): 30}
    # Three would be left of the sum, so the smallest published pair is withheld.
    assert asked_of_moves(connection, Flows) == {("c111", "c111"): 40, ("c112", "c121"): 30}
    # The pair that was withheld and the three are the rest of c121 and c112.
    assert asked_of_moves(connection, Inflows) == {("c111",): 40, ("c112",): 20}


def test_sums_are_cut_beside_their_flows(connection: sa.Connection) -> None:
    assert asked_of_moves(connection, Flows) == {
        ("c111", "c111"): 40,
        ("c111", "c112"): 20,
        ("c112", "c121"): 30,
    }
    assert asked_of_moves(connection, Outflows) == {("c112",): 30}
    assert asked_of_moves(connection, Inflows) == {("c111",): 40, ("c112",): 20}


def recorded_keys(connection: sa.Connection, asked: Aggregate, **row: Any) -> list[int]:
    """Return the keys of a row's totals."""
    with table_of(connection, asked, [judged(range(20), **row)]) as table:
        keys, relation = keys_of_totals(asked, asked.all_totals, table)
        return list(connection.execute(sa.select(keys).select_from(relation)).scalar_one())


@pytest.mark.parametrize("code", ["c111", "c112", "c121", "c322"])
def test_districts_lie_in_regions_that_they_name_or_not(connection: sa.Connection, code: str) -> None:
    asked = counted("admin3")
    upper = [(total.question, code[:size]) for total, size in zip(asked.totals, (3, 2, 1), strict=True)]
    assert recorded_keys(connection, asked, pcod=code) == [key_of_row(*one) for one in upper]


def test_points_lie_in_regions_of_all_levels(connection: sa.Connection) -> None:
    asked = counted("lon-lat")
    upper = [(total.question, "c231"[:size]) for total, size in zip(asked.totals, (4, 3, 2, 1), strict=True)]
    assert recorded_keys(connection, asked, lon=2.5, lat=31.75) == [key_of_row(*one) for one in upper]


def test_both_ends_of_flows_lie_in_regions(connection: sa.Connection) -> None:
    asked = moves(Flows)
    found = recorded_keys(connection, asked, pcod_from="c111", pcod_to="c232")
    expected = []
    for total in asked.totals:
        size = {"admin3": 4, "admin2": 3, "admin1": 2, "admin0": 1}[total.question.unit.name]  # type: ignore[union-attr]
        ends = {"_from": "c111"[:size], "_to": "c232"[:size]}
        names = [
            total.ends.get(part.suffix, part.suffix)
            for part in total.question.published.parts
            if hasattr(part, "suffix")
        ]
        expected.append(key_of_row(total.question, *(ends[name] for name in names)))
    assert found == expected
    assert len(found) > 8


def test_keys_of_labels_keep_the_label_or_drop_it(connection: sa.Connection) -> None:
    labelled, everybody = labels()
    found = recorded_keys(connection, labelled, pcod="c111", value_label=None)
    assert found[0] == key_of_row(labelled.totals[0].question, "c11", None)
    position = [total.question.query_id for total in labelled.totals].index(everybody.query_id)
    assert found[position] == key_of_row(everybody, "c111")


def test_sums_of_all_rows_are_kept_of_totals_with_other_columns(connection: sa.Connection) -> None:
    """Check the sums over regions, of rows that left and of others."""
    asked = counted("admin3")
    ask(connection, asked, [judged(range(40), pcod="c111"), judged(range(40, 50), pcod="c112")])
    [release] = connection.execute(sa.select(ledger_results.c.release)).scalars()
    named = connection.execute(sa.select(ledger_totals).order_by(ledger_totals.c.position)).all()
    assert named == [(release, n, total.question.query_id) for n, total in enumerate(asked.totals, start=1)]
    whole = defined(KEYS[person] for person in range(50))["whole"]
    sums = connection.execute(sa.select(ledger_sums).order_by(ledger_sums.c.position)).all()
    assert sums == [
        (release, n, key_of_row(total.question, code), whole, 50)
        for n, (total, code) in enumerate(zip(asked.totals, ("c11", "c1", "c"), strict=True), start=1)
    ]


def test_rows_that_are_rows_of_another_question_have_no_sums(connection: sa.Connection) -> None:
    asked = Outflows(from_location=located("admin3"), to_location=located("admin3", 2), exclude_stayers=True)
    own = [n for n, total in enumerate(asked.totals, start=1) if form(total.question) == form(asked)]
    assert own
    ask(connection, asked, [judged(range(40), pcod="c111")])
    positions = connection.execute(sa.select(ledger_sums.c.position)).scalars()
    assert set(positions) == set(range(1, len(asked.totals) + 1)) - set(own)
