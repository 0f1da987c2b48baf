"""The page of the client's public names, from their signatures and docstrings."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import flowclient
from flowclient import values

_HEAD = """\
<!-- Written by docs/tools/generate.py from the client's docstrings; edit those instead. -->

# Client reference

Audience: analysts. Reading time: 1 minute, then look up by name.

Everything is in the package `flowclient`, and arguments are given by name. What a kind of query computes, and its result's columns, are on the page of
[query kinds](query-kinds.md). The functions of the first section are coroutines in `flowclient.async_client`, for connections made by `connect_async`. A `Server` in a signature is a `Connection` or an `ASyncConnection`.

"""

_FIELD = re.compile(r"^(\S.*?)(?: : (.*))?$")


def page() -> str:
    """The whole page."""
    names = sorted(flowclient.__all__)
    functions = [name for name in names if inspect.isfunction(getattr(flowclient, name))]
    classes = [name for name in names if inspect.isclass(getattr(flowclient, name))]
    errors = [name for name in classes if issubclass(getattr(flowclient, name), Exception)]
    submitted = [name for name in functions if f"{name}_spec" in functions]
    blocks = [name for name in functions if name.endswith("_spec")]
    others = [name for name in functions if name not in (*submitted, *blocks)]
    sections = {
        "Functions": map(_function, others),
        "Classes": (_class(name) for name in classes if name not in errors),
        "Errors": map(_error, errors),
        "Queries": (_submitted(name) for name in submitted),
        "Specifications": map(_function, blocks),
    }
    return (
        _HEAD
        + _aliases()
        + "\n".join(
            f"## {title}\n\n" + "\n".join("\n".join(part) for part in parts)
            for title, parts in sections.items()
        )
    )


def _aliases() -> str:
    """List the types shared by arguments, from the comments above them."""
    source = inspect.getsource(values)
    found = re.findall(r"^((?:#: [^\n]+\n)+)(\w+) = ", source, re.MULTILINE)
    rows = [
        f"| `{name}` | {_markdown(' '.join(comment.replace('#: ', '').split()))} |" for comment, name in found
    ]
    return "\n".join(["## Words in signatures", "", "| Word | Stands for |", "|---|---|", *rows, "", ""])


def _function(name: str) -> Iterator[str]:
    function = getattr(flowclient, name)
    yield from (f"### {name}", "", *_signature(name, function), *_documentation(function))


def _submitted(name: str) -> Iterator[str]:
    """Yield a function that submits what its ``_spec`` counterpart describes."""
    function = getattr(flowclient, name)
    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    yield from (f"### {name}", "", *_signature(name, function), summary, "")
    yield from (
        f"Arguments as of [`{name}_spec`](#{name}_spec), and the connection. {_returned(function)}",
        "",
    )


def _returned(function: Callable[..., Any]) -> str:
    lines = (inspect.getdoc(function) or "").partition("Returns\n-------\n")[2].splitlines()
    return _markdown(" ".join(line.strip() for line in lines[1:]))


def _error(name: str) -> Iterator[str]:
    cls = getattr(flowclient, name)
    kind = "" if cls.__base__ is Exception else f" A `{cls.__base__.__name__}`."
    yield from (f"### {name}", "", _markdown((inspect.getdoc(cls) or "").partition("\n\n")[0]) + kind, "")


def _class(name: str) -> Iterator[str]:
    cls = getattr(flowclient, name)
    yield from (f"### {name}", "", *_signature(name, cls), *_documentation(cls))
    for method, value in _members(cls).items():
        said = inspect.getdoc(value)
        if method.startswith("_") or said is None:
            continue
        if isinstance(value, property):
            yield from (f"**`{name}.{method}`** {_markdown(said)}", "")
        elif inspect.isfunction(value) or isinstance(value, classmethod):
            yield from (
                f"#### {name}.{method}",
                "",
                *_signature(method, getattr(cls, method)),
                *_documentation(value),
            )


def _members(cls: type) -> dict[str, Any]:
    """Return what completion shows of a class.

    These are its own members, and those of a base without an entry on the page.
    """

    def has_an_entry(base: type) -> bool:
        return getattr(flowclient, base.__name__, None) is base or base is object

    sources = [cls, *itertools.takewhile(lambda base: not has_an_entry(base), cls.__mro__[1:])]
    # An instance without a state decides for itself what it shows.
    shown = set(dir(cls.__new__(cls)))
    return {
        name: value for source in reversed(sources) for name, value in vars(source).items() if name in shown
    }


def _signature(name: str, function: Callable[..., Any]) -> list[str]:
    signature = inspect.signature(function)
    given = [
        str(parameter).replace("'", "")
        for parameter in signature.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    returned = signature.return_annotation
    arrow = "" if returned in (inspect.Signature.empty, "None", None) else f" -> {returned}"
    short = f"{name}({', '.join(given)}){arrow}"
    lines = [short] if len(short) < 90 else [f"{name}(", *(f"    {one}," for one in given), f"){arrow}"]
    return ["```", *lines, "```", ""]


def _documentation(value: Any) -> Iterator[str]:
    """A docstring in numpy's form: its text, and its sections as tables."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(value) or "", flags=re.MULTILINE)
    yield from (_markdown(parts[0].strip()), "")
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        yield from (f"| {title} | |", "|---|---|")
        for name, type_, said in _entries(text):
            label = f"`{name}`" + (f": {_markdown(type_)}" if type_ else "")
            yield f"| {label} | {_markdown(said)} |"
        yield ""


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, type and description of each entry of a section."""
    entry: tuple[str, str] | None = None
    said: list[str] = []
    for line in text.splitlines():
        if line and not line.startswith(" "):
            if entry is not None:
                yield (*entry, " ".join(said))
            found = _FIELD.match(line)
            assert found is not None
            entry, said = (found[1], found[2] or ""), []
        elif line.strip():
            said.append(line.strip())
    if entry is not None:
        yield (*entry, " ".join(said))


def _markdown(text: str) -> str:
    """References to other names as plain code; literals with one mark."""
    text = re.sub(r":\w+:`~?([^`]+)`", lambda found: f"`{found[1].removeprefix('flowclient.')}`", text)
    return text.replace("``", "`").replace("|", "\\|")
