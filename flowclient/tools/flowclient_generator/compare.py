"""Does the table of kinds say what a server's description says?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowclient_generator.kinds import KINDS
from flowclient_generator.rows import Kind

#: Kinds a server describes that need no function: the areas have a route of their own.
_WITHOUT_FUNCTION = frozenset({"geography"})
#: Written by ``random_sample_spec``, into a copy of any specification that takes it.
_WITHOUT_KEYWORD = frozenset({"query_kind", "sampling"})


def differences(components: Mapping[str, Any]) -> list[str]:
    """Compare the table with the schemas of an OpenAPI document.

    Parameters
    ----------
    components : Mapping
        ``components.schemas`` of the document: a schema per kind, by its name in CamelCase.

    Returns
    -------
    list of str
        One line per difference; empty if there is none.
    """
    kinds = {kind.openapi_component: kind for kind in KINDS if not kind.expression}
    found = []
    for name, kind in kinds.items():
        # A server offers the dummy only for tests.
        if name in components:
            found += [f"{kind.name}: {line}" for line in _kind_differences(kind, components[name])]
        elif kind.name != "dummy_query":
            found.append(f"{kind.name}: the server describes no {name}")
    for name, schema in components.items():
        described = _query_kind(schema)
        if described and name not in kinds and described not in _WITHOUT_FUNCTION:
            found.append(f"{described}: the client has no function for {name}")
    return found


def _query_kind(schema: Mapping[str, Any]) -> str | None:
    field = schema.get("properties", {}).get("query_kind", {})
    values = field.get("enum") or ([field["const"]] if "const" in field else [])
    return values[0] if len(values) == 1 else None


def _kind_differences(kind: Kind, schema: Mapping[str, Any]) -> list[str]:
    found = []
    if _query_kind(schema) != kind.name:
        found.append(f"the server calls it {_query_kind(schema)}")
    fields = {
        name: field
        for name, field in schema.get("properties", {}).items()
        if name not in _WITHOUT_KEYWORD and not field.get("readOnly")
    }
    arguments = {argument.wire: argument for argument in kind.arguments}
    found += [f"the server has no field {name}" for name in sorted(arguments.keys() - fields.keys())]
    found += [f"the client lacks field {name}" for name in sorted(fields.keys() - arguments.keys())]
    for name in sorted(arguments.keys() & fields.keys()):
        argument, field = arguments[name], fields[name]
        if argument.default is None and not argument.omit_none and not field.get("nullable"):
            found.append(f"the client sends {name} as null, the server refuses that")
        default = field.get("default")
        if default is not None and not argument.required and argument.default != default:
            found.append(f"{name} defaults to {default!r} on the server, {argument.default!r} here")
    return found
