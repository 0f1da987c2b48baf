"""Keep the versions of a report in a plain folder, with an index for readers."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flowclient.pages.languages import Words
from flowclient.pages.page import document
from flowclient.reports.definition import Definition

#: Parts of a manifest that may differ between two versions, in the order in which they explain a difference.
_REASONS = ("definition", "notebook", "version", "loads", "cells", "notes")
#: Folder of a version that waits for ``approve``. Only its owner may read it.
_HELD = "held"


@dataclass(frozen=True)
class Failure:
    """Say why a period's last run failed, and how often in a row."""

    reason: str
    since: str
    tries: int = 1
    run_key: str | None = None

    @property
    def when(self) -> datetime.datetime:
        return datetime.datetime.fromisoformat(self.since)


@dataclass(frozen=True)
class Placed:
    """Say where a made version stands: published as ``name``, or held."""

    name: str
    held: bool = False

    def __str__(self) -> str:
        return "held until `approve`" if self.held else f"published {self.name}"


class Shelf:
    """Hold ``<out>/<recipients>/<report>/<period>/v<n>/`` of one report."""

    def __init__(self, definition: Definition, out: Path) -> None:
        self.definition = definition
        self.folder = definition.folder(out)

    def periods(self) -> list[str]:
        """Return the periods with a version or a failure, the latest first."""
        if not self.folder.is_dir():
            return []
        found = [path.name for path in self.folder.iterdir() if path.is_dir() and path.name[:1].isdigit()]
        return sorted(found, reverse=True)

    def versions(self, period: str) -> list[Path]:
        """Return a period's published versions, the latest first."""
        folders = [path for path in (self.folder / period).glob("v*") if re.fullmatch(r"v\d+", path.name)]
        return sorted(folders, key=lambda path: int(path.name[1:]), reverse=True)

    def made(self, period: str) -> set[str]:
        """Return the run keys of the latest version and of the held one."""
        return {
            Shelf.manifest(folder)["run_key"]
            for folder in (self._latest(period), self.held(period))
            if folder
        }

    @staticmethod
    def manifest(folder: Path) -> dict[str, Any]:
        """Return the manifest of a version's folder."""
        found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        return found

    def failure(self, period: str) -> Failure | None:
        """Return what became of a period's last run, if it failed."""
        file = self.folder / period / "failure.json"
        return Failure(**json.loads(file.read_text())) if file.exists() else None

    def failed(self, period: str, reason: str, key: str | None) -> Failure:
        """Record a failure beside the versions, which stay."""
        before = self.failure(period)
        tries = before.tries + 1 if before and before.reason == reason else 1
        now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        failure = Failure(reason, now.isoformat(), tries, key)
        (self.folder / period).mkdir(exist_ok=True)
        _replace(self.folder / period / "failure.json", json.dumps(asdict(failure)))
        self.write_index()
        return failure

    def held(self, period: str) -> Path | None:
        """Return the version of a period that waits for ``approve``, if there is one."""
        folder = self.folder / period / _HELD
        return folder if folder.is_dir() else None

    def place(self, period: str, made: Path) -> Placed | None:
        """Publish a verified folder, or hold it where the definition says ``by-hand``.

        A version that says what the last one says is dropped. A held version gives way to a newer one.
        """
        placed = None
        if _run_key(made) != _run_key(self._latest(period)):
            if self.definition.publish == "by-hand":
                placed = self._hold(period, made)
            else:
                placed = Placed(self._publish(period, made))
        elif waiting := self.held(period):
            # The numbers are again those that were published.
            shutil.rmtree(waiting)
        self.succeeded(period)
        return placed

    def succeeded(self, period: str) -> None:
        """Forget the failure of a period's last run."""
        (self.folder / period / "failure.json").unlink(missing_ok=True)
        self.write_index()

    def approve(self, period: str) -> str:
        """Publish the held version of a period and return its name.

        Raises
        ------
        LookupError
            If none is held.
        """
        waiting = self.held(period)
        if waiting is None:
            held = ", ".join(name for name in self.periods() if self.held(name)) or "none"
            raise LookupError(f"period = '{period}': no version is held; periods with one: {held}.")
        name = self._publish(period, waiting)
        self.write_index()
        return name

    def _latest(self, period: str) -> Path | None:
        return next(iter(self.versions(period)), None)

    def _hold(self, period: str, made: Path) -> Placed | None:
        waiting = self.held(period)
        if waiting and _run_key(waiting) == _run_key(made):
            return None
        (self.folder / period).mkdir(exist_ok=True)
        made.chmod(0o700)
        if waiting:
            shutil.rmtree(waiting)
        made.rename(self.folder / period / _HELD)
        return Placed(_HELD, held=True)

    def _publish(self, period: str, made: Path) -> str:
        latest = self._latest(period)
        manifest = Shelf.manifest(made)
        changed = [
            part
            for part in _REASONS
            if latest and Shelf.manifest(latest)["digests"].get(part) != manifest["digests"][part]
        ]
        manifest["because"] = changed[0] if changed else "first"
        _replace(made / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        (self.folder / period).mkdir(exist_ok=True)
        made.chmod(self.folder.stat().st_mode & 0o777)
        name = f"v{int(latest.name[1:]) + 1 if latest else 1}"
        # Whole or not at all.
        made.rename(self.folder / period / name)
        return name

    def prune(self) -> list[Path]:
        """Remove versions and periods beyond what the definition keeps; return them."""
        removed = []
        for place, period in enumerate(self.periods()):
            if place >= self.definition.keep.periods:
                removed.append(self.folder / period)
            else:
                removed += self.versions(period)[self.definition.keep.versions :]
        for folder in removed:
            shutil.rmtree(folder)
        self.write_index()
        return removed

    def contents(self) -> list[dict[str, Any]]:
        """Return periods with their versions and failure, the latest first."""
        return [
            {
                "period": period,
                "versions": [
                    {
                        "version": path.name,
                        "because": Shelf.manifest(path)["because"],
                        "made": _when(path),
                    }
                    for path in self.versions(period)
                ],
                "held": self.held(period) is not None,
                "failure": asdict(failure) if (failure := self.failure(period)) else None,
            }
            for period in self.periods()
        ]

    def write_index(self) -> None:
        """Write ``index.json`` and an index in each language."""
        contents = self.contents()
        _replace(
            self.folder / "index.json",
            json.dumps(
                {
                    "report": self.definition.name,
                    "titles": dict(self.definition.parameters.title),
                    "periods": contents,
                },
                indent=1,
            ),
        )
        for language in self.definition.languages:
            words = Words(language)
            title = self.definition.parameters.title.get(language, self.definition.name)
            values = {"words": words, "language": language, "title": title, "periods": contents}
            _replace(self.folder / f"index.{language}.html", document("index", values))


def _when(folder: Path) -> str:
    """Return when a version was published: its manifest never changes after that."""
    seconds = (folder / "manifest.json").stat().st_mtime
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="minutes")


def _run_key(folder: Path | None) -> str | None:
    return Shelf.manifest(folder)["run_key"] if folder else None


def _replace(file: Path, text: str) -> None:
    """Replace a file as a whole, so that no reader sees half of it."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, file)
