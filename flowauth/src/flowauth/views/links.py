"""Make one-time links, and let their users choose a password."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from flowauth.access import Access, actor, allow, database
from flowauth.actions import links as actions
from flowauth.errors import Refusal
from flowauth.views import forms, services

blueprint = Blueprint("links", __name__)


@blueprint.post("/admin/users/<int:user_id>/link")
@allow(Access.ADMIN)
def make(user_id: int) -> str:
    return made(user_id)


def made(user_id: int) -> str:
    """Make a user's link and show it, once."""
    link, text = actions.make(database(), actor(), user_id)
    address = url_for("links.choose", code=text, _external=True)
    return render_template("link.html", link=link, address=address)


@blueprint.post("/admin/users/<int:user_id>/link/withdraw")
@allow(Access.ADMIN)
def withdraw(user_id: int) -> Response:
    user = actions.withdraw(database(), actor(), user_id)
    flash(gettext("The link of %(name)s no longer works.", name=user.username), "success")
    return redirect(url_for("users.edit", user_id=user_id), 303)


@blueprint.get("/choose-password/<code>")
@allow(Access.ANYONE)
def choose(code: str) -> str:
    return _page(code)


def _page(code: str, problem: Refusal | None = None) -> str:
    return render_template("choose_password.html", shown=actions.owner(database(), code), problem=problem)


@blueprint.post("/choose-password/<code>")
@allow(Access.ANYONE)
def chosen(code: str) -> Response | tuple[str, int]:
    try:
        name = actions.choose(
            database(),
            services(),
            actor(),
            code,
            forms.secret("new_password"),
            forms.secret("new_password_again"),
        )
    except Refusal as refusal:
        if not refusal.fields:
            raise
        return _page(code, refusal), refusal.status
    flash(gettext("The password of %(name)s is set: sign in with it.", name=name), "success")
    return redirect(url_for("signing_in.sign_in"), 303)
