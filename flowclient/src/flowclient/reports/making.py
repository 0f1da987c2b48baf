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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flowclient
from flowclient.errors import FlowclientConnectionError, PermissionDeniedError, QueryValidationError
from flowclient.pages import Page, PageTooLargeError, collect_crisis, render
from flowclient.reports.definition import Definition
from flowclient.reports.shelf import Shelf

#: Reasons that readers see.
REASONS = ("connection", "right", "refused", "size", "limits", "verification", "other")
#: Settings that the maker gets; it has no secret of another service.
_PASSED_ON = ("FLOWAPI_URL", "FLOWAPI_TOKEN_FILE", "PATH", "LANG", "SSL_CERTIFICATE_FILE")
_JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+")


class ReportError(RuntimeError):
    """Report that no version was made: a reason of :data:`REASONS`, and the details."""

    def __init__(self, reason: str, told: str) -> None:
        super().__init__(told)
        self.reason = reason


def run(definition: Definition, path: Path, period: str, out: Path) -> str | None:
    """Make a period's report, verify and publish it.

    Returns
    -------
    str or None
        The new version, such as ``v2``; None if the last one says the same.

    Raises
    ------
    ReportError
        If no version could be made. Earlier versions stay as they are, and the index shows the failure.
    ValueError
        If the text is no period of the report.
    """
    definition.end_of(period)
    shelf = Shelf(definition, out)
    with _alone(shelf.folder), tempfile.TemporaryDirectory(prefix=".making-", dir=shelf.folder) as scratch:
        made = Path(scratch) / "version"
        made.mkdir()
        try:
            _make_apart(definition, path, period, made, Path(scratch))
            verify(definition, made, _token())
        except ReportError as error:
            shelf.failed(period, error.reason)
            raise
        return shelf.publish(period, made)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the report's lock: one run at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_apart(definition: Definition, path: Path, period: str, made: Path, home: Path) -> None:
    """Run ``make`` in its own process group, and kill the group at the limit of time."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"HOME": str(home)}
    command = [sys.executable, "-m", "flowclient.reports", "make", str(path), period, str(made)]
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


def make(definition: Definition, period: str, into: Path) -> None:
    """Ask the API, write pages, table and manifest; run by the limited process.

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
    try:
        connection = flowclient.connect(
            url=os.environ["FLOWAPI_URL"],
            token=_token(),
            ssl_certificate=os.environ.get("SSL_CERTIFICATE_FILE"),
        )
        data = collect_crisis(
            connection=connection,
            event=parameters.event,
            baseline_weeks=parameters.baseline_weeks,
            until=definition.end_of(period),
            aggregation_unit=parameters.aggregation_unit,
            title=dict(parameters.title),
            disable_progress=True,
        )
        pages = {language: render(data, language) for language in definition.languages}
    except PermissionDeniedError as error:
        raise ReportError("right", str(error)) from None
    except (QueryValidationError, FileNotFoundError) as error:
        raise ReportError("refused", str(error)) from None
    except FlowclientConnectionError as error:
        raise ReportError("connection" if error.status_code is None else "refused", str(error)) from None
    except PageTooLargeError as error:
        raise ReportError("size", str(error)) from None
    except MemoryError:
        raise ReportError("limits", f"It took more than {definition.limits.memory_mb} MB.") from None
    except ValueError as error:
        raise ReportError("refused", str(error)) from None
    _write(definition, period, into, pages, data.facts())


def _write(
    definition: Definition, period: str, into: Path, pages: dict[str, Page], facts: dict[str, Any]
) -> None:
    for language, page in pages.items():
        page.save(into / f"page.{language}.html")
    (into / "data.csv").write_bytes(next(iter(pages.values())).csv.encode())
    parts = {
        "definition": definition.model_dump(mode="json", exclude={"keep", "limits", "recipients"}),
        "version": flowclient.__version__,
        "period": period,
        "facts": facts,
    }
    manifest = {
        "run_key": _digest(parts),
        "digests": {name: _digest(part) for name, part in parts.items()},
        **parts,
        "checksums": {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(into.iterdir())
        },
    }
    (into / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


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

    if not any(row["before"] for row in rows):
        refuse("Every area is withheld.")
    weeks = [name for name in (rows[0] if rows else {}) if name == "before" or name.startswith("week_")]
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
        if scripts != ['<script type="application/json" id="data">', "<script>"] or _stray_script(html):
            refuse(f"{file.name} has a script that is not ours.")
        [data] = re.findall(r'id="data">(.*?)</script>', html, re.DOTALL)
        shown = Counter(
            tuple(str(n) if isinstance(n, int) else "" for n in line)
            for line in json.loads(data)["weeks"]["values"]
        )
        if shown != Counter(tuple(row[name] for name in weeks) for row in rows):
            refuse(f"{file.name} has other numbers than data.csv.")


def _stray_script(html: str) -> bool:
    """Return whether the script is another than the package's."""
    from flowclient.pages.page import script_text

    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    return bool(script != script_text("crisis"))


def _token() -> str:
    return Path(os.environ["FLOWAPI_TOKEN_FILE"]).read_text().strip()
