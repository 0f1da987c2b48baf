"""Check that pages use vendored files, nothing inline and nothing external."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import flowauth

FOLDER = Path(flowauth.__file__).parent
TEMPLATES = sorted((FOLDER / "templates").rglob("*.html"))


def test_the_vendored_file_is_the_published_one() -> None:
    vendor = FOLDER / "static" / "vendor"
    record = dict(line.split(maxsplit=1) for line in (vendor / "VENDORED").read_text().splitlines())
    assert hashlib.sha256((vendor / record["file"]).read_bytes()).hexdigest() == record["sha256"]
    assert (vendor / "htmx.LICENSE").is_file()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_carries_inline_code_or_foreign_assets(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert not re.search(r'(src|href|action)="(https?:)?//', text)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_form_that_writes_carries_its_token(template: Path) -> None:
    for form in re.findall(r'<form[^>]*method="post".*?</form>', template.read_text(), re.DOTALL):
        assert "csrf" in form
