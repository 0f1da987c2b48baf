"""From the engine's registry to Python source."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flowmachine.spec.arguments import Argument

from flowclient_generator.kinds import (
    AGGREGATES,
    BUILDING_BLOCKS,
    Function,
    columns,
    columns_with,
    fractions,
    inside,
)

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "flowclient"
_NOTICE = "# Written by flowclient/tools/generate.py; edit the engine's kinds instead.\n"
_WIDTH = 110


def sources() -> dict[Path, str]:
    """Return the text of every generated file."""
    texts = {
        PACKAGE / "query_specs.py": _query_specs(),
        PACKAGE / "aggregates.py": _aggregates(),
        PACKAGE / "kinds.py": _kinds(),
        PACKAGE / "async_client.py": _async_client((PACKAGE / "client.py").read_text()),
    }
    return {path: _formatted(path, text) for path, text in texts.items()}


def _formatted(path: Path, text: str) -> str:
    for command in (["check", "--fix-only", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=PACKAGE,
        ).stdout
    return text


def _query_specs() -> str:
    return "\n\n".join(
        [
            _NOTICE
            + '"""Building blocks: specifications of what is known of each subscriber.\n\nEach function returns a plain '
            'dict, ready for JSON; it makes no request and checks nothing.\n"""\n\n'
            "from __future__ import annotations",
            _values_import(),
            _all([f"{kind.name}_spec" for kind in BUILDING_BLOCKS]),
            *(_spec_function(kind) for kind in BUILDING_BLOCKS),
        ]
    )


def _aggregates() -> str:
    names = [name for kind in AGGREGATES for name in (kind.name, f"{kind.name}_spec")]
    return "\n\n".join(
        [
            _NOTICE
            + '"""Aggregates: what a server releases.\n\nFor each kind one function that returns its specification, and one '
            "that returns the query on a connection:\nan ``APIQuery``, or an ``ASyncAPIQuery`` on an asynchronous "
            'connection. Nothing is sent.\n\nRows that stand for 15 or fewer subscribers are absent from every result.\n"""\n\n'
            "from __future__ import annotations",
            "from collections.abc import Mapping, Sequence\nfrom typing import Any",
            "from flowclient.api_query import APIQuery\nfrom flowclient.connection import Connection\n"
            + _values_import(),
            _all(names),
            *(text for kind in AGGREGATES for text in (_spec_function(kind), _query_function(kind))),
        ]
    )


def _kinds() -> str:
    answered = [kind.name for kind in AGGREGATES]
    within = [kind.name for kind in BUILDING_BLOCKS if not kind.expression]
    return (
        f'{_NOTICE}"""What the client knows of the kinds of query."""\n\nfrom __future__ import annotations\n\n'
        "#: Columns of a result; ``location`` stands for the identifying columns of its aggregation unit.\n"
        f"RESULT_COLUMNS: dict[str, tuple[str, ...]] = {_entries(answered, columns)}\n\n"
        "#: Of kinds whose columns are others with some word in some field: the columns by field and word.\n"
        f"RESULT_COLUMNS_WITH: dict[str, dict[tuple[str, str], tuple[str, ...]]] = {_entries(answered, columns_with)}\n\n"
        "#: Columns that are no whole numbers, by kind.\n"
        f"FRACTIONS: dict[str, tuple[str, ...]] = {_entries(answered, fractions)}\n\n"
        "#: Kinds that are computed only inside others, and some of those.\n"
        f"INSIDE: dict[str, str] = {_entries(within, inside)}\n"
    )


def _entries(kinds: Iterable[str], said: Callable[[str], Any]) -> str:
    """Write a dictionary of what is said of each kind, without empty entries."""
    return "{\n" + "".join(f"    {kind!r}: {said(kind)!r},\n" for kind in kinds if said(kind)) + "}"


def _async_client(blocking: str) -> str:
    """Turn each function of the blocking client into a coroutine.

    Signatures stay the same.
    """
    header, body = blocking.split('"""', 2)[2].split("\n\ndef connect(", 1)
    body = "\n\ndef connect(" + body
    body = body.replace("\n\ndef ", "\n\nasync def ").replace(
        "async def connect(", "async def connect_async("
    )
    body = body.replace("return connection.perform(", "return await connection.perform(")
    body = body.replace("= device.get_token(", "= await device.get_token_async(")
    text = (header + body).replace('"connect",', '"connect_async",')
    text = text.replace("from flowclient.connection ", "from flowclient.async_connection ")
    text = re.sub(r"\bConnection\b", "ASyncConnection", text)
    return f'{_NOTICE}"""The functions of :mod:`flowclient.client` as coroutines."""{text}'


def _values_import() -> str:
    names = "DateLike EventTypes Hours Spec Subset bounds days histogram_bins hours_of_day interval iso_date list_of_types sampling"
    return f"from flowclient.values import {', '.join(names.split())}"


def _all(names: list[str]) -> str:
    return "__all__ = [\n" + "".join(f"    {name!r},\n" for name in sorted(names)) + "]"


def _signature(name: str, arguments: list[str], result: str) -> str:
    return f"def {name}(*, {', '.join(arguments)},) -> {result}:"


def _parameter(argument: Argument) -> str:
    default = "" if argument.required else f" = {argument.default!r}"
    return f"{argument.keyword}: {argument.annotation}{default}"


def _docstring(first: str, parameters: list[tuple[str, str, str]], returns: tuple[str, str]) -> str:
    lines = [first, "", "Parameters", "----------"]
    for name, annotation, doc in parameters:
        lines += [f"{name} : {annotation}", *_wrapped(doc)]
    lines += ["", "Returns", "-------", returns[0], *_wrapped(returns[1])]
    return textwrap.indent('"""' + "\n".join(lines) + '\n"""', "    ", lambda line: bool(line.strip()))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH - 4, initial_indent="    ", subsequent_indent="    ")


def _documented(kind: Function) -> list[tuple[str, str, str]]:
    return [
        (
            argument.keyword,
            argument.annotation + ("" if argument.required else ", optional"),
            argument.text,
        )
        for argument in kind.arguments
    ]


def _spec_function(kind: Function) -> str:
    signature = _signature(f"{kind.name}_spec", [_parameter(argument) for argument in kind.arguments], "Spec")
    doc = _docstring(kind.doc, _documented(kind), ("dict", "The specification."))
    return f"{signature}\n{doc}\n    return {_returned(kind)}\n"


def _returned(kind: Function) -> str:
    if kind.expression:
        given = [
            argument
            for argument in kind.arguments
            if argument.keyword not in ("start_date", "end_date", "query")
        ]
        others = ", ".join(f"{argument.keyword}={argument.keyword}" for argument in given)
        return kind.expression.format(others=others)
    entries = [f"'query_kind': {kind.name!r}", *(_entry(argument) for argument in kind.arguments)]
    return "{" + ", ".join(entries) + ",}"


def _entry(argument: Argument) -> str:
    value = (
        f"{argument.write}({argument.keyword}, {argument.keyword!r})" if argument.write else argument.keyword
    )
    if argument.added:
        return f"**({{}} if {argument.keyword} is {argument.default!r} else {{{argument.name!r}: {value}}})"
    if argument.may_be_absent:
        return f"**({{}} if {argument.keyword} is None else {{{argument.name!r}: {value}}})"
    return f"{argument.name!r}: {value}"


def _query_function(kind: Function) -> str:
    signature = _signature(
        kind.name,
        ["connection: Connection", *(_parameter(argument) for argument in kind.arguments)],
        "APIQuery",
    )
    doc = _docstring(
        kind.doc,
        [("connection", "Connection", "The server."), *_documented(kind)],
        ("APIQuery", _result(kind)),
    )
    passed = ", ".join(f"{argument.keyword}={argument.keyword}" for argument in kind.arguments)
    return f"{signature}\n{doc}\n    return connection.make_api_query({kind.name}_spec({passed},))\n"


def _result(kind: Function) -> str:
    usual = columns(kind.name)
    others = [
        f"; with ``{word}`` {_named([column for column in found if column not in usual])}, too"
        for (_, word), found in columns_with(kind.name).items()
    ]
    return f"Its result has the columns {_named(usual)}{''.join(others)}."


def _named(result: Iterable[str]) -> str:
    names = []
    for column in result:
        place = column.removeprefix("location")
        names.append(column if place == column else f"pcod{place} (for ``lon-lat`` lon{place}, lat{place})")
    return ", ".join(names)
