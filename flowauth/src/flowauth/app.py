"""Assemble the Flask application."""

from __future__ import annotations

import contextlib
import re
import time
import traceback
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Flask, Response, g, jsonify, render_template, request
from flask_babel import gettext, ngettext
from flask_jwt_extended import JWTManager
from flask_wtf.csrf import CSRFError, CSRFProtect
from markupsafe import Markup, escape
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter, Map

from flowauth import __version__, clock, language, revocation
from flowauth.access import Access, allow, current_session, database, find_user, guard, is_api, may_open
from flowauth.database import LARGEST_ID
from flowauth.errors import Refusal
from flowauth.language import mark
from flowauth.logs import logger, request_id
from flowauth.metrics import Metrics
from flowauth.models import WebSession
from flowauth.names import OWN_AUDIENCE
from flowauth.presets import sentence
from flowauth.services import Services
from flowauth.sessions import ServerSessions, digest_of
from flowauth.settings import Settings
from flowauth.signing import signing_with

_UNPUBLISHED = mark(
    "It is revoked here, but the list for the API servers cannot be written, so they still take it. Tell an "
    "administrator: once FLOWAUTH_REVOCATION_FILE can be written, the list is written by itself, or at once by its "
    "button under Public key."
)
_BUSY = mark("The database is busy or does not answer. Nothing is saved: try again in a moment.")
_BUSY_SECONDS = 5
LARGEST_REQUEST = 12 * 1024 * 1024

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with that, browsers send forms with "Origin: null", and the origin could not be checked.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
}


class _Identity(IntegerConverter):
    """Convert the row id in an address.

    An id that no database can hold matches no page.
    """

    def __init__(self, urls: Map) -> None:
        super().__init__(urls, max=LARGEST_ID)


def create_app(settings: Settings) -> Flask:
    """Build the application; `flowauth.database.migrate` must have run."""
    app = Flask(__name__)
    app.url_map.converters["int"] = _Identity
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=LARGEST_REQUEST,
        MAX_FORM_MEMORY_SIZE=LARGEST_REQUEST,
        # A server's form has one box for each scope.
        MAX_FORM_PARTS=25_000,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
        # The origin is checked instead of the referrer, over plain HTTP as well.
        WTF_CSRF_SSL_STRICT=False,
        JWT_ALGORITHM="RS256",
        JWT_DECODE_ALGORITHMS=["RS256"],
        # Pass a parsed key, because parsing text for each request would dominate its time.
        JWT_PRIVATE_KEY=settings.private_key,
        JWT_PUBLIC_KEY=settings.private_key.public_key(),
        JWT_DECODE_AUDIENCE=OWN_AUDIENCE,
        JWT_TOKEN_LOCATION=["headers"],
        # Tokens travel without cookies here, and the CSRF claim would end up in API servers' tokens.
        JWT_COOKIE_CSRF_PROTECT=False,
    )
    services = Services.of(settings)
    app.extensions["flowauth"] = services
    app.session_interface = ServerSessions(services)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    csrf = CSRFProtect(app)
    _guard_tokens(JWTManager(app), settings)
    app.extensions["flowauth metrics"] = metrics = Metrics()
    _handle_requests(app, services, metrics, csrf)
    _handle_errors(app)
    _register(app, services)
    language.install(app)
    return app


def _register(app: Flask, services: Services) -> None:
    from flowauth.api import v1
    from flowauth.views import (
        account,
        all_tokens,
        audit,
        credentials,
        devices,
        health,
        identities,
        keys,
        links,
        readers,
        reports,
        rights,
        roles,
        servers,
        signing_in,
        tokens,
        users,
    )

    own = (signing_in, identities, tokens, devices, reports, account, credentials)
    for module in (*own, all_tokens, rights, users, links, servers, roles, readers, audit, keys, health, v1):
        app.register_blueprint(module.blueprint)
    identities.install(app, services.settings)
    allow(Access.ANYONE)(app.view_functions["static"])
    app.jinja_env.globals["version"] = __version__
    app.jinja_env.globals["may_open"] = may_open
    app.jinja_env.globals["reads_reports"] = reports.offered
    app.jinja_env.globals["oidc_name"] = services.settings.oidc_issuer and services.settings.oidc_name
    app.jinja_env.globals["now"] = clock.now
    app.jinja_env.globals["revocations_are_published"] = services.settings.revocation_file is not None
    app.jinja_env.globals["sentence"] = sentence
    app.jinja_env.filters["iso"] = clock.iso
    app.jinja_env.filters["moment"] = clock.readable
    app.jinja_env.filters["picker"] = clock.picker
    app.jinja_env.filters["span"] = span
    app.jinja_env.filters["breakable"] = breakable
    app.jinja_env.filters["reason"] = language.reason
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True


def span(minutes: int) -> str:
    """Write a duration such as ``1 day 2 hours 3 minutes``."""
    parts = []
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    if days:
        parts.append(ngettext("%(num)s day", "%(num)s days", days))
    if hours:
        parts.append(ngettext("%(num)s hour", "%(num)s hours", hours))
    if minutes or not parts:
        parts.append(ngettext("%(num)s minute", "%(num)s minutes", minutes))
    return " ".join(parts)


def breakable(text: str) -> Markup:
    """Let a long scope break after its colons."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=:)", text))


def _handle_requests(app: Flask, services: Services, metrics: Metrics, csrf: CSRFProtect) -> None:
    @app.before_request
    def begin() -> Any:
        g.request_id = request_id(request.headers.getlist("X-Request-ID"))
        g.started = time.monotonic()
        # Actions write in transactions of their own; everything else only reads.
        g.database = services.session(reading=True)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)
        return guard(app, csrf)

    @app.after_request
    def finish(response: Response) -> Response:
        response = _publish_revocations(services, response)
        # End the read before saving the session: on SQLite an open transaction blocks every writer.
        g.database.close()
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        if (left := current_session().seconds_left) is not None:
            response.headers["X-Session-Seconds"] = str(left)
        response.headers["X-Request-ID"] = g.request_id
        if request.path.startswith("/health/") and response.status_code == 200:
            return response  # Containers ask every few seconds, and their lines would bury all others.
        # Tell the rule instead of the path, so that names and ids stay out of log and metrics.
        route = str(request.url_rule) if request.url_rule else None
        seconds = time.monotonic() - g.started
        metrics.observe(request.method, route, response.status_code, seconds)
        logger().info(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            milliseconds=round(seconds * 1000, 1),
            user=g.get("username"),
            address=request.remote_addr,
        )
        return response


def _publish_revocations(services: Services, response: Response) -> Response:
    """Replace the response when revocations could not be written for API servers."""
    path = services.settings.revocation_file
    if path is None or not revocation.changed(g.database):
        return response
    try:
        revocation.publish(services, path)
    except OSError as error:
        logger().error("revocations not published", error=type(error).__name__)
        return _answer(Refusal(gettext(_UNPUBLISHED), 500))
    return response


def _guard_tokens(manager: JWTManager, settings: Settings) -> None:
    @manager.encode_key_loader
    def private_key(_identity: object) -> RSAPrivateKey:
        return signing_with.get() or settings.private_key

    @manager.token_in_blocklist_loader
    def has_ended(_header: dict[str, Any], claims: dict[str, Any]) -> bool:
        row = database().get(WebSession, digest_of(str(claims["jti"])))
        return row is None or row.expires <= clock.now()

    def refuse(message: str) -> tuple[Response, int, dict[str, str]]:
        body = jsonify(Refusal(message, 401).as_json())
        return body, 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}

    manager.unauthorized_loader(
        lambda _reason: refuse("Send the access token of POST /api/v1/session as bearer.")
    )
    manager.invalid_token_loader(lambda _reason: refuse("This is not an access token of this app."))
    manager.expired_token_loader(lambda _header, _claims: refuse("This session has expired."))
    manager.revoked_token_loader(lambda _header, _claims: refuse("This session has ended."))


def _answer(refusal: Refusal) -> Response:
    if is_api():
        response = jsonify(refusal.as_json())
    elif "HX-Request" in request.headers:
        response = Response(render_template("fragments/problem.html", message=refusal.message))
    else:
        page = render_template("problem.html", message=refusal.message, code=refusal.status)
        response = Response(page)
    response.status_code = refusal.status
    response.headers.update(refusal.headers)
    return response


def _handle_errors(app: Flask) -> None:
    @app.errorhandler(Refusal)
    def refused(error: Refusal) -> Response:
        return _answer(error)

    @app.errorhandler(CSRFError)
    def forged(_error: CSRFError) -> Response:
        if request.endpoint == "signing_in.sign_in":
            # A user who has just typed a password gets the form again, with a valid token.
            problem = Refusal(gettext("This page was open for too long: sign in again."), 403)
            target, username = request.form.get("next", ""), request.form.get("username", "")
            page = render_template("sign_in.html", target=target, username=username, problem=problem)
            return Response(page, problem.status)
        return _answer(
            Refusal(gettext("This form is out of date: go back, reload the page and try again."), 403)
        )

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        if isinstance(cause := getattr(error, "original_exception", None), OperationalError):
            # The failure came from storing the session, after the view.
            return busy(cause)
        code = error.code or 500
        texts = {
            404: gettext("There is nothing here."),
            405: gettext("This cannot be done here."),
            413: gettext("This is too large."),
        }
        return _answer(Refusal(texts.get(code, error.name + "."), code))

    @app.errorhandler(IntegrityError)
    @app.errorhandler(StaleDataError)
    @app.errorhandler(ObjectDeletedError)
    def clashed(_error: Exception) -> Response:
        database().rollback()
        # The page shows the signed-in user, who may be the deleted record.
        find_user()
        message = gettext(
            "Somebody else changed or deleted this at the same moment. Load the page again and look."
        )
        return _answer(Refusal(message, 409))

    @app.errorhandler(OperationalError)
    def busy(error: OperationalError) -> Response:
        logger().warning("database busy", route=str(request.url_rule), trace=_frames(error))
        database().rollback()
        # The page shows the signed-in user, which needs no lock. Without a database it shows none.
        with contextlib.suppress(OperationalError):
            find_user()
        return _answer(Refusal(gettext(_BUSY), 503, retry_after=_BUSY_SECONDS))

    @app.errorhandler(Exception)
    def fault(error: Exception) -> Response:
        logger().error("fault", route=str(request.url_rule), error=type(error).__name__, trace=_frames(error))
        return _answer(Refusal(gettext("Something went wrong on our side."), 500))


def _frames(error: Exception) -> list[str]:
    """Return where an error happened.

    Its message is left out, because a database error quotes bound values.
    """
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]
