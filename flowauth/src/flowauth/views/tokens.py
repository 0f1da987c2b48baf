"""Serve My servers and the tokens on each."""

from __future__ import annotations

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext, ngettext
from sqlalchemy import func, select
from werkzeug.wrappers import Response as BaseResponse

from flowauth import clock
from flowauth.access import Access, actor, allow, database, user
from flowauth.actions import tokens as actions
from flowauth.actions.rights import first_steps
from flowauth.actions.running import is_running, of_users
from flowauth.errors import Refusal
from flowauth.expiry import Cap, cap_of
from flowauth.models import Role, Server, Token
from flowauth.scopes import ScopeTree
from flowauth.views import forms, services

blueprint = Blueprint("tokens", __name__)


@blueprint.get("/")
@allow(Access.USER)
def servers() -> str:
    held = [
        (server, actions.roles_on(user(), server)) for server in actions.shown_servers(database(), user())
    ]
    counted = select(Token.server_id, func.count()).where(of_users([user().id]), is_running())
    active = dict(database().execute(counted.group_by(Token.server_id)).tuples().all())
    steps = first_steps(database()) if user().is_admin else None
    return render_template("my_servers.html", servers=held, active=active, steps=steps)


@blueprint.get("/servers/<name>")
@allow(Access.USER)
def server(name: str) -> str:
    return _list(actions.shown_server(database(), user(), name))


def _kind(token: Token) -> tuple[str, ...]:
    """Return what a renewed token shares with the one that it replaces."""
    return token.name, *sorted(token.role_names)


def _list(shown: Server, problem: Refusal | None = None, problem_token: int | None = None) -> str:
    tokens = actions.tokens_on(database(), user(), shown)
    active = [token for token in tokens if not token.has_ended]
    ended = [token for token in tokens if token.has_ended]
    newest = {_kind(token): token.id for token in sorted(active, key=lambda one: one.id)}
    return render_template(
        "my_server.html",
        server=shown,
        roles_here=actions.roles_on(user(), shown),
        active=active,
        # A renewed token works until it ends, beside the new one of its name.
        older={token.id for token in active if newest[_kind(token)] != token.id},
        ended=[token for token in ended if not token.is_hidden],
        hidden=sum(token.is_hidden for token in ended),
        problem=problem,
        problem_token=problem_token,
    )


@blueprint.route("/servers/<name>/tokens/new", methods=["GET", "POST"])
@allow(Access.USER)
def new(name: str) -> BaseResponse | str | tuple[str, int]:
    shown = actions.own_server(user(), name)
    if request.method == "GET":
        return _form(shown)
    try:
        token, _ = actions.mint(
            database(),
            services(),
            actor(),
            user(),
            name,
            forms.text("name"),
            request.form.getlist("roles"),
            expires=forms.text("expires"),
        )
    except Refusal as refusal:
        return _form(actions.own_server(user(), name), refusal), refusal.status
    flash(
        gettext(
            "Token %(name)s is ready. It ends on %(expiry)s.",
            name=token.name,
            expiry=clock.readable(token.expiry),
        ),
        "success",
    )
    return redirect(url_for("tokens.server", name=name), 303)


def _form(shown: Server, problem: Refusal | None = None) -> str:
    held, now = actions.roles_on(user(), shown), clock.now()
    offers = []
    for role in held:
        cap = min((cap_of(limit, now) for limit in actions.limits(shown, [role])), key=lambda one: one.at)
        offers.append((role, cap, ScopeTree(role.scope_names)))
    chosen = set(request.form.getlist("roles"))
    return render_template(
        "new_token.html",
        server=shown,
        offers=offers,
        chosen=chosen,
        problem=problem,
        result=_result(shown, [role for role in held if role.name in chosen]),
    )


@blueprint.post("/servers/<name>/tokens/preview")
@allow(Access.USER)
def preview(name: str) -> str:
    """Return the form's line with the resulting expiry and its reason."""
    shown = actions.own_server(user(), name)
    chosen = set(request.form.getlist("roles"))
    roles = [role for role in actions.roles_on(user(), shown) if role.name in chosen]
    return render_template("fragments/resulting_expiry.html", result=_result(shown, roles))


def _result(shown: Server, roles: list[Role]) -> Cap | Refusal | None:
    if not roles:
        return None
    try:
        requested = clock.check(forms.text("expires"), "expires")
        return actions.resulting_expiry(shown, roles, requested, clock.now())
    except Refusal as refusal:
        return refusal


@blueprint.post("/tokens/<int:token_id>/view")
@allow(Access.USER)
def view(token_id: int) -> str:
    token, text = actions.reveal(database(), services(), actor(), user(), token_id)
    template = "fragments/token_text.html" if "HX-Request" in request.headers else "token_text.html"
    return render_template(template, token=token, text=text)


@blueprint.post("/tokens/<int:token_id>/download")
@allow(Access.USER)
def download(token_id: int) -> Response:
    token, text = actions.reveal(database(), services(), actor(), user(), token_id)
    disposition = f"attachment; filename={token.name}.txt"
    return Response(text + "\n", mimetype="text/plain", headers={"Content-Disposition": disposition})


@blueprint.post("/tokens/<int:token_id>/renew")
@allow(Access.USER)
def renew(token_id: int) -> BaseResponse | tuple[str, int]:
    shown = actions.own_token(database(), user(), token_id).server
    name = shown.name
    try:
        token, _ = actions.renew(database(), services(), actor(), user(), token_id)
    except Refusal as refusal:
        return _list(actions.shown_server(database(), user(), name), refusal, token_id), refusal.status
    flash(
        gettext(
            "Token %(name)s is renewed: the new one ends on %(expiry)s. The old one works until its own end. Revoke "
            "it once nothing uses it.",
            name=token.name,
            expiry=clock.readable(token.expiry),
        ),
        "success",
    )
    return redirect(url_for("tokens.server", name=name), 303)


@blueprint.post("/servers/<name>/tokens/hide")
@allow(Access.USER)
def hide(name: str) -> BaseResponse:
    """Hide one ended token, or all of them."""
    shown = actions.shown_server(database(), user(), name)
    chosen = forms.number("token") if forms.flag("token") else None
    count = actions.hide(database(), actor(), user(), shown, chosen)
    flash(ngettext("%(num)s token is hidden.", "%(num)s tokens are hidden.", count), "success")
    return redirect(url_for("tokens.server", name=name), 303)


@blueprint.post("/servers/<name>/tokens/show")
@allow(Access.USER)
def show_hidden(name: str) -> BaseResponse:
    """Show all hidden tokens again."""
    actions.show_hidden(database(), actor(), user(), actions.shown_server(database(), user(), name))
    return redirect(url_for("tokens.server", name=name), 303)


@blueprint.route("/tokens/<int:token_id>/revoke", methods=["GET", "POST"])
@allow(Access.USER)
def revoke(token_id: int) -> BaseResponse | str:
    token = actions.own_token(database(), user(), token_id)
    name = token.server.name
    if request.method == "GET":
        return render_template("revoke_token.html", token=token)
    actions.revoke(database(), actor(), user(), token_id)
    flash(gettext("Token %(name)s is revoked.", name=token.name), "success")
    return redirect(url_for("tokens.server", name=name), 303)
