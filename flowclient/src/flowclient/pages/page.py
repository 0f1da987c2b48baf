"""Write a page as one file that asks for nothing from outside."""

from __future__ import annotations

import base64
import csv
import hashlib
import html as markup
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from flowclient.pages.outlines import outlines

#: Bytes that a page should have at most, and must.
AIM = 300_000
LIMIT = 1_000_000


#: How the link to a page's table begins, and the mark by which spreadsheets know its encoding.
_LINK, _MARK = "data:text/csv;charset=utf-8,", "\ufeff"


class PageTooLargeError(ValueError):
    """Report a page over the limit, which phones on slow networks would not open."""


@dataclass(frozen=True)
class Page:
    """Hold a page and the table of its numbers."""

    html: str
    csv: str
    language: str

    def save(self, path: str | Path) -> Path:
        """Write the page to a file and return its path."""
        place = Path(path)
        place.write_text(self.html, encoding="utf-8", newline="")
        return place

    def frame(self, height: int = 900) -> str:
        """Return an element that shows the page inside another page, isolated from it."""
        return (
            f'<iframe srcdoc="{markup.escape(self.html)}" sandbox="allow-scripts allow-downloads" '
            f'style="border:0;width:100%;height:{height}px"></iframe>'
        )

    def _repr_html_(self) -> str:
        return self.frame()


def draw(name: str, values: dict[str, Any], text: str, language: str, *, shapes: Sequence[Any] = ()) -> Page:
    """Return the page of a template; with shapes it has a map.

    Parameters
    ----------
    name : str
        The template's name.
    values : dict
        What the template shows.
    text : str
        The page's numbers as CSV.
    language : str
        ``en``, ``fr`` or ``es``.
    shapes : sequence of shapely geometries
        Areas of the map, in degrees.

    Raises
    ------
    PageTooLargeError
        If the page is over 1 MB with the coarsest outlines.
    """
    script = ("page", "map") if shapes else ("page",)

    def build(coarseness: float) -> str:
        drawn = dict(zip(("paths", "height"), outlines(shapes, coarseness), strict=True)) if shapes else {}
        return document(name, values, script=script, csv=text, **drawn)

    return Page(html=fitting(build), csv=text, language=language)


def document(name: str, values: dict[str, Any], *, script: tuple[str, ...] = (), **more: Any) -> str:
    """Return the document of a template, with its style and script.

    The policy in its head makes the browser refuse every request and every script but the page's own, also
    where the page is opened as a file.
    """
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    if script:
        more["script"] = script_text(script)
        digest = base64.b64encode(hashlib.sha256(more["script"].encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
    template = _templates().get_template(f"{name}.html")
    text: str = template.render(**values, **more, style=_text("page.css"), policy=policy)
    return text


def script_text(parts: tuple[str, ...]) -> str:
    """Return the one script that a page may have."""
    return "".join(_text(f"{name}.js") for name in parts)


def fitting(build: Callable[[float], str]) -> str:
    """Return a document that phones on slow networks open.

    Over the aim ``build`` is asked for coarser outlines.

    Raises
    ------
    PageTooLargeError
        If the document is over the limit with the coarsest outlines.
    """
    coarseness = 1.0
    html = build(coarseness)
    while len(html.encode()) > AIM and coarseness <= 16:
        coarseness *= 2
        html = build(coarseness)
    if len(html.encode()) > LIMIT:
        raise PageTooLargeError(
            f"The page has {len(html.encode()) // 1000} kB; at most {LIMIT // 1000} are allowed."
        )
    return html


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV; a text that a spreadsheet takes for a formula is quoted."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([_plain(cell) for cell in row])
    return written.getvalue()


def csv_of(html: str) -> str:
    """Return the table that a page's link holds.

    Raises
    ------
    ValueError
        If the page has no such link, or several.
    """
    links = re.findall(f'href="{re.escape(_LINK)}([^"]*)"', html)
    if len(links) != 1:
        raise ValueError("The page has no table, so that it is not one of the package's.")
    return unquote(links[0]).removeprefix(_MARK)


def _plain(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell


@cache
def _templates() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("flowclient.pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["json"] = script_json
    environment.filters["data_link"] = lambda text: _LINK + quote(_MARK + text)
    return environment


@cache
def _text(name: str) -> str:
    return (files("flowclient.pages") / "templates" / name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """Return JSON that may stand in a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
