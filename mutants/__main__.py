"""Change security-bearing modules one small way at a time; list unnoticed changes.

A change that makes a test fail, or run into its deadline, is killed. Forks of one session try each change first. What
they do not kill is tried again in a new process, whose path begins with a changed copy of the package. The exit code
is 1 where too few are killed in a module, and where a test fails without any change.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NoReturn

from mutants.changes import Change, changes
from mutants.forks import KILLED, AfterCollection

CHECKOUT = Path(__file__).parents[1]
TABLE = Path(__file__).with_name("table.toml")
#: Lowest share of killed changes, of each area.
FLOOR = 0.95
#: Seconds after which a run counts as failed: its time without a change, times a factor, plus a margin.
FACTOR, MARGIN = 3, 20
#: The same for a run in a new process.
LONGEST = 180
#: Imported once, before forking: most of the seconds of a short run. None registers with pytest or is one of ours.
HEAVY = (
    "sqlalchemy",
    "marshmallow",
    "duckdb",
    "pyarrow.parquet",
    "pandas",
    "pyproj",
    "zmq",
    "jwt",
    "flask",
    "quart",
)


@dataclass(frozen=True)
class Mutant:
    """One change of one file, which the tests of an area ought to notice."""

    area: str
    file: str
    change: Change

    def __str__(self) -> str:
        return f"{self.file}:{self.change.line}: {self.change.before}  =>  {self.change.after}"


def main() -> int:
    """Run the named areas, or all; return 1 where an area has too few kills."""
    table = tomllib.loads(TABLE.read_text())
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("areas", nargs="*", help=f"of {', '.join(table['area'])}; all without")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time (default: 2)")
    parser.add_argument("--list", action="store_true", help="print the changes and run nothing")
    options = parser.parse_args()
    if unknown := set(options.areas) - set(table["area"]):
        parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(table['area'])}")
    chosen = {name: area for name, area in table["area"].items() if name in (options.areas or table["area"])}
    if options.list:
        for name, area in chosen.items():
            print(*mutants(name, area, table), sep="\n")
        return 0
    os.environ["HYPOTHESIS_PROFILE"] = "quick"
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = tempfile.gettempdir() + "/mutants-hypothesis"
    for module in HEAVY:
        importlib.import_module(module)
    return run(chosen, table, options.jobs)


def run(chosen: dict[str, Any], table: dict[str, Any], jobs: int) -> int:
    """Print the unnoticed changes and the table; return the exit code."""
    killed, total = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        for name, area in chosen.items():
            begin = time.monotonic()
            found = list(mutants(name, area, table))
            survivors = found
            for stage in area["tests"]:
                survivors = quickly(survivors, stage, jobs)
            survivors = slowly(survivors, area["tests"], scratch, jobs)
            for mutant in survivors:
                print(f"survives  {mutant}", flush=True)
            total.update((name, mutant.file) for mutant in found)
            killed.update((name, mutant.file) for mutant in found if mutant not in survivors)
            print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
    width = max(len(file) for _, file in total)
    print(f"\n{'area':<14} {'module':<{width}}  killed   share")
    for name, file in total:
        print(f"{name:<14} {file:<{width}} {share(killed[name, file], total[name, file])}")
    print(f"{'all':<14} {'':<{width}} {share(killed.total(), total.total())}")
    return int(any(killed[one] < FLOOR * total[one] for one in total))


def share(killed: int, total: int) -> str:
    return f"{killed:>3}/{total:<3} {killed / total:7.1%}"


def mutants(name: str, area: dict[str, Any], table: dict[str, Any]) -> Iterator[Mutant]:
    """Yield the mutants of an area, but for those that the table says are equivalent."""
    for file in area["files"]:
        path, _, scopes = file.partition("::")
        equivalent = {
            (entry["before"], entry["after"]) for entry in table["equivalent"] if entry["file"] == path
        }
        for change in changes((CHECKOUT / path).read_text()):
            inside = not scopes or any(
                f"{change.scope}.".startswith(f"{name}.") for name in scopes.split(",")
            )
            if inside and (change.before, change.after) not in equivalent:
                yield Mutant(name, path, change)


def quickly(found: list[Mutant], tests: Sequence[str], jobs: int) -> list[Mutant]:
    """Return those of the mutants that forks of a session of these tests do not kill."""
    left = []
    for file in dict.fromkeys(mutant.file for mutant in found):
        here = [mutant for mutant in found if mutant.file == file]
        with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
            outcomes = pool.submit(
                outcomes_of, file, [one.change.source for one in here], tests, jobs
            ).result()
        left += [mutant for mutant, outcome in zip(here, outcomes, strict=True) if outcome != KILLED]
    return left


def outcomes_of(file: str, sources: list[str], tests: Sequence[str], jobs: int) -> list[str]:
    """Run a session of pytest here; return the outcome of each changed source."""
    plugin = AfterCollection(CHECKOUT / file, sources, jobs, FACTOR, MARGIN)
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing):
        session(tests, plugin)
    if len(plugin.outcomes) != len(sources):
        raise SystemExit(f"{' '.join(tests)}: fails without any change")
    return plugin.outcomes


def session(tests: Sequence[str], *plugins: object) -> int:
    """Run pytest in this process, which is a fork and runs it once."""
    import pytest

    os.chdir(CHECKOUT)
    arguments = ["-x", "-q", "-s", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=0", "--tb=short"]
    return int(pytest.main([*arguments, *tests], plugins=list(plugins)))


def slowly(found: list[Mutant], tests: Sequence[Sequence[str]], scratch: str, jobs: int) -> list[Mutant]:
    """Return the mutants that new processes with changed copies do not kill."""
    context = get_context("fork")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=start, initargs=(scratch,)) as pool:
        dead = list(pool.map(kill, found, repeat(tests)))
    return [mutant for mutant, is_dead in zip(found, dead, strict=True) if not is_dead]


_scratch = Path()


def start(scratch: str) -> None:
    """Give this process a folder for its copies of packages."""
    global _scratch
    _scratch = Path(scratch) / str(os.getpid())


def kill(mutant: Mutant, tests: Sequence[Sequence[str]]) -> bool:
    """Tell whether a test fails, or does not end, with the change."""
    sources = copied(mutant.file)
    path = sources / Path(mutant.file).relative_to(Path(mutant.file).parts[0], "src")
    usual = path.read_text()
    try:
        replace(path, mutant.change.source)
        return any(fails(sources, stage) for stage in tests)
    finally:
        replace(path, usual)


def copied(file: str) -> Path:
    """Return this process's copy of the sources of the package that has a file."""
    package = Path(file).parts[0]
    sources = _scratch / package
    if not sources.exists():
        shutil.copytree(CHECKOUT / package / "src", sources)
    return sources


def replace(path: Path, source: str) -> None:
    """Write a module, so that no bytecode of its former text is taken for its own."""
    for stale in path.parent.glob(f"__pycache__/{path.stem}.*"):
        stale.unlink()
    path.write_text(source)


def fails(sources: Path, tests: Sequence[str]) -> bool:
    """Run tests in a fork with the sources first on its path; return a failure."""
    child = os.fork()
    if child == 0:
        in_child(sources, tests)
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def in_child(sources: Path, tests: Sequence[str]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nothing, stream)
        sys.path.insert(0, str(sources))
        os.environ["PYTHONPATH"] = str(sources)
        code = session(tests)
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
