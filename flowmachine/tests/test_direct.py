"""Test direct use: every kind from Python, results combined, both executors."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import marshmallow as ma
import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

import flowmachine
from flowdb.keys import subscriber_key
from flowmachine.direct import QueryFailed, Session
from flowmachine.queries import (
    CallDays,
    CoalescedLocation,
    ContactBalance,
    CounterpartsSubset,
    DailyLocation,
    DayTrajectories,
    DistanceMatrix,
    EventCount,
    FirstLocation,
    Join,
    LocationCluster,
    LocationVisits,
    MajorityLocation,
    ModalLocation,
    NumericSubset,
    PairedPerLocationSubscriberCallDurations,
    RandomSample,
    SpatialAggregate,
    SubscriberLocations,
    Subset,
    TotalActivePeriods,
    Union,
)
from flowmachine.queries.catalogue import all_kinds, kinds, load, load_any, submittable_kinds
from flowmachine.queries.schema import query_schemas
from flowmachine.settings import Computing, Database
from flowmachine.spec.query import NotBuildable, Query
from flowmachine.spec.subsets import SubscriberSet
from flowmachine.testing import Country

DOCS = Path(__file__).parents[2] / "docs"
GUIDE, LIBRARY = DOCS / "analysts" / "direct-use.md", DOCS / "analysts" / "library.md"
EXTENDING = DOCS / "developers" / "extending.md"


def settings(country: Country, folder: Path, executor: str) -> tuple[Database, Computing]:
    environment = country.database.environment("flowmachine")
    database = Database.load(environment)
    return database, Computing(
        columnar_path=country.columnar, cache_path=folder, executor=executor, threads=1, memory_limit="512MB"
    )


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def session(
    request: pytest.FixtureRequest, country: Country, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    with closing(country.database.connect("flowdb")) as connection, connection:
        connection.cursor().execute("TRUNCATE engine.jobs, engine.edges, engine.plan_parts")
    folder = tmp_path_factory.mktemp("direct")
    with flowmachine.connect(*settings(country, folder, request.param)) as session:
        yield session


def daily(day: int = 1, method: str = "last") -> DailyLocation:
    return DailyLocation(date=f"2016-01-{day:02}", method=method, aggregation_unit="admin2")


def events(direction: str = "both") -> EventCount:
    return EventCount(start_date="2016-01-01", end_date="2016-01-03", direction=direction)


def counts(frame: pd.DataFrame) -> dict[Any, int]:
    return frame.groupby("pcod").size().to_dict()


def test_every_kind_can_be_imported() -> None:
    import flowmachine.queries

    for cls in all_kinds().values():
        assert getattr(flowmachine.queries, cls.__name__) is cls
    with pytest.raises(AttributeError):
        _ = flowmachine.queries.NoSuchKind


def test_subscribers_are_pseudonyms_and_regions_have_ids(session: Session, country: Country) -> None:
    frame = session.get_dataframe(daily())
    assert list(frame.columns) == ["subscriber", "pcod"]
    assert len(frame) > 1000
    assert frame.equals(frame.sort_values(["subscriber", "pcod"], ignore_index=True))
    with closing(country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT msisdn FROM events.calls WHERE datetime < '2016-01-02'")
        known = {pseudonym for (pseudonym,) in cursor.fetchall()}
    assert len(known & set(frame.subscriber)) > 500
    assert frame.pcod.str.match(r"^[A-Z0-9.]+").all()
    assert session.head(daily(), 3).equals(frame.head(3))


THREE_DAYS: dict[str, Any] = {"start_date": "2016-01-01", "end_date": "2016-01-04"}


@pytest.mark.parametrize(
    ("make", "columns", "descending"),
    [
        (
            lambda: LocationVisits(locations=[daily(1), daily(2), daily(3)]),
            ["subscriber", "value", "pcod"],
            ["value"],
        ),
        (
            lambda: CallDays(
                subscriber_locations=SubscriberLocations(**THREE_DAYS, aggregation_unit="admin2")
            ),
            ["subscriber", "value", "pcod"],
            ["value"],
        ),
        (
            lambda: TotalActivePeriods(start_date="2016-01-01", total_periods=3),
            ["value", "subscriber"],
            ["value"],
        ),
        (
            lambda: DayTrajectories(locations=[daily(2), daily(1)]),
            ["subscriber", "date", "pcod"],
            [],
        ),
        (
            lambda: ContactBalance(**THREE_DAYS),
            ["proportion", "subscriber", "msisdn_counterpart", "events"],
            ["proportion"],
        ),
        (
            lambda: NumericSubset(
                query=TotalActivePeriods(start_date="2016-01-01", total_periods=3),
                column="value",
                low=1,
                high=2,
            ),
            ["value", "subscriber"],
            ["value"],
        ),
    ],
    ids=[
        "location_visits",
        "call_days",
        "total_active_periods",
        "day_trajectories",
        "contact_balance",
        "a part",
    ],
)
def test_rows_are_in_the_order_of_the_kind(
    session: Session, make: Callable[[], Query], columns: list[str], descending: list[str]
) -> None:
    frame = session.get_dataframe(make())
    assert len(frame) > 100
    ascending = [column not in descending for column in columns]
    assert frame.equals(frame.sort_values(columns, ascending=ascending, ignore_index=True))
    assert set(columns) == set(frame.columns)


def test_a_coalesced_location_shows_its_columns_by_name(session: Session) -> None:
    visits = LocationVisits(
        locations=[DailyLocation(date="2016-01-01", method="last", aggregation_unit="lon-lat")]
    )
    coalesced = CoalescedLocation(
        preferred_location=MajorityLocation(subscriber_location_weights=visits),
        fallback_location=MajorityLocation(subscriber_location_weights=visits),
        subscriber_location_weights=visits,
        weight_threshold=1,
    )
    assert list(session.get_dataframe(coalesced).columns) == ["subscriber", "lat", "lon"]
    assert list(session.get_dataframe(visits).columns) == ["subscriber", "lon", "lat", "value"]


def test_an_aggregate_gives_its_released_rows_only(session: Session) -> None:
    aggregate = SpatialAggregate(locations=daily())
    frame = session.get_dataframe(aggregate)
    true = counts(session.get_dataframe(daily()))
    assert dict(zip(frame.pcod, frame.value, strict=True)) == {p: n for p, n in true.items() if n > 15}
    assert min(true.values()) <= 15 or len(true) == len(frame)


def test_what_is_stored_is_not_computed_again(session: Session) -> None:
    modal = ModalLocation(locations=[daily(1), daily(2, "most-common")])
    before = session.explain(modal)
    assert before["parts"] == 3
    assert session.store(modal) == modal.query_id
    after = session.explain(modal)
    assert (after["stored"], after["forecast_seconds"]) == (3, 0)
    session.store(SpatialAggregate(locations=modal))
    assert session.explain(SpatialAggregate(locations=modal))["stored"] == 4


def test_explain_names_the_subset_that_is_used(session: Session) -> None:
    def of_callers(**more: Any) -> SpatialAggregate:
        rang = {"query_kind": "event_count", "start_date": "2016-01-01", "end_date": "2016-01-03", **more}
        located = DailyLocation(
            date="2016-01-02", method="last", aggregation_unit="admin2", subscriber_subset=rang
        )
        return SpatialAggregate(locations=located)

    first, same = of_callers(), of_callers(direction="both", hours={"start_hour": 0, "end_hour": 24})
    session.store(first)
    assert {"query_id": first.query_id, "reason": "twin"} in session.explain(same)["near"]
    session.store(same)
    subset = next(part.query for part in first.graph() if isinstance(part, SubscriberSet))
    assert {"query_id": subset.query_id, "reason": "subset"} in session.explain(same)["near"]


def test_the_graph_is_a_picture(session: Session) -> None:
    session.store(daily(1))
    query = SpatialAggregate(locations=ModalLocation(locations=[daily(1), daily(3)]))
    drawing = ElementTree.fromstring(session.dependency_graph(query))
    space = "{http://www.w3.org/2000/svg}"
    titles = [title.text for title in drawing.iter(f"{space}title")]
    assert len(titles) == len(list(drawing.iter(f"{space}rect"))) == 4
    assert len(list(drawing.iter(f"{space}line"))) == 3
    assert f"{daily(1).query_id}, stored" in titles
    assert query.query_id in titles


def test_subsets(session: Session) -> None:
    frame = session.get_dataframe(daily())
    pcod = frame.pcod.value_counts().index[0]
    there = session.get_dataframe(Subset(query=daily(), column="pcod", values=[pcod]))
    assert there.equals(frame[frame.pcod == pcod].reset_index(drop=True))
    some = list(frame.subscriber[:7])
    assert (
        list(session.get_dataframe(Subset(query=daily(), column="subscriber", values=some)).subscriber)
        == some
    )

    metric = session.get_dataframe(events())
    middle = session.get_dataframe(NumericSubset(query=events(), column="value", low=3, high=5))
    assert middle.equals(metric[metric.value.between(3, 5)].reset_index(drop=True))


def test_a_part_stands_where_the_whole_can(session: Session) -> None:
    frame = session.get_dataframe(daily())
    pcod = frame.pcod.value_counts().index[0]
    part = Subset(query=daily(), column="pcod", values=[pcod])
    counted = session.get_dataframe(SpatialAggregate(locations=part))
    assert counted.values.tolist() == [[pcod, int((frame.pcod == pcod).sum())]]
    modal = ModalLocation(locations=[part, daily(2)])
    assert set(session.get_dataframe(part).subscriber) <= set(session.get_dataframe(modal).subscriber)
    # As a subset of subscribers, too.
    busy = NumericSubset(query=events(), column="value", low=5, high=1e9)
    here = DailyLocation(date="2016-01-02", method="last", aggregation_unit="admin2", subscriber_subset=busy)
    assert set(session.get_dataframe(here).subscriber) <= set(session.get_dataframe(busy).subscriber)


def test_unions(session: Session) -> None:
    first, second = session.get_dataframe(daily(1)), session.get_dataframe(daily(2))
    both = session.get_dataframe(Union(queries=[daily(1), daily(2)]))
    expected = pd.concat([first, second]).sort_values(["subscriber", "pcod"], ignore_index=True)
    assert both.equals(expected)
    distinct = session.get_dataframe(Union(queries=[daily(1), daily(2)], all=False))
    assert distinct.equals(expected.drop_duplicates(ignore_index=True))
    # One subscriber may be in it twice, so it counts for no subscriber's locations.
    with pytest.raises(ma.ValidationError):
        SpatialAggregate(locations=Union(queries=[daily(1), daily(2)]))


@pytest.mark.parametrize("how", ["inner", "left", "right", "full"])
def test_joins(session: Session, how: str) -> None:
    left, right = session.get_dataframe(daily(1)), session.get_dataframe(daily(2))
    found = session.get_dataframe(Join(left=daily(1), right=daily(2), how=how))
    expected = left.merge(
        right, on="subscriber", how="outer" if how == "full" else how, suffixes=("", "_right")
    )
    assert list(found.columns) == ["subscriber", "pcod", "pcod_right"]

    def rows(frame: pd.DataFrame) -> list[tuple[str, ...]]:
        return sorted(tuple(map(str, row)) for row in frame.fillna("").itertuples(index=False))

    assert rows(found) == rows(expected)
    assert len(found) > 100


def test_samples_repeat_by_seed(session: Session) -> None:
    def sample(seed: float) -> pd.DataFrame:
        settings = {"sampling_method": "random_ids", "size": 20, "seed": seed}
        return session.get_dataframe(RandomSample(query=daily(), sample=settings))

    whole = set(session.get_dataframe(daily()).subscriber)
    assert len(sample(0.1)) == 20
    assert sample(0.1).equals(sample(0.1))
    assert not sample(0.1).equals(sample(0.2))
    assert set(sample(0.2).subscriber) <= whole


def test_combinations_are_for_direct_use_only() -> None:
    part = Subset(query=daily(), column="pcod", values=["x"])
    names = {"subset", "numeric_subset", "union", "join", "random_sample"}
    assert not names & set(kinds())
    assert not names & set(submittable_kinds())
    assert not {"Subset", "NumericSubset", "Union", "Join"} & set(query_schemas())
    counted = SpatialAggregate(locations=part)
    assert load_any(counted.spec()) == counted
    for spec in (part.spec(), counted.spec(), daily().spec() | {"subscriber_subset": part.spec()}):
        with pytest.raises(ma.ValidationError):
            load(
                spec
                if spec["query_kind"] != "daily_location"
                else {"query_kind": "spatial_aggregate", "locations": spec}
            )


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Subset(query=daily(), column="location", values=[1]), "column"),
        (lambda: Subset(query=daily(), column="pcod", values=[1]), "values"),
        (lambda: Subset(query=daily(), column="pcod", values=[]), "values"),
        (lambda: NumericSubset(query=daily(), column="pcod", low=0, high=1), "column"),
        (lambda: Union(queries=[daily(), events()]), "queries"),
        (lambda: Join(left=daily(), right=events(), on=["location"]), "on"),
        (lambda: Join(left=daily(), right=daily(2), right_append=""), "right_append"),
    ],
)
def test_wrong_combinations_name_the_field(make: Any, field: str) -> None:
    with pytest.raises(ma.ValidationError) as refused:
        make()
    assert field in refused.value.normalized_messages()


def test_failures_say_why(session: Session) -> None:
    with pytest.raises(NotBuildable, match="No data for date: 2017-05-05"):
        session.store(DailyLocation(date="2017-05-05", method="last", aggregation_unit="admin2"))
    assert issubclass(QueryFailed, RuntimeError)


def test_explain_names_the_executor_that_computes(country: Country, tmp_path: Path) -> None:
    for setting, expected in (("auto", "duckdb"), ("duckdb", "duckdb"), ("postgres", "postgres")):
        with flowmachine.connect(*settings(country, tmp_path, setting)) as session:
            assert session.explain(daily(3))["executor"] == expected


def test_both_stores_tell_the_same(country: Country, tmp_path: Path) -> None:
    queries: list[Query] = [daily(3), events("out"), Join(left=daily(1), right=events())]
    found = []
    for executor in ("duckdb", "postgres"):
        with flowmachine.connect(*settings(country, tmp_path, executor)) as session:
            found.append([session.get_dataframe(query) for query in queries])
    for left, right in zip(*found, strict=True):
        pd.testing.assert_frame_equal(left, right)
        assert left.subscriber.map(subscriber_key).is_unique


@pytest.fixture
def run_page(
    country: Country, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], dict[str, Any]]:
    """Run a page's blocks in one namespace with its settings; return the namespace."""
    for name, value in country.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(page: Path) -> dict[str, Any]:
        namespace: dict[str, Any] = {}
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
            exec(compile(block, str(page), "exec"), namespace)  # noqa: S102 (our own page)
        return namespace

    return run


def test_the_guide_runs_as_a_notebook(
    country: Country, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in country.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(GUIDE.with_suffix(".ipynb"), as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("text/html" in output.get("data", {}) for output in shown)
    assert not [output for output in shown if output.output_type == "error"]
    assert (tmp_path / "graph.svg").read_text().startswith("<svg")


def test_the_kind_of_the_developers_guide_gives_released_rows(country: Country, tmp_path: Path) -> None:
    """In a process of its own, since it adds to the registry."""
    found = re.findall(
        r"(<!-- not run: [^\n]+ -->\n)?^```python\n(.*?)^```", EXTENDING.read_text(), re.DOTALL | re.MULTILINE
    )
    blocks = [code for mark, code in found if not mark]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        env=country.environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # The engine's log comes before the table.
    lines = [line.split() for line in done.stdout.splitlines()]
    rows = lines[lines.index(["places", "value"]) + 1 :]
    assert rows
    assert all(int(row[-1]) > 15 for row in rows)


def test_the_page_of_classes_runs(run_page: Callable[[Path], dict[str, Any]]) -> None:
    namespace = run_page(LIBRARY)
    assert isinstance(namespace["contacts"], CounterpartsSubset)
    assert namespace["newcomers"]


def test_every_class_for_direct_use_is_on_a_page() -> None:
    pages = GUIDE.read_text() + LIBRARY.read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)$", pages, flags=re.MULTILINE))
    direct = {cls.__name__: cls for kind, cls in all_kinds().items() if kind not in kinds()}
    assert direct.keys() - rows.keys() == set()


def test_contacts_are_shown_as_pseudonyms(session: Session, country: Country) -> None:
    balance = ContactBalance(start_date="2016-01-01", end_date="2016-01-03", direction="out")
    frame = session.get_dataframe(balance)
    assert len(frame) > 1000
    with closing(country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        calls = "SELECT msisdn, msisdn_counterpart FROM events.{} WHERE outgoing AND datetime < '2016-01-03'"
        cursor.execute(" UNION ALL ".join(map(calls.format, ("calls", "sms"))))
        pairs = Counter((who, other) for who, other in cursor.fetchall() if other not in (None, who))
    found = zip(frame.subscriber, frame.msisdn_counterpart, frame.events, strict=True)
    assert {(who, other): events for who, other, events in found} == pairs
    other = frame.msisdn_counterpart[0]
    part = session.get_dataframe(Subset(query=balance, column="msisdn_counterpart", values=[other]))
    assert part.equals(frame[frame.msisdn_counterpart == other].reset_index(drop=True))


def test_both_ends_of_calls_have_ids(session: Session) -> None:
    calls = PairedPerLocationSubscriberCallDurations(start_date="2016-01-01", end_date="2016-01-02")
    frame = session.get_dataframe(calls)
    assert list(frame.columns) == [
        "subscriber",
        "pcod",
        "msisdn_counterpart",
        "pcod_counterpart",
        "value",
    ]
    assert len(frame) > 100
    assert frame.notna().all(axis=None)


def test_single_cells_are_shown_by_name(session: Session, country: Country) -> None:
    day = {"start_date": "2016-01-01", "end_date": "2016-01-02"}
    everything = session.get_dataframe(SubscriberLocations(**day, event_types=["calls"]))
    with closing(country.database.connect("flowdb")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT msisdn, location_id FROM events.calls WHERE datetime < '2016-01-02' AND location_id <> ''"
        )
        rows = Counter(cursor.fetchall())
    assert list(everything.columns) == ["subscriber", "time", "location_id"]
    assert Counter(zip(everything.subscriber, everything.location_id, strict=True)) == rows
    there = everything.location_id[0]
    first = session.get_dataframe(FirstLocation(**day, event_types=["calls"], location=there))
    seen = everything[everything.location_id == there].groupby("subscriber").time.min()
    assert dict(zip(first.subscriber, first.time, strict=True)) == seen.to_dict()


def test_distances_have_the_ids_of_both_ends(session: Session) -> None:
    frame = session.get_dataframe(DistanceMatrix(aggregation_unit="versioned-site"))
    ids = ["site_id", "version", "lon", "lat"]
    assert list(frame.columns) == [f"{name}{end}" for end in ("_from", "_to") for name in ids] + ["value"]
    itself = (frame.site_id_from == frame.site_id_to) & (frame.version_from == frame.version_to)
    assert (frame[itself].value == 0).all()
    assert itself.sum() ** 2 == len(frame)


def test_what_needs_the_database_is_computed_there(session: Session) -> None:
    cluster = LocationCluster(date="2016-01-01", number_of_clusters=3)
    frame = session.get_dataframe(cluster)
    assert list(frame.columns) == ["site_id", "version", "lon", "lat", "cluster_id"]
    assert set(frame.cluster_id) == {0, 1, 2}
    hulls = session.get_dataframe(LocationCluster(date="2016-01-01", number_of_clusters=3, aggregate=True))
    assert sum(map(len, hulls.location_id_members)) == len(frame)
