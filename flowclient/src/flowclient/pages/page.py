"""Write a page as one file that asks for nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

#: Bytes that a page should have at most, and must.
AIM = 300_000
LIMIT = 1_000_000


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


def document(name: str, values: dict[str, Any], *, style: str, script: str | None, **more: Any) -> str:
    """Return the document of a template with a style and, if named, a script.

    The policy in its head makes the browser refuse every request and every script but the page's own, also
    where the page is opened as a file.
    """
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    if script is not None:
        more["script"] = script_text(script)
        digest = base64.b64encode(hashlib.sha256(more["script"].encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
    template = _templates().get_template(f"{name}.html")
    text: str = template.render(**values, **more, style=_text(f"{style}.css"), policy=policy)
    return text


def script_text(name: str) -> str:
    """Return the one script that a page may have."""
    return _text(f"{name}.js")


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
    environment.filters["data_link"] = lambda text: "data:text/csv;charset=utf-8," + quote("\ufeff" + text)
    return environment


@cache
def _text(name: str) -> str:
    return (files("flowclient.pages") / "templates" / name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """Return JSON that may stand in a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
