"""Let 200 analysts poll while 20 others ask, and note what they wait for."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from operating import DAYS, residents
from watching import Watched

import flowclient

if TYPE_CHECKING:
    from installation import Site

ASKING, POLLING = 20, 200
SECONDS = 60
#: Seconds within which 95 of 100 requests are answered, wherever this runs. More would be a queue that only grows.
AT_MOST = 30
QUESTIONS = itertools.product(("last", "most-common"), range(12), range(13, 25), DAYS)


@dataclass
class Crowd:
    """Hold what analysts do at the same time, and what became of it."""

    #: Query of each asking analyst that was submitted last.
    asked: dict[int, str] = field(default_factory=dict)
    answered: list[int] = field(default_factory=list)
    begun: threading.Barrier = field(default_factory=lambda: threading.Barrier(ASKING + POLLING, timeout=120))
    over: threading.Event = field(default_factory=threading.Event)
    questions: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, number: int, connection: flowclient.Connection) -> None:
        """Ask one new question after the other."""
        self.begun.wait()
        while not self.over.is_set():
            with self.questions:
                method, begin, end, day = next(QUESTIONS)
            query = residents(connection, method=method, hours=(begin, end), date=day)
            query.run()
            self.asked[number] = query.query_id
            self.answered.append(len(query.get_result()))

    def poll(self, number: int, connection: flowclient.Connection) -> None:
        """Look every second at an asking analyst's query, as the client does."""
        self.begun.wait()
        while not self.over.wait(1):
            if query_id := self.asked.get(number % ASKING):
                flowclient.query_is_ready(connection=connection, query_id=query_id)


def memory(site: Site) -> dict[str, int]:
    """Return the megabytes that each service uses, without cached files."""
    used: dict[str, int] = defaultdict(int)
    for container in site.containers():
        figures = container.stats(stream=False)["memory_stats"]
        cached = figures["stats"].get("total_inactive_file", figures["stats"].get("inactive_file", 0))
        used[container.labels["com.docker.compose.service"]] += (figures["usage"] - cached) // 2**20
    return dict(used)


def test_two_hundred_analysts_poll_while_twenty_ask(site: Site, country: None) -> None:
    tokens = [site.token() for _ in range(ASKING)]
    before = memory(site)
    asking = [site.watch(token) for token in tokens]
    polling = [site.watch(tokens[number % ASKING]) for number in range(POLLING)]
    crowd = Crowd()
    with ThreadPoolExecutor(ASKING + POLLING) as pool:
        jobs = [pool.submit(crowd.ask, number, connection) for number, (connection, _) in enumerate(asking)]
        jobs += [
            pool.submit(crowd.poll, number, connection) for number, (connection, _) in enumerate(polling)
        ]
        end = time.monotonic() + SECONDS
        site.until(
            lambda: time.monotonic() > end or any(job.done() for job in jobs), SECONDS * 2, lambda: "no end"
        )
        crowd.over.set()
        for job in jobs:
            job.result()
    after = memory(site)
    report(site, [watched for _, watched in asking + polling], len(crowd.answered), before, after)
    exchanges = [each for _, watched in asking + polling for each in watched.exchanges]
    assert {each.outcome for each in exchanges if not each.documented} == set()
    assert min(crowd.answered) > 0
    for route in ("POST run", "GET poll", "GET get"):
        assert hundredths([each.seconds for each in exchanges if each.route == route])[94] < AT_MOST, route
    assert {
        each.name: each.attrs["RestartCount"] for each in site.containers() if each.attrs["RestartCount"]
    } == {}
    assert site.ill() == {}


def hundredths(seconds: list[float]) -> list[float]:
    return statistics.quantiles(seconds, n=100)


def report(
    site: Site, watched: list[Watched], answered: int, before: dict[str, int], after: dict[str, int]
) -> None:
    """Write a table of waits by route, and one of memory by service."""
    by_route: dict[str, list[float]] = defaultdict(list)
    refused = 0
    for each in watched:
        refused += sum(each.refused().values())
        for exchange in each.exchanges:
            by_route[exchange.route].append(exchange.seconds)
    lines = [f"{answered} questions answered in {SECONDS} s, {refused} requests refused until later\n"]
    lines += [f"{'route':<24} requests   p50 s   p95 s\n"]
    for route, seconds in sorted(by_route.items()):
        if len(seconds) > 1:
            cut = hundredths(seconds)
            lines.append(f"{route:<24} {len(seconds):>8} {cut[49]:>7.2f} {cut[94]:>7.2f}\n")
    lines += [
        f"{name:<24} {before[name]:>5} MB before, {after[name]:>5} MB after\n" for name in sorted(before)
    ]
    (site.folder / "load.txt").write_text("".join(lines))
