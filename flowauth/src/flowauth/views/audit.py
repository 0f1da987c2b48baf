"""Serve the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy import Select
from werkzeug.wrappers import Response as WerkzeugResponse

from flowauth import clock
from flowauth.access import Access, Delegated, allow, database
from flowauth.actions import trail as actions
from flowauth.audit import START
from flowauth.errors import Checks, Refusal
from flowauth.models import AuditAnchor, AuditEvent
from flowauth.views import audit_rows, services
from flowauth.views.paging import paged

blueprint = Blueprint("audit", __name__, url_prefix="/admin")


@blueprint.get("/audit")
@allow(Access.ADMIN)
def trail() -> str:
    query, arguments = _asked()
    is_part = "HX-Request" in request.headers
    # Verify first, because storing the verified position would discard rows that were read before.
    broken = None if is_part else actions.check(database())
    return render_template(
        "fragments/audit_rows.html" if is_part else "audit.html",
        found=paged(query, AuditEvent.id.desc()),
        told=actions.told,
        endpoint="audit.trail",
        arguments=arguments,
        broken=broken,
        forgotten=database().get_one(AuditAnchor, START).length,
    )


@blueprint.post("/audit/check")
@allow(Access.ADMIN, Delegated.READING)
def check_all() -> WerkzeugResponse:
    broken = actions.check(database(), everything=True)
    flash(
        broken or gettext("Every event was hashed again: the chain is whole."),
        "error" if broken else "success",
    )
    return redirect(url_for("audit.trail"), 303)


@blueprint.get("/audit.csv")
@allow(Access.ADMIN)
def export() -> Response:
    return _file(audit_rows.as_csv(services(), _asked()[0]), "text/csv", "audit.csv")


@blueprint.get("/audit.json")
@allow(Access.ADMIN)
def export_json() -> Response:
    return _file(audit_rows.as_json(services(), _asked()[0]), "application/json", "audit.json")


def _file(lines: Iterator[str], mimetype: str, name: str) -> Response:
    disposition = f"attachment; filename={name}"
    return Response(lines, mimetype=mimetype, headers={"Content-Disposition": disposition})


def _asked() -> tuple[Select[tuple[AuditEvent]], dict[str, str]]:
    """Return the requested events and the search's arguments."""
    arguments = {
        name: value
        for name in ("search", "who", "first", "last")
        if (value := request.args.get(name, "").strip())
    }
    checks = Checks()
    first, last = checks(_day, arguments, "first"), checks(_day, arguments, "last")
    checks.settle()
    question = actions.Question(
        search=arguments.get("search", ""),
        who=arguments.get("who", ""),
        first=first,
        last=last + timedelta(days=1) if last else None,
    )
    return actions.events(database(), question), arguments


def _day(arguments: dict[str, str], name: str) -> datetime | None:
    if name not in arguments:
        return None
    try:
        return clock.parse(arguments[name])
    except ValueError:
        raise Refusal(gettext("%(name)s must be a day such as 2016-01-31.", name=name), field=name) from None
