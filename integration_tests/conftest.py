"""Provide a private stack with a small synthetic country for the session.

Every service and the loader are real. The stack lives in ``.flowkit/integration`` (a second concurrent
session uses ``integration-2``) on free ports. Each session makes a new stack and stops it at its end. The
state is kept so that its logs can be read. ``INTEGRATION_KEEP=1`` keeps the stack running.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from cluster import free_port
from layout import CHECKOUT, DEFAULT_PORTS, DEMO, Layout
from native import Native
from published_environment import make_environment
from services import get_json

import flowclient

#: Tests of the compose stack need images, which ``make containers`` builds before it runs them.
collect_ignore = [] if os.environ.get("WITH_CONTAINERS") else ["containers"]

SUBSCRIBERS = 2_000
FIRST_DAY = date(2016, 1, 1)
DAYS = 7
SEED = 12_345


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whole-stack tests as slow.

    The scheduler keeps them on one worker, so that one stack is enough.
    """
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@dataclass(frozen=True)
class Stack:
    """Hold the running stack and the ways to call it."""

    layout: Layout
    native: Native

    @property
    def api(self) -> str:
        """Return the address of the HTTP API."""
        return self.layout.url("FLOWAPI_PORT")

    @property
    def auth(self) -> str:
        """Return the address of the auth app."""
        return self.layout.url("FLOWAUTH_PORT")

    @property
    def landing(self) -> Path:
        """Return the folder of the operator's files, with ``truth`` inside."""
        return self.layout.landing

    def token(self, roles: list[str] | None = None, lifetime_minutes: int | None = None) -> str:
        """Return a new token of the demo user, by default with every role."""
        if roles is None and lifetime_minutes is None:
            return self.native.token()
        base = f"{self.auth}/api/v1"
        credentials = {"username": DEMO["user"], "password": DEMO["password"]}
        session = get_json(f"{base}/session", credentials)["access_token"]
        wanted: dict[str, Any] = {"name": "integration", "roles": roles or ["runner", "viewer"]}
        if lifetime_minutes is not None:
            wanted["lifetime_minutes"] = lifetime_minutes
        return str(get_json(f"{base}/servers/{DEMO['server']}/tokens", wanted, token=session)["token"])

    def connect(self, token: str | None = None) -> flowclient.Connection:
        """Connect our client.

        The stack speaks plain HTTP on the loopback interface, so the warning is expected.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return flowclient.connect(url=self.api, token=token or self.token())

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``python -m <arguments>`` with the stack's settings; fail on an error."""
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            env=self.layout.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{arguments} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Provide the whole stack with seven loaded days from 2016-01-01."""
    with _state_folder() as state:
        yield from _running(state)


def _running(state: Path) -> Iterator[Stack]:
    layout = Layout(state=state, ports=_free_ports())
    native = Native(layout, say=lambda _text: None)
    native.reset()
    running = Stack(layout, native)
    # All tests ask one ledger about 2,000 people in seven days, where few are not seen the next day.
    os.environ["FLOWMACHINE_MARGINS"] = "report"
    try:
        native.up()
        last_day = FIRST_DAY + timedelta(days=DAYS - 1)
        running.run(
            "flowdb.synthetic",
            *("--output", str(layout.landing)),
            *("--subscribers", str(SUBSCRIBERS)),
            *("--days", str(DAYS)),
            *("--start", FIRST_DAY.isoformat()),
            *("--seed", str(SEED)),
            "--no-disaster",
        )
        running.run("flowetl", "geography", str(layout.landing))
        running.run(
            "flowetl", "backfill", "--source", "all", "--start", f"{FIRST_DAY}", "--end", f"{last_day}"
        )
        yield running
    finally:
        if not os.environ.get("INTEGRATION_KEEP"):
            native.down()


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    """Provide a token with every role for one file, because tests may revoke tokens."""
    return stack.token()


@pytest.fixture(scope="module")
def connection(stack: Stack, token: str) -> flowclient.Connection:
    """Provide our client, connected with every role."""
    return stack.connect(token)


@pytest.fixture(scope="session")
def published_python() -> Path:
    """Return the Python of the published client's environment.

    See ``published_environment.run_script``.
    """
    return make_environment()


@contextlib.contextmanager
def _state_folder() -> Iterator[Path]:
    """Provide a state folder that no other session of this checkout is using."""
    for number in itertools.count(1):
        state = CHECKOUT / ".flowkit" / ("integration" if number == 1 else f"integration-{number}")
        state.mkdir(parents=True, exist_ok=True)
        with (state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield state
            return


def _free_ports() -> dict[str, int]:
    ports: set[int] = set()
    while len(ports) < len(DEFAULT_PORTS):
        ports.add(free_port())
    return dict(zip(DEFAULT_PORTS, ports, strict=True))
