"""The page of HTTP routes, from the two applications' own url maps."""

from __future__ import annotations

import inspect
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.asymmetric import rsa
from werkzeug.routing import Map

import flowapi.app
import flowapi.settings
import flowauth.app
import flowauth.settings
from flowapi.openapi import QUERY_SCOPES
from flowauth.access import Access, access_of
from flowauth.api.description import describe

_HEAD = """\
<!-- Written by docs/tools/generate.py from the applications' routes; edit those instead. -->

# HTTP routes

Audience: engineers, and analysts who work without the Python client. Reading time: 4 minutes, or look up by path.

## The API

A token goes with each request as `Authorization: Bearer <token>`. All scopes of a row must be held by one of the token's roles. The query's
are `<unit>:<top kind>:<each kind in the spec>`, where `<unit>` is the spatial unit of its result, or `nonspatial`. Kinds inside a `subscriber_subset`,
given whole or by a query's id, need `*:*:<kind>` instead: any scope for that kind will do, whatever its unit and top kind
([why](../decisions/0014-a-right-to-a-subset.md)). A refusal is JSON with `msg`, and often `status`, `payload` and `request_id`;
a 403 names in `payload.missing_scopes` what the role that comes closest lacks:

{codes}
A server's whole description, with the shape of every request and reply, is at `/api/0/spec/openapi.json`, and for people at `/api/0/spec/redoc`.
`cancel` is there only where the operator has turned it on.

"""

_AUTH = """\

## The auth app

`/api/v1` is for scripts. Open a session, send its `access_token` as `Authorization: Bearer <access_token>`. The document with the shape of every
request and reply is `/api/v1/openapi.json`. A refusal is JSON with `code` and `message`. Where fields are to blame, `bad_fields` says what is wrong with
each, all at once, and `bad_field` names the first: 400 for an invalid request; 401 without a session; 403 where the user may not; 404 for an unknown thing; 413 for a request that is too large; 429 after too many failed sign-ins.

{scripted}
The pages are forms for people; they answer with HTML, and their paths may change.

{pages}"""

#: The success and the failures of routes that need no token and are not in the description of queries.
OPEN = {
    "/": (200,),
    "/.well-known/oauth-protected-resource": (200,),
    "/api/0/health/live": (200,),
    "/api/0/health/ready": (200, 503),
    "/api/0/spec/openapi.json": (200, 304, 503),
    "/api/0/spec/openapi.yaml": (200, 304, 503),
    "/api/0/spec/redoc": (200, 304, 503),
}

_LEVELS = {
    Access.ANYONE: "anyone",
    Access.PENDING: "signed in, even with something still to set up",
    Access.USER: "signed in",
    Access.ADMIN: "administrator",
}


@dataclass(frozen=True, order=True)
class Route:
    """One method of one path of an application, and the view behind it."""

    path: str
    method: str
    endpoint: str
    view: Callable[..., Any] = field(compare=False)

    @property
    def summary(self) -> str:
        """The first line of what the view says of itself."""
        return (inspect.getdoc(self.view) or "").partition("\n")[0].rstrip(".")


def api_routes() -> list[Route]:
    """Every route of the API, those of features that are off by default among them."""
    settings = flowapi.settings.Settings(
        identifier="documented",
        public_keys=(),
        engine_host="localhost",
        engine_port=1,
        engine_key=secrets.token_hex(),
        database_host="localhost",
        database_port=1,
        database_user="",
        database_password="",
        cancel_enabled=True,
    )
    app = flowapi.app.create_app(settings)
    return sorted(_routes(app.url_map, app.view_functions))


def auth_routes() -> list[tuple[Route, Access | None]]:
    """Every route of the auth app and whom it lets in."""
    settings = flowauth.settings.Settings(
        private_key=rsa.generate_private_key(65537, 2048),
        fernet=MultiFernet([Fernet(Fernet.generate_key())]),
        secret_key=secrets.token_hex(),
        db_uri="sqlite://",
    )
    app = flowauth.app.create_app(settings)
    routes = sorted(_routes(app.url_map, app.view_functions))
    return [(route, access_of(app, route.endpoint)) for route in routes]


def _routes(url_map: Map, views: Mapping[str, Callable[..., Any]]) -> Iterator[Route]:
    for rule in url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            yield Route(path, method, rule.endpoint, views[rule.endpoint])


def page() -> str:
    """The whole page."""
    routes = auth_routes()
    scripted = [_scripted_row(route, access) for route, access in routes if route.path.startswith("/api/")]
    pages = [_page_row(*found) for found in _forms(routes)]
    return (
        _HEAD.format(codes=_table("Code", "Means", rows=_codes()))
        + _table("Route", "Does", "Scopes", "Codes", rows=_api_rows())
        + _AUTH.format(
            scripted=_table("Route", "Does", "For", "Codes", rows=scripted),
            pages=_table("Path", "Methods", "For", rows=pages),
        )
    )


def _table(*titles: str, rows: list[tuple[str, ...]]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _documents() -> dict[tuple[str, str], dict[str, Any]]:
    described = (one for route in api_routes() for one in getattr(route.view, "operations", ()))
    return {(one.path, one.method.upper()): one.document() for one in described}


def _codes() -> list[tuple[str, ...]]:
    meanings = {
        code: reply["description"]
        for document in _documents().values()
        for code, reply in document["responses"].items()
        if int(code) >= 400
    }
    return sorted(meanings.items())


def _api_rows() -> list[tuple[str, ...]]:
    """Return the url map's routes, and documented paths with a format."""
    described = _documents()
    summaries = {(route.path, route.method): route.summary for route in api_routes()}
    return [
        _described_row(path, method, described[path, method])
        if (path, method) in described
        else _open_row(path, method, summaries[path, method])
        for path, method in sorted(summaries.keys() | described.keys())
    ]


def _described_row(path: str, method: str, document: dict[str, Any]) -> tuple[str, ...]:
    scopes = dict.fromkeys(
        "the query's" if scope in QUERY_SCOPES else f"`{scope}`" for scope in document["x-required-scopes"]
    )
    summary = document["summary"].rstrip(".")
    return f"`{method}` `{path}`", summary, ", ".join(scopes), ", ".join(document["responses"])


def _open_row(path: str, method: str, summary: str) -> tuple[str, ...]:
    return f"`{method}` `{path}`", summary, "none needed", ", ".join(map(str, OPEN[path]))


def _scripted_row(route: Route, access: Access | None) -> tuple[str, ...]:
    document = describe()["paths"][route.path][route.method.lower()]
    codes = ", ".join(code for code in document["responses"] if code != "default")
    summary = document["summary"].removesuffix(" (administrators)")
    return f"`{route.method}` `{route.path}`", summary, _whom(access), codes


def _forms(routes: list[tuple[Route, Access | None]]) -> Iterator[tuple[str, str, Access | None]]:
    """The pages: a path, its methods and whom it lets in."""
    pages = [found for found in routes if not found[0].path.startswith("/api/")]
    for (path, access), group in groupby(pages, key=lambda found: (found[0].path, found[1])):
        yield path, ", ".join(f"`{route.method}`" for route, _ in group), access


def _page_row(path: str, methods: str, access: Access | None) -> tuple[str, ...]:
    return f"`{path}`", methods, _whom(access)


def _whom(access: Access | None) -> str:
    return "nobody" if access is None else _LEVELS[access]
