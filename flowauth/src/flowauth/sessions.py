"""Keep web sessions on the server.

The cookie holds a random key. The row holds the key's digest and the encrypted content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin
from sqlalchemy import delete, update
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from werkzeug.datastructures import CallbackDict

from flowauth import clock
from flowauth.database import transaction
from flowauth.models import WebSession
from flowauth.services import Services

IDLE = timedelta(minutes=20)
ABSOLUTE = timedelta(hours=12)
#: Before sign-in, a visitor needs a session for the sign-in form only.
ANONYMOUS = timedelta(hours=1)
SCRIPTED = timedelta(hours=1)
_TOUCH_EVERY = timedelta(seconds=20)
#: Paths that need no browser session.
_WITHOUT = ("/static/", "/health/", "/api/", "/.well-known/")


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def end_all(database: Session, user_id: int, but: str | None = None) -> None:
    """End all of a user's sessions, scripted ones too, except one digest's."""
    database.execute(
        delete(WebSession).where(WebSession.user_id == user_id, WebSession.digest != (but or ""))
    )


@transaction
def open_scripted(database: Session, user_id: int, jti: str) -> datetime:
    """Open a session of ``/api/v1`` and return its end.

    Its row lets a password change or an administrator end the bearer token early.
    """
    now = clock.now()
    row = WebSession(
        digest=digest_of(jti),
        user_id=user_id,
        created=now,
        last_seen=now,
        expires=now + SCRIPTED,
        encrypted_data="",
    )
    database.add(row)
    return row.expires


@transaction
def close_scripted(database: Session, jti: str) -> None:
    """End a session of ``/api/v1``."""
    database.execute(delete(WebSession).where(WebSession.digest == digest_of(jti)))


class ServerSession(CallbackDict[str, Any], SessionMixin):
    """Hold one visitor's session; changes are stored at the end of the request."""

    def __init__(self, content: dict[str, Any], row: WebSession | None) -> None:
        self.modified = False
        self.new = row is None
        self.row = row
        self.user_id = row.user_id if row else None
        self.must_rotate = False
        self.must_end = False
        #: The database failed to load or store this session.
        self.is_unreadable = False
        super().__init__(content, lambda changed: setattr(changed, "modified", True))

    @property
    def digest(self) -> str | None:
        return self.row.digest if self.row else None

    @property
    def seconds_left(self) -> int | None:
        """Return a signed-in session's minimum remaining time; None without a sign-in."""
        if self.row is None or self.user_id is None:
            return None
        now = clock.now()
        # A visit so soon after the last one is not recorded.
        idle = now + IDLE - _TOUCH_EVERY
        return int((min(idle, self.row.expires) - now).total_seconds())

    def sign_in(self, user_id: int) -> None:
        """Start a signed-in session under a new key and drop the old content."""
        self.clear()
        self.user_id = user_id
        self.must_rotate = True

    def sign_out(self) -> None:
        self.clear()
        self.user_id = None
        self.must_end = True


class ServerSessions(SessionInterface):
    """Load and save Flask sessions in the table ``web_session``."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @staticmethod
    def cookie_name(request: Request) -> str:
        """Return the cookie's name.

        Browsers accept a ``__Host-`` cookie over HTTPS only; over plain HTTP the name is ``session``.
        """
        return "__Host-session" if request.is_secure else "session"

    def open_session(self, app: Flask, request: Request) -> ServerSession:
        key = request.cookies.get(self.cookie_name(request))
        if not key or request.path.startswith(_WITHOUT):
            return ServerSession({}, None)
        try:
            row = self._live_row(digest_of(key))
        except SQLAlchemyError:
            unreadable = ServerSession({}, None)
            unreadable.is_unreadable = True
            return unreadable
        content = self.services.decrypt(row.encrypted_data) if row else None
        if content is None:
            return ServerSession({}, None)
        return ServerSession(json.loads(content), row)

    def _live_row(self, digest: str) -> WebSession | None:
        now = clock.now()
        with self.services.session(reading=True) as database:
            row = database.get(WebSession, digest)
            if row is None or row.expires <= now or not row.encrypted_data:
                return None
            # An anonymous visitor has no session to time out.
            if row.user_id is not None and row.last_seen + IDLE <= now:
                return None
            database.expunge(row)
            return row

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        from flask import request

        assert isinstance(session, ServerSession)
        if request.path.startswith(_WITHOUT):
            return
        response.vary.add("Cookie")
        if session.is_unreadable:
            return
        try:
            self._save(session, request, response)
        except OperationalError:
            # The error page must not wait for the lock again.
            session.is_unreadable = True
            raise

    def _save(self, session: ServerSession, request: Request, response: Response) -> None:
        if session.must_end:
            self._delete(session.digest)
            response.delete_cookie(
                self.cookie_name(request), path="/", secure=request.is_secure, httponly=True, samesite="Lax"
            )
        elif session.must_rotate or (session.new and session.modified):
            self._delete(session.digest)
            self._insert(session, request, response)
        elif session.row is not None:
            self._update(session)

    def _delete(self, digest: str | None) -> None:
        with self.services.session() as database:
            database.execute(
                delete(WebSession).where((WebSession.digest == digest) | (WebSession.expires < clock.now()))
            )
            database.commit()

    def _insert(self, session: ServerSession, request: Request, response: Response) -> None:
        key, now = secrets.token_urlsafe(32), clock.now()
        life = ANONYMOUS if session.user_id is None else ABSOLUTE
        with self.services.session() as database:
            database.add(
                WebSession(
                    digest=digest_of(key),
                    user_id=session.user_id,
                    created=now,
                    last_seen=now,
                    expires=now + life,
                    encrypted_data=self._content(session),
                )
            )
            database.commit()
        response.set_cookie(
            self.cookie_name(request), key, path="/", secure=request.is_secure, httponly=True, samesite="Lax"
        )

    def _update(self, session: ServerSession) -> None:
        assert session.row is not None
        now = clock.now()
        if not session.modified and now - session.row.last_seen < _TOUCH_EVERY:
            return
        # A failure to record a visit must not fail the request.
        forgiven = () if session.modified else (OperationalError,)
        # Update and never insert, so that a session ended by another request stays ended.
        with contextlib.suppress(*forgiven), self.services.session() as database:
            database.execute(
                update(WebSession)
                .where(WebSession.digest == session.row.digest)
                .values(last_seen=now, encrypted_data=self._content(session))
            )
            database.commit()

    def _content(self, session: ServerSession) -> str:
        return self.services.encrypt(json.dumps(dict(session)))
