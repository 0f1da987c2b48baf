"""Run collected tests in a fork for each change, with the functions' code changed.

Collecting takes most of the seconds of a short run, and all changes share it. A change outside of functions, or in what
runs on import, cannot be made like this: it needs a new process.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterator, Sequence
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType

import pytest

#: How a fork ends: its tests fail or do not end, they pass, or it has no function to change.
KILLED, SURVIVES, ELSEWHERE = "killed", "survives", "elsewhere"
_NOTHING_TO_CHANGE = 99


class AfterCollection:
    """Run the session's tests in forks; ``outcomes`` has one for each changed source."""

    def __init__(self, path: Path, sources: Sequence[str], jobs: int, factor: int, margin: int) -> None:
        self.path, self.sources, self.jobs = path, sources, jobs
        self.factor, self.margin = factor, margin
        self.forked = False
        self.outcomes: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Wait in the parent for all forks; in a fork, run the usual loop."""
        self.module = Module(self.path)
        gc.freeze()
        begin = time.monotonic()
        running: dict[int, tuple[int, float]] = {}
        if self._is_fork(None):
            return None
        _, status = os.wait()
        if status:
            return True
        deadline = self.factor * (time.monotonic() - begin) + self.margin
        outcomes = {}
        waiting = list(enumerate(self.sources))[::-1]
        while waiting or running:
            while waiting and len(running) < self.jobs:
                number, source = waiting.pop()
                if child := self._fork(source):
                    running[child] = number, time.monotonic() + deadline
                else:
                    return None
            child, status = os.waitpid(-1, os.WNOHANG)
            if child:
                outcomes[running.pop(child)[0]] = outcome_of(status)
                continue
            for late in [child for child, (_, end) in running.items() if end < time.monotonic()]:
                os.killpg(late, signal.SIGKILL)
            time.sleep(0.01)
        self.outcomes = [outcomes[number] for number in range(len(self.sources))]
        return True

    def _is_fork(self, source: str | None) -> bool:
        return self._fork(source) == 0

    def _fork(self, source: str | None) -> int:
        """Return the fork's number in the parent, and 0 in the fork."""
        child = os.fork()
        if child:
            return child
        self.forked = True
        os.setsid()
        nothing = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nothing, stream)
        if source is not None and not self.module.swap(source):
            os._exit(_NOTHING_TO_CHANGE)
        return 0

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self.forked:
            os._exit(int(exitstatus))


def outcome_of(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return {0: SURVIVES, _NOTHING_TO_CHANGE: ELSEWHERE}.get(code, KILLED)


class Module:
    """The functions of an imported module, as its source has them and as they are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.codes = list(functions(compile(path.read_text(), str(path), "exec")))
        self.found = [
            one
            for one in gc.get_objects()
            if isinstance(one, FunctionType) and one.__code__.co_filename == str(path)
        ]

    def swap(self, source: str) -> bool:
        """Give the functions a changed source's code; return whether any differs."""
        changed = list(functions(compile(source, str(self.path), "exec")))
        if [code.co_qualname for code in self.codes] != [code.co_qualname for code in changed]:
            return False
        places = {(code.co_qualname, code.co_firstlineno): at for at, code in enumerate(self.codes)}
        different = False
        for function in self.found:
            at = places.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
            if at is not None and shape(changed[at]) != shape(self.codes[at]):
                function.__code__ = changed[at]
                different = True
        return different


def functions(code: CodeType) -> Iterator[CodeType]:
    """Yield a module's functions and methods in order, without nested functions."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & CO_OPTIMIZED:
                yield constant
            else:
                yield from functions(constant)


def shape(code: CodeType) -> tuple[object, ...]:
    """Return all of a code but where it stands."""
    constants = [
        shape(one) if isinstance(one, CodeType) else (type(one), repr(one)) for one in code.co_consts
    ]
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, tuple(constants)
