"""Ask questions while something is broken, and count what users see."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pandas as pd
from breaking import Heal
from installation import Site
from operating import DAYS, answer
from watching import Watched

import flowclient

#: What the client may raise in the end: an answer that asks to wait, or the proxy's absence.
DOCUMENTED = ("429", "503", "504", "Unable to connect")
QUESTIONS = tuple(
    {"date": day, "hours": (begin, end)} for begin in range(6) for end in (12, 18, 24) for day in DAYS
)
HEAD = f"{'container':<12} {'fault':<6} submitted answered wrong lost stuck  longest question, slowest refusal, of any request; refusals\n"


@dataclass
class Load:
    """Ask questions again and again from several threads, and count."""

    connection: flowclient.Connection
    right: list[pd.DataFrame]
    counts: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
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
                    # The cause may stand at the end.
                    self.raised[str(error)[:1000]] += 1
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

    @property
    def noticed(self) -> int:
        """Return how often users asked or were refused."""
        return self.counts["submitted"] + sum(self.raised.values())


def right_answers(site: Site) -> list[pd.DataFrame]:
    """Return the answers while nothing is broken, and begin a table of faults."""
    connection = site.connect()
    answers = [answer(connection, **question) for question in QUESTIONS]
    (site.folder / "faults.txt").write_text(HEAD)
    return answers


def ask_while_broken(
    site: Site,
    right: list[pd.DataFrame],
    service: str,
    way: str,
    break_it: Callable[[], Heal],
    documented: tuple[str, ...] = DOCUMENTED,
) -> tuple[Watched, float]:
    """Break something while users ask, heal it, and wait until users have answers.

    ``documented`` are words of which a refusal must have one. Write a row of the table, and return what was
    seen, with the time of the break.
    """
    # Otherwise only the first faults would meet questions that are being computed.
    site.compose("exec -T evict python -m flowmachine cache reset")
    connection, watched = site.watch()
    load = Load(connection, right)
    with load.running():
        site.until(lambda: load.counts["answered"] >= 2, 60, lambda: f"no answers: {load}")
        heal = break_it()
        broken = time.monotonic()
        try:
            # Broken for long enough that users notice, or ask on without noticing.
            begin, noticed = time.monotonic(), load.noticed
            site.until(
                lambda: load.noticed >= noticed + 6 or time.monotonic() > begin + 8, 20, lambda: "unreachable"
            )
        finally:
            heal()
        site.wait_until_well()
        answered = load.counts["answered"]
        site.until(lambda: load.counts["answered"] >= answered + 4, 90, lambda: f"no answers: {load}")
    report(site, service, way, load, watched, broken)
    assert load.counts["wrong"] == load.counts["stuck"] == 0
    assert load.counts["submitted"] == load.counts["answered"]
    assert {text for text in load.raised if not any(each in text for each in documented)} == set()
    return watched, broken


def report(site: Site, service: str, way: str, load: Load, watched: Watched, broken: float) -> None:
    """Add a row to the table of faults."""
    counts = load.counts
    numbers = (
        counts["submitted"],
        counts["answered"],
        counts["wrong"],
        counts["submitted"] - counts["answered"],
        counts["stuck"],
    )
    widths = (9, 8, 5, 4, 5)
    row = " ".join(f"{number:>{width}}" for number, width in zip(numbers, widths, strict=True))
    refusals = (
        ", ".join(f"{count} x {outcome}" for outcome, count in sorted(watched.refused().items())) or "none"
    )
    with (site.folder / "faults.txt").open("a") as table:
        table.write(
            f"{service:<12} {way:<6} {row}  {load.longest:.1f} s, {watched.slowest_refusal(broken):.1f} s, "
            f"{watched.slowest_refusal():.1f} s; {refusals}\n"
        )
