"""Read an API server's name and scopes from its OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from flask_babel import gettext

from flowauth.errors import Refusal
from flowauth.names import check_audience
from flowauth.scopes import Scope

LARGEST_BYTES = 8 * 1024 * 1024
MOST_SCOPES = 20_000
_FIELD = "description"
_DEEPEST = 200
_LONGEST_SENTENCE = 300
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class ApiDescription:
    """Hold the audience and the sorted, distinct scope names."""

    audience: str
    scopes: tuple[str, ...]
    #: Query kind to a sentence about it, for the kinds that the document describes.
    sentences: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_audience(self.audience, _FIELD)
        if not 0 < len(self.scopes) <= MOST_SCOPES:
            raise Refusal(
                gettext(
                    "The description offers %(count)s scopes: 1 to %(most_scopes)s are allowed.",
                    count=len(self.scopes),
                    most_scopes=MOST_SCOPES,
                ),
                field=_FIELD,
            )
        if len(set(self.scopes)) != len(self.scopes):
            raise Refusal(gettext("The description offers a scope twice."), field=_FIELD)
        for text in self.scopes:
            try:
                Scope(text)
            except ValueError as error:
                raise Refusal(str(error), field=_FIELD) from None


def parse(document: bytes) -> ApiDescription:
    """Read an OpenAPI document, JSON or YAML.

    Raises
    ------
    Refusal
        Naming what is wrong: too large, not parseable, ``components.securitySchemes.token`` without
        ``x-audience`` or ``x-security-scopes``, a malformed or repeated scope.
    """
    if len(document) > LARGEST_BYTES:
        raise Refusal(
            gettext(
                "The description is larger than %(largest_bytes)s MiB.",
                largest_bytes=LARGEST_BYTES // 1024 // 1024,
            ),
            413,
            field=_FIELD,
        )
    return from_document(_load(document))


def from_document(document: Any) -> ApiDescription:
    """Read a description from a parsed document."""
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise Refusal(gettext("This is not an OpenAPI 3 document."), field=_FIELD)
    scheme: Any = document
    for key in ("components", "securitySchemes", "token"):
        scheme = scheme.get(key) if isinstance(scheme, dict) else None
    if not isinstance(scheme, dict):
        raise Refusal(gettext("The description has no components.securitySchemes.token."), field=_FIELD)
    audience, scopes = scheme.get("x-audience"), scheme.get("x-security-scopes")
    if not isinstance(audience, str):
        raise Refusal(gettext("components.securitySchemes.token has no text x-audience."), field=_FIELD)
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise Refusal(
            gettext("components.securitySchemes.token has no list of texts x-security-scopes."), field=_FIELD
        )
    return ApiDescription(
        audience, tuple(sorted(scopes)), _sentences(document["components"].get("schemas"), scopes)
    )


def _sentences(schemas: Any, scopes: list[str]) -> dict[str, str]:
    """Return the first line of each kind's description, for kinds found in scopes."""
    kinds = {scope.rpartition(":")[2] for scope in scopes if ":" in scope}
    found: dict[str, str] = {}
    for schema in schemas.values() if isinstance(schemas, dict) else ():
        properties = schema.get("properties") if isinstance(schema, dict) else None
        declared = properties.get("query_kind") if isinstance(properties, dict) else None
        values = declared.get("enum") if isinstance(declared, dict) else None
        text = schema.get("description") if isinstance(schema, dict) else None
        if isinstance(values, list) and len(values) == 1 and isinstance(text, str) and values[0] in kinds:
            line = " ".join(text.partition("\n\n")[0].split())
            if line and "\0" not in line:
                found[values[0]] = line[:_LONGEST_SENTENCE]
    return found


def _load(document: bytes) -> Any:
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        pass
    try:
        _check_depth(document)
        return yaml.load(document, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Refusal(gettext("The description is neither JSON nor YAML."), field=_FIELD) from None


def _check_depth(document: bytes) -> None:
    """Refuse text that nests too deep before parsing it.

    The fast loader recurses in C and would crash the process.
    """
    depth = 0
    for event in yaml.parse(document, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise Refusal(
                gettext("The description nests deeper than %(deepest)s levels.", deepest=_DEEPEST),
                field=_FIELD,
            )
