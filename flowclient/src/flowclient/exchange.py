"""The steps that every operation is made of, and the two ways of taking them.

An operation is a generator. It yields what it wants done, :class:`Send` or :class:`Pause`, receives the reply, and
returns its result; it never does I/O itself. So each operation is written once and served by two shells: one that blocks,
one that leaves the event loop free.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

from flowclient.transport import Reply, Timeout, Transport

Result = TypeVar("Result")


@dataclass(frozen=True)
class Send:
    """One HTTP request. Its headers hold the token, so they stay out of the repr."""

    method: str
    url: str
    headers: Callable[[], Mapping[str, str]]
    params: Mapping[str, str] | None
    json: Any
    timeout: Timeout

    def through(self, transport: Transport) -> Reply:
        """Send now, with the headers of now: the token may have been replaced meanwhile."""
        return transport.request(self.method, self.url, self.headers(), self.params, self.json, self.timeout)


@dataclass(frozen=True)
class Pause:
    """Seconds in which nothing is to be done."""

    seconds: float


Step = Send | Pause
Operation = Generator[Step, Any, Result]


def take_step(step: Step, transport: Transport) -> Reply | None:
    """Take one step, blocking."""
    if isinstance(step, Pause):
        time.sleep(step.seconds)
        return None
    return step.through(transport)


async def take_step_async(step: Step, transport: Transport, executor: Executor) -> Reply | None:
    """Take one step without blocking the event loop.

    A request runs in a thread of the executor.
    """
    if isinstance(step, Pause):
        await asyncio.sleep(step.seconds)
        return None
    return await asyncio.get_running_loop().run_in_executor(executor, step.through, transport)


def perform(operation: Operation[Result], transport: Transport) -> Result:
    """Drive an operation to its result, blocking."""
    try:
        step = next(operation)
        while True:
            try:
                outcome = take_step(step, transport)
            except BaseException as error:  # An interrupt too: the operation decides what it leaves behind.
                step = operation.throw(error)
            else:
                step = operation.send(outcome)
    except StopIteration as stop:
        return stop.value


async def perform_async(operation: Operation[Result], transport: Transport, executor: Executor) -> Result:
    """Drive an operation to its result on the running event loop."""
    try:
        step = next(operation)
        while True:
            try:
                outcome = await take_step_async(step, transport, executor)
            except BaseException as error:  # A cancellation too: the operation decides what it leaves behind.
                step = operation.throw(error)
            else:
                step = operation.send(outcome)
    except StopIteration as stop:
        return stop.value
