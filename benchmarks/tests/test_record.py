"""Check that a run keeps its answers when engines fail; no engine is needed."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from benchmarks.compare import compare, text_of_key
from benchmarks.country import Country, Size
from benchmarks.engine import Answer, Client, DidNotStart, EngineFailed, Processes, TookTooLong
from benchmarks.measure import Measured, _report
from benchmarks.questions import questions
from benchmarks.record import Ask, OtherSettings, Outcome, Record, ask_all
from benchmarks.report import LATEST, page, summary, table
from cluster import free_port

SETTINGS = {"workers": 2, "repeats": 3}
ROWS = pd.DataFrame(
    {
        "pcod": ["a", "b"],
        "datetime": [dt.datetime(2016, 1, 1, 1), dt.datetime(2016, 1, 1)],
        "value": [Decimal(16), None],
    },
    dtype=object,
)
NAMES = ["one", "two", "three"]


def answer(seconds: float = 1.5) -> Answer:
    return Answer(ROWS, seconds, 100.0, 0.01)


def test_large_keys_are_told_apart_and_one_number_has_one_text() -> None:
    assert text_of_key(12_345_678) != text_of_key(12_345_679)
    assert len({text_of_key(value) for value in (85.3, Decimal("85.30"), "85.3", 85.300000000000001)}) == 1
    assert text_of_key("NPL.1.2_1") == "NPL.1.2_1"


class Peer:
    """A peer by what it does with each question: a number of seconds, or an exception."""

    def __init__(self, *outcomes: float | BaseException, refuses: Exception | None = None) -> None:
        self.left = list(outcomes)
        self.refuses = refuses
        self.asked: list[str] = []

    @contextmanager
    def __call__(self) -> Iterator[Ask]:
        if self.refuses:
            raise self.refuses
        yield self.ask

    def ask(self, name: str) -> Answer:
        self.asked.append(name)
        outcome = self.left.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return answer(outcome)


def asked(record: Record, peer: Peer, names: list[str] = NAMES) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    ask_all(record, "published", peer, names, found.__setitem__)
    return found


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "run.json", SETTINGS)


def test_an_answer_is_in_the_file_before_the_next_question(tmp_path: Path, record: Record) -> None:
    seen = []

    def look(name: str, _outcome: Outcome) -> None:
        seen.append(sorted(json.loads((tmp_path / "run.json").read_text())["steps"]))

    ask_all(record, "ours", Peer(1.0, 2.0), NAMES[:2], look)
    assert seen == [["ours/one"], ["ours/one", "ours/two"]]
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_an_interrupted_run_goes_on_with_what_it_has(tmp_path: Path, record: Record) -> None:
    with pytest.raises(KeyboardInterrupt):
        asked(record, Peer(1.0, KeyboardInterrupt()))
    again = Record(tmp_path / "run.json", SETTINGS, resume=True)
    peer = Peer(2.0, 3.0)
    asked(again, peer)
    assert peer.asked == ["two", "three"]
    assert [again.answer("published", name).seconds for name in NAMES] == [1.0, 2.0, 3.0]  # type: ignore[union-attr]


def test_an_answer_read_back_compares_as_the_answer_did(tmp_path: Path, record: Record) -> None:
    record.take("ours", "one", answer)
    kept = Record(tmp_path / "run.json", SETTINGS, resume=True).answer("ours", "one")
    assert kept is not None
    assert compare(ROWS, kept.rows).same
    assert not compare(ROWS.assign(value=[17.0, float("nan")]), kept.rows).same
    assert (kept.seconds, kept.megabytes, kept.stored_seconds) == (1.5, 100.0, 0.01)


def test_a_new_run_asks_everything_and_leaves_the_former_aside(tmp_path: Path, record: Record) -> None:
    record.take("ours", "one", answer)
    assert Record(tmp_path / "run.json", SETTINGS).outcome("ours", "one") is None
    assert "ours/one" in (tmp_path / "run.before.json").read_text()


def test_a_run_of_other_settings_does_not_go_on(tmp_path: Path, record: Record) -> None:
    record.take("ours", "one", answer)
    with pytest.raises(OtherSettings, match="workers was 2, is 4"):
        Record(tmp_path / "run.json", {**SETTINGS, "workers": 4}, resume=True)


def test_failures_are_asked_again_and_questions_given_up_are_not(tmp_path: Path, record: Record) -> None:
    asked(record, Peer(EngineFailed("odd"), TookTooLong("not done after 120 s"), 1.0))
    peer = Peer(2.0)
    asked(Record(tmp_path / "run.json", SETTINGS, resume=True), peer)
    assert peer.asked == ["one"]


def test_a_peer_that_fails_one_question_is_asked_the_others(record: Record) -> None:
    found = asked(record, Peer(1.0, ValueError("odd"), 3.0))
    assert found["two"].failed == "ValueError: odd"
    assert found["three"].answer is not None


def test_a_peer_that_never_starts_is_started_twice_and_costs_nothing_else(record: Record) -> None:
    record.take("ours", "one", answer)
    peer = Peer(*[DidNotStart("no reply in 300 s after the start")] * 3)
    found = asked(record, peer)
    assert peer.asked == ["one", "two"]
    assert [outcome.failed for outcome in found.values()] == [
        "no reply in 300 s after the start",
        "no reply in 300 s after the start",
        "not asked, because it did not start 2 times in a row",
    ]
    assert record.answer("ours", "one") is not None


def test_a_peer_that_starts_at_the_second_time_is_asked_on(record: Record) -> None:
    outcomes = DidNotStart("slow"), 1.0, DidNotStart("slow")
    assert [bool(outcome.answer) for outcome in asked(record, Peer(*outcomes)).values()] == [
        False,
        True,
        False,
    ]


def test_a_peer_that_cannot_be_installed_says_why_of_every_question(record: Record) -> None:
    found = asked(record, Peer(refuses=RuntimeError("redis-server is not installed")))
    assert {outcome.failed for outcome in found.values()} == {"not asked: redis-server is not installed"}
    assert list(found) == NAMES


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("print('no such module'); raise SystemExit(1)", "the server ended: no such module"),
        ("import signal; signal.pause()", "no reply in 0.2 s after the start"),
    ],
    ids=["ends", "hangs"],
)
def test_a_server_that_does_not_come_up_is_told_from_a_slow_answer(
    tmp_path: Path, program: str, told: str
) -> None:
    processes = Processes(tmp_path / "log")
    client = Client(Country(Size(1, 1, 1)), free_port(), waits=False)
    try:
        process = processes.start([sys.executable, "-c", program], {})
        if "signal" not in program:
            process.wait(30)
        with pytest.raises(DidNotStart) as raised:
            client.wait_until_up(processes, 0.2)
    finally:
        client.close()
        processes.end()
    assert str(raised.value) == told


# -- the page ----------------------------------------------------------------------------------------------------


@pytest.fixture
def country(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Country:
    monkeypatch.setenv("FLOWKIT_STATE", str(tmp_path))
    found = Country(Size(1000, 2, 1000))
    (found.folder / "loaded.json").write_text(
        json.dumps(json.loads(LATEST.read_text())["data"] | {"load_average": 3.5})
    )
    return found


def reported(country: Country, record: Record) -> dict:
    asked_questions = questions(country.size)[:2]
    measured = [Measured(question, record) for question in asked_questions]
    return _report(country, measured, 2, 3, record.outcome("ours", "accept_5000_parts"), True)


def test_the_page_tells_the_load_beside_each_figure(
    country: Country, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (question.name for question in questions(country.size)[:2])
    loads = iter([1.25, 2.5, 3.75, 6.0, 7.0])
    monkeypatch.setattr("os.getloadavg", lambda: (next(loads, 9.0), 9.0, 9.0))
    ask_all(record, "ours", Peer(1.0, 2.0, 0.4), [first, second, "accept_5000_parts"], lambda *_: None)
    ask_all(record, "published", Peer(100.0, TookTooLong("not done")), [first, second], lambda *_: None)
    report = reported(country, record)
    text = summary(report) + table(report)
    assert "| Daily location, last | 1 (1.2) | 100 (6) | 100 |" in text
    assert "| 2 (2.5) | over 120 (7) | 60 |" in text
    assert "events per second at a load of 3.5." in text
    assert "accepted in 0.40 s at a load of 3.8." in text


def test_the_page_tells_what_a_peer_did_not_answer_and_keeps_the_rest(
    country: Country, record: Record
) -> None:
    first, second = (question.name for question in questions(country.size)[:2])
    ask_all(record, "ours", Peer(1.0, 2.0), [first, second], lambda *_: None)
    ask_all(record, "published", Peer(50.0, EngineFailed("out of memory")), [first, second], lambda *_: None)
    ask_all(
        record, "postgres", Peer(refuses=DidNotStart("no reply in 300 s")), [first, second], lambda *_: None
    )
    report = reported(country, record)
    text = page(report)
    assert "50 times faster (geometric mean of the 1 questions it was asked)" in text
    assert (
        "- No time of published engine for Daily location, most common: EngineFailed: out of memory." in text
    )
    assert "- No time of ours on PostgreSQL for any question: not asked: no reply in 300 s." in text
    assert report["disagreements"] == []


def test_a_peer_that_was_never_asked_is_told_once(country: Country, record: Record) -> None:
    names = [question.name for question in questions(country.size)[:2]]
    ask_all(record, "ours", Peer(1.0, 2.0), names, lambda *_: None)
    ask_all(record, "published", Peer(refuses=RuntimeError("apt is busy")), names, lambda *_: None)
    report = reported(country, record)
    assert "- The published engine gave no time: not asked: apt is busy." in summary(report)
    assert summary(report).count("apt is busy") == 1


def test_our_own_failure_is_a_disagreement(country: Country, record: Record) -> None:
    names = [question.name for question in questions(country.size)[:2]]
    ask_all(record, "ours", Peer(1.0, EngineFailed("odd")), names, lambda *_: None)
    report = reported(country, record)
    assert report["disagreements"] == ["Daily location, most common: ours: EngineFailed: odd"]
    assert "Daily location, most common | –" in table(report)


def test_numbers_without_a_load_say_so() -> None:
    report = json.loads(LATEST.read_text())
    old = report | {
        "data": {name: value for name, value in report["data"].items() if name != "load_average"},
        "questions": {
            name: {key: value for key, value in entry.items() if key != "load"}
            for name, entry in report["questions"].items()
        },
    }
    assert "events per second (the load of the machine was not recorded)." in summary(old)
    assert "The load at each question was not recorded." in summary(old)
