"""Record a run's results after each step, so that no step is measured twice."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.compare import text_of_key
from benchmarks.engine import Answer, DidNotStart, TookTooLong

#: After this many failed starts in a row, a peer is not started again.
STARTS = 2

Ask = Callable[[str], Answer]


class OtherSettings(RuntimeError):
    """The run that is to go on was one of other settings; the text names them."""


@dataclass(frozen=True)
class Outcome:
    """Hold an engine's answer to one question, or the reason for none."""

    load: float
    answer: Answer | None = None
    #: The question took longer than it may.
    gave_up: str | None = None
    #: The engine failed, or did not start.
    failed: str | None = None
    did_not_start: bool = False


class Record:
    """The outcomes of a run by engine and question.

    Parameters
    ----------
    path : Path
        The file of the run.
    settings : dict
        What the numbers depend on, as JSON has it.
    resume : bool
        Whether to go on with the run in the file. Its failures are forgotten, so that those steps are taken again.

    Raises
    ------
    OtherSettings
        If the run in the file had other settings.
    """

    def __init__(self, path: Path, settings: dict[str, Any], *, resume: bool = False) -> None:
        self._path = path
        self._settings: dict[str, Any] = json.loads(json.dumps(settings))
        self._steps: dict[str, dict[str, Any]] = {}
        if not path.exists():
            return
        if not resume:
            path.replace(path.with_suffix(".before.json"))
            return
        found = json.loads(path.read_text())
        if found["settings"] != self._settings:
            differing = sorted(
                name
                for name in {*found["settings"], *self._settings}
                if found["settings"].get(name) != self._settings.get(name)
            )
            told = "; ".join(
                f"{name} was {found['settings'].get(name)}, is {self._settings.get(name)}"
                for name in differing
            )
            raise OtherSettings(f"The run in {path} cannot go on: {told}.")
        self._steps = {name: step for name, step in found["steps"].items() if not step.get("failed")}

    def outcome(self, engine: str, question: str) -> Outcome | None:
        """Return a step's outcome; None if the step was not taken."""
        step = self._steps.get(f"{engine}/{question}")
        if step is None:
            return None
        answer = step.get("answer")
        return Outcome(**{**step, "answer": answer and _answer(answer)})

    def answer(self, engine: str, question: str) -> Answer | None:
        found = self.outcome(engine, question)
        return None if found is None else found.answer

    def take(self, engine: str, question: str, step: Callable[[], Answer]) -> Outcome:
        """Take a step and keep what came of it; a failure is an outcome, too."""
        try:
            kept: dict[str, Any] = {"answer": _kept(step())}
        except TookTooLong as error:
            kept = {"gave_up": str(error)}
        except DidNotStart as error:
            kept = {"failed": str(error), "did_not_start": True}
        except Exception as error:  # Whatever ails one engine must not cost what the others have answered.
            kept = {"failed": f"{type(error).__name__}: {error}"}
        return self._keep(engine, question, kept)

    def fail(self, engine: str, question: str, reason: str) -> Outcome:
        """Keep why a step was not taken."""
        return self._keep(engine, question, {"failed": reason})

    def _keep(self, engine: str, question: str, kept: dict[str, Any]) -> Outcome:
        self._steps[f"{engine}/{question}"] = {"load": load(), **kept}
        write_whole(self._path, json.dumps({"settings": self._settings, "steps": self._steps}))
        found = self.outcome(engine, question)
        assert found is not None
        return found


def ask_all(
    record: Record,
    engine: str,
    start: Callable[[], AbstractContextManager[Ask]],
    questions: Iterable[str],
    kept: Callable[[str, Outcome], None],
) -> None:
    """Ask an engine each question that it was not asked yet.

    A failure costs the question, not the run.

    Parameters
    ----------
    record : Record
        Where outcomes are kept.
    engine : str
        Name of the engine's steps.
    start : callable
        Starts the engine; the context gives what asks one question.
    questions : iterable of str
        Names of the questions.
    kept : callable
        Gets question and outcome after each step.
    """
    left = [name for name in questions if record.outcome(engine, name) is None]
    if not left:
        return
    not_started, reason = 0, ""
    try:
        with start() as ask:
            while left and not_started < STARTS:
                name = left.pop(0)
                outcome = record.take(engine, name, partial(ask, name))
                not_started = not_started + 1 if outcome.did_not_start else 0
                reason = f"not asked, because it did not start {STARTS} times in a row"
                kept(name, outcome)
    except Exception as error:  # Starting it failed, or ending it.
        reason = f"not asked: {error}"
    for name in left:
        kept(name, record.fail(engine, name, reason))


def load() -> float:
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 1)


def write_whole(path: Path, text: str) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    # A temporary file is its owner's alone, and these files are read by others.
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _kept(answer: Answer) -> dict[str, Any]:
    """Return an answer as JSON, without the types of columns."""
    columns = list(answer.rows.columns)
    rows = [
        [
            _number(value) if name == "value" else text_of_key(value)
            for name, value in zip(columns, row, strict=True)
        ]
        for row in answer.rows.itertuples(index=False, name=None)
    ]
    return {
        "seconds": answer.seconds,
        "megabytes": answer.megabytes,
        "stored_seconds": answer.stored_seconds,
        "columns": columns,
        "rows": rows,
    }


def _answer(kept: dict[str, Any]) -> Answer:
    rows = pd.DataFrame(kept["rows"], columns=kept["columns"], dtype=object)
    return Answer(rows, kept["seconds"], kept["megabytes"], kept["stored_seconds"])


def _number(value: Any) -> float | None:
    number = math.nan if value is None else float(value)
    return None if math.isnan(number) else number
