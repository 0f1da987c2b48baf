"""Let a signed-in user approve the code of a program without a browser."""

from __future__ import annotations

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as WerkzeugResponse

from flowauth import clock
from flowauth.access import Access, actor, allow, database, user
from flowauth.actions import device as actions
from flowauth.actions import tokens
from flowauth.errors import Refusal
from flowauth.expiry import Cap, cap_of
from flowauth.models import DeviceGrant, Role
from flowauth.views import forms, services

blueprint = Blueprint("devices", __name__)


@blueprint.get("/.well-known/oauth-authorization-server")
@allow(Access.ANYONE)
def metadata() -> Response:
    """Describe the endpoints for programs (RFC 8414)."""
    return jsonify(
        issuer=request.host_url.rstrip("/"),
        device_authorization_endpoint=url_for("v1.authorize_device", _external=True),
        token_endpoint=url_for("v1.collect_token", _external=True),
        jwks_uri=url_for("keys.jwks", _external=True),
        grant_types_supported=[actions.GRANT_TYPE],
        response_types_supported=[],
    )


@blueprint.get("/device")
@allow(Access.USER)
def enter() -> str | tuple[str, int]:
    code = request.args.get("code", "")
    if not code:
        return render_template("device_code.html")
    return _page(code)


def _page(code: str, problem: Refusal | None = None) -> str | tuple[str, int]:
    try:
        grant = actions.waiting(database(), code)
    except Refusal as refusal:
        return render_template("device_code.html", code=code, problem=refusal), refusal.status
    page = render_template(
        "device.html", grant=grant, code=actions.shown_code(grant), offers=_offers(grant), problem=problem
    )
    return page, problem.status if problem else 200


def _offers(grant: DeviceGrant) -> list[tuple[Role, Cap]]:
    """Return the user's roles on the grant's server and each role's latest expiry."""
    now = clock.now()
    return [
        (role, min((cap_of(one, now) for one in tokens.limits(grant.server, [role])), key=lambda cap: cap.at))
        for role in tokens.roles_on(user(), grant.server)
    ]


@blueprint.post("/device")
@allow(Access.USER)
def decide() -> WerkzeugResponse | str | tuple[str, int]:
    code = forms.text("code")
    try:
        if forms.flag("deny"):
            actions.deny(database(), actor(), code)
            flash(gettext("The program is refused: it gets no token."), "success")
            return redirect(url_for("tokens.servers"), 303)
        token = actions.approve(
            database(),
            services(),
            actor(),
            user(),
            code,
            forms.text("name"),
            request.form.getlist("roles"),
        )
    except Refusal as refusal:
        return _page(code, refusal)
    until = clock.readable(token.expiry)
    flash(
        gettext(
            "The program gets token %(name)s, which ends on %(until)s. You can close this page.",
            name=token.name,
            until=until,
        ),
        "success",
    )
    return redirect(url_for("tokens.server", name=token.server.name), 303)
