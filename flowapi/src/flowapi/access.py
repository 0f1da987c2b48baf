"""Check each request's token and scopes.

Every route needs a token unless marked public; nothing is allowed by omission.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from quart import Quart, abort, current_app, g, request

from flowapi.bodies import drain_body
from flowapi.errors import ApiError
from flowapi.logs import Logs, bounded
from flowapi.rates import Rates
from flowapi.record import current_record
from flowapi.scopes import lacking_scopes
from flowapi.services import services
from flowapi.tokens import Caller, ExpiredToken, NoToken, TokenError, TokenReader
from flowapi.usage import TokenUse

View = TypeVar("View", bound=Callable[..., Awaitable[Any]])

_SCOPES_SHOWN = 20
#: Characters shown of a caller's kind; every real kind's name is shorter.
_KIND_SHOWN = 64
_NAME_SHOWN = 75


def public(view: View) -> View:
    """Mark a view as open to callers without a token."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def install_access_control(app: Quart, reader: TokenReader, logs: Logs, use: TokenUse, rates: Rates) -> None:
    """Check the token and the rate of each request to a non-public route."""

    @app.before_request
    async def authenticate() -> None:
        record = current_record()
        if request.url_rule is None:
            return
        if "\0" in request.path:
            abort(404)  # No name holds a NUL, and the engine would not answer.
        record.route = request.url_rule.rule
        if getattr(current_app.view_functions[request.url_rule.endpoint], "is_public", False):
            return
        logs.access.info("user load attempted", route=record.route)
        try:
            caller = reader.read(request.headers.get("Authorization"))
        except TokenError as error:
            _log_refused_token(error, logs)
            # Keep and parse nothing that an unauthenticated caller sends.
            await drain_body()
            raise ApiError(401, str(error), headers={"WWW-Authenticate": _challenge(error)}) from None
        g.caller = caller
        record.user = caller.name
        record.token_id = caller.token_id
        use.note(caller.token_id)
        logs.access.info(
            "user loaded", route=record.route, roles=sorted(caller.roles), roles_digest=caller.digest()
        )
        try:
            rates.count(request.url_rule.endpoint, caller.token_id)
        except ApiError:
            await drain_body()
            raise


def caller() -> Caller:
    """Return the caller, on a route that needs a token."""
    return g.caller


def require(scopes: frozenset[str]) -> None:
    """Let the request go on if a single role holds all of ``scopes``.

    Raises
    ------
    ApiError
        403, with the scopes that are missing.
    """
    logs = services().logs
    granting = caller().roles_holding(scopes)
    if granting:
        logs.access.info("permission granted", requested_scopes=sorted(scopes), granting_roles=granting)
        return
    lacking = {role: sorted(lacking_scopes(held, scopes)) for role, held in caller().roles.items()}
    log_refused_scopes(sorted(scopes), {role: missing[:_SCOPES_SHOWN] for role, missing in lacking.items()})
    raise _scopes_missing(scopes, lacking)


def _scopes_missing(needed: frozenset[str], lacking: Mapping[str, list[str]]) -> ApiError:
    """Return 403 with what the closest role lacks.

    A token without roles lacks every scope.
    """
    if not lacking:
        message = f"The token holds no role. Needed, all in one role: {_listed(sorted(needed))}."
        return ApiError(403, message, payload={"missing_scopes": sorted(needed)[:_SCOPES_SHOWN]})
    role, missing = min(lacking.items(), key=lambda one: (len(one[1]), one[0]))
    message = (
        f"None of the token's roles holds all scopes needed here; roles do not add up. {role[:_NAME_SHOWN]!r} comes "
        f"closest and lacks: {_listed(missing)}."
    )
    return ApiError(403, message, payload={"role": role, "missing_scopes": missing[:_SCOPES_SHOWN]})


def _listed(scopes: Sequence[str]) -> str:
    more = len(scopes) - _SCOPES_SHOWN
    return ", ".join(scopes[:_SCOPES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def require_kind(simple_scope: str, top_kind: str) -> None:
    """Refuse callers without any scope for ``top_kind`` before asking the engine.

    Otherwise the engine's answers about a spec would reveal which tables, dates and results exist.
    """
    prefix = f":{top_kind}:"
    shown = top_kind[:_KIND_SHOWN]
    any_unit = f"<unit>:{shown}:<kind>"
    lacking: dict[str, list[str]] = {}
    for role, held in caller().roles.items():
        missing = [] if simple_scope in held else [simple_scope]
        missing += [] if any(prefix in scope for scope in held) else [any_unit]
        if not missing:
            return
        lacking[role] = missing
    needed = [simple_scope, any_unit]
    log_refused_scopes(needed, lacking)
    closest = min(lacking.values(), key=len, default=needed)
    raise ApiError(
        403,
        f"None of the token's roles lets its holder run queries of the kind {shown!r}, or no such kind. The role that "
        f"comes closest lacks: {', '.join(closest)}.",
        payload={"missing_scopes": closest},
    )


def log_refused_scopes(needed: list[str], lacking: dict[str, list[str]]) -> None:
    """Log a refusal: the needed scopes and what each role lacks."""
    services().logs.access.info(
        "CLAIMS_VERIFICATION_FAILED",
        requested_scopes=needed[:_SCOPES_SHOWN],
        lacking=lacking,
        json_payload=_payload_for_log(),
    )


def _log_refused_token(error: TokenError, logs: Logs) -> None:
    fields: dict[str, Any] = {"error_string": str(error)}
    if isinstance(error, ExpiredToken) and error.claims is not None:
        claims = {name: error.claims.get(name) for name in ("sub", "aud", "exp", "iat", "jti")}
        fields.update(identity=claims["sub"], decoded_token=claims)
    logs.access.info(error.event, route=current_record().route, **fields)


def _challenge(error: TokenError) -> str:
    # RFC 6750: a request without any authentication gets a challenge without an error code.
    return "Bearer" if isinstance(error, NoToken) else 'Bearer error="invalid_token"'


def _payload_for_log() -> Any:
    """Return the request's payload, if the view has read it."""
    return bounded(g.spec) if "spec" in g else None
