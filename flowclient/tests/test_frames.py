"""The types of the columns of tables."""

from __future__ import annotations

import pandas
import pytest
from flowclient_stub import RUN, Answer, polls

from flowclient.frames import table


def types(frame: pandas.DataFrame) -> dict[str, str]:
    # pandas 2 calls its texts objects.
    return {
        name: "text" if str(kind) in ("str", "object") else str(kind) for name, kind in frame.dtypes.items()
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], "Int64"),
        ([1, None], "Int64"),
        ([2**60 + 1, None], "Int64"),
        ([1, 2.5], "float64"),
        ([1.5, None], "float64"),
        (["a", None], "text"),
        ([True, False], "bool"),
        ([["2016-01-01"], []], "text"),
    ],
    ids=repr,
)
def test_a_column_has_the_type_of_its_values(values, expected):
    frame = table([{"value": value} for value in values])
    assert types(frame) == {"value": expected}
    # Nothing is lost on the way: beyond 2**53 a float would have other digits.
    assert [None if one is pandas.NA or one != one else one for one in frame["value"]] == values


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["2016-01-01", "2016-01-02"], "datetime64[us]"),
        (["2016-01-01T06:00:00+00:00"], "datetime64[us, UTC]"),
        (["2016-01-01T06:00:00+05:45"], "datetime64[us, UTC+05:45]"),
        (["2016-03-27T01:00:00+01:00", "2016-03-27T03:00:00+02:00"], "datetime64[us, UTC]"),
        (["week 1"], "text"),
    ],
    ids=repr,
)
def test_times_keep_the_zone_that_they_name(times, expected):
    assert types(table([{"datetime": time} for time in times])) == {"datetime": expected}


def test_a_label_that_looks_like_a_time_stays_a_text():
    assert types(table([{"value_label": "2016-01-01"}])) == {"value_label": "text"}


def test_counts_stay_whole_where_a_join_leaves_gaps():
    before = table([{"pcod": "a", "value": 20}, {"pcod": "b", "value": 30}])
    after = table([{"pcod": "a", "value": 25}])
    joined = before.merge(after, on="pcod", how="outer", suffixes=("_before", "_after"))
    assert types(joined) == {"pcod": "text", "value_before": "Int64", "value_after": "Int64"}
    assert joined["value_after"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("spec", "record", "expected"),
    [
        (
            {"query_kind": "location_event_counts", "aggregation_unit": "admin3", "interval": "hour"},
            {"pcod": "a", "date": "2016-01-01", "hour": 6, "value": 20},
            {"pcod": "text", "date": "datetime64[us]", "hour": "Int64", "value": "Int64"},
        ),
        (
            {"query_kind": "joined_spatial_aggregate", "aggregation_unit": "admin3", "method": "avg"},
            {"pcod": "a", "value": 2},
            {"pcod": "text", "value": "float64"},
        ),
    ],
    ids=["counts", "averages"],
)
def test_a_result_has_the_types_of_its_kind_with_rows_and_without(
    shell, server, connection, spec, record, expected
):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    for records in ([record], []):
        server.script("GET", "get/abc", Answer(200, {"query_id": "abc", "query_result": records}))
        assert types(shell.finish(connection.make_api_query(spec).get_result())) == expected


def test_the_most_common_handset_is_a_text(shell, server, connection):
    server.script("POST", "run", RUN)
    server.script("GET", "poll/abc", *polls())
    rows = [{"pcod": "a", "value": "Smart"}, {"pcod": "b", "value": None}]
    server.script("GET", "get/abc", Answer(200, {"query_id": "abc", "query_result": rows}))
    spec = {"query_kind": "joined_spatial_aggregate", "aggregation_unit": "admin3", "method": "mode"}
    assert types(shell.finish(connection.make_api_query(spec).get_result()))["value"] == "text"
