"""Sign users in and out."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask_babel import ngettext
from werkzeug.wrappers import Response

from flowauth import clock
from flowauth.access import Access, actor, allow, current_session, database
from flowauth.actions import sign_in as actions
from flowauth.errors import Refusal
from flowauth.views import forms, services

blueprint = Blueprint("signing_in", __name__)
_HALF = "half_signed_in"
_CODE_WITHIN = timedelta(minutes=5)


@blueprint.route("/sign-in", methods=["GET", "POST"])
@allow(Access.ANYONE)
def sign_in() -> Response | str | tuple[str, int, dict[str, str]]:
    target = request.values.get("next", "")
    if request.method == "GET":
        if g.user is not None:
            return redirect(url_for("tokens.servers"), 303)
        current_session().pop(_HALF, None)
        return render_template("sign_in.html", target=target)
    username = forms.text("username")
    try:
        done = actions.sign_in(database(), services(), actor(), username, forms.secret("password"))
    except actions.CodeNeeded as needed:
        return wait_for_code(needed.half, target)
    except Refusal as refusal:
        page = render_template("sign_in.html", target=target, username=username, problem=refusal)
        return page, refusal.status, refusal.headers
    return enter(done, target)


@blueprint.route("/sign-in/code", methods=["GET", "POST"])
@allow(Access.ANYONE)
def code() -> Response | str | tuple[str, int, dict[str, str]]:
    half = current_session().get(_HALF)
    if half is None or half["until"] < clock.now().timestamp():
        return redirect(url_for("signing_in.sign_in"), 303)
    if request.method == "GET":
        return render_template("sign_in_code.html")
    given = actions.HalfSignedIn(half["user_id"], half["proof"])
    try:
        done = actions.sign_in_with_code(
            database(), services(), actor(), given, forms.text("two_factor_code")
        )
    except Refusal as refusal:
        return render_template("sign_in_code.html", problem=refusal), refusal.status, refusal.headers
    return enter(done, half["next"])


@blueprint.post("/sign-out")
@allow(Access.PENDING)
def sign_out() -> Response:
    current_session().sign_out()
    return redirect(url_for("signing_in.sign_in"), 303)


def wait_for_code(half: actions.HalfSignedIn, target: str) -> Response:
    """Ask for the second factor of a user whose first factor was right."""
    until = clock.now() + _CODE_WITHIN
    current_session()[_HALF] = {**asdict(half), "until": until.timestamp(), "next": target}
    return redirect(url_for("signing_in.code"), 303)


def enter(done: actions.SignedIn, target: str) -> Response:
    """Start the session of a signed-in user."""
    current_session().sign_in(done.user_id)
    g.username = done.username
    if done.failures_before:
        flash(
            ngettext(
                "Somebody tried to sign in to this account and failed once since your last visit.",
                "Somebody tried to sign in to this account and failed %(num)s times since your last visit.",
                done.failures_before,
            ),
            "warning",
        )
    if done.backup_codes_left is not None:
        flash(
            ngettext(
                "A backup code is used up: %(num)s code is left.",
                "A backup code is used up: %(num)s codes are left.",
                done.backup_codes_left,
            ),
            "warning",
        )
    return redirect(_own_page(target), 303)


def _own_page(target: str) -> str:
    """Return the page asked for before sign-in, if it is ours.

    Browsers read ``\\`` as ``/`` and skip control characters; a header cannot hold them.
    """
    is_ours = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if is_ours and target.isprintable() else url_for("tokens.servers")
