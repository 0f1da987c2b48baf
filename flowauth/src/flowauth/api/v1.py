"""Serve version 1 of the JSON API.

Every reply that is not a success is ``{"message", "code"[, "bad_field", "bad_fields"]}``.
"""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, Response, g, jsonify, request, url_for
from flask_jwt_extended import create_access_token, get_jwt
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from flowauth import api_description, clock, sessions
from flowauth.access import Access, Delegated, actor, allow, database, reach, user
from flowauth.actions import device, running, signing_keys
from flowauth.actions import roles as role_actions
from flowauth.actions import servers as server_actions
from flowauth.actions import sign_in as sign_in_actions
from flowauth.actions import tokens as token_actions
from flowauth.actions import users as user_actions
from flowauth.actions.running import After, Wanted
from flowauth.api.body import Body, form_or_json, optional_body
from flowauth.api.description import describe
from flowauth.database import LARGEST_ID
from flowauth.errors import Refusal
from flowauth.expiry import cap_of
from flowauth.models import Role, Server, Token, User
from flowauth.names import OWN_AUDIENCE
from flowauth.views import services
from flowauth.views.all_tokens import found_tokens, wanted

blueprint = Blueprint("v1", __name__, url_prefix="/api/v1")
_WITH_ROLES = (
    selectinload(User.roles).joinedload(Role.server),
    selectinload(User.two_factor),
    selectinload(User.administers),
)
_ROLE = ("name", "scopes", "longest_token_life_minutes")
_OPTIONAL_OF_ROLE = ("latest_token_expiry", "users")
_WHOLE_ROLE = (joinedload(Role.server), selectinload(Role.scopes), selectinload(Role.users))


@blueprint.get("/openapi.json")
@allow(Access.ANYONE)
def openapi() -> Response:
    return jsonify(describe())


@blueprint.post("/session")
@allow(Access.ANYONE)
def open_session() -> Response:
    body = Body("username", "password", optional=("two_factor_code",))
    username, password = body.text("username"), body.text("password")
    code = body.text("two_factor_code") or None
    body.settle()
    done = sign_in_actions.sign_in(database(), services(), actor(), username, password, code, by_script=True)
    if database().get_one(User, done.user_id).is_pending:
        raise Refusal("Sign in to the web pages first: this account has something to set up.", 403)
    jti = str(uuid.uuid4())
    expires = sessions.open_scripted(database(), done.user_id, jti)
    g.username = done.username
    token = create_access_token(
        identity=done.username,
        expires_delta=False,
        additional_claims={"aud": OWN_AUDIENCE, "jti": jti, "exp": expires},
    )
    return jsonify(access_token=token, expires=clock.iso(expires))


@blueprint.delete("/session")
@allow(Access.USER)
def close_session() -> tuple[str, int]:
    sessions.close_scripted(database(), get_jwt()["jti"])
    return "", 204


@blueprint.post("/device-authorization")
@allow(Access.ANYONE)
def authorize_device() -> Response:
    """Start a grant for a program without a browser (RFC 8628)."""
    body = form_or_json("audience", "client_id")
    grant, device_code = device.begin(database(), body["audience"], body["client_id"], actor().address)
    code = device.shown_code(grant)
    return jsonify(
        device_code=device_code,
        user_code=code,
        verification_uri=url_for("devices.enter", _external=True),
        verification_uri_complete=url_for("devices.enter", code=code, _external=True),
        expires_in=int(device.LIFE.total_seconds()),
        interval=device.INTERVAL,
    )


@blueprint.post("/device-token")
@allow(Access.ANYONE)
def collect_token() -> Response:
    """Return the approved token, once (RFC 8628)."""
    body = form_or_json("grant_type", "device_code", "client_id")
    if body["grant_type"] != device.GRANT_TYPE:
        raise device.NotGranted("unsupported_grant_type", f"grant_type must be {device.GRANT_TYPE}.")
    token, text = device.collect(database(), services(), body["device_code"])
    g.username = token.user.username
    seconds = max(int((token.expiry - clock.now()).total_seconds()), 0)
    return jsonify(access_token=text, token_type="Bearer", expires_in=seconds)


@blueprint.get("/servers")
@allow(Access.USER)
def servers() -> Response:
    return jsonify([_server(server) for server in token_actions.servers_of(user())])


@blueprint.post("/servers")
@allow(Access.ADMIN)
def register_server() -> tuple[Response, int]:
    body = Body("description", optional=("longest_token_life_minutes", "latest_token_expiry"))
    server = server_actions.register_server(
        database(),
        actor(),
        body.checks(api_description.from_document, body.get("description")),
        body.get("longest_token_life_minutes", server_actions.DEFAULT_LIFE_MINUTES),
        body.get("latest_token_expiry"),
        body.checks,
    )
    return jsonify(name=server.name, scopes=[scope.name for scope in server.scopes]), 201


@blueprint.put("/servers/<name>/scopes")
@allow(Access.ADMIN, Delegated.SERVER)
def update_scopes(name: str) -> Response:
    body = Body("description", optional=("revoke_tokens",))
    description = body.checks(api_description.from_document, body.get("description"))
    after = body.after()
    body.settle()
    change = server_actions.update_scopes(
        database(), actor(), server_actions.find_server(database(), name), description, after
    )
    return jsonify(added=change.added, removed=change.removed, roles=change.roles)


@blueprint.delete("/servers/<name>")
@allow(Access.ADMIN)
def delete_server(name: str) -> tuple[str, int]:
    server_actions.delete_server(database(), actor(), server_actions.find_server(database(), name))
    return "", 204


@blueprint.get("/servers/<name>/tokens")
@allow(Access.USER)
def tokens(name: str) -> Response:
    server = token_actions.shown_server(database(), user(), name)
    return jsonify([_token(token) for token in token_actions.tokens_on(database(), user(), server)])


@blueprint.post("/servers/<name>/tokens")
@allow(Access.USER)
def mint(name: str) -> tuple[Response, int]:
    body = Body("name", "roles", optional=("lifetime_minutes",))
    token, text = token_actions.mint(
        database(),
        services(),
        actor(),
        user(),
        name,
        body.get("name"),
        body.get("roles"),
        lifetime_minutes=body.get("lifetime_minutes"),
        checks=body.checks,
    )
    token_actions.forget_if_shown_once(database(), services(), token)
    return jsonify(_token(token) | {"token": text}), 201


@blueprint.post("/tokens/<int:token_id>/renew")
@allow(Access.USER)
def renew(token_id: int) -> tuple[Response, int]:
    body = optional_body("lifetime_minutes")
    minutes, checks = (body.get("lifetime_minutes"), body.checks) if body else (None, None)
    token, text = token_actions.renew(database(), services(), actor(), user(), token_id, minutes, checks)
    token_actions.forget_if_shown_once(database(), services(), token)
    return jsonify(_token(token) | {"token": text}), 201


@blueprint.post("/tokens/<int:token_id>/reveal")
@allow(Access.USER)
def reveal(token_id: int) -> Response:
    token, text = token_actions.reveal(database(), services(), actor(), user(), token_id)
    return jsonify(_token(token) | {"token": text})


@blueprint.post("/tokens/<int:token_id>/revoke")
@allow(Access.USER)
def revoke(token_id: int) -> Response:
    return jsonify(_token(token_actions.revoke(database(), actor(), user(), token_id)))


@blueprint.get("/tokens")
@allow(Access.ADMIN, Delegated.SERVER)
def all_tokens() -> Response:
    found = found_tokens(wanted(request.args))
    rows = [_any_token(token) for token in found.rows]
    return jsonify(tokens=rows, page=found.number, pages=found.pages, total=found.total)


@blueprint.post("/tokens/revoke")
@allow(Access.ADMIN, Delegated.SERVER)
def revoke_any() -> Response:
    body = Body(optional=("tokens", "user", "server", "role", "reason"))
    reason = body.text("reason")
    found = Wanted(
        user=body.text("user"), server=body.text("server"), role=body.checks(_role_id, body.get("role"))
    )
    if "tokens" in body:
        if any(key in body for key in ("user", "server", "role")):
            body.checks.note(Refusal("Give either tokens, or user, server or role.", field="tokens"))
        chosen = body.items("tokens")
        names = running.revoke_chosen(database(), actor(), chosen, reason, reach(), body.checks)
    else:
        names = running.revoke_found(database(), actor(), found, reason, reach(), body.checks)
    return jsonify(revoked=len(names))


def _role_id(value: object) -> int | None:
    if value is not None and (type(value) is not int or not 0 < value <= LARGEST_ID):
        raise Refusal("role must be the id of a role.", field="role")
    return value


@blueprint.get("/users")
@allow(Access.ADMIN)
def users() -> Response:
    return jsonify(
        [_user(one) for one in database().scalars(select(User).options(*_WITH_ROLES).order_by(User.username))]
    )


@blueprint.post("/users")
@allow(Access.ADMIN)
def create_user() -> tuple[Response, int]:
    body = Body(
        "username",
        "password",
        optional=("is_admin", "is_auditor", "is_service", "administers", "require_two_factor", "roles"),
    )
    created = user_actions.create_user(
        database(),
        services(),
        actor(),
        body.get("username"),
        body.get("password"),
        is_admin=body.flag("is_admin"),
        is_auditor=body.flag("is_auditor"),
        is_service=body.flag("is_service"),
        administers=body.items("administers"),
        require_two_factor=body.flag("require_two_factor"),
        roles=body.items("roles"),
        checks=body.checks,
    )
    return jsonify(_user(created)), 201


@blueprint.delete("/users/<int:user_id>")
@allow(Access.ADMIN)
def delete_user(user_id: int) -> tuple[str, int]:
    user_actions.delete_user(database(), actor(), user_id)
    return "", 204


@blueprint.get("/roles")
@allow(Access.ADMIN, Delegated.SERVER)
def roles() -> Response:
    within, query = reach(), select(Role).options(*_WHOLE_ROLE).order_by(Role.server_id, Role.name)
    if within is not None:
        query = query.where(Role.server_id.in_(within))
    return jsonify([_role(role) for role in database().scalars(query)])


@blueprint.post("/roles")
@allow(Access.ADMIN, Delegated.SERVER)
def create_role() -> tuple[Response, int]:
    body = Body("server", *_ROLE, optional=_OPTIONAL_OF_ROLE)
    name = body.text("server")
    if not name:
        body.settle()
    server = server_actions.find_server(database(), name)
    within = reach()
    if within is not None and server.id not in within:
        raise Refusal("You do not administer this server.", 403)
    return jsonify(_role(_save_role(server, None, body))), 201


@blueprint.put("/roles/<int:role_id>")
@allow(Access.ADMIN, Delegated.SERVER)
def replace_role(role_id: int) -> Response:
    role = role_actions.find_role(database(), role_id)
    body = Body(*_ROLE, optional=(*_OPTIONAL_OF_ROLE, "revoke_tokens"))
    return jsonify(_role(_save_role(role.server, role, body, body.after())))


@blueprint.delete("/roles/<int:role_id>")
@allow(Access.ADMIN, Delegated.SERVER)
def delete_role(role_id: int) -> tuple[str, int]:
    after = After.KEEP
    if body := optional_body("revoke_tokens"):
        after = body.after()
        body.settle()
    role = role_actions.find_role(database(), role_id)
    role_actions.delete_role(database(), actor(), role, after)
    return "", 204


@blueprint.get("/public-key")
@allow(Access.USER)
def public_key() -> Response:
    return jsonify(public_key=signing_keys.public_pems(database(), services()))


def _save_role(server: Server, role: Role | None, body: Body, after: After = After.KEEP) -> Role:
    return role_actions.save_role(
        database(),
        actor(),
        server,
        role,
        name=body.get("name"),
        scopes=body.items("scopes"),
        users=body.items("users"),
        longest_token_life_minutes=body.get("longest_token_life_minutes"),
        latest_token_expiry=body.get("latest_token_expiry"),
        after=after,
        checks=body.checks,
    )


def _server(server: Server) -> dict[str, Any]:
    now = clock.now()
    return {
        "name": server.name,
        "roles": [
            {
                "name": role.name,
                "scopes": role.scope_names,
                "max_expiry": clock.iso(
                    min(cap_of(limit, now).at for limit in token_actions.limits(server, [role]))
                ),
            }
            for role in token_actions.roles_on(user(), server)
        ],
    }


def _token(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "server": token.server.name,
        "roles": token.role_names,
        "issued": clock.iso(token.issued),
        "expires": clock.iso(token.expiry),
        "revoked": token.revoked_at is not None,
    }


def _any_token(token: Token) -> dict[str, Any]:
    return _token(token) | {
        "user": token.user.username,
        "last_used": token.last_used and clock.iso(token.last_used),
        "revoked_because": token.revoked_because,
    }


def _user(one: User) -> dict[str, Any]:
    return {
        "id": one.id,
        "username": one.username,
        "is_admin": one.is_admin,
        "is_auditor": one.is_auditor,
        "is_service": one.is_service,
        "administers": [server.name for server in one.administers],
        "has_two_factor": one.has_two_factor,
        "require_two_factor": one.require_two_factor,
        "roles": [{"id": role.id, "name": role.name, "server": role.server.name} for role in one.roles],
    }


def _role(role: Role) -> dict[str, Any]:
    return {
        "id": role.id,
        "name": role.name,
        "server": role.server.name,
        "scopes": sorted(scope.name for scope in role.scopes),
        "users": sorted(one.id for one in role.users),
        "longest_token_life_minutes": role.longest_token_life_minutes,
        "latest_token_expiry": role.latest_token_expiry and clock.iso(role.latest_token_expiry),
    }
