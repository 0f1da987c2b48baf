"""Check over all kinds that different queries have different ids, equal equal.

This holds in another process, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import marshmallow as ma
import pytest

from flowmachine.queries import EventCount
from flowmachine.queries.catalogue import kinds, load_any
from flowmachine.queries.examples import example, full_example
from flowmachine.spec.fields import HourInterval, canonical_json
from flowmachine.spec.query import Query

EXPECTED = Path(__file__).parents[2] / "flowclient" / "tests" / "data" / "expected_specs.json"


def without_subsets_by_id(value: Any) -> Any:
    """Replace subsets named by ids, which no server knows here, with null."""
    if isinstance(value, list):
        return [without_subsets_by_id(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: None if name == "subscriber_subset" and isinstance(part, str) else without_subsets_by_id(part)
        for name, part in value.items()
    }


SPECS = [without_subsets_by_id(case["spec"]) for case in json.loads(EXPECTED.read_text())]
SPECS += [make(kind) for kind in kinds() for make in (example, full_example)]

IDS_OF_ANOTHER_PROCESS = """
import json, sys
from flowmachine.queries.catalogue import load_any
print(json.dumps([load_any(spec).query_id for spec in json.load(sys.stdin)]))
"""


def turned(value: Any) -> Iterator[Any]:
    """Yield the value with one of its lists reversed, for each list that changes."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        for other in turned(part):
            changed = value.copy()
            changed[key] = other
            yield changed
    if isinstance(value, list) and value != value[::-1]:
        yield value[::-1]


def all_queries() -> Iterator[Query]:
    """Yield every part of each expected spec, also with reversed lists if valid."""
    for spec in SPECS:
        for variant in (spec, *turned(spec)):
            # The client checks nothing, so some expected specs are refused here.
            with contextlib.suppress(ma.ValidationError):
                yield from load_any(variant).graph()


@lru_cache(maxsize=1)
def queries() -> tuple[Query, ...]:
    return tuple({(canonical(query), query.query_id): query for query in all_queries()}.values())


def canonical(query: Query) -> str:
    return json.dumps(query.spec(), sort_keys=True, default=str)


def test_every_kind_is_among_them() -> None:
    assert {query.kind for query in queries()} == {
        *kinds(),
        "permanence",
        "permanence_of_day",
        "subscriber_set",
    }


def test_different_queries_have_different_ids_and_equal_ones_equal_ids() -> None:
    pairs = {(canonical(query), query.query_id) for query in queries()}
    assert len({text for text, _ in pairs}) == len(pairs)
    assert len({query_id for _, query_id in pairs}) == len(pairs)
    assert len(pairs) > len(kinds())


def test_the_order_of_sub_queries_is_in_the_id() -> None:
    day = {"query_kind": "daily_location", "method": "last", "aggregation_unit": "admin3"}
    days = [load_any(day | {"date": f"2016-01-0{number}"}) for number in (1, 2)]
    modal = {"query_kind": "modal_location", "locations": [day.spec() for day in days]}
    other = modal | {"locations": modal["locations"][::-1]}
    assert load_any(modal).query_id != load_any(other).query_id


@pytest.mark.parametrize("kind", kinds())
def test_a_raised_sql_version_changes_the_id(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    query = next(query for query in queries() if query.kind == kind)
    monkeypatch.setattr(kinds()[kind], "sql_version", query.sql_version + 1)
    assert load_any(query.spec()).query_id != query.query_id


DAY = {"query_kind": "daily_location", "date": "2016-01-01", "method": "last", "aggregation_unit": "admin3"}
NEXT_DAY = DAY | {"date": "2016-01-02"}
WINDOW = {"start_date": "2016-01-01", "end_date": "2016-01-03"}
CHOSEN = {
    "date": "2016-01-01 12:00:00",
    "hours": {"start_hour": 20, "end_hour": 8},
    "event_types": ["sms", "calls"],
    "sampling": {"sampling_method": "random_ids", "seed": 0.5, "size": 10},
}
EVENTS = {"query_kind": "event_count", **WINDOW}
RADIUS = {"query_kind": "radius_of_gyration", **WINDOW}
BY_HOUR = {"aggregation_unit": "lon-lat", "interval": "hour", "direction": "in"}


@pytest.mark.parametrize(
    ("spec", "query_id"),
    [
        (DAY, "25d8068a011729aa26e698a8efda3fb5"),
        (DAY | CHOSEN, "fa35509393df70c005aa482bf01c6bae"),
        (
            DAY | {"mapping_table": "geography.cell_mapping", "subscriber_subset": EVENTS},
            "d0398da89424d35f41115abe81ff66a8",
        ),
        ({"query_kind": "modal_location", "locations": [DAY, NEXT_DAY]}, "067d367ff2f29d9e127c256e35af0fd3"),
        (
            {"query_kind": "flows", "from_location": DAY, "to_location": NEXT_DAY},
            "6397946091a3376878ed99dc9b1698d1",
        ),
        (
            {"query_kind": "histogram_aggregate", "metric": RADIUS, "bins": {"bin_list": [0, 0.5, 10]}},
            "ad585291733e310fdf00b48d3a2ab6c8",
        ),
        ({"query_kind": "location_event_counts", **WINDOW, **BY_HOUR}, "edccaa08a45547523c5bbd97948c2fe2"),
        ({"query_kind": "unique_subscribers", **WINDOW}, "01e6e082d9bec9c6ebdb5351941bf0ce"),
    ],
)
def test_ids_stay_what_they_were(spec: dict[str, Any], query_id: str) -> None:
    """Check that ids stay, because results are stored under ids and subsets name them.

    Only a kind whose statement changes gets other ids.
    """
    assert load_any(spec).query_id == query_id


def test_the_canonical_text_has_one_spelling() -> None:
    document = {"b": ["é", None, True, 1, 1.0], "a": {"y": "", "x": -0.5}}
    assert canonical_json(document) == '{"a":{"x":-0.5,"y":""},"b":["\\u00e9",null,true,1,1.0]}'
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            canonical_json([value])


def test_a_query_made_in_python_has_the_id_of_its_spec() -> None:
    """Check that tuples and times of Python count as lists and texts of a spec."""
    hours = {"start_hour": 20, "end_hour": 8}
    made = EventCount(
        start_date=datetime(2016, 1, 1),
        end_date="2016-01-03",
        event_types=("sms", "calls", "sms"),
        hours=HourInterval(**hours),
    )
    read = load_any(EVENTS | {"event_types": ["calls", "sms"], "hours": hours})
    assert made == read
    assert made.spec() == {
        "query_kind": "event_count",
        "start_date": "2016-01-01 00:00:00",
        "end_date": "2016-01-03 00:00:00",
        "direction": "both",
        "event_types": ["calls", "sms"],
        "hours": hours,
        "sampling": None,
        "subscriber_subset": None,
    }


def test_another_process_finds_the_same_ids() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IDS_OF_ANOTHER_PROCESS],
        input=json.dumps([query.spec() for query in queries()], default=str),
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [query.query_id for query in queries()]
