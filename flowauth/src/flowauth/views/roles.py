"""Administer roles."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy import func, select
from sqlalchemy.orm import selectinload
from werkzeug.wrappers import Response

from flowauth import presets
from flowauth.access import Access, Delegated, actor, allow, database, reach
from flowauth.actions import roles as actions
from flowauth.actions import running
from flowauth.actions.running import TokensKeepIt
from flowauth.actions.servers import find_server
from flowauth.errors import Refusal
from flowauth.models import Role, Server, User, tokens_with_roles
from flowauth.scopes import ScopeTree
from flowauth.views import counting, forms

blueprint = Blueprint("roles", __name__, url_prefix="/admin/roles")


@blueprint.get("")
@allow(Access.ADMIN, Delegated.SERVER)
def listing() -> str:
    servers = select(Server).options(selectinload(Server.roles)).order_by(Server.name)
    within = reach()
    if within is not None:
        servers = servers.where(Server.id.in_(within))
    return render_template(
        "roles.html",
        servers=database().scalars(servers).all(),
        scopes=counting.scopes_of_roles(),
        members=counting.members_of_roles(),
    )


@blueprint.route("/new/<server_name>", methods=["GET", "POST"])
@allow(Access.ADMIN, Delegated.SERVER)
def new(server_name: str) -> Response | str | tuple[str, int]:
    return _edit(find_server(database(), server_name), None)


@blueprint.route("/<int:role_id>", methods=["GET", "POST"])
@allow(Access.ADMIN, Delegated.SERVER)
def edit(role_id: int) -> Response | str | tuple[str, int]:
    role = actions.find_role(database(), role_id)
    return _edit(role.server, role)


def _edit(server: Server, role: Role | None) -> Response | str | tuple[str, int]:
    if request.method == "GET":
        return _form(server, role)
    if preset := request.form.get("preset"):
        if preset not in presets.PRESETS:
            raise Refusal(gettext("There is no preset %(preset)s.", preset=preset[:20]), field="preset")
        return _form(server, role)
    try:
        saved = actions.save_role(
            database(),
            actor(),
            server,
            role,
            name=forms.text("name"),
            scopes=request.form.getlist("scopes"),
            users=forms.numbers("users"),
            longest_token_life_minutes=forms.number("longest_token_life_minutes"),
            latest_token_expiry=forms.text("latest_token_expiry"),
            shown=forms.shown(),
            after=forms.after(),
        )
    except Refusal as refusal:
        return _form(server, role, refusal), refusal.status
    flash(
        gettext("Role %(name)s on %(server_name)s is saved.", name=saved.name, server_name=saved.server.name),
        "success",
    )
    for hint in presets.forgotten(request.form.getlist("scopes"), {one.name for one in saved.server.scopes}):
        flash(hint, "warning")
    return redirect(url_for("roles.listing"), 303)


def _form(server: Server, role: Role | None, problem: Refusal | None = None) -> str:
    offered = {scope.name for scope in server.scopes}
    if request.method == "POST":
        chosen = offered & set(request.form.getlist("scopes"))
        if preset := request.form.get("preset"):
            chosen = presets.preset(preset, offered, chosen)
        members = {identity for identity in forms.numbers("users") if isinstance(identity, int)}
    else:
        chosen = {scope.name for scope in role.scopes} if role else set()
        members = {user.id for user in role.users} if role else set()
    return render_template(
        "role.html",
        server=server,
        role=role,
        facts=actions.role_facts(role) if role else None,
        tree_scopes=ScopeTree(offered, chosen),
        users=[
            (row.id, row.username, "")
            for row in database().execute(select(User.id, User.username).order_by(User.username))
        ],
        members=members,
        presets=presets.PRESETS,
        forgotten=presets.forgotten(chosen, offered),
        problem=problem,
    )


@blueprint.route("/<int:role_id>/delete", methods=["GET", "POST"])
@allow(Access.ADMIN, Delegated.SERVER)
def delete(role_id: int) -> Response | str | tuple[str, int]:
    role = actions.find_role(database(), role_id)
    if request.method == "GET":
        return _delete_page(role)
    name, server_name = role.name, role.server.name
    try:
        actions.delete_role(database(), actor(), role, forms.after())
    except TokensKeepIt:
        return _delete_page(actions.find_role(database(), role_id)), 409
    flash(
        gettext("Role %(name)s on %(server_name)s is deleted.", name=name, server_name=server_name), "success"
    )
    return redirect(url_for("roles.listing"), 303)


def _delete_page(role: Role) -> str:
    made = select(func.count()).select_from(tokens_with_roles).where(tokens_with_roles.c.role_id == role.id)
    return render_template(
        "delete_role.html",
        role=role,
        tokens=database().scalar(made) or 0,
        kept=running.kept(database(), running.made_from([role.id])),
    )
