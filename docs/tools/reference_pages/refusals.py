"""The page of everything that the loader refuses, from the code that refuses it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import flowetl
from flowetl import errors, mapped

SOURCE = Path(flowetl.__file__).parent

REFUSALS = {"ValueError"} | {
    name
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.LoadError) and name not in ("LoadError", "UnexpectedFault", "Unreachable")
}

GROUPS = {
    "The description of a source": (
        "source",
        "spelled",
        "moneysource",
        "formats",
        "expressions",
        "limits",
        "paths",
        "schedules",
        "gates",
    ),
    "Files and tables": (
        "arrival",
        "sizes",
        "streams",
        "contents",
        "lines",
        "parquetfile",
        "databases",
        "sampling",
    ),
    "The content of a day": (
        "staging",
        "servedparty",
        "pseudonyms",
        "dictionary",
        "repair",
        "tally",
        "mobilemoney",
    ),
    "Cells, sites, devices and boundaries": (
        "geography",
        "tables",
        "mappings",
        "boundaries",
        "boundaryfiles",
        "vectorfiles",
        "placing",
    ),
    "Settings, keys and processes": (
        "commands",
        "deployment",
        "keyed",
        "optout",
        "partitions",
        "processes",
        "records",
        "withdrawal",
    ),
}

_HEAD = """\
<!-- Written by docs/tools/generate.py from the loader's code; edit that instead. -->

# What the loader refuses

Audience: operators. Reading time: 5 minutes, or look up a message of `flowetl`. Each says what is wrong, and most say what to do; `…` stands for
names and numbers of your own. [The first week](first-week.md) says in which order the messages come up.

## Refused records

A record is refused alone and counted by its reason; its day is loaded unless too many are refused (`rejects.maximum_rate`).

"""


def reasons() -> list[str]:
    """Return every reason for which a record is refused."""
    return sorted({reason for path in sorted(SOURCE.glob("*.py")) for reason in _reasons(path)})


def _reasons(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and _name(node.func) in ("Reject", "_repeat"):
            given = node.args[1] if _name(node.func) == "Reject" else node.args[0]
            yield from (text for text in _texts(given) if text != "…")
        elif (
            isinstance(node, ast.JoinedStr | ast.Constant) and path.stem == mapped.__name__.rpartition(".")[2]
        ):
            told = _shown(node)
            if "THEN '" in told and "WHEN" in told:
                yield told.rpartition("THEN '")[2].partition("'")[0].replace("…", "<column>")
        elif isinstance(node, ast.Assign) and [_name(target) for target in node.targets] == ["reason"]:
            yield from (text.replace("…", "<encoding>") for text in _texts(node.value) if text.strip("…"))


def messages(module: str) -> list[str]:
    """Return what a module of the loader says when it refuses something."""
    found = []
    for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text())):
        if (
            isinstance(node, ast.Raise)
            and isinstance(node.exc, ast.Call)
            and _name(node.exc.func) in REFUSALS
        ):
            found += [_shown(node.exc.args[0])] if node.exc.args else []
        elif isinstance(node, ast.Call) and _name(node.func) == "append" and _is_list_of_faults(node.func):
            found.append(_shown(node.args[0]))
    return [told for told in found if re.search("[A-Za-z]{2}", told)]


def _is_list_of_faults(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and _name(function.value) in ("faults", "held")


def modules() -> list[str]:
    """Return the modules of the loader that refuse something."""
    return sorted(path.stem for path in SOURCE.glob("*.py") if messages(path.stem))


def page() -> str:
    """Return the page: reasons of records, then messages by subject."""
    parts = [_HEAD, *(f"- `{reason}`\n" for reason in reasons())]
    for title, names in GROUPS.items():
        parts.append(f"\n## {title}\n\n")
        lines = {message for name in names for message in messages(name)}
        parts += [f"- {_code(message)}\n" for message in sorted(lines, key=str.casefold)]
    return "".join(parts)


def _code(message: str) -> str:
    fence = "``" if "`" in message else "`"
    return f"{fence}{message}{fence}"


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _texts(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may be."""
    if isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    else:
        yield _shown(node)


def _shown(node: ast.expr) -> str:
    """Return a text as it is written, with an ellipsis for what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else "…"
    if isinstance(node, ast.JoinedStr):
        told = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        told = _shown(node.left) + _shown(node.right)
    else:
        return "…"
    while "……" in told:
        told = told.replace("……", "…")
    return told
