"""Check that near answers are the same answer, on rows told by the test."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.sql import FromClause

from flowmachine.data import DataState
from flowmachine.ledger.commands import Pruned, listed, prune
from flowmachine.ledger.inputs import Stores
from flowmachine.ledger.releasing import release
from flowmachine.ledger.twins import TooNear
from flowmachine.queries import DailyLocation, EventCount, JoinedSpatialAggregate, SpatialAggregate
from flowmachine.queries.aggregates.histogram_aggregate import HistogramAggregate
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query
from flowmachine.sql.sketches import SKETCH
from flowmachine.stores.base import Stored
from flowmachine.stores.cache_tables import stored_table
from flowmachine.tables import audit, ledger_results, ledger_rows, ledger_subsets, result_name

from . import in_memory
from .kinds.sketching import defined

_random = random.Random(7)
KEYS = [_random.getrandbits(64) - 2**63 for _ in range(20_000)]

#: Who stands behind each row, by the row's first key column; subscribers are numbers of KEYS.
People = Mapping[Any, Iterable[int]]


class Told:
    """Provide relations whose rows nobody reads."""

    def stored(self, query: Query) -> FromClause:
        return stored_table(query)

    def regions(self, unit: SpatialUnit) -> FromClause:
        return sa.table("regions", sa.column("location", sa.Integer), sa.column("pcod", sa.Text))


STORES: Any = Stores(Told(), lambda part: True)


def homes(day: int, **more: Any) -> SpatialAggregate:
    """Return one of many questions with the same form of answer."""
    located = DailyLocation(date=f"2016-01-{day:02}", method="last", aggregation_unit="admin3", **more)
    return SpatialAggregate(locations=located)


def measured(day: int, method: str, metric: str = "01") -> JoinedSpatialAggregate:
    number = EventCount(start_date=f"2016-{metric}-01", end_date=f"2016-{metric}-05")
    return JoinedSpatialAggregate(locations=homes(day).locations, metric=number, method=method)


def answer(
    connection: sa.Connection,
    query: Aggregate,
    people: People,
    values: Mapping[Any, Mapping[int, float]] | None = None,
) -> dict[Any, Any]:
    """Return what leaves, by the first key, of a release of ``stored``."""
    key = next(name for name in query.published.columns if name != "value")
    if connection.dialect.name == "duckdb":
        rows = in_memory.ask(connection, query, judged_rows(query, people, values)).leaving
        return {row[key]: row["value"] for row in rows}
    stored(connection, query, people, values)
    columns = [sa.column(name) for name in query.published.columns]
    found = connection.execute(
        sa.select(*columns).select_from(sa.table(result_name(query.query_id), schema="cache"))
    )
    return {row[key]: row["value"] for row in found.mappings()}


def metadata(connection: sa.Connection, query: Aggregate, people: People) -> Mapping[str, list[str]] | None:
    """Return the metadata of a release."""
    if connection.dialect.name == "duckdb":
        answer = in_memory.ask(connection, query, judged_rows(query, people)).answer
        return {"withheld": answer.withheld, "repeats": answer.repeats}
    return stored(connection, query, people).metadata


def stored(
    connection: sa.Connection,
    query: Aggregate,
    people: People,
    values: Mapping[Any, Mapping[int, float]] | None = None,
) -> Stored:
    """Release rows with these people behind."""

    def fill(connection: sa.Connection, table: sa.Table, select: sa.Select[Any]) -> None:
        table.create(connection)
        # The locations that are joined have the same people behind.
        rows = [{"number": number} | row for number, row in enumerate(judged_rows(query, people, values))]
        columns = [{name: value for name, value in row.items() if name in table.c} for row in rows]
        connection.execute(table.insert(), columns)

    return release(query, DataState({}, {}, 0, "UTC"), STORES, fill, connection, "flowapi")


def judged_rows(
    query: Aggregate, people: People, values: Mapping[Any, Mapping[int, float]] | None = None
) -> list[dict[str, Any]]:
    """Return rows with these people behind.

    With ``values`` the value of a row is the sum of its people's values.
    """
    rows = []
    for key, numbers in people.items():
        behind = sorted(set(numbers))
        row: dict[str, Any] = dict.fromkeys(query.published.columns, key)
        row |= {"subscribers": len(behind), "kept": len(behind) > 15, "value": len(behind)}
        row |= defined(KEYS[number] for number in behind)
        if values is not None:
            added = {number: values[key][number] for number in behind}
            row["value"] = sum(added.values())
            pairs = defined(KEYS[number] ^ hash((number, value)) for number, value in added.items())
            row |= {f"value_{name}": bits for name, bits in pairs.items()}
        rows.append(row)
    return rows


@pytest.fixture(autouse=True)
def rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge no sums of rows: the places of these rows are in no larger region."""
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "off")


@pytest.fixture(scope="module")
def memory() -> Iterator[sa.Engine]:
    with in_memory.in_memory() as engine:
        yield engine


@pytest.fixture(params=["memory", "database"])
def connection(request: pytest.FixtureRequest) -> Iterator[sa.Connection]:
    """Provide an empty ledger in memory, or in a database."""
    if request.param == "memory":
        with in_memory.empty_ledger(request.getfixturevalue("memory")) as connection:
            yield connection
    else:
        with request.getfixturevalue("engine").begin() as connection:
            yield connection


def last(connection: sa.Connection) -> dict[int, tuple[int | None, bool]]:
    """Return by subscribers what the last release's rows repeat, and if they left."""
    newest = sa.select(sa.func.max(ledger_results.c.release)).scalar_subquery()
    rows = connection.execute(sa.select(ledger_rows).where(ledger_rows.c.release == newest))
    return {row.subscribers: (row.repeats, row.served) for row in rows}


def test_a_row_that_lacks_one_person_repeats_the_earlier_value(connection: sa.Connection) -> None:
    whole = {"a": range(100), "b": range(100, 300), "c": range(300, 340)}
    assert answer(connection, homes(1), whole) == {"a": 100, "b": 200, "c": 40}
    without_one = whole | {"b": range(101, 300)}
    assert answer(connection, homes(2), without_one) == {"a": 100, "b": 200, "c": 40}
    assert last(connection) == {100: (None, True), 199: (1, True), 40: (None, True)}


def test_a_country_of_one_row_repeats(connection: sa.Connection) -> None:
    def everybody(day: int) -> SpatialAggregate:
        located = DailyLocation(date=f"2016-01-{day:02}", method="last", aggregation_unit="admin0")
        return SpatialAggregate(locations=located)

    assert answer(connection, everybody(1), {"c": range(1000)}) == {"c": 1000}
    assert answer(connection, everybody(2), {"c": range(1, 1000)}) == {"c": 1000}


@pytest.mark.parametrize("missing", [1, 2, 15])
def test_up_to_the_floor_may_be_missing(connection: sa.Connection, missing: int) -> None:
    answer(connection, homes(1), {"a": range(100)})
    assert answer(connection, homes(2), {"a": range(missing, 100)}) == {"a": 100}


def test_people_may_come_while_others_go(connection: sa.Connection) -> None:
    answer(connection, homes(1), {"a": range(100)})
    assert answer(connection, homes(2), {"a": range(7, 108)}) == {"a": 100}


def test_answers_about_other_people_are_their_own(connection: sa.Connection) -> None:
    answer(connection, homes(1), {"a": range(100), "b": range(100, 200)})
    assert answer(connection, homes(2), {"a": range(1000, 1101), "b": range(2000, 2099)}) == {
        "a": 101,
        "b": 99,
    }
    # One row is near by chance, and all together are not.
    assert answer(connection, homes(3), {"a": range(99), "b": range(3000, 3040)}) == {"a": 99, "b": 40}


def test_one_common_row_is_enough(connection: sa.Connection) -> None:
    answer(connection, homes(1), {"a": range(100), "b": range(100, 200)})
    assert answer(connection, homes(2), {"a": range(99), "c": range(5000, 5500)}) == {"a": 100, "c": 500}


def test_an_answer_that_is_made_again_is_the_same_whatever_was_asked_meanwhile(
    connection: sa.Connection,
) -> None:
    own = {"a": range(100), "b": range(1000, 1200)}
    assert answer(connection, homes(1), own) == {"a": 100, "b": 200}
    # The far row keeps the next answer from being a twin; the last has its people in the near row.
    assert answer(connection, homes(2), {"a": range(5, 100), "b": range(3000, 3300)}) == {"a": 95, "b": 300}
    assert answer(connection, homes(3), {"a": range(5, 100)}) == {"a": 95}
    assert answer(connection, homes(1), own) == {"a": 100, "b": 200}
    assert metadata(connection, homes(1), own) == {"withheld": [], "repeats": [homes(3).query_id]}
    # A day that is loaded again may be published as it is now.
    assert answer(connection, homes(1), own | {"b": range(1000, 1210)}) == {"a": 100, "b": 210}


def test_a_row_that_is_made_again_repeats_what_it_repeated(connection: sa.Connection) -> None:
    answer(connection, homes(1), {"a": range(100), "b": range(1000, 1200), "c": range(400, 412)})
    own = {"a": range(1, 100), "c": range(400, 416)}
    assert answer(connection, homes(2), own) == {"a": 100}
    meanwhile = own | {"b": range(3000, 3300)}
    assert answer(connection, homes(3), meanwhile) == {"a": 99, "b": 300, "c": 16}
    assert answer(connection, homes(2), own) == {"a": 100}
    assert metadata(connection, homes(2), own)["withheld"] == ["floor"]


def test_a_row_repeats_what_it_repeated_where_others_have_changed(connection: sa.Connection) -> None:
    answer(connection, homes(1), {"a": range(100), "b": range(1000, 1200)})
    own = {"a": range(1, 100), "b": range(1000, 1200)}
    assert answer(connection, homes(2), own) == {"a": 100, "b": 200}
    # The day is loaded again, and the answer is no twin of the first any more.
    assert answer(connection, homes(2), own | {"b": range(3000, 3300)}) == {"a": 100, "b": 300}


def test_the_share_of_twins_is_a_setting(connection: sa.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each of four rows differs by 12: 48 of 4,000 are more than 30 and than 0.25 %.
    before = {
        name: range(start, start + 1000) for name, start in zip("abcd", range(0, 8000, 2000), strict=True)
    }
    after = {name: range(numbers.start + 12, numbers.stop) for name, numbers in before.items()}
    answer(connection, homes(1), before)
    assert answer(connection, homes(2), after) == dict.fromkeys("abcd", 988)
    monkeypatch.setenv("FLOWMACHINE_TWIN_SHARE", "0.02")
    assert answer(connection, homes(3), {n: range(r.start + 13, r.stop) for n, r in before.items()}) == (
        dict.fromkeys("abcd", 1000)
    )


def test_a_row_that_falls_below_the_floor_is_repeated_and_one_that_rises_stays_absent(
    connection: sa.Connection,
) -> None:
    """Check sixteen and fifteen, in both orders."""
    answer(connection, homes(1), {"a": range(16), "b": range(100, 115), "c": range(200, 300)})
    later = {"a": range(15), "b": range(100, 116), "c": range(200, 300)}
    assert answer(connection, homes(2), later) == {"a": 16, "c": 100}


def test_a_value_that_is_out_already_is_given_to_the_same_people(connection: sa.Connection) -> None:
    answer(connection, homes(1), {"a": range(100), "b": range(1000, 2000)})
    # The rows b keep these two from being twins, so the value 99 is out as well.
    assert answer(connection, homes(2), {"a": range(99), "b": range(3000, 4000)})["a"] == 99
    both = {"a": range(99), "c": range(50)}
    assert answer(connection, homes(3), both)["a"] == 99


def test_a_repeated_row_is_repeated_from_the_first(connection: sa.Connection) -> None:
    """Check that steps of one person never become a long way."""
    answer(connection, homes(1), {"a": range(100)})
    for step in range(1, 15):
        assert answer(connection, homes(1 + step), {"a": range(step, 100)}) == {"a": 100}
    # Twenty people are another answer.
    assert answer(connection, homes(20), {"a": range(25, 100)}) == {"a": 75}


def test_hostile_questions_lose_no_row_of_a_later_series(connection: sa.Connection) -> None:
    """Check that rows are off by few people, and that none is missing."""
    places = {
        name: range(start, start + 40 + start // 100)
        for name, start in zip("abcd", range(0, 8000, 2000), strict=True)
    }
    numbers = random.Random(3)
    for step in range(1, 20):
        hostile = {name: set(people) - set(numbers.sample(people, 7)) for name, people in places.items()}
        answer(connection, homes(step), hostile)
    honest = answer(connection, homes(25), places)
    assert honest.keys() == places.keys()
    assert all(abs(honest[name] - len(people)) <= 15 for name, people in places.items())


def test_a_query_may_be_made_anew(connection: sa.Connection) -> None:
    answer(connection, homes(1), {"a": range(100)})
    assert answer(connection, homes(1), {"a": range(99)}) == {"a": 99}


def test_sums_repeat_when_one_person_adds_more(connection: sa.Connection) -> None:
    """Check that equal people with other values are a difference, too."""
    values = {"a": dict.fromkeys(range(100), 2.0)}
    assert answer(connection, measured(1, "sum"), {"a": range(100)}, values) == {"a": 200}
    rung = {"a": values["a"] | {5: 3.0}}
    assert answer(connection, measured(2, "sum"), {"a": range(100)}, rung) == {"a": 200}
    other = {"a": dict.fromkeys(range(100), 4.0)}
    assert answer(connection, measured(3, "sum"), {"a": range(100)}, other) == {"a": 400}


def test_another_statistic_of_the_same_numbers_is_refused(connection: sa.Connection) -> None:
    values = {"a": dict.fromkeys(range(100), 2.0)}
    first = measured(1, "sum")
    answer(connection, first, {"a": range(100)}, values)
    with pytest.raises(TooNear, match=f"that of query {first.query_id}, and a value of another kind"):
        answer(connection, measured(2, "avg"), {"a": range(99)}, values)


def test_counts_and_statistics_are_not_compared(connection: sa.Connection) -> None:
    answer(connection, homes(1), {"a": range(100)})
    values = {"a": dict.fromkeys(range(100), 2.0)}
    assert answer(connection, measured(1, "sum"), {"a": range(99)}, values) == {"a": 198}


def histogram(day: int) -> HistogramAggregate:
    metric = EventCount(start_date="2016-01-01", end_date=f"2016-01-{day:02}")
    return HistogramAggregate(metric=metric, bins={"bin_list": [0, 1, 2]})


def test_a_histogram_repeats_a_bin_and_stays_whole_or_absent(connection: sa.Connection) -> None:
    assert answer(connection, histogram(2), {0.0: range(100), 1.0: range(200, 216)}) == {0.0: 100, 1.0: 16}
    assert answer(connection, histogram(3), {0.0: range(100), 1.0: range(200, 215)}) == {0.0: 100, 1.0: 16}
    few = {5.0: range(1000, 1100), 6.0: range(1200, 1215)}
    assert answer(connection, histogram(4), few) == {None: None}
    assert answer(connection, histogram(5), few | {6.0: range(1200, 1216)}) == {None: None}


def test_a_report_names_both_queries_and_changes_nothing(
    connection: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "report")
    answer(connection, homes(1), {"a": range(100)})
    assert connection.execute(sa.select(sa.func.count()).select_from(audit)).scalar_one() == 0
    assert answer(connection, homes(2), {"a": range(99)}) == {"a": 99}
    [row] = connection.execute(sa.select(audit)).all()
    assert (row.action, row.query_id) == ("differences", homes(2).query_id)
    assert row.params == {"near": [homes(1).query_id]}


def test_metadata_say_that_rows_were_withheld(connection: sa.Connection) -> None:
    whole = {"a": range(100), "b": range(100, 115)}
    assert metadata(connection, homes(1), whole) == {"withheld": ["floor"], "repeats": []}
    others = {"a": range(1000, 1100)}
    assert metadata(connection, homes(2), others) == {"withheld": [], "repeats": []}
    few = {0.0: range(2000, 2100), 1.0: range(2200, 2215)}
    assert metadata(connection, histogram(2), few) == {"withheld": ["floor"], "repeats": []}


@pytest.mark.parametrize("less", [0, 1], ids=["equal", "near"])
def test_metadata_name_the_earlier_query_whether_rows_are_equal_or_near(
    connection: sa.Connection, less: int
) -> None:
    metadata(connection, homes(1), {"a": range(100)})
    assert metadata(connection, homes(2), {"a": range(less, 100)}) == {
        "withheld": [],
        "repeats": [homes(1).query_id],
    }


@pytest.mark.parametrize("first", [0, 1])
def test_the_reasons_of_twins_do_not_tell_of_a_row_that_only_one_has(
    connection: sa.Connection, first: int
) -> None:
    """Check that one person alone somewhere is not seen by the withheld row."""
    people = [{"a": range(100), "b": range(100, 101)}, {"a": range(100)}]
    one = metadata(connection, homes(1), people[first])
    other = metadata(connection, homes(2), people[1 - first])
    assert one is not None
    assert other is not None
    assert one["withheld"] == other["withheld"]


@pytest.mark.parametrize("word", ["off", "report"])
def test_metadata_without_repeating(
    connection: sa.Connection, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", word)
    if word == "off" and connection.dialect.name == "duckdb":
        return  # Nothing is judged together.
    metadata(connection, homes(1), {"a": range(100)})
    later = metadata(connection, homes(2), {"a": range(99), "b": range(100, 115)})
    assert later == {"withheld": ["floor"], "repeats": []}


@pytest.mark.parametrize("connection", ["database"], indirect=True)
def test_old_releases_are_listed_and_forgotten_with_a_note(connection: sa.Connection) -> None:
    answer(connection, homes(1), {"a": range(100), "b": range(5)})
    answer(connection, homes(2), {"a": range(99)})
    first, second = listed(connection)
    assert f"{homes(1).query_id}  spatial_aggregate" in first
    assert first.endswith(" 2 rows, 0 of them repeat an earlier answer")
    assert second.endswith(" 1 rows, 1 of them repeat an earlier answer")
    tomorrow = date.today() + timedelta(days=2)
    assert prune(connection, date(2016, 1, 1)) == Pruned(0, 0, 0)
    assert prune(connection, tomorrow) == Pruned(2, 3, 0)
    assert listed(connection) == []
    notes = connection.execute(sa.select(audit.c.action, audit.c.params)).all()
    assert notes[1] == (
        "prune_ledger",
        {"before": tomorrow.isoformat(), "releases": 2, "rows": 3, "subsets": 0},
    )
    assert answer(connection, homes(2), {"a": range(99)}) == {"a": 99}


@pytest.mark.parametrize("connection", ["database"], indirect=True)
def test_a_release_is_remembered_while_a_later_one_repeats_it(connection: sa.Connection) -> None:
    answer(connection, homes(1), {"a": range(100)})
    answer(connection, homes(5), {"a": range(3000, 3100)})
    connection.execute(sa.update(ledger_results).values(at=date(2016, 1, 1)))
    assert answer(connection, homes(2), {"a": range(99)}) == {"a": 100}
    assert prune(connection, date(2020, 1, 1)) == Pruned(1, 1, 0)
    # Made again, the answer would else be its own, and the difference is one person.
    assert answer(connection, homes(2), {"a": range(99)}) == {"a": 100}


@pytest.mark.parametrize("connection", ["database"], indirect=True)
def test_old_subsets_are_forgotten_unless_later_ones_are_replaced_by_them(connection: sa.Connection) -> None:
    sketch = {"subscribers": 20, **dict.fromkeys(SKETCH, 0)}
    old, new = date(2016, 1, 1), date(2030, 1, 1)
    for name, at, used in (
        ("a", old, None),
        ("b", old, None),
        ("c", old, 1),
        ("d", new, 2),
        ("e", new, None),
    ):
        kept = {"members": [1]} if used is None else {"used": used}
        made = {"query_id": "0" * 32, "fingerprint": name, "at": at, **sketch, **kept}
        connection.execute(sa.insert(ledger_subsets).values(made))
    assert prune(connection, date(2020, 1, 1)) == Pruned(0, 0, 2)
    left = connection.execute(sa.select(ledger_subsets.c.fingerprint).order_by(ledger_subsets.c.subset))
    assert left.scalars().all() == ["b", "d", "e"]


def test_twins_that_are_asked_at_one_moment_have_one_value(engine: sa.Engine) -> None:
    """Check that whichever is released first, the other repeats it."""
    numbers = random.Random(1)

    def ask(query: Aggregate, people: People, barrier: threading.Barrier) -> dict[Any, Any]:
        barrier.wait()
        with engine.begin() as connection:
            return answer(connection, query, people)

    with ThreadPoolExecutor(2) as threads:
        for moment in range(100):
            start = numbers.randrange(15_000)
            place, barrier = f"p{moment}", threading.Barrier(2)
            whole, part = {place: range(start, start + 50)}, {place: range(start + 1, start + 50)}
            asked = [threads.submit(ask, homes(1 + n), rows, barrier) for n, rows in enumerate((whole, part))]
            first, second = (one.result() for one in asked)
            assert first == second
            assert first in ({place: 50}, {place: 49})


def test_a_row_of_the_ledger_is_small(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        for day in range(1, 11):
            answer(connection, homes(day), {f"{day} {n}": range(n, n + 20) for n in range(500)})
        size = connection.execute(
            sa.select(sa.func.pg_total_relation_size("engine.ledger_rows"))
        ).scalar_one()
    assert size / 5000 < 250
