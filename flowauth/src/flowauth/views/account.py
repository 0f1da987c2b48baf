"""Serve My account: password and second factor."""

from __future__ import annotations

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy import select
from werkzeug.wrappers import Response

from flowauth import language, two_factor
from flowauth.access import Access, actor, allow, current_session, database, user
from flowauth.actions import account as actions
from flowauth.actions import identities, trail
from flowauth.actions.my_data import my_data
from flowauth.errors import Refusal
from flowauth.models import AuditEvent
from flowauth.views import forms, services
from flowauth.views.paging import paged

blueprint = Blueprint("account", __name__, url_prefix="/account")
_SETUP = "two_factor_setup"


@blueprint.get("")
@allow(Access.PENDING)
def show() -> str:
    return _page()


def _page(problem: Refusal | None = None, form: str = "") -> str:
    return render_template(
        "account.html",
        user=user(),
        problem=problem,
        form=form,
        backup_codes=two_factor.BACKUP_CODES,
        identities=identities.of_user(database(), user()),
    )


@blueprint.get("/events")
@allow(Access.USER)
def events() -> str:
    """List events by and about the user, under every past name."""
    names = trail.names_of(database(), user().username)
    found = paged(select(AuditEvent).where(trail.about(names)), AuditEvent.id.desc())
    return render_template(
        "my_events.html", found=found, told=trail.told, endpoint="account.events", arguments={}
    )


@blueprint.get("/my_data.json")
@allow(Access.USER)
def data() -> Response:
    """Send what the app holds about the user."""
    reply = jsonify(my_data(database(), user()))
    reply.headers["Content-Disposition"] = "attachment; filename=my_data.json"
    return reply


@blueprint.post("/language")
@allow(Access.PENDING)
def choose_language() -> Response | tuple[str, int]:
    try:
        actions.choose_language(database(), actor(), user(), forms.text("language"))
    except Refusal as refusal:
        return _page(refusal, "language"), refusal.status
    language.speak(user().language)
    flash(gettext("Your language is saved."), "success")
    return redirect(url_for("account.show"), 303)


@blueprint.post("/password")
@allow(Access.PENDING)
def password() -> Response | tuple[str, int]:
    try:
        actions.change_password(
            database(),
            services(),
            actor(),
            user(),
            forms.secret("password"),
            forms.secret("new_password"),
            current_session().digest,
            repeated=forms.secret("new_password_again"),
        )
    except Refusal as refusal:
        return _page(refusal, "password"), refusal.status
    flash(gettext("Your password is changed. Your other sessions are ended."), "success")
    if user().must_set_up_two_factor:
        flash(gettext("Two-factor sign-in is required for this account: set it up now."), "warning")
    return redirect(url_for("account.show"), 303)


@blueprint.route("/two-factor", methods=["GET", "POST"])
@allow(Access.PENDING)
def two_factor_codes() -> Response | str | tuple[str, int]:
    """Show backup codes (step 1).

    Only the session stores them; loading the page again starts over. Replacing an active second factor first
    asks for the password and a code by POST.
    """
    if user().has_two_factor:
        if request.method == "GET":
            return redirect(url_for("account.show"), 303)
        try:
            actions.prove_identity(
                database(),
                services(),
                actor(),
                user(),
                forms.secret("password"),
                forms.text("two_factor_code"),
            )
        except Refusal as refusal:
            return _page(refusal, "reset"), refusal.status
    setup = {"secret": two_factor.new_secret(), "codes": two_factor.new_backup_codes()}
    current_session()[_SETUP] = setup
    return render_template("two_factor_codes.html", codes=setup["codes"])


@blueprint.get("/two-factor/app")
@allow(Access.PENDING)
def two_factor_app() -> Response | str:
    """Show the QR code and ask for a code as proof (step 2)."""
    return _qr_page() if _SETUP in current_session() else redirect(url_for("account.two_factor_codes"), 303)


@blueprint.post("/two-factor/app")
@allow(Access.PENDING)
def confirm_two_factor() -> Response | tuple[str, int]:
    setup = current_session().get(_SETUP)
    if setup is None:
        return redirect(url_for("account.two_factor_codes"), 303)
    try:
        actions.confirm_two_factor(
            database(),
            services(),
            actor(),
            user(),
            setup["secret"],
            setup["codes"],
            forms.text("two_factor_code"),
            current_session().digest,
        )
    except Refusal as refusal:
        return _qr_page(refusal), refusal.status
    del current_session()[_SETUP]
    flash(gettext("Two-factor sign-in is on."), "success")
    return redirect(url_for("account.show"), 303)


def _qr_page(problem: Refusal | None = None) -> str:
    secret = current_session()[_SETUP]["secret"]
    uri = two_factor.provisioning_uri(secret, user().username, services().settings.two_factor_issuer)
    return render_template("two_factor_app.html", secret=secret, qr=two_factor.qr_svg(uri), problem=problem)


@blueprint.post("/two-factor/disable")
@allow(Access.USER)
def disable_two_factor() -> Response | tuple[str, int]:
    try:
        actions.disable_two_factor(
            database(),
            services(),
            actor(),
            user(),
            forms.secret("password"),
            forms.text("two_factor_code"),
            current_session().digest,
        )
    except Refusal as refusal:
        return _page(refusal, "disable"), refusal.status
    flash(gettext("Two-factor sign-in is off."), "success")
    return redirect(url_for("account.show"), 303)


@blueprint.post("/two-factor/backup-codes")
@allow(Access.USER)
def backup_codes() -> str | tuple[str, int]:
    try:
        codes = actions.replace_backup_codes(
            database(), services(), actor(), user(), forms.secret("password")
        )
    except Refusal as refusal:
        return _page(refusal, "backup"), refusal.status
    return render_template("backup_codes.html", codes=codes)
