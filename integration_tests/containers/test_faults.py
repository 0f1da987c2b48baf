"""Break one container after the other under load, and count what users see.

``make containers ARGS=--long`` breaks every container in every way, which takes about a quarter of an hour.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import docker
import pandas as pd
import pytest
from docker.models.containers import Container
from operating import DAYS, answer, crash

import flowclient

if TYPE_CHECKING:
    from installation import Site

WAYS = ("kill", "stop", "pause", "cut", "slow")
SERVICES = (
    "proxy",
    "flowapi",
    "flowmachine",
    "worker",
    "flowdb",
    "flowauth",
    "accounts",
    "evict",
    "prefect",
    "flowetl",
)
SOME = (
    ("proxy", "kill"),
    ("flowapi", "kill"),
    ("flowapi", "pause"),
    ("flowmachine", "stop"),
    ("flowmachine", "cut"),
    ("worker", "kill"),
    ("worker", "pause"),
    ("flowdb", "stop"),
    ("flowdb", "cut"),
    ("flowdb", "slow"),
    ("accounts", "kill"),
)
FAULTS = tuple(itertools.product(SERVICES, WAYS)) if os.environ.get("WITH_CONTAINERS") == "long" else SOME
#: What users may see while something is broken: try again, or wait and try again.
DOCUMENTED = ("429", "503", "504", "Unable to connect")
QUESTIONS = tuple(
    {"date": day, "hours": (begin, end)} for begin in range(6) for end in (12, 18, 24) for day in DAYS
)


@dataclass
class Load:
    """Ask questions again and again from several threads, and count."""

    connection: flowclient.Connection
    right: list[pd.DataFrame]
    counts: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    stopping: threading.Event = field(default_factory=threading.Event)

    def ask(self, numbers: Iterator[int]) -> None:
        """Ask one question after the other, each until it is answered."""
        for number in numbers:
            if self.stopping.is_set():
                return
            begin = time.monotonic()
            self.counts["submitted"] += 1
            while True:
                try:
                    found = answer(self.connection, **QUESTIONS[number])
                except flowclient.FlowclientConnectionError as error:
                    self.seen[str(error)[:200]] += 1
                    if self.stopping.wait(0.5):
                        return
                    continue
                break
            self.longest = max(self.longest, time.monotonic() - begin)
            self.counts["answered"] += 1
            self.counts["wrong"] += not found.equals(self.right[number])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask from two threads, new questions and such as were asked before."""
        order = itertools.cycle(range(len(QUESTIONS)))
        threads = [
            threading.Thread(target=self.ask, args=(numbers,), daemon=True)
            for numbers in (order, itertools.repeat(0))
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join(60)
            self.counts["stuck"] += sum(thread.is_alive() for thread in threads)


def breaking(way: str, container: Container) -> Callable[[], None]:
    """Break a container and return what heals it."""
    if way == "kill":
        crash(container)
        return lambda: None
    if way == "stop":
        container.stop(timeout=30)
        return container.start
    if way == "pause":
        container.pause()
        return container.unpause
    container.reload()
    if way == "slow":
        return slow_down(container)
    networks = container.attrs["NetworkSettings"]["Networks"]
    client = docker.from_env()
    for name in networks:
        client.networks.get(name).disconnect(container)

    def connect() -> None:
        for name, endpoint in networks.items():
            client.networks.get(name).connect(container, aliases=endpoint["Aliases"])

    return connect


def slow_down(container: Container) -> Callable[[], None]:
    """Let a container send 8 kB a second on each network; return what undoes it."""
    # In the container's network, with this machine's program: the container has neither the right nor the program.
    inside = ["nsenter", "--net", "--target", str(container.attrs["State"]["Pid"])]
    told = subprocess.run([*inside, "ip", "-json", "link"], check=True, capture_output=True).stdout
    # A network that was left and joined again has another number.
    links = [link["ifname"] for link in json.loads(told) if link["ifname"] != "lo"]

    def control(action: str, *arguments: str) -> None:
        for link in links:
            subprocess.run([*inside, "tc", "qdisc", action, "dev", link, "root", *arguments], check=True)

    control("add", "tbf", "rate", "64kbit", "burst", "4kb", "latency", "5s")
    return lambda: control("del")


@pytest.fixture(scope="module")
def right(site: Site, country: None) -> list[pd.DataFrame]:
    """Return the right answers, which the engine then has to compute again."""
    connection = site.connect()
    answers = [answer(connection, **question) for question in QUESTIONS]
    site.compose("exec -T evict python -m flowmachine cache reset")
    return answers


@pytest.mark.parametrize(("service", "way"), FAULTS)
def test_users_only_wait(
    site: Site, loaded: flowclient.Connection, right: list[pd.DataFrame], service: str, way: str
) -> None:
    load = Load(loaded, right)
    container = site.containers(service)[0]
    with load.running():
        site.until(lambda: load.counts["answered"] >= 2, 60, lambda: f"no answers: {load}")
        heal = breaking(way, container)
        asked = sum(load.seen.values()) + load.counts["submitted"]
        try:
            # Broken for long enough that users notice, or ask on without noticing.
            begin = time.monotonic()
            site.until(
                lambda: (
                    sum(load.seen.values()) + load.counts["submitted"] >= asked + 6
                    or time.monotonic() > begin + 8
                ),
                20,
                lambda: "unreachable",
            )
        finally:
            heal()
        site.wait_until_well()
        answered = load.counts["answered"]
        site.until(lambda: load.counts["answered"] >= answered + 4, 90, lambda: f"no answers: {load}")
    lost = load.counts["submitted"] - load.counts["answered"]
    row = f"{service:<12} {way:<6} " + "  ".join(
        f"{name} {count:>3}"
        for name, count in (
            ("submitted", load.counts["submitted"]),
            ("answered", load.counts["answered"]),
            ("wrong", load.counts["wrong"]),
            ("stuck", load.counts["stuck"]),
            ("refused", sum(load.seen.values())),
        )
    )
    with (site.folder / "faults.txt").open("a") as table:
        table.write(f"{row}  longest {load.longest:.1f} s\n")
    assert load.counts["wrong"] == load.counts["stuck"] == 0
    assert lost == 0
    assert {text for text in load.seen if not any(each in text for each in DOCUMENTED)} == set()
