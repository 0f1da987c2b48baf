"""Send anything to the engine's socket: it survives and answers what it can parse.

Twenty seconds of it, or a sixth of FLOWKIT_SOAK_MINUTES. The seed is printed with a failure: FLOWKIT_FUZZ_SEED repeats it.
"""

from __future__ import annotations

import copy
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import zmq

from flowmachine.queries.catalogue import load
from flowmachine.spec.query import NotBuildable
from flowmachine.testing import KEY, Processes
from flowsettings import channel

SECONDS = max(15.0, float(os.environ.get("FLOWKIT_SOAK_MINUTES", "0")) * 10)

DAILY = {
    "query_kind": "daily_location",
    "date": "2016-01-01",
    "method": "last",
    "aggregation_unit": "admin3",
    "event_types": ["calls", "sms"],
    "hours": {"start_hour": 1, "end_hour": 23},
    "subscriber_subset": None,
    "mapping_table": None,
    "sampling": {"sampling_method": "random_ids", "size": 10, "seed": 0.5},
}
WINDOW = {"start_date": "2016-01-01", "end_date": "2016-01-03", "aggregation_unit": "lon-lat"}
SPECS: list[dict[str, Any]] = [
    {"query_kind": "spatial_aggregate", "locations": DAILY},
    {
        "query_kind": "spatial_aggregate",
        "locations": {"query_kind": "modal_location", "locations": [DAILY, {**DAILY, "date": "2016-01-02"}]},
    },
    {
        "query_kind": "flows",
        "from_location": DAILY,
        "to_location": {**DAILY, "date": "2016-01-03"},
        "join_type": "inner",
    },
    {"query_kind": "unique_subscriber_counts", **WINDOW},
    {
        "query_kind": "histogram_aggregate",
        "metric": {
            "query_kind": "total_active_periods",
            "start_date": "2016-01-01",
            "total_periods": 3,
            "period_length": 1,
            "period_unit": "days",
        },
        "bins": 5,
    },
    {"query_kind": "location_event_counts", **WINDOW, "interval": "hour", "direction": "both"},
    {
        "query_kind": "joined_spatial_aggregate",
        "locations": DAILY,
        "metric": {"query_kind": "radius_of_gyration", **{k: WINDOW[k] for k in ("start_date", "end_date")}},
        "method": "avg",
    },
]
ACTIONS = [
    "ping",
    "health",
    "run_query",
    "explain_query",
    "poll_query",
    "get_query_kind",
    "get_query_params",
    "get_sql_for_query_result",
    "get_geo_sql_for_query_result",
    "get_geography",
    "get_available_dates",
    "get_loads",
    "get_aggregation_unit",
    "authorise",
    "list_qa_checks",
    "get_qa_checks",
    "cancel_query",
    "no_such_action",
    "",
]
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    10**40,
    1e308,
    "",
    "\0",
    "\ud800",
    "'; DROP TABLE engine.jobs; --",
    '"',
    "%s",
    "%(x)s",
    ":name",
    "$1",
    "{}",
    "ｄａｙ",
    "👩‍👩‍👧",
    "x" * 5000,
    "0001-01-01",
    "9999-12-31",
    "2016-02-30",
    "2016-01-01T25:00",
    "2016-01-01 12:34:56+02:00",
    "admin9",
    "infrastructure.cells",
    "pg_catalog.pg_authid",
    [],
    [None],
    {},
    {"query_kind": "daily_location"},
    "0" * 32,
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


class Fuzzer:
    """Draws messages from bytes without meaning to specs with one thing wrong."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def message(self) -> bytes:
        kinds: list[Callable[[], bytes]] = [self.noise, self.broken, self.value, self.envelope]
        return self.random.choice(kinds + [self.request] * 4)()

    def noise(self) -> bytes:
        return self.random.randbytes(self.random.randrange(200))

    def broken(self) -> bytes:
        message = bytearray(self.request())
        for _ in range(self.random.randrange(1, 4)):
            place = self.random.randrange(len(message))
            message[place : place + self.random.randrange(3)] = self.random.randbytes(
                self.random.randrange(3)
            )
        return bytes(message)

    def value(self) -> bytes:
        odd = [
            b"NaN",
            b"1e999",
            b'{"a": NaN}',
            b"[" * 100_000,
            b'{"":' * 5_000,
            b"1" * 5_000,
            b"\xff\xfe{}",
            b"",
        ]
        return self.random.choice([*odd, json.dumps(self.random.choice(ODD)).encode()])

    def envelope(self) -> bytes:
        envelope = {"action": self.random.choice(ACTIONS), "request_id": "fuzz", "params": {}, "user": "fuzz"}
        self.spoil(envelope)
        return json.dumps(envelope).encode()

    def request(self) -> bytes:
        action = self.random.choice(ACTIONS)
        params: dict[str, Any] = copy.deepcopy(self.random.choice(SPECS))
        if action in ("poll_query", "get_query_kind", "get_sql_for_query_result", "cancel_query"):
            params = {"query_id": self.random.choice(ODD)}
        elif action == "authorise":
            params = {"spec": params}
        elif action == "get_geography":
            params = {"aggregation_unit": self.random.choice([*ODD, "admin3"])}
        elif action == "get_qa_checks":
            params = {
                "cdr_type": "calls",
                "start_date": "2016-01-01",
                "end_date": "2016-01-03",
                "check_type": "x",
            }
        for _ in range(self.random.randrange(3)):
            self.spoil(params)
        envelope = {"action": action, "request_id": str(self.random.random()), "params": params}
        text = json.dumps(envelope, allow_nan=True)
        return text.replace('"seed": 0.5', self.random.choice(['"seed": 0.5', '"seed": 1e999'])).encode()

    def spoil(self, value: Any) -> None:
        """Change, remove or add one thing somewhere inside."""
        found = list(places(value))
        if not found:
            return
        *path, last = self.random.choice(found)
        for key in path:
            value = value[key]
        action = self.random.randrange(4)
        if action == 0:
            del value[last]
        elif action == 1 and isinstance(value, dict):
            value[str(self.random.choice(ODD))] = copy.deepcopy(self.random.choice(ODD))
        else:
            value[last] = copy.deepcopy(self.random.choice(ODD))


@pytest.mark.timeout(SECONDS + 240)
def test_the_socket_survives_anything(processes: Processes) -> None:
    server = processes.start("server", FLOWMACHINE_QUEUE_LIMIT="100000")
    client = processes.client()
    # A long run looks for what is new; the suite repeats what it did before.
    fresh = time.time_ns() % 2**32 if "FLOWKIT_SOAK_MINUTES" in os.environ else 2_645_881_425
    seed = int(os.environ.get("FLOWKIT_FUZZ_SEED", fresh))
    fuzzer = Fuzzer(seed)
    faults = []
    sent = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        message = fuzzer.message()
        sent += 1
        try:
            reply = client.send(message)
        except TimeoutError:
            pytest.fail(f"seed {seed}: no answer to {message[:2000]!r}")
        assert reply["status"] in ("success", "error"), (seed, message)
        assert isinstance(reply["payload"], dict), (seed, message)
        if reply["msg"] == "Could not get reply for message":
            faults.append(message[:2000])
    assert server.poll() is None, seed
    assert faults == [], (seed, faults[:3])
    assert client.ask("ping")["msg"] == "pong"
    assert sent > 50


@pytest.mark.parametrize(
    "frames",
    [[b""], [b"", b""], [b"", b"{}", b"{}"], [b"x", b"{}"], [b"\0" * 1000] * 50, []],
    ids=["empty", "empties", "too many", "no delimiter", "many", "none"],
)
def test_other_frames_get_no_answer_and_do_no_harm(processes: Processes, frames: list[bytes]) -> None:
    server = processes.start("server")
    client = processes.client()
    with closing(client.context.socket(zmq.DEALER)) as dealer:
        dealer.linger = 0
        channel.connect(dealer, KEY)
        dealer.connect(f"tcp://127.0.0.1:{processes.port}")
        if frames:
            dealer.send_multipart(frames)
        if frames == [b"", b""]:
            # An empty message is one that cannot be parsed, and says so.
            assert json.loads(dealer.recv_multipart()[1])["msg"] == "Invalid JSON."
        else:
            assert dealer.poll(500) == 0
    assert client.ask("ping")["msg"] == "pong"
    assert server.poll() is None


def test_a_window_without_end_is_refused_before_it_is_cut_into_days() -> None:
    query = load(
        {
            "query_kind": "location_event_counts",
            "start_date": "2016-01-01",
            "end_date": "9999-12-31",
            "aggregation_unit": "admin3",
            "interval": "hour",
        }
    )
    with pytest.raises(NotBuildable, match="no longer than"):
        query.check_buildable()
