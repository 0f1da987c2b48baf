"""Serve the user's credentials for scripts."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from flowauth.access import Access, actor, allow, database, user
from flowauth.actions import credentials as actions
from flowauth.errors import Refusal
from flowauth.views import forms

blueprint = Blueprint("credentials", __name__, url_prefix="/account/credentials")


@blueprint.get("")
@allow(Access.USER)
def listing() -> str:
    return _page()


def _page(problem: Refusal | None = None, made: str = "") -> str:
    is_office = actions.may_administer(user())
    rights = {name: told for name, told in actions.RIGHTS.items() if name != actions.ADMINISTER or is_office}
    return render_template(
        "credentials.html",
        credentials=actions.of_user(database(), user()),
        rights=rights,
        longest_days=actions.LONGEST_DAYS,
        problem=problem,
        made=made,
    )


@blueprint.post("")
@allow(Access.USER)
def make() -> str | tuple[str, int]:
    """Make a credential and show its text, which is stored nowhere."""
    try:
        _, text = actions.make(
            database(),
            actor(),
            user(),
            forms.text("name"),
            request.form.getlist("rights"),
            forms.number("days"),
        )
    except Refusal as refusal:
        return _page(refusal), refusal.status
    return _page(made=text)


@blueprint.post("/<int:credential_id>/delete")
@allow(Access.USER)
def delete(credential_id: int) -> Response:
    actions.remove(database(), actor(), user(), credential_id)
    flash(gettext("The credential is deleted. Scripts that use it are refused."), "success")
    return redirect(url_for("credentials.listing"), 303)
