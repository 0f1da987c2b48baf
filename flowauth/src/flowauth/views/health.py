"""Report whether the process is alive and whether it can serve."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from sqlalchemy.exc import SQLAlchemyError

from flowauth import __version__, revocation
from flowauth.access import Access, allow
from flowauth.database import is_current
from flowauth.views import services

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
@allow(Access.ANYONE)
def live() -> Response:
    return jsonify(status="ok", version=__version__)


@blueprint.get("/ready")
@allow(Access.ANYONE)
def ready() -> tuple[Response, int]:
    path = services().settings.revocation_file
    try:
        if not is_current(services().engine):
            return jsonify(status="the schema is not migrated"), 503
        # Each health check also retries writing the list.
        if path is not None and not revocation.is_published(services(), path):
            return jsonify(status="the list of revoked tokens cannot be written"), 503
    except SQLAlchemyError:
        return jsonify(status="the database does not answer"), 503
    return jsonify(status="ok", version=__version__), 200
