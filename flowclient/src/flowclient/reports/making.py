"""Make a version of a report in a process of its own, and publish what passes."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import flowclient
from flowclient.errors import (
    AuthenticationError,
    FlowclientConnectionError,
    PermissionDeniedError,
    QueryValidationError,
)
from flowclient.pages import Page, PageTooLargeError
from flowclient.reports.definition import Definition
from flowclient.reports.due import Loads, digest, parts_of_run, run_key
from flowclient.reports.service_user import look_as, run_as
from flowclient.reports.shelf import Placed, Shelf

#: Reasons that readers see.
REASONS = ("connection", "right", "refused", "size", "limits", "verification", "other")
#: Settings that the maker gets; it has no secret of another service.
_PASSED_ON = ("FLOWAPI_URL", "FLOWAPI_TOKEN_FILE", "PATH", "LANG", "SSL_CERTIFICATE_FILE")
#: A server that is away for a moment is no news.
_TRIES_BEFORE_TELLING = {"connection": 3}
_TELLING_SECONDS = 30
_JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+")


class ReportError(RuntimeError):
    """Report that no version was made: a reason of :data:`REASONS`, and the details."""

    def __init__(self, reason: str, told: str) -> None:
        super().__init__(told)
        self.reason = reason


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
                key = run_key(definition, period, loads)
                if key in shelf.made(period):
                    shelf.succeeded(period)
                    return None
                _make_apart(definition, path, period, made, Path(scratch), loads)
                verify(definition, made, _token())
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
        _make_apart(definition, path, period, into, Path(scratch), current_loads())
        verify(definition, into, _token())


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
        with _reasons(None):
            stack.enter_context(rights)
        yield


def current_loads() -> Loads:
    """Ask the server for the loads.

    Raises
    ------
    ReportError
        If it cannot be reached or refuses.
    """
    with _reasons(None):
        return Loads.of(flowclient.get_loads(connection=connection()))


def connection() -> flowclient.Connection:
    """Connect to the server of the settings."""
    return flowclient.connect(
        url=os.environ["FLOWAPI_URL"],
        token=_token(),
        ssl_certificate=os.environ.get("SSL_CERTIFICATE_FILE"),
    )


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


def _make_apart(
    definition: Definition, path: Path, period: str, made: Path, home: Path, loads: Loads
) -> None:
    """Run ``make`` in its own process group, and kill the group at the limit of time."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"HOME": str(home)}
    parts = home / "parts.json"
    parts.write_text(json.dumps(parts_of_run(definition, period, loads)))
    command = [sys.executable, "-m", "flowclient.reports", "make", str(path), period, str(made), str(parts)]
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
        # Also what the child left running.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.returncode == 0:
        return
    *_, last = output.strip().splitlines() or [""]
    reason, _, told = last.partition(": ")
    raise ReportError(reason if reason in REASONS else "other", told or last or f"status {child.returncode}")


def make(definition: Definition, period: str, into: Path, parts: dict[str, Any]) -> None:
    """Ask the API, write pages, table and manifest; run by the limited process.

    ``parts`` are those of the run key. Whatever is loaded meanwhile gives a new key, and so the next version.

    Raises
    ------
    ReportError
        If the API refuses or cannot be reached, or a page is too large.
    """
    import resource

    # Of written memory: libraries reserve far more addresses than they use.
    most = definition.limits.memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    parameters = definition.parameters
    with _reasons(definition):
        data = parameters.collect(connection(), definition.start_of(period), definition.end_of(period))
        pages = {language: parameters.render(data, language) for language in definition.languages}
    _write(into, pages, parts, data.facts())


@contextlib.contextmanager
def _reasons(definition: Definition | None) -> Iterator[None]:
    """Turn what goes wrong into the reasons that readers see."""
    try:
        yield
    except (AuthenticationError, PermissionDeniedError) as error:
        raise ReportError("right", str(error)) from None
    except (QueryValidationError, FileNotFoundError) as error:
        raise ReportError("refused", str(error)) from None
    except FlowclientConnectionError as error:
        raise ReportError("connection" if error.status_code is None else "refused", str(error)) from None
    except PageTooLargeError as error:
        raise ReportError("size", str(error)) from None
    except MemoryError:
        most = f"{definition.limits.memory_mb} MB" if definition else "the memory"
        raise ReportError("limits", f"It took more than {most}.") from None
    except ValueError as error:
        raise ReportError("refused", str(error)) from None


def _write(into: Path, pages: dict[str, Page], parts: dict[str, Any], facts: dict[str, Any]) -> None:
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


def verify(definition: Definition, made: Path, token: str) -> None:
    """Refuse pages with a token, an outside address, foreign script or other numbers.

    Raises
    ------
    ReportError
        With the first fault.
    """
    rows = list(csv.DictReader(io.StringIO((made / "data.csv").read_text(encoding="utf-8"))))

    def refuse(told: str) -> None:
        raise ReportError("verification", told)

    for language in definition.languages:
        file = made / f"page.{language}.html"
        html = file.read_text(encoding="utf-8")
        if len(html.encode()) > 1000 * definition.limits.page_kb:
            raise ReportError("size", f"{file.name} is over {definition.limits.page_kb} kB.")
        if token in html or _JWT.search(html):
            refuse(f"{file.name} holds a token.")
        outside = re.search(r"""(?:src|href)\s*=\s*["']?(?!["']?(?:#|data:text/csv))[^>\s]+""", html)
        if outside:
            refuse(f"{file.name} refers to {outside[0][:80]}.")
        scripts = re.findall(r"<script\b[^>]*>", html)
        if scripts != ['<script type="application/json" id="data">', "<script>"] or _stray_script(
            definition, html
        ):
            refuse(f"{file.name} has a script that is not ours.")
        [data] = re.findall(r'id="data">(.*?)</script>', html, re.DOTALL)
        drawn = json.loads(data)
        columns = drawn["columns"]
        if not any(row[columns[0]] for row in rows):
            refuse("Every number is withheld or missing.")
        shown = Counter(
            tuple(str(n) if isinstance(n, int) else "" for n in line) for line in drawn["numbers"]
        )
        if shown != Counter(tuple(row[name] for name in columns) for row in rows):
            refuse(f"{file.name} has other numbers than data.csv.")


def _stray_script(definition: Definition, html: str) -> bool:
    """Return whether the script is another than the package's."""
    from flowclient.pages.page import script_text

    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    return bool(script != script_text(definition.parameters.script))


def _token() -> str:
    file = Path(os.environ["FLOWAPI_TOKEN_FILE"])
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ReportError(
            "right", f"FLOWAPI_TOKEN_FILE = '{file}': the file cannot be read ({error.strerror})."
        ) from None
