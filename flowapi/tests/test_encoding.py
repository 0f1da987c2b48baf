"""Encode rows as JSON, CSV and GeoJSON text."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowapi.encoding import CsvEncoder, Encoder, GeoJsonEncoder, JsonEncoder, JsonText, encode_value

NAIROBI = datetime.timezone(datetime.timedelta(hours=3))


def encoded(encoder: Encoder, columns: list[str], *batches: list[tuple[Any, ...]]) -> str:
    return encoder.start(columns) + "".join(encoder.rows(batch) for batch in batches) + encoder.end()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (2**63 - 1, "9223372036854775807"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        (float("nan"), "null"),
        (float("inf"), "null"),
        (float("-inf"), "null"),
        (Decimal("3.7500000000000000"), "3.7500000000000000"),
        (Decimal("0E-20"), "0E-20"),
        (Decimal("NaN"), "null"),
        (Decimal("Infinity"), "null"),
        ('é"\\\n\x01', '"é\\"\\\\\\n\\u0001"'),
        (datetime.date(2016, 1, 1), '"2016-01-01"'),
        (datetime.datetime(2016, 1, 1), '"2016-01-01T00:00:00"'),
        (datetime.datetime(2016, 1, 1, tzinfo=NAIROBI), '"2016-01-01T00:00:00+03:00"'),
        (datetime.time(12, 30), '"12:30:00"'),
        (datetime.timedelta(minutes=1.5), "90.0"),
        ([1, None, [Decimal("NaN"), "a"]], '[1,null,[null,"a"]]'),
        ({"a": float("nan")}, '{"a":null}'),
        (JsonText('{"type": "Point"}'), '{"type": "Point"}'),
    ],
    ids=repr,
)
def test_values(value: Any, text: str) -> None:
    assert encode_value(value) == text
    json.loads(text)


def test_json_rows_keep_the_order_of_columns_across_batches() -> None:
    text = encoded(JsonEncoder("abc"), ["b", "a"], [(1, "x"), (2, None)], [(3, "y")])
    expected = [[("b", 1), ("a", "x")], [("b", 2), ("a", None)], [("b", 3), ("a", "y")]]
    assert text == ('{"query_id":"abc", "query_result":[{"b":1,"a":"x"},{"b":2,"a":null},{"b":3,"a":"y"}]}')
    assert [list(row.items()) for row in json.loads(text)["query_result"]] == expected


@pytest.mark.parametrize("encoder_of", [lambda said: JsonEncoder("abc", said), GeoJsonEncoder])
def test_metadata_stand_beside_the_rows(encoder_of: Callable[[Any], Encoder]) -> None:
    said = {"withheld": ["floor"], "repeats": ["0f"]}
    assert json.loads(encoded(encoder_of(said), ["a"], [(1,)]))["metadata"] == said
    assert "metadata" not in json.loads(encoded(encoder_of(None), ["a"], [(1,)]))


@pytest.mark.parametrize("encoder", [JsonEncoder("abc"), GeoJsonEncoder()])
def test_no_rows_are_an_empty_list(encoder: Encoder) -> None:
    assert [] in json.loads(encoded(encoder, ["a"])).values()


def test_geojson_takes_geometries_as_text_or_json() -> None:
    point = '{"type":"Point","coordinates":[1,2]}'
    rows = [
        ("Feature", 1, point, JsonText('{"name":"x"}')),
        ("Feature", 2, None, JsonText("{}")),
    ]
    document = json.loads(encoded(GeoJsonEncoder(), ["type", "id", "geometry", "properties"], rows))
    assert document == {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "id": 1, "geometry": json.loads(point), "properties": {"name": "x"}},
            {"type": "Feature", "id": 2, "geometry": None, "properties": {}},
        ],
    }


def test_csv_has_header_crlf_and_empty_nulls() -> None:
    rows = [("a,b", None, 1.5), ('say "x"', float("nan"), Decimal("2.50"))]
    assert encoded(CsvEncoder(), ["name", "empty", "value"], rows) == (
        'name,empty,value\r\n"a,b",,1.5\r\n"say ""x""",,2.50\r\n'
    )


def test_an_empty_csv_still_has_its_header() -> None:
    assert encoded(CsvEncoder(), ["pcod", "value"]) == "pcod,value\r\n"


def test_csv_dates_and_json_columns_are_plain_text() -> None:
    row = (datetime.date(2016, 1, 1), JsonText('{"a": 1}'), True)
    assert list(csv.reader(io.StringIO(encoded(CsvEncoder(), ["a", "b", "c"], [row]))))[1] == [
        "2016-01-01",
        '{"a": 1}',
        "true",
    ]


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_formulas_are_quoted_on_request_only(start: str) -> None:
    row = (f"{start}1+1", -5)
    assert encoded(CsvEncoder(safe=True), ["a", "b"], [row]).endswith(f"'{start}1+1,-5\r\n")
    assert encoded(CsvEncoder(), ["a", "b"], [row]).endswith(f"\n{start}1+1,-5\r\n")


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)


@given(st.lists(st.lists(st.tuples(scalars, scalars), min_size=1, max_size=4), max_size=4))
def test_any_rows_survive_json(batches: list[list[tuple[Any, Any]]]) -> None:
    document = json.loads(encoded(JsonEncoder("id"), ["a", "b"], *batches))
    rows = [row for batch in batches for row in batch]
    assert document["query_result"] == [{"a": first, "b": second} for first, second in rows]


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_any_text_survives_csv(rows: list[tuple[str, str]]) -> None:
    text = encoded(CsvEncoder(), ["a", "b"], rows)
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == [list(row) for row in rows]
