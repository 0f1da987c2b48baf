"""Check that the asynchronous client leaves the event loop free and lets go."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from flowclient_stub import Answer, Request, StubServer, polls

import flowclient
import flowclient.async_client
from flowclient.transport import POOL_SIZE

#: Seconds after which a test gives up.
DEADLINE = 30.0


class Holding:
    """An answer that is given only when the test lets it go."""

    def __init__(self, answer: Answer) -> None:
        self.held = 0
        self.answered = 0
        self._answer = answer
        self._released = threading.Event()

    def __call__(self, request: Request) -> Answer:
        self.held += 1
        self._released.wait(2 * DEADLINE)
        self.answered += 1
        return self._answer

    def release(self) -> None:
        self._released.set()


@contextmanager
def holding(answer: Answer) -> Iterator[Holding]:
    each = Holding(answer)
    try:
        yield each
    finally:
        each.release()


async def until(condition: Callable[[], bool]) -> None:
    async def look() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(look(), DEADLINE)


async def connect(server: StubServer, token: str) -> flowclient.ASyncConnection:
    with pytest.warns(UserWarning, match="NOT SECURE"):
        return await flowclient.connect_async(url=server.url, token=token, retries=0)


def waiting(connection: flowclient.ASyncConnection, poll_interval: float) -> asyncio.Task[object]:
    return asyncio.create_task(
        flowclient.async_client.wait_for_query_to_be_ready(
            connection=connection, query_id="abc", poll_interval=poll_interval
        )
    )


def test_many_waits_starve_neither_other_requests_nor_other_threads(server, token):
    server.script("GET", "x", Answer(200, {}))
    (unready, ready) = polls(1)

    async def main(held: Holding) -> None:
        server.script("GET", "poll/abc", lambda request: held(request) if request.wait else unready)
        async with await connect(server, token) as connection:
            waits = [waiting(connection, poll_interval=DEADLINE) for _ in range(POOL_SIZE + 8)]
            await until(lambda: held.held == POOL_SIZE // 2)
            assert (await asyncio.wait_for(connection.get_url(route="x"), DEADLINE)).status_code == 200
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), DEADLINE) == "done"
            assert held.answered == 0
            held.release()
            await until(lambda: sum(wait.done() for wait in waits) == POOL_SIZE // 2)
            for wait in waits:
                wait.cancel()

    with holding(ready) as held:
        asyncio.run(main(held))


def test_a_wait_that_found_no_room_looks_again(server, token):
    unready, ready = polls(1)
    server.script("GET", "poll/abc", unready, unready, ready)

    async def main() -> None:
        async with await connect(server, token) as connection:
            with ExitStack() as others:
                for _ in range(POOL_SIZE // 2):
                    others.enter_context(connection.holding(1))
                await asyncio.wait_for(waiting(connection, poll_interval=0.01), DEADLINE)

    asyncio.run(main())
    assert [request.wait for request in server.requests] == [None, None, None]


def test_a_cancelled_request_does_not_keep_the_loop_from_ending(server, token):
    async def main(held: Holding) -> None:
        server.script("GET", "x", held)
        async with await connect(server, token) as connection:
            request = asyncio.create_task(connection.get_url(route="x"))
            await until(lambda: held.held == 1)
            request.cancel()

    with holding(Answer(200, {})) as held:
        asyncio.run(main(held))
        assert held.answered == 0


def test_a_closed_connection_may_be_used_again(server, token):
    server.script("GET", "x", Answer(200, {}))

    async def main() -> None:
        connection = await connect(server, token)
        for _ in range(2):
            async with connection:
                assert (await connection.get_url(route="x")).status_code == 200

    asyncio.run(main())


def test_an_interrupt_says_how_to_come_back(server, token):
    interrupted = threading.main_thread().ident
    assert interrupted == threading.get_ident(), "an event loop hears of interrupts in the main thread only"
    unready, _ = polls(1)

    async def main(held: Holding) -> None:
        def interrupt(request: Request) -> Answer:
            signal.pthread_kill(interrupted, signal.SIGINT)
            return held(request)

        server.script("GET", "poll/abc", unready, interrupt)
        async with await connect(server, token) as connection:
            await waiting(connection, poll_interval=DEADLINE)

    with holding(unready) as held:
        with pytest.raises(KeyboardInterrupt) as raised:
            asyncio.run(main(held))
        assert "abc keeps running" in str(raised.value.__context__)
        assert "get_result_by_query_id" in str(raised.value.__context__)


def test_a_cancelled_wait_stays_cancelled(server, token):
    """Check that a cancellation keeps its message and that timeouts still work."""
    unready, ready = polls(1)

    async def main(held: Holding) -> None:
        server.script("GET", "poll/abc", unready, held)
        async with await connect(server, token) as connection:
            wait = waiting(connection, poll_interval=DEADLINE)
            await until(lambda: held.held == 1)
            wait.cancel("enough")
            with pytest.raises(asyncio.CancelledError, match=r"^enough\nQuery abc keeps running"):
                await wait

    with holding(ready) as held:
        asyncio.run(main(held))


def test_another_task_goes_on_while_a_query_is_waited_for(server, token):
    server.script("GET", "poll/abc", *polls(3, 2, 1))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.005)

    async def main() -> None:
        counting = asyncio.create_task(count())
        async with await connect(server, token) as connection:
            started = time.monotonic()
            await waiting(connection, poll_interval=0.05)
            # Asked at once, held for an interval, and told so twice: this server answers without waiting.
            assert time.monotonic() - started >= 0.1
        counting.cancel()

    asyncio.run(main())
    assert turns > 5
