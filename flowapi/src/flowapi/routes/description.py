"""Serve this server's description, for machines and for people."""

from __future__ import annotations

from quart import Blueprint, Response, render_template, request

from flowapi.access import public
from flowapi.delivery import matches_etag, not_modified
from flowapi.description import Published
from flowapi.errors import json_response
from flowapi.services import engine, services

blueprint = Blueprint("spec", __name__, url_prefix="/api/0/spec")
resource = Blueprint("resource", __name__)

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@blueprint.get("/openapi.json")
@public
async def get_openapi_json() -> Response:
    """Return the OpenAPI document as JSON."""
    published = await _published()
    return _described(published, published.text, "application/json")


@blueprint.get("/openapi.yaml")
@public
async def get_openapi_yaml() -> Response:
    """Return the OpenAPI document as YAML."""
    published = await _published()
    return _described(published, published.yaml, "application/yaml")


@blueprint.get("/redoc")
@public
async def get_page() -> Response:
    """Return the OpenAPI document as a page without scripts or outside resources."""
    published = await _published()
    text = await render_template("redoc.html", document=published.document)
    response = _described(published, text, "text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _PAGE_POLICY
    return response


@resource.get("/.well-known/oauth-protected-resource")
@public
async def get_resource_metadata() -> Response:
    """Return the audience of tokens, and the auth app that makes them (RFC 9728)."""
    settings = services().settings
    body: dict[str, object] = {
        "resource": request.host_url.rstrip("/"),
        "audience": settings.identifier,
        "bearer_methods_supported": ["header"],
    }
    if settings.auth_app_url is not None:
        body["authorization_servers"] = [settings.auth_app_url]
    return json_response(body)


async def _published() -> Published:
    return await services().description.published(engine())


def _described(published: Published, text: str, content_type: str) -> Response:
    etag = f'"{published.etag}"'
    response = (
        not_modified(etag)
        if matches_etag(etag)
        else Response(text, headers={"ETag": etag}, content_type=content_type)
    )
    response.headers["Cache-Control"] = "no-cache"
    return response
