"""Decide who may call each view.

Every view declares its level. A view without a declaration is closed to everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar

from flask import Flask, Response, flash, g, redirect, request, session, url_for
from flask_jwt_extended import get_jwt_identity, verify_jwt_in_request
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from flowauth.audit import Actor
from flowauth.errors import Refusal
from flowauth.models import User
from flowauth.sessions import ServerSession

View = TypeVar("View", bound=Callable[..., Any])
_MARK = "__access__"


class Access(IntEnum):
    """List the levels; each includes the levels above it."""

    ANYONE = 0
    #: Signed in, even while the password must be changed or the second factor set up.
    PENDING = 1
    USER = 2
    ADMIN = 3


def allow(level: Access) -> Callable[[View], View]:
    """Declare who may call a view."""

    def mark(view: View) -> View:
        setattr(view, _MARK, level)
        return view

    return mark


def access_of(app: Flask, endpoint: str) -> Access | None:
    """Return the level that a view declared, or None."""
    return getattr(app.view_functions.get(endpoint), _MARK, None)


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
        raise Refusal("Nobody may use this.", 403)
    if "\0" in request.path:
        raise Refusal("There is nothing here.", 404)
    if is_api():
        _guard_api(level)
        return None
    _check_origin()
    visit = current_session()
    if visit.is_unreadable:
        raise Refusal("The database does not answer. Try again in a moment.", 503)
    find_user()
    if level > Access.ANYONE and g.user is None:
        return _sign_in_first()
    if level > Access.PENDING and g.user.is_pending:
        return _gate(g.user)
    if level is Access.ADMIN and not g.user.is_admin:
        raise Refusal("Only administrators may do this.", 403)
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        csrf.protect()
    if any("\0" in value for values in request.values.listvalues() for value in values):
        # PostgreSQL cannot store NUL in text.
        raise Refusal("A field holds the character NUL, which is allowed nowhere.")
    return None


def find_user() -> None:
    """Set the signed-in user of a page's request, or None when the session ended."""
    visit = current_session()
    if visit.user_id is not None:
        g.user = database().get(User, visit.user_id)
    if g.user is not None:
        g.username = g.user.username


def _guard_api(level: Access) -> None:
    if level is Access.ANYONE:
        return
    verify_jwt_in_request()
    g.user = database().scalars(select(User).where(User.username == get_jwt_identity())).one_or_none()
    if g.user is None:
        raise Refusal("This session has ended.", 401)
    g.username = g.user.username
    if g.user.is_pending:
        raise Refusal("Sign in to the web pages first: this account has something to set up.", 403)
    if level is Access.ADMIN and not g.user.is_admin:
        raise Refusal("Only administrators may do this.", 403)


def _check_origin() -> None:
    """Refuse a form sent from another site.

    Hosts alone are compared, because a proxy may have terminated TLS.
    """
    origin = request.headers.get("Origin")
    if request.method in ("GET", "HEAD", "OPTIONS") or origin is None:
        return
    if origin.partition("://")[2] != request.host:
        raise Refusal("This form was sent from another site.", 403)


def _sign_in_first() -> BaseResponse:
    target = url_for(
        "signing_in.sign_in", next=request.full_path.rstrip("?") if request.method == "GET" else None
    )
    if "HX-Request" in request.headers:
        return Response(status=204, headers={"HX-Redirect": target})
    if request.method != "GET":
        flash("Your session has ended: sign in again.", "warning")
    return redirect(target, 303)


def _gate(pending: User) -> BaseResponse:
    if pending.must_change_password:
        flash("Choose your own password before you go on.", "warning")
        return redirect(url_for("account.show"), 303)
    flash("Set up two-factor sign-in before you go on.", "warning")
    return redirect(url_for("account.two_factor_codes"), 303)
