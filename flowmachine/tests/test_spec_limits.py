"""Check the limits of submitted specs, over every kind and every part."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import marshmallow as ma
import pytest

from flowmachine.queries import catalogue
from flowmachine.queries.catalogue import MOST_PARTS, kinds, load, load_any, submittable_kinds
from flowmachine.queries.examples import example
from flowmachine.settings import Limits
from flowmachine.spec.fields import MOST_ENTRIES, MOST_REFUSED
from flowmachine.spec.limits import check_limits
from flowmachine.spec.nested import Nested
from flowmachine.spec.reading import Parts, Reading
from flowmachine.spec.sampling import Sampled
from flowsettings import SettingError

LIMITS = Limits.model_validate({})

#: Nested kinds whose own windows must have whole days.
OF_WHOLE_DAYS = {"daily_permanence", "longest_stay", "overnight_location", "stays"}

#: Kinds that join two inputs: two queries, two windows, or a query and a window.
JOINING = {
    "active_at_reference_location_counts",
    "active_residents",
    "coalesced_location",
    "displaced_counts",
    "displacement",
    "displacement_status",
    "flows",
    "inflows",
    "internal_migration",
    "joined_spatial_aggregate",
    "labelled_flows",
    "labelled_spatial_aggregate",
    "localised_calendar_activity",
    "meaningful_locations_between_dates_od_matrix",
    "network_silence",
    "outflows",
    "population_estimate",
    "residence_change",
    "stay_durations",
    "unique_visitor_counts",
    "unmoving_at_reference_location_counts",
}

MOMENTS = {
    *("date", "start_date", "end_date"),
    *("start_date_a", "end_date_a", "start_date_b", "end_date_b"),
}

WEEK = {"start_date": "2016-01-01", "end_date": "2016-01-08"}
HOURS = {"start_hour": 6, "end_hour": 18}
SUBSET = {
    "query_kind": "event_count",
    **WEEK,
    "hours": HOURS,
    "subscriber_subset": {
        "query_kind": "unique_locations",
        **WEEK,
        "aggregation_unit": "admin3",
        "hours": HOURS,
        "subscriber_subset": {
            "query_kind": "total_active_periods",
            "start_date": "2016-01-01",
            "total_periods": 7,
        },
    },
}
COUNTED = {"query_kind": "spatial_aggregate"}
EVENTS = {"query_kind": "event_count", **WEEK}
HISTOGRAM = {"query_kind": "histogram_aggregate", "metric": EVENTS}


def parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Yield each query in a spec with its path."""
    if isinstance(value, dict):
        if "query_kind" in value:
            yield path, value
        for name, inner in value.items():
            yield from parts(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from parts(inner, (*path, number))


def changed(spec: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy of a spec with another value at a path."""
    copied = copy.deepcopy(spec)
    at(copied, path[:-1])[path[-1]] = value
    return copied


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def with_subsets(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec whose parts all have a subset in a subset, where they can."""
    copied = copy.deepcopy(spec)
    for _, part in list(parts(copied)):
        if "subscriber_subset" in kinds()[part["query_kind"]].fields:
            part["subscriber_subset"] = copy.deepcopy(SUBSET)
    return copied


def specs() -> Iterator[dict[str, Any]]:
    """Yield valid specs of each kind, with each kind in each of its fields."""
    for kind in submittable_kinds():
        yield example(kind)
        for name, argument in kinds()[kind].arguments.items():
            for inner in argument.field.kinds if isinstance(argument.field, Nested) else ():
                more = {"method": "distr"} if inner == "handset" else {}
                yield example(kind, **{name: example(inner)}, **more)


SPECS = [with_subsets(spec) for spec in specs()]


def whole_days(spec: dict[str, Any], path: tuple[Any, ...]) -> bool:
    """Return whether windows at the path must have whole days."""
    above = [part["query_kind"] for where, part in parts(spec) if path[: len(where)] == where]
    return "subscriber_subset" in path or above[-1] in OF_WHOLE_DAYS or not JOINING.isdisjoint(above)


def problems(spec: Mapping[str, Any], limits: Limits = LIMITS) -> Any:
    """Return the messages that refuse a spec, or None."""
    try:
        check_limits(load(spec), limits)
    except ma.ValidationError as error:
        return error.normalized_messages()
    return None


def test_every_kind_is_among_the_specs_and_within_the_limits() -> None:
    seen = {part["query_kind"] for spec in SPECS for _, part in parts(spec)}
    assert seen == set(kinds())
    assert seen >= JOINING
    assert [problems(spec) for spec in SPECS] == [None] * len(SPECS)


def chain(spec: dict[str, Any], path: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the fields and kinds that lead to a path."""
    above = [(where, part["query_kind"]) for where, part in parts(spec) if path[: len(where)] == where]
    return tuple(f"{where[-1:]}{kind}" for where, kind in above)


#: A spec and the path of a part in it, once for each way in which kinds can stand in each other.
PLACES = {chain(spec, path): (spec, path, part) for spec in SPECS for path, part in parts(spec)}


@pytest.mark.parametrize("kind", submittable_kinds())
def test_windows_of_every_kind_lie_on_their_steps(kind: str) -> None:
    for spec, where, part in PLACES.values():
        for name in MOMENTS & part.keys() if spec["query_kind"] == kind else ():
            path = (*where, name)
            step = 86400 if whole_days(spec, path) else 3600
            for later in (3599, 3600):
                moment = datetime.fromisoformat(part[name]) + timedelta(seconds=later)
                found = problems(changed(spec, path, str(moment)))
                if later % step == 0:
                    assert found is None
                else:
                    assert f"{moment} must be a multiple of {step} seconds" in at(found, path)[0]


@pytest.mark.parametrize("kind", submittable_kinds())
def test_hours_of_every_subset_lie_on_their_steps(kind: str) -> None:
    for spec, where, part in PLACES.values():
        if spec["query_kind"] != kind or "hours" not in kinds()[part["query_kind"]].fields:
            continue
        for name in ("start_hour", "end_hour"):
            path = (*where, "hours")
            assert problems(changed(spec, path, HOURS | {name: 12})) is None
            found = problems(changed(spec, path, HOURS | {name: 13}))
            if "subscriber_subset" in where:
                text = "13 must be one of 0, 6, 12, 18, 24, as each edge of hours in a subscriber_subset."
                assert at(found, (*path, name)) == [text]
            else:
                assert found is None


@pytest.mark.parametrize(("unit", "number", "refused"), [("hours", 25, False), ("minutes", 59, True)])
def test_periods_end_on_a_step(unit: str, number: int, refused: bool) -> None:
    periods = {"start_date": "2016-01-01", "total_periods": number, "period_unit": unit}
    found = problems({"query_kind": "calendar_activity", **periods})
    assert (found is not None) == refused
    if refused:
        assert list(found) == ["total_periods"]
    within = {**EVENTS, "subscriber_subset": {"query_kind": "total_active_periods", **periods}}
    assert list(
        problems(HISTOGRAM | {"bins": {"n_bins": 2}, "metric": within})["metric"]["subscriber_subset"]
    ) == ["total_periods"]


def test_steps_are_settings() -> None:
    off = {"start_date": "2016-01-01 00:00:01", "hours": {"start_hour": 1, "end_hour": 2}}
    metric = {**EVENTS, **off, "subscriber_subset": {**EVENTS, **off}}
    spec = HISTOGRAM | {"bins": {"n_bins": 2}, "metric": metric}
    assert problems(spec) is not None
    names = [f"FLOWMACHINE_{name}" for name in ("WINDOW_STEP", "SUBSET_STEP", "SUBSET_HOURS")]
    assert problems(spec, Limits.load(dict.fromkeys(names, "1"))) is None
    for name in names:
        for wrong in ("0", "-1", "7", "hour", "86401"):
            with pytest.raises(SettingError, match=f"{name} is '{wrong}'; it must be a number of"):
                Limits.load({name: wrong})


def test_only_listed_subsets_are_allowed_where_the_setting_says_so() -> None:
    inner = {**EVENTS, "event_types": ["sms"]}
    subset = {**EVENTS, "subscriber_subset": inner}
    spec = HISTOGRAM | {"bins": {"n_bins": 2}, "metric": {**EVENTS, "subscriber_subset": subset}}
    query, listed = load(spec), Limits.load({"FLOWMACHINE_SUBSETS": "listed"})
    ids = [load_any(one).query_id for one in (subset, inner)]
    for approved in ([], ids[1:]):
        with pytest.raises(ma.ValidationError) as refused:
            check_limits(query, listed, approved.__contains__)
        text = f"Subset {ids[0]} is not in the list of approved subsets."
        assert refused.value.messages == {"metric": {"subscriber_subset": [text]}}
    check_limits(query, listed, ids[:1].__contains__)
    check_limits(query, LIMITS)
    assert problems(HISTOGRAM | {"bins": {"n_bins": 2}, "metric": EVENTS}, listed) is None
    with pytest.raises(SettingError, match="FLOWMACHINE_SUBSETS is 'all'; it must be"):
        Limits.load({"FLOWMACHINE_SUBSETS": "all"})


@pytest.mark.parametrize("kind", [name for name, cls in kinds().items() if issubclass(cls, Sampled)])
def test_no_kind_has_a_sample_of_nearly_everybody(kind: str) -> None:
    def found(fraction: float) -> Any:
        sampling = {"sampling_method": "random_ids", "seed": 0.5, "fraction": fraction}
        query = load_any(example(kind, sampling=sampling))
        try:
            check_limits(query, LIMITS)
        except ma.ValidationError as error:
            return error.messages
        return None

    assert found(0.9) is None
    text = "0.91 must be at most 0.9: a sample leaves out a tenth of the subscribers."
    assert found(0.91) == {"sampling": {"fraction": [text]}}


def test_a_histogram_has_a_thousand_bins_at_most() -> None:
    for bins in ({"n_bins": 1000}, {"bin_list": list(range(1001))}):
        assert problems(HISTOGRAM | {"bins": bins}) is None
    for name, value in (("n_bins", 1001), ("bin_list", list(range(1002)))):
        text = "A histogram can have 1000 bins at most, not 1001."
        assert problems(HISTOGRAM | {"bins": {name: value}}) == {"bins": {name: [text]}}


def modal(days: int, **more: Any) -> dict[str, Any]:
    daily = {"query_kind": "daily_location", "method": "last", "aggregation_unit": "admin3", **more}
    first = datetime(2016, 1, 1)
    locations = [{**daily, "date": str(first + timedelta(days=day))} for day in range(days)]
    return {**COUNTED, "locations": {"query_kind": "modal_location", "locations": locations}}


def test_a_spec_has_five_thousand_parts_at_most() -> None:
    assert problems(modal(MOST_PARTS)) is None
    text = f"The spec has more than {MOST_PARTS} parts, each counted as often as it is named."
    assert problems(modal(MOST_PARTS + 1)) == {"_schema": [text]}


def test_a_subset_named_by_its_id_counts_whole_each_time() -> None:
    subset = load_any({**EVENTS, "subscriber_subset": EVENTS})
    looked_up: list[str] = []

    def find_spec(query_id: str) -> Any:
        looked_up.append(query_id)
        return subset.spec()

    def load_days(days: int) -> Any:
        return load(modal(days, subscriber_subset=subset.query_id), find_spec=find_spec)

    # Each day is one part, and its subset two. Four levels lie above the lowest.
    days = (MOST_PARTS + 4 - 2) // 3
    assert load_days(days).spec()["locations"]["locations"][-1]["subscriber_subset"] == subset.spec()
    with pytest.raises(ma.ValidationError, match="parts, each counted as often as it is named"):
        load_days(days + 1)
    assert looked_up == [subset.query_id] * 2


def test_reading_stops_at_too_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "MOST_PARTS", 10)
    spec = modal(11 + catalogue.DEEPEST)
    # Nobody looks at the rest: it would be refused otherwise.
    spec["locations"]["locations"] += ["no query"] * 1000
    assert "_schema" in problems(spec)


@pytest.mark.parametrize("field", ["event_types", "bins", "locations", "tower_hour_of_day_scores", "labels"])
def test_a_very_long_list_is_refused_unread(field: str) -> None:
    """Check that nobody looks at entries that would take seconds to refuse."""
    many: Any = ["wrong"] * (MOST_ENTRIES + 1)
    specs: dict[str, dict[str, Any]] = {
        "event_types": EVENTS | {"event_types": many},
        "bins": HISTOGRAM | {"bins": {"bin_list": many}},
        "locations": {"query_kind": "modal_location", "locations": many},
        "tower_hour_of_day_scores": example("meaningful_locations_aggregate", tower_hour_of_day_scores=many),
        "labels": example(
            "meaningful_locations_aggregate", labels={str(number): 1 for number, _ in enumerate(many)}
        ),
    }
    with pytest.raises(ma.ValidationError) as refused:
        limited = Reading(levels_left=10, parts=Parts(10, 10))
        limited.one_of(kinds(), specs[field])
    found: Any = refused.value.messages[field]  # type: ignore[index]
    text = [f"Longer than maximum length {MOST_ENTRIES}."]
    assert found == ({"bin_list": text} if field == "bins" else text)


def test_a_refusal_names_some_of_many_wrong_entries() -> None:
    spec = modal(300, event_types=["wrong"] * 300)
    found = problems(spec)["locations"]["locations"]
    assert list(found) == list(range(MOST_REFUSED))
    assert list(found[0]["event_types"]) == list(range(MOST_REFUSED))
