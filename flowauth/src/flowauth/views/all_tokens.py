"""Serve all users' tokens to administrators."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext, ngettext
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from flowauth import usage
from flowauth.access import Access, Delegated, actor, allow, database, reach
from flowauth.actions import running
from flowauth.actions.running import Wanted
from flowauth.errors import Checks, Refusal
from flowauth.models import Role, Server, Token
from flowauth.views import forms, services
from flowauth.views.paging import Page, paged

blueprint = Blueprint("all_tokens", __name__, url_prefix="/admin/tokens")
_NAMED = 20


def wanted(values: Any) -> Wanted:
    """Read the search from a request's values.

    Raises
    ------
    Refusal
        400 for a state, a role or a number of days that is none.
    """
    checks = Checks()

    def whole(name: str) -> int | None:
        value = values.get(name, "").strip()
        if not value:
            return None
        if not value.isascii() or not value.isdecimal() or len(value) > 9:
            raise Refusal(gettext("%(name)s must be a whole number.", name=name), field=name)
        return int(value)

    found = Wanted(
        search=values.get("search", "").strip(),
        user=values.get("user", "").strip(),
        server=values.get("server", "").strip(),
        role=checks(whole, "role"),
        state=checks(running.check_state, values.get("state") or "running"),
        unused_days=checks(whole, "unused_days"),
    )
    checks.settle()
    return found


def found_tokens(shown: Wanted) -> Page[Token]:
    """Return the requested page of tokens with uses imported just now."""
    usage.take_up(services())
    # A SQLite session would go on reading the earlier state.
    database().rollback()
    return paged(running.search(shown, reach()), Token.expiry.desc(), Token.id.desc())


@blueprint.get("")
@allow(Access.ADMIN, Delegated.SERVER)
def listing() -> str:
    shown = wanted(request.args)
    template = "fragments/all_token_rows.html" if "HX-Request" in request.headers else "all_tokens.html"
    within = reach()
    servers = select(Server.name).order_by(Server.name)
    roles = select(Role.id, Role.name, Server.name.label("server")).join(Role.server)
    if within is not None:
        servers, roles = servers.where(Server.id.in_(within)), roles.where(Server.id.in_(within))
    return render_template(
        template,
        wanted=shown,
        arguments={name: value for name, value in vars(shown).items() if value},
        found=found_tokens(shown),
        servers=database().scalars(servers).all(),
        roles=database().execute(roles.order_by(Server.name, Role.name)).all(),
    )


@blueprint.post("/revoke")
@allow(Access.ADMIN, Delegated.SERVER)
def revoke() -> Response | str | tuple[str, int]:
    """Revoke ticked tokens, or all results of a search, after a confirmation page."""
    ids = forms.numbers("tokens")
    found = forms.flag("found")
    shown = wanted(request.form) if found else Wanted()
    if not forms.flag("sure"):
        return _confirm(shown, ids, found)
    reason = forms.text("reason")
    try:
        if found:
            names = running.revoke_found(database(), actor(), shown, reason, reach())
        else:
            names = running.revoke_chosen(database(), actor(), ids, reason, reach())
    except Refusal as refusal:
        if "reason" not in refusal.fields:
            raise
        return _confirm(shown, ids, found, refusal), refusal.status
    flash(ngettext("%(num)s token is revoked.", "%(num)s tokens are revoked.", len(names)), "success")
    return redirect(url_for("all_tokens.listing"), 303)


def _confirm(shown: Wanted, ids: list[int | str], found: bool, problem: Refusal | None = None) -> str:
    if not found and not ids:
        raise Refusal(gettext("Tick the tokens to revoke."), field="tokens")
    whole = [identity for identity in ids if isinstance(identity, int)]
    query = running.search(shown, reach())
    if not found:
        query = query.where(Token.id.in_(whole))
    counted = query.with_only_columns(func.count(), maintain_column_froms=True)
    return render_template(
        "revoke_tokens.html",
        count=database().scalar(counted) or 0,
        first=database().scalars(query.order_by(Token.expiry.desc(), Token.id).limit(_NAMED)).all(),
        hidden=[(name, value) for name, value in vars(shown).items() if value] if found else [],
        ids=[] if found else whole,
        found=found,
        problem=problem,
    )
