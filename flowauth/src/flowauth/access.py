"""Decide who may call each view.

Every view declares its level. A view without a declaration is closed to everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import Any, TypeVar

from flask import Flask, Response, current_app, flash, g, redirect, request, session, url_for
from flask_babel import gettext
from flask_jwt_extended import get_jwt_identity, verify_jwt_in_request
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from flowauth import language
from flowauth.actions import credentials
from flowauth.audit import Actor
from flowauth.errors import Refusal
from flowauth.models import Role, Server, User
from flowauth.sessions import ServerSession

View = TypeVar("View", bound=Callable[..., Any])
_MARK = "__access__"
_DELEGATED = "__delegated__"
_READING = ("GET", "HEAD", "OPTIONS")


class Delegated(Enum):
    """Say what of an administrators' view is delegated; auditors may always read."""

    NOTHING = "nothing"
    #: The view only reads, whatever its method.
    READING = "reading"
    #: Administrators of the server in the view's path may use it; without one, the view keeps to
    #: `reach`.
    SERVER = "server"


class Access(IntEnum):
    """List the levels; each includes the levels above it."""

    ANYONE = 0
    #: Signed in, even while the password must be changed or the second factor set up.
    PENDING = 1
    USER = 2
    ADMIN = 3


def allow(level: Access, delegated: Delegated = Delegated.NOTHING) -> Callable[[View], View]:
    """Declare who may call a view."""

    def mark(view: View) -> View:
        setattr(view, _MARK, level)
        setattr(view, _DELEGATED, delegated)
        return view

    return mark


def access_of(app: Flask, endpoint: str) -> Access | None:
    """Return the level that a view declared, or None."""
    return getattr(app.view_functions.get(endpoint), _MARK, None)


def delegated_by(app: Flask, endpoint: str) -> Delegated:
    """Return what of a view is delegated."""
    return getattr(app.view_functions.get(endpoint), _DELEGATED, Delegated.NOTHING)


def may_open(endpoint: str) -> bool:
    """Return whether the signed-in user may open an administrators' list."""
    if g.user.is_admin or g.user.is_auditor:
        return True
    return bool(g.user.administers) and delegated_by(current_app, endpoint) is Delegated.SERVER


def reach() -> frozenset[int] | None:
    """Return the servers that the user administers or audits; None means all."""
    if g.user.is_admin or g.user.is_auditor:
        return None
    return frozenset(server.id for server in g.user.administers)


def _require_administrator(app: Flask) -> None:
    """Refuse users who neither administer nor hold what this view delegates."""
    if g.user.is_admin:
        return
    delegated = delegated_by(app, request.endpoint or "")
    if g.user.is_auditor and (request.method in _READING or delegated is Delegated.READING):
        return
    if delegated is Delegated.SERVER and g.user.administers:
        addressed = _addressed_server()
        if addressed is None or addressed in (reach() or ()):
            return
        raise Refusal(gettext("You do not administer this server."), 403)
    raise Refusal(gettext("Only administrators may do this."), 403)


def _addressed_server() -> int | None:
    """Return the id of the server in the path; None without one, 0 if unknown."""
    arguments = request.view_args or {}
    if "role_id" in arguments:
        return database().scalar(select(Role.server_id).where(Role.id == arguments["role_id"])) or 0
    name = arguments.get("server_name", arguments.get("name"))
    if name is None:
        return None
    return database().scalar(select(Server.id).where(Server.name == name)) or 0


def database() -> Session:
    """Return the request's database session."""
    return g.database


def user() -> User:
    """Return the signed-in user; views open to anyone must not ask."""
    return g.user


def actor() -> Actor:
    """Return the author of this request for the audit trail."""
    return Actor(g.get("username") or "(anyone)", request.remote_addr or "", g.request_id)


def current_session() -> ServerSession:
    """Return the browser's session."""
    return session  # type: ignore[return-value]


def is_api() -> bool:
    return request.path.startswith("/api/")


def guard(app: Flask, csrf: CSRFProtect) -> BaseResponse | None:
    """Check each request before its view.

    Find the user, compare with the view's level, and check the form's token.
    """
    g.user = None
    if request.endpoint is None:
        if not is_api():
            find_user()
        return None  # The router answers an unknown path or method.
    level = access_of(app, request.endpoint)
    if level is None:
        raise Refusal(gettext("Nobody may use this."), 403)
    if "\0" in request.path:
        raise Refusal(gettext("There is nothing here."), 404)
    if is_api():
        _guard_api(app, level)
        return None
    _check_origin()
    visit = current_session()
    if visit.is_unreadable:
        raise Refusal(gettext("The database does not answer. Try again in a moment."), 503)
    find_user()
    if level > Access.ANYONE and g.user is None:
        return _sign_in_first()
    if level > Access.PENDING and g.user.is_pending:
        return _gate(g.user)
    if level is Access.ADMIN:
        _require_administrator(app)
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        csrf.protect()
    if any("\0" in value for values in request.values.listvalues() for value in values):
        # PostgreSQL cannot store NUL in text.
        raise Refusal(gettext("A field holds the character NUL, which is allowed nowhere."))
    return None


def find_user() -> None:
    """Set the signed-in user of a page's request, or None when the session ended."""
    visit = current_session()
    if visit.user_id is not None:
        g.user = database().get(User, visit.user_id)
    if g.user is not None:
        g.username = g.user.username
        language.speak(g.user.language)


def _guard_api(app: Flask, level: Access) -> None:
    if level is Access.ANYONE:
        return
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and sent.startswith(credentials.PREFIX):
        g.user = _owner(sent.strip(), level)
    else:
        verify_jwt_in_request()
        named = select(User).where(User.username == get_jwt_identity())
        g.user = database().scalars(named).one_or_none()
    if g.user is None:
        raise Refusal(gettext("This session has ended."), 401)
    g.username = g.user.username
    if g.user.is_pending:
        raise Refusal(gettext("Sign in to the web pages first: this account has something to set up."), 403)
    if level is Access.ADMIN:
        _require_administrator(app)


def _owner(text: str, level: Access) -> User:
    """Return the owner of a personal credential that has the right to this request."""
    credential = credentials.found(database(), text)
    if request.endpoint == "v1.close_session":
        raise Refusal(gettext("A credential opens no session, so it can end none."), 403)
    if level is Access.ADMIN:
        needed = credentials.ADMINISTER
    else:
        needed = credentials.READ if request.method == "GET" else credentials.TOKENS
    if needed not in credential.rights:
        raise Refusal(gettext("This credential does not have the right '%(needed)s'.", needed=needed), 403)
    return credential.user


def _check_origin() -> None:
    """Refuse a form sent from another site.

    Hosts alone are compared, because a proxy may have terminated TLS.
    """
    origin = request.headers.get("Origin")
    if request.method in ("GET", "HEAD", "OPTIONS") or origin is None:
        return
    if origin.partition("://")[2] != request.host:
        raise Refusal(gettext("This form was sent from another site."), 403)


def _sign_in_first() -> BaseResponse:
    # A form's page mostly has the address that the form is sent to.
    is_page = request.url_rule is not None and "GET" in (request.url_rule.methods or ())
    target = url_for("signing_in.sign_in", next=request.full_path.rstrip("?") if is_page else None)
    if "HX-Request" in request.headers:
        return Response(status=204, headers={"HX-Redirect": target})
    if request.method != "GET":
        flash(gettext("Your session has ended: sign in again."), "warning")
    return redirect(target, 303)


def _gate(pending: User) -> BaseResponse:
    if pending.must_change_password:
        told = gettext("Choose your own password before you go on.")
        if pending.must_set_up_two_factor:
            told = gettext(
                "Choose your own password before you go on. Then set up two-factor sign-in: it is required for "
                "this account."
            )
        flash(told, "warning")
        return redirect(url_for("account.show"), 303)
    flash(gettext("Set up two-factor sign-in before you go on."), "warning")
    return redirect(url_for("account.two_factor_codes"), 303)
