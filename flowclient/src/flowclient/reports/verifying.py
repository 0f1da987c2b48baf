"""Refuse made pages that nobody may see."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path

from flowclient.pages.page import script_text
from flowclient.reports.asking import ReportError
from flowclient.reports.definition import Definition

_JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+")


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
        # The first month with data has nothing to compare with, so that some columns may be empty.
        if not any(row[name] for row in rows for name in columns):
            refuse("Every number is withheld or missing.")
        shown = Counter(
            tuple(str(n) if isinstance(n, int) else "" for n in line) for line in drawn["numbers"]
        )
        if shown != Counter(tuple(row[name] for name in columns) for row in rows):
            refuse(f"{file.name} has other numbers than data.csv.")


def _stray_script(definition: Definition, html: str) -> bool:
    """Return whether the script is another than the package's."""
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    return script not in {script_text(parts) for parts in definition.parameters.scripts}
