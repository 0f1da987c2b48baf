"""Hold comments, docstrings and pages to plain English, as far as a machine can."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator

import pytest
from layout import CHECKOUT

TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
).stdout.splitlines()

#: Words with a plainer replacement.
BANNED = re.compile(
    r"\b(?:lest|anew|nobody's|whoever|thereof|thereby|therein|whence|hither|dear(?:er|est|ly)?|of which there are)\b",
    re.IGNORECASE,
)
FIRST_LINE = 80
SENTENCE = 35

#: Copies of what operators wrote, and tables that others made.
FOREIGN = ("flowetl/tests/cases/", "benchmarks/results/", ".github/")


def tracked(suffix: str) -> list[str]:
    return [
        name
        for name in TRACKED
        if name.endswith(suffix) and not name.startswith(FOREIGN) and (CHECKOUT / name).exists()
    ]


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each comment."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def prose_of_page(page: str) -> Iterator[str]:
    """Yield a page's paragraphs, list items and cells, without code and addresses."""
    page = re.sub(r"^```.*?^```|<!--.*?-->", "", page, flags=re.MULTILINE | re.DOTALL)
    page = re.sub(r"\]\([^)]*\)", "]", page)
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.) ?)|\|", page):
        yield " ".join(paragraph.split())


def sentences(paragraph: str) -> list[str]:
    """Split a paragraph after full stops, question marks, colons and semicolons."""
    return re.split(r"(?<=[.?!:;])[*_)\"]*\s+", re.sub(r"`[^`]*`", "code", paragraph))


def test_sentences_are_split_where_a_reader_pauses() -> None:
    assert sentences("One, two. Three `a. b`: **four.** Five; six") == [
        "One, two.",
        "Three code:",
        "**four.",
        "Five;",
        "six",
    ]
    assert next(prose_of_page("A [b](c. d)\n\n```\nx. y\n```\n")) == "A [b]"


@pytest.mark.parametrize("text", ["Do it lest it fail.", "the dearest part", "Made ANEW"])
def test_banned_words_are_found(text: str) -> None:
    assert BANNED.search(text)


def test_code_has_no_banned_words() -> None:
    found = [
        f"{name}:{line}: {hit.group()}"
        for name in tracked(".py")
        for source in [(CHECKOUT / name).read_text()]
        for line, text in (*docstrings(source), *comments(source))
        for hit in BANNED.finditer(text)
    ]
    assert found == []


def test_pages_have_no_banned_words() -> None:
    found = [
        f"{name}: {hit.group()}"
        for name in tracked(".md")
        for text in prose_of_page((CHECKOUT / name).read_text())
        for hit in BANNED.finditer(text)
    ]
    assert found == []


def test_the_first_line_of_a_docstring_is_short() -> None:
    found = [
        f"{name}:{line}: {first}"
        for name in tracked(".py")
        for line, text in docstrings((CHECKOUT / name).read_text())
        for first in [text.split("\n", maxsplit=1)[0]]
        if len(first) > FIRST_LINE
    ]
    assert found == []


def test_sentences_of_pages_are_short() -> None:
    found = [
        f"{name}: {sentence}"
        for name in tracked(".md")
        for paragraph in prose_of_page((CHECKOUT / name).read_text())
        for sentence in sentences(paragraph)
        if len(sentence.split()) > SENTENCE
    ]
    assert found == []
