"""Make a version of a report in a process of its own, and publish what passes."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import flowclient
from flowclient.pages import Page
from flowclient.pages.page import csv_of
from flowclient.reports.asking import MOST_QUERIES, REASONS, ReportError, connection, reasons, token
from flowclient.reports.confinement import NotConfinedError, confine
from flowclient.reports.contents import NotebookParameters, PageParameters
from flowclient.reports.definition import Definition
from flowclient.reports.due import Loads, digest, parts_of_run, run_key
from flowclient.reports.service_user import look_as, run_as
from flowclient.reports.shelf import Placed, Shelf
from flowclient.reports.verifying import verify

#: Settings that the maker gets; it has no secret of another service.
_PASSED_ON = ("FLOWAPI_URL", "FLOWAPI_TOKEN_FILE", "PATH", "LANG", "TZ", "SSL_CERTIFICATE_FILE")
#: A server that is away for a moment is no news.
_TRIES_BEFORE_TELLING = {"connection": 3}
_TELLING_SECONDS = 30


def run(definition: Definition, path: Path, period: str, out: Path) -> Placed | None:
    """Make a period's report, verify it, and publish or hold it.

    Returns
    -------
    Placed or None
        The new version; None if the last one was made from the same data.

    Raises
    ------
    ReportError
        If no version could be made. Earlier versions stay as they are, and the index shows the failure.
    ValueError
        If the text is no period of the report.
    """
    definition.end_of(period)
    shelf = Shelf(definition, out)
    key = None
    with _alone(shelf.folder), tempfile.TemporaryDirectory(prefix=".making-", dir=shelf.folder) as scratch:
        made = Path(scratch) / "version"
        made.mkdir()
        try:
            with rights_of(definition):
                loads = current_loads()
                with reasons():
                    key = run_key(definition, period, loads)
                if key in shelf.made(period):
                    shelf.succeeded(period)
                    return None
                make_apart(definition, path, period, made, Path(scratch), loads)
                verify(definition, made, token())
        except ReportError as error:
            failure = shelf.failed(period, error.reason, key)
            if failure.tries == _TRIES_BEFORE_TELLING.get(failure.reason, 1):
                _tell(definition, period, failure.reason)
            raise
        return shelf.place(period, made)


def preview(definition: Definition, path: Path, period: str, into: Path) -> None:
    """Make and verify a period's pages in a folder, and publish nothing.

    The answers enter the ledger as those of a published version do. Raises as :func:`run`.
    """
    definition.end_of(period)
    with rights_of(definition), tempfile.TemporaryDirectory(prefix="preview-") as scratch:
        make_apart(definition, path, period, into, Path(scratch), current_loads())
        verify(definition, into, token())


def rights_of(definition: Definition) -> AbstractContextManager[None]:
    """Ask with the definition's rights for one run.

    Raises
    ------
    ReportError
        If the service user of the settings has them not.
    """
    return _entered(run_as(definition))


def looking_for(definitions: Iterable[Definition]) -> AbstractContextManager[None]:
    """Look at the server with the rights of one of the definitions.

    Raises as :func:`rights_of`.
    """
    return _entered(look_as(definitions))


@contextlib.contextmanager
def _entered(rights: AbstractContextManager[None]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with reasons():
            stack.enter_context(rights)
        yield


def current_loads() -> Loads:
    """Ask the server for the loads.

    Raises
    ------
    ReportError
        If it cannot be reached or refuses.
    """
    with reasons():
        return Loads.of(flowclient.get_loads(connection=connection()))


def _tell(definition: Definition, period: str, reason: str) -> None:
    """Run the definition's command for failures, without a shell and without secrets."""
    if not definition.on_failure:
        return
    values = {"report": definition.name, "period": period, "reason": reason}
    command = [part.format_map(values) for part in definition.on_failure]
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    try:
        subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, timeout=_TELLING_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        # The failure itself is on the index and in the status; it must not be hidden by this one.
        sys.stderr.write(f"on_failure of {definition.name}: {error}\n")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the report's lock: one run at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_apart(definition: Definition, path: Path, period: str, made: Path, home: Path, loads: Loads) -> None:
    """Run ``make`` apart, and kill it with all that it started at its limit.

    Raises
    ------
    ReportError
        With the reason that the process gives.
    """
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    parts = home / "parts.json"
    parts.write_text(json.dumps(parts_of_run(definition, period, loads)))
    command = [sys.executable, "-m", "flowclient.reports", "make", str(path), period, str(made), str(parts)]
    # Removed with all that is left in it; a killed process removes nothing.
    with tempfile.TemporaryDirectory(prefix="report-") as scratch:
        environment |= {"HOME": str(home), "TMPDIR": scratch, MOST_QUERIES: str(definition.limits.queries)}
        child = subprocess.Popen(
            command,
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = child.communicate(timeout=60 * definition.limits.minutes)
        except subprocess.TimeoutExpired:
            raise ReportError("limits", f"It took more than {definition.limits.minutes} minutes.") from None
        finally:
            _end(child)
    if child.returncode == 0:
        return
    *_, last = output.strip().splitlines() or [""]
    reason, _, told = last.partition(": ")
    raise ReportError(reason if reason in REASONS else "other", told or last or f"status {child.returncode}")


def _end(child: subprocess.Popen[str]) -> None:
    """Kill a process and what it started, also in sessions of their own."""
    import psutil

    started = []
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(child.pid).children(recursive=True)
    for each in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def make(definition: Definition, period: str, into: Path, parts: dict[str, Any]) -> None:
    """Ask the API, write pages, table and manifest; run by the limited process.

    ``parts`` are those of the run key. Whatever is loaded meanwhile gives a new key, and so the next version.

    Raises
    ------
    ReportError
        If the API refuses or cannot be reached, a cell fails, or a page is too large.
    """
    import resource

    # Of written memory: libraries reserve far more addresses than they use.
    most = definition.limits.memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    start, end, notes = definition.start_of(period), definition.end_of(period), parts["notes"]
    parameters = definition.parameters
    with reasons(definition.limits.memory_mb):
        if isinstance(parameters, PageParameters):
            data = parameters.collect(connection(), start, end)
            pages = {
                language: parameters.render(data, language, notes.get(language, ""))
                for language in definition.languages
            }
            write(into, pages, parts, data.facts())
        else:
            _make_by_notebook(definition, start, end, into, parts)


def _make_by_notebook(
    definition: Definition, start: datetime.date, end: datetime.date, into: Path, parts: dict[str, Any]
) -> None:
    """Run the notebook, which saves ``page.<language>.html`` in its folder."""
    from flowclient.reports.notebooks import execute, ids_in

    assert isinstance(definition.parameters, NotebookParameters)
    assert definition.notebook is not None
    _confine(definition.notebook, into)
    given = {name: argument.written for name, argument in definition.parameters.arguments.items()}
    given |= {
        "period_start": start.isoformat(),
        "period_end": end.isoformat(),
        "languages": list(definition.languages),
        "notes": parts["notes"],
    }
    pages = {}
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        try:
            executed = execute(definition.notebook, given, Path(folder))
        except ReportError as error:
            # A message may quote what a cell read.
            raise ReportError(error.reason, str(error).replace(token(), "[token]")) from None
        for language in definition.languages:
            file = Path(folder) / f"page.{language}.html"
            if not file.is_file():
                raise ReportError("cell", f"The notebook has not saved {file.name}.")
            html = file.read_text(encoding="utf-8")
            pages[language] = Page(html, csv_of(html), language)
    if len({page.csv for page in pages.values()}) > 1:
        raise ReportError("verification", "The pages of the languages have different tables.")
    ids = sorted({each for page in pages.values() for each in ids_in(page.html)})
    write(into, pages, parts, {"query_ids": ids}, notebook=executed)


def _confine(notebook: Path, into: Path) -> None:
    """Keep a notebook from the secrets of its user, and from all servers but the API.

    Raises
    ------
    ReportError
        If that is not possible and there are secrets.
    """
    # Of /proc no folder of a process, whose environment may hold a password.
    facts = [f"/proc/{name}" for name in ("cpuinfo", "meminfo", "stat", "version")]
    # Neither disks, which hold all files, nor memory that processes share.
    devices = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")]
    programs = ["/usr", "/bin", "/lib", "/lib64", "/etc", "/sys", sys.prefix, sys.base_prefix]
    modules = [*filter(None, sys.path), str(Path(flowclient.__file__).parents[1])]
    given = [
        os.environ[name] for name in ("FLOWAPI_TOKEN_FILE", "SSL_CERTIFICATE_FILE") if name in os.environ
    ]
    api = urlsplit(os.environ["FLOWAPI_URL"])
    try:
        confine(
            read=[Path(path) for path in (*facts, *programs, *modules, *given, str(notebook.parent))],
            write=[into, Path(os.environ["HOME"]), Path(tempfile.gettempdir()), *map(Path, devices)],
            port=api.port or (443 if api.scheme == "https" else 80),
        )
    except NotConfinedError as error:
        # Where all services have one user without such a folder, notebooks are trusted.
        if any(Path("/run/secrets").glob("*")):
            raise ReportError("other", f"A notebook would find secrets here. {error}.") from None


def write(
    into: Path,
    pages: dict[str, Page],
    parts: dict[str, Any],
    facts: dict[str, Any],
    *,
    notebook: str | None = None,
) -> None:
    """Write a version's files; the executed notebook is for analysts and no page."""
    if notebook is not None:
        (into / "notebook.html").write_text(notebook, encoding="utf-8")
    for language, page in pages.items():
        page.save(into / f"page.{language}.html")
    (into / "data.csv").write_bytes(next(iter(pages.values())).csv.encode())
    manifest = {
        "run_key": digest(parts),
        "digests": {name: digest(part) for name, part in parts.items()},
        **parts,
        "facts": facts,
        "checksums": {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(into.iterdir())
        },
    }
    (into / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
