"""Check the rates of tokens and the turns of users with large specifications."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowapi.app import create_app
from flowapi.errors import ApiError
from flowapi.rates import REMEMBERED, Rate
from flowapi.settings import Settings
from flowapi.testing import TokenBuilder
from flowapi.turns import MOST_WAITING, Turns

pytestmark = pytest.mark.anyio

SPEC = {"query_kind": "flows"}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(rate: Rate, token: str) -> int:
    """Return the seconds to wait, 0 if the request is allowed."""
    try:
        rate.count(token)
    except ApiError as error:
        return int(error.headers["Retry-After"])
    return 0


def test_a_refusal_says_what_is_allowed() -> None:
    rate = Rate("runs", 1, Clock())
    rate.count("a")
    with pytest.raises(
        ApiError, match=r"^This token makes more than the 1 runs a minute allowed. Wait 60 s.$"
    ) as told:
        rate.count("a")
    assert (told.value.code, told.value.headers) == (429, {"Retry-After": "60"})


def test_a_token_has_a_minute_of_requests_and_its_rate_after_that() -> None:
    clock = Clock()
    rate = Rate("runs", 30, clock)
    assert [refused(rate, "a") for _ in range(31)] == [0] * 30 + [2]
    assert refused(rate, "b") == 0
    # Who waits as told is allowed; who asks too early has lost nothing.
    clock.now = 1.0
    assert refused(rate, "a") == 1
    clock.now = 2.0
    assert [refused(rate, "a") for _ in range(2)] == [0, 2]
    clock.now = 3600.0
    assert [refused(rate, "a") for _ in range(31)] == [0] * 30 + [2]


def test_tokens_long_unused_are_forgotten() -> None:
    rate = Rate("runs", 30, Clock())
    for number in range(REMEMBERED + 5):
        rate.count(str(number))
    assert len(rate._left) == REMEMBERED


async def test_every_route_but_polls_is_counted(
    lonely_settings: Settings, captured: Any, tokens: TokenBuilder
) -> None:
    few = lonely_settings.model_copy(update={"rate_runs": 1, "rate_requests": 1})
    app = create_app(few, captured.logs())
    counted, uncounted = set(), set()
    arguments = dict.fromkeys(("query_id", "cdr_type", "check_id", "check_date", "aggregation_unit"), "a")
    adapter = app.url_map.bind("")
    async with app.test_app() as running:
        client = running.test_client()
        for rule in app.url_map.iter_rules():
            if getattr(app.view_functions[rule.endpoint], "is_public", False):
                continue
            path = adapter.build(rule.endpoint, {name: arguments[name] for name in rule.arguments})
            method = "POST" if "POST" in (rule.methods or ()) else "GET"
            # A token of its own for each route, without any right.
            headers = tokens.header({})
            answers = [
                await client.open(
                    path, method=method, json=SPEC if method == "POST" else None, headers=headers
                )
                for _ in range(2)
            ]
            assert answers[0].status_code != 429, path
            if answers[1].status_code == 429:
                assert int(answers[1].headers["Retry-After"]) > 0
                assert (await answers[1].get_json())["msg"]
                counted.add(rule.endpoint)
            else:
                uncounted.add(rule.endpoint)
    assert uncounted == {"query.poll_query"}
    assert {"query.run_query", "query.explain_query", "query.get_query_result"} <= counted


async def test_a_user_has_one_turn_at_a_time_and_others_do_not_wait() -> None:
    turns = Turns()
    inside: list[str] = []
    release = asyncio.Event()

    async def read(user: str) -> None:
        async with turns.of(user):
            inside.append(user)
            await release.wait()
            inside.remove(user)

    first = [asyncio.create_task(read("ada")) for _ in range(1 + MOST_WAITING)]
    other = asyncio.create_task(read("bob"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sorted(inside) == ["ada", "bob"]
    with pytest.raises(ApiError) as refusal:
        await read("ada")
    assert (refusal.value.code, refusal.value.headers) == (429, {"Retry-After": "5"})
    first[3].cancel()
    release.set()
    await asyncio.gather(*first, other, return_exceptions=True)
    assert turns._turns == {}


@pytest.mark.parametrize(("size", "statuses"), [(2000, {503, 429}), (100, {503})])
async def test_large_specs_wait_for_their_turn(
    lonely_settings: Settings, captured: Any, tokens: TokenBuilder, size: int, statuses: set[int]
) -> None:
    """Check with an engine that is away, so that each turn takes a while."""
    app = create_app(lonely_settings.model_copy(update={"large_spec": 1024}), captured.logs())
    headers = tokens.header({"all": ["run", "admin3:flows:flows"]})
    async with app.test_app() as running:
        client = running.test_client()
        answers = await asyncio.gather(
            *(
                client.post("/api/0/explain", json={**SPEC, "x": "a" * size}, headers=headers)
                for _ in range(MOST_WAITING + 2)
            )
        )
    assert {answer.status_code for answer in answers} == statuses
