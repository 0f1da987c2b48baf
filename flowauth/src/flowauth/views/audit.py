"""The audit trail, and what API servers need: the public key and the list of revoked tokens."""

from __future__ import annotations

import csv
import io
import json

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from sqlalchemy import Select, func, or_, select
from werkzeug.wrappers import Response as WerkzeugResponse

from flowauth import audit, clock, revocation
from flowauth.access import Access, allow, database
from flowauth.errors import Refusal
from flowauth.models import AuditEvent
from flowauth.signing import public_pem
from flowauth.views import forms, services

blueprint = Blueprint("audit", __name__, url_prefix="/admin")
PAGE = 50
_COLUMNS = ("id", "at", "actor", "action", "subject", "detail", "address", "request_id", "hash")


@blueprint.get("/audit")
@allow(Access.ADMIN)
def trail() -> str:
    query, page = _query(), forms.page()
    total = database().scalar(select(func.count()).select_from(query.subquery())) or 0
    events = (
        database().scalars(query.order_by(AuditEvent.id.desc()).limit(PAGE).offset((page - 1) * PAGE)).all()
    )
    template = "fragments/audit_rows.html" if "HX-Request" in request.headers else "audit.html"
    return render_template(
        template,
        events=events,
        search=request.args.get("search", ""),
        page=page,
        pages=max(-(-total // PAGE), 1),
        total=total,
        first_break=audit.first_break(database()) if template == "audit.html" else None,
    )


@blueprint.get("/audit.csv")
@allow(Access.ADMIN)
def export() -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for event in database().scalars(_query().order_by(AuditEvent.id)):
        values = {name: getattr(event, name) for name in _COLUMNS}
        values |= {"at": clock.iso(event.at), "detail": json.dumps(event.detail, sort_keys=True)}
        writer.writerow([values[name] for name in _COLUMNS])
    return Response(
        text.getvalue(),
        mimetype="text/csv",
        headers={"Content-Disposition": "attachment; filename=audit.csv"},
    )


def _query() -> Select[tuple[AuditEvent]]:
    search = request.args.get("search", "").strip()
    query = select(AuditEvent)
    if search:
        columns = (AuditEvent.actor, AuditEvent.action, AuditEvent.subject)
        query = query.where(or_(*(column.icontains(search, autoescape=True) for column in columns)))
    return query


@blueprint.get("/public-key")
@allow(Access.ADMIN)
def public_key() -> str:
    path = services().settings.revocation_file
    return render_template(
        "public_key.html",
        pem=public_pem(services().settings.private_key),
        revoked=revocation.listing(database()).count("\n"),
        is_published=path is None or revocation.is_published(services(), path),
    )


@blueprint.get("/public-key/flowauth_public_key.pub")
@allow(Access.ADMIN)
def public_key_file() -> Response:
    return Response(
        public_pem(services().settings.private_key),
        mimetype="application/x-pem-file",
        headers={"Content-Disposition": "attachment; filename=flowauth_public_key.pub"},
    )


@blueprint.post("/revoked-tokens")
@allow(Access.ADMIN)
def publish() -> WerkzeugResponse:
    """Write the list of revoked tokens again."""
    path = services().settings.revocation_file
    if path is None:
        raise Refusal("FLOWAUTH_REVOCATION_FILE names no file to write the list to.", 404)
    try:
        revocation.publish(services(), path)
    except OSError as error:
        raise Refusal(f"The list cannot be written: {error.strerror}.", 500) from None
    flash("The list of revoked tokens is written.", "success")
    return redirect(url_for("audit.public_key"), 303)


@blueprint.get("/revoked-tokens/revoked_tokens.txt")
@allow(Access.ADMIN)
def revoked_tokens_file() -> Response:
    return Response(
        revocation.listing(database()),
        mimetype="text/plain",
        headers={"Content-Disposition": "attachment; filename=revoked_tokens.txt"},
    )
