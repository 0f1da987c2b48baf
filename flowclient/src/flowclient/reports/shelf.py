"""Keep the versions of a report in a plain folder, with an index for readers."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from flowclient.pages.languages import Words
from flowclient.pages.page import document
from flowclient.reports.definition import Definition

#: Parts of a manifest that may differ between two versions, in the order in which they explain a difference.
_REASONS = ("definition", "version", "facts")


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

    def failure(self, period: str) -> dict[str, Any] | None:
        """Return the reason and time of a period's last run, if it failed."""
        file = self.folder / period / "failure.json"
        return json.loads(file.read_text()) if file.exists() else None

    def failed(self, period: str, reason: str) -> None:
        """Record a failure beside the versions, which stay."""
        (self.folder / period).mkdir(exist_ok=True)
        now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        _replace(
            self.folder / period / "failure.json", json.dumps({"reason": reason, "when": now.isoformat()})
        )
        self.write_index()

    def publish(self, period: str, made: Path) -> str | None:
        """Publish a verified folder as the next version, unless the run key is the last."""
        earlier = self.versions(period)
        manifest = json.loads((made / "manifest.json").read_text())
        before = json.loads((earlier[0] / "manifest.json").read_text()) if earlier else None
        name = None
        if before is None or before["run_key"] != manifest["run_key"]:
            name = f"v{int(earlier[0].name[1:]) + 1 if earlier else 1}"
            changed = [
                part for part in _REASONS if before and before["digests"][part] != manifest["digests"][part]
            ]
            manifest["because"] = changed[0] if changed else "first"
            (made / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
            (self.folder / period).mkdir(exist_ok=True)
            # Whole or not at all.
            made.rename(self.folder / period / name)
        (self.folder / period / "failure.json").unlink(missing_ok=True)
        self.write_index()
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
                        "because": json.loads((path / "manifest.json").read_text())["because"],
                    }
                    for path in self.versions(period)
                ],
                "failure": self.failure(period),
            }
            for period in self.periods()
        ]

    def write_index(self) -> None:
        """Write ``index.json`` and an index in each language."""
        contents = self.contents()
        _replace(
            self.folder / "index.json",
            json.dumps({"report": self.definition.name, "periods": contents}, indent=1),
        )
        for language in self.definition.languages:
            words = Words(language)
            title = self.definition.parameters.title.get(language, self.definition.name)
            values = {"words": words, "language": language, "title": title, "periods": contents}
            _replace(
                self.folder / f"index.{language}.html", document("index", values, style="crisis", script=None)
            )


def _replace(file: Path, text: str) -> None:
    """Replace a file as a whole, so that no reader sees half of it."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, file)
