"""Try each attack once where Spark computes; Sail stands for Spark.

The gate and the ledger are the database's for all executors. What may differ is who stands behind a row.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmachine.executors import make_executors
from flowmachine.settings import Computing

from . import test_attacks, test_margins, test_packing, test_parts
from .world import SLOW_ON_SAIL, Stage

pytestmark = pytest.mark.slow

SPARK = "spark"


@pytest.fixture(scope="module")
def stage_on_spark(stage_in_utc: Stage, spark_url: str) -> Iterator[Stage]:
    computing = Computing(
        columnar_path=stage_in_utc.folder,
        cache_path=stage_in_utc.folder / "cache",
        executor="spark",
        spark_url=spark_url,
    )
    stage_in_utc.executors[SPARK] = make_executors(computing)[SPARK]
    yield stage_in_utc
    del stage_in_utc.executors[SPARK]


@pytest.mark.parametrize("attack", test_attacks.ATTACKS)
def test_two_answers_that_differ_by_a_person(
    stage_on_spark: Stage, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    test_attacks.test_two_answers_that_differ_by_a_person_are_the_same(
        stage_on_spark, SPARK, monkeypatch, attack, 0, "in-é"
    )


@pytest.mark.parametrize("attack", test_attacks.SUBTLE)
def test_answers_that_differ_subtly(
    stage_on_spark: Stage, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    test_attacks.test_answers_that_differ_subtly_are_the_same_with_their_metadata(
        stage_on_spark, SPARK, monkeypatch, attack, 1
    )


def test_shares(stage_on_spark: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    test_attacks.test_shares_tell_nothing_of_somebody_with_another_share(
        stage_on_spark, SPARK, monkeypatch, 0
    )


@pytest.mark.parametrize("attack", test_attacks.THIN)
def test_edges_of_histograms(stage_on_spark: Stage, monkeypatch: pytest.MonkeyPatch, attack: str) -> None:
    test_attacks.test_bins_added_up_do_not_tell_who_is_between_edges(
        stage_on_spark, SPARK, monkeypatch, attack, 1
    )


@pytest.mark.parametrize("attack", test_margins.ATTACKS)
def test_sums_of_rows(stage_on_spark: Stage, monkeypatch: pytest.MonkeyPatch, attack: str) -> None:
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "on")
    test_margins.test_sums_of_rows_do_not_tell_where_somebody_is(
        stage_on_spark, SPARK, monkeypatch, attack, 0
    )


def test_a_region_less_its_districts(stage_on_spark: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    test_parts.test_no_region_less_its_parts_is_a_few_people(
        stage_on_spark, SPARK, monkeypatch, ("admin2", "lon-lat", "admin3")
    )


@pytest.mark.parametrize("name", ["inflows", "everybody"])
def test_a_sum_less_its_parts(stage_on_spark: Stage, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    test_parts.test_no_sum_less_its_parts_is_a_few_people(stage_on_spark, SPARK, monkeypatch, name, 0)


def test_subsets_a_day_apart(stage_on_spark: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage_on_spark.loaded(test_packing.PEOPLE) as (connection, data):
        asked = test_packing.Asked(stage_on_spark, test_packing.PEOPLE, connection, data)
        pair = test_packing.ALL_DAYS, test_packing.LATER_DAYS
        test_packing.test_two_windows_a_day_apart_do_not_place_who_left(asked, SPARK, pair, monkeypatch)


@pytest.mark.parametrize("kind", [kind for kind in test_attacks.COUNTED if kind not in SLOW_ON_SAIL])
@settings(max_examples=max(settings.default.max_examples // 50, 1))
@given(data=st.data())
def test_rows_that_differ_by_few(stage_on_spark: Stage, kind: str, data: st.DataObject) -> None:
    test_attacks.rows_do_not_tell(stage_on_spark, SPARK, kind, data)
