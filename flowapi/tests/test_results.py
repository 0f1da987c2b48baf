"""Stream from a real database: constant memory, visible failure, no leaks."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import URL

from flowapi.encoding import CsvEncoder, GeoJsonEncoder, JsonEncoder
from flowapi.record import RequestRecord
from flowapi.results import (
    DatabaseDown,
    DeliveryCutOff,
    ResultGone,
    ResultStore,
    ResultStream,
    ResultWithheld,
)

pytestmark = pytest.mark.anyio

MANY = 1_000_000
FAILS_LATE = f"SELECT 1 / ({MANY // 10} - value) AS share FROM cache.xmany"


@pytest.fixture(scope="module")
def database(module_database: Any) -> Any:
    """Provide a database with a large, a typed and a withheld result."""
    with module_database.connect("flowdb") as connection, connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE TABLE cache.xmany AS
                SELECT number AS value, 'pcod' || number AS pcod FROM generate_series(1, {MANY}) AS number;
            CREATE TABLE cache.xwithheld AS SELECT 'someone' AS subscriber;
            CREATE TABLE cache.xtypes (
                a numeric, b double precision, c date, d timestamptz, e jsonb, f bigint[], g boolean, h text
            );
            INSERT INTO cache.xtypes VALUES
                (3.7500, 'NaN', '2016-01-01', '2016-01-01 00:00+00', '{{"k": 1.50}}', '{{1,2}}', true, 'é'),
                ('NaN', 'Infinity', NULL, NULL, NULL, NULL, NULL, NULL);
            GRANT SELECT ON cache.xmany, cache.xtypes TO flowapi;
            """
        )
    connection.close()
    return module_database


@pytest.fixture
async def store(database: Any) -> AsyncIterator[ResultStore]:
    store = ResultStore(database.url("flowapi"), pool_size=2, timeout=10)
    yield store
    await asyncio.to_thread(store.close)


@pytest.fixture
def record() -> RequestRecord:
    return RequestRecord("GET", "/api/0/get/many", "127.0.0.1")


async def text_of(stream: ResultStream) -> str:
    return "".join([chunk.decode() async for chunk in stream.body()])


async def until_idle(database: Any) -> None:
    """Wait until no connection of the API is inside a transaction."""
    connection = database.connect("flowdb")
    connection.autocommit = True
    try:
        async with asyncio.timeout(20):
            while True:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT count(*) FROM pg_stat_activity"
                        " WHERE datname = %s AND application_name = 'flowapi' AND state <> 'idle'",
                        (database.name,),
                    )
                    if cursor.fetchone() == (0,):
                        return
                await asyncio.sleep(0.02)
    finally:
        connection.close()


async def test_a_million_rows_pass_in_constant_memory(
    store: ResultStore, database: Any, record: RequestRecord
) -> None:
    tracemalloc.start()
    try:
        stream = await store.open("SELECT * FROM cache.xmany", CsvEncoder(), record)
        lines = 0
        async for chunk in stream.body():
            lines += chunk.count(b"\r\n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines == MANY + 1
    assert record.rows == MANY
    assert peak < 8 * 1024 * 1024
    await until_idle(database)


async def test_types_as_the_database_has_them(store: ResultStore, record: RequestRecord) -> None:
    stream = await store.open("SELECT * FROM cache.xtypes", JsonEncoder("types"), record)
    text = await text_of(stream)
    assert text == (
        '{"query_id":"types", "query_result":['
        '{"a":3.7500,"b":null,"c":"2016-01-01","d":"2016-01-01T00:00:00+00:00",'
        '"e":{"k": 1.50},"f":[1,2],"g":true,"h":"é"},'
        '{"a":null,"b":null,"c":null,"d":null,"e":null,"f":null,"g":null,"h":null}]}'
    )


async def test_a_percent_sign_in_sql_is_no_parameter(store: ResultStore, record: RequestRecord) -> None:
    stream = await store.open("SELECT 'a' LIKE '%a' AS \"share %\"", JsonEncoder("x"), record)
    assert json.loads(await text_of(stream))["query_result"] == [{"share %": True}]


async def test_features_of_real_geometries(store: ResultStore, record: RequestRecord) -> None:
    point = "ST_AsGeoJSON(ST_SetSRID(ST_MakePoint(85.5, 27.5), 4326))"
    sql = f"SELECT 'Feature' AS type, 1 AS id, {point} AS geometry, json_build_object('a', 1) AS properties"
    document = json.loads(await text_of(await store.open(sql, GeoJsonEncoder(), record)))
    assert document["features"] == [
        {
            "type": "Feature",
            "id": 1,
            "geometry": {"type": "Point", "coordinates": [85.5, 27.5]},
            "properties": {"a": 1},
        }
    ]


@pytest.mark.parametrize("rows", [0, 1, 1_999, 2_000, 2_001, 4_000])
async def test_every_row_arrives_once_at_batch_borders(
    store: ResultStore, record: RequestRecord, rows: int
) -> None:
    sql = f"SELECT value FROM cache.xmany WHERE value <= {rows} ORDER BY value"
    document = json.loads(await text_of(await store.open(sql, JsonEncoder("x"), record)))
    assert [row["value"] for row in document["query_result"]] == list(range(1, rows + 1))
    assert record.rows == rows


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT * FROM cache.xwithheld", ResultWithheld),
        ("SELECT * FROM cache.xnowhere", ResultGone),
        ("SELECT * FROM events.calls", ResultWithheld),
        ("SELECT pg_sleep(60)", DatabaseDown),
    ],
)
async def test_what_cannot_be_read_is_told_before_the_first_byte(
    database: Any, record: RequestRecord, sql: str, error: type[Exception]
) -> None:
    store = ResultStore(database.url("flowapi"), pool_size=1, timeout=0.5)
    try:
        with pytest.raises(error):
            await store.open(sql, JsonEncoder("x"), record)
        await store.ping(10)
    finally:
        await asyncio.to_thread(store.close)


async def test_results_are_read_in_a_read_only_transaction(store: ResultStore, record: RequestRecord) -> None:
    sql = "SELECT current_setting('transaction_read_only') AS read_only"
    document = json.loads(await text_of(await store.open(sql, JsonEncoder("x"), record)))
    assert document["query_result"] == [{"read_only": "on"}]


async def test_a_late_failure_cuts_the_delivery_off(
    store: ResultStore, database: Any, record: RequestRecord
) -> None:
    stream = await store.open(FAILS_LATE, JsonEncoder("x"), record)
    received = b""
    with pytest.raises(DeliveryCutOff, match="division by zero"):
        async for chunk in stream.body():
            received += chunk
    assert received
    with pytest.raises(ValueError):
        json.loads(received)
    await until_idle(database)
    await store.ping(10)


async def test_a_killed_connection_cuts_off_and_the_next_request_gets_a_new_one(
    store: ResultStore, database: Any, record: RequestRecord
) -> None:
    stream = await store.open("SELECT * FROM cache.xmany", JsonEncoder("x"), record)
    with database.connect("flowdb") as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name = 'flowapi'",
            (database.name,),
        )
    connection.close()
    with pytest.raises(DeliveryCutOff):
        await text_of(stream)
    for _ in range(3):
        await store.ping(10)


async def test_readers_who_leave_give_their_connections_back(
    store: ResultStore, database: Any, record: RequestRecord
) -> None:
    for _ in range(6):
        stream = await store.open("SELECT * FROM cache.xmany", JsonEncoder("x"), record)
        body = stream.body()
        await anext(body)
        await body.aclose()  # type: ignore[attr-defined]
    for _ in range(6):
        stream = await store.open("SELECT * FROM cache.xmany", JsonEncoder("x"), record)
        stream.close()
        stream.close()
    for _ in range(6):
        opening = asyncio.create_task(store.open("SELECT pg_sleep(30)", JsonEncoder("x"), record))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    await until_idle(database)
    await store.ping(10)


async def test_who_finds_all_connections_busy_waits_and_then_is_told(
    database: Any, record: RequestRecord
) -> None:
    store = ResultStore(database.url("flowapi"), pool_size=1, timeout=0.5)
    try:
        first = await store.open("SELECT * FROM cache.xmany", JsonEncoder("x"), record)
        with pytest.raises(DatabaseDown, match="busy"):
            await store.open("SELECT 1", JsonEncoder("x"), record)
        first.close()
        second = await store.open("SELECT 1 AS one", JsonEncoder("x"), record)
        assert '"one":1' in await text_of(second)
    finally:
        await asyncio.to_thread(store.close)


async def test_a_ping_does_not_wait_for_long_readers(database: Any, record: RequestRecord) -> None:
    store = ResultStore(database.url("flowapi"), pool_size=1, timeout=60)
    try:
        first = await store.open("SELECT * FROM cache.xmany", JsonEncoder("x"), record)
        async with asyncio.timeout(20):
            with pytest.raises(DatabaseDown, match=r"within 0\.2 s"):
                await store.ping(0.2)
        first.close()
        await store.ping(10)
    finally:
        await asyncio.to_thread(store.close)


async def test_the_identity_of_a_table_changes_when_it_is_made_anew(
    store: ResultStore, database: Any
) -> None:
    assert await store.table_identity("nowhere") == ""
    identities = set()
    for _ in range(2):
        with database.connect("flowdb") as connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS cache.xagain; CREATE TABLE cache.xagain AS SELECT 1 AS one")
        connection.close()
        identities.add(await store.table_identity("again"))
    assert len(identities - {""}) == 2


async def test_no_database_is_told_as_such(record: RequestRecord, silent_port: int) -> None:
    url = URL.create("postgresql+psycopg2", "flowapi", "none", "127.0.0.1", 1, "flowdb")
    store = ResultStore(url, pool_size=1)
    try:
        with pytest.raises(DatabaseDown):
            await store.ping(10)
    finally:
        await asyncio.to_thread(store.close)
