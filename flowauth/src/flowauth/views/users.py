"""Administer users."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext, ngettext
from sqlalchemy import Select, func, select
from sqlalchemy.orm import contains_eager, selectinload
from werkzeug.wrappers import Response

from flowauth import throttle
from flowauth.access import Access, actor, allow, current_session, database, user
from flowauth.actions import running
from flowauth.actions import users as actions
from flowauth.actions.links import waiting
from flowauth.errors import Refusal
from flowauth.models import Role, Server, Token, TwoFactor, User
from flowauth.views import forms, links, services
from flowauth.views.paging import paged

blueprint = Blueprint("users", __name__, url_prefix="/admin/users")


@blueprint.get("")
@allow(Access.ADMIN)
def listing() -> str:
    arguments = {
        name: value for name in ("search", "role", "only") if (value := request.args.get(name, "").strip())
    }
    search, role = arguments.get("search"), arguments.get("role", "")
    query = select(User).options(
        selectinload(User.roles).joinedload(Role.server), selectinload(User.two_factor)
    )
    if search:
        query = query.where(User.username.icontains(search, autoescape=True))
    if role.isascii() and role.isdecimal() and len(role) < 10:
        query = query.where(User.roles.any(Role.id == int(role)))
    query = _only(query, arguments.get("only", ""))
    found = paged(query, User.username)
    roles = select(Role.id, Role.name, Server.name.label("server")).join(Role.server)
    template = "fragments/user_rows.html" if "HX-Request" in request.headers else "users.html"
    return render_template(
        template,
        users=found.rows,
        arguments=arguments,
        roles=database().execute(roles.order_by(Server.name, Role.name)).all(),
        page=found.number,
        pages=found.pages,
        total=found.total,
    )


def _only(query: Select[tuple[User]], kind: str) -> Select[tuple[User]]:
    """Return the users for whom a condition holds."""
    protected = User.two_factor.has(TwoFactor.enabled)
    conditions = {
        "administrators": lambda: User.is_admin,
        "auditors": lambda: User.is_auditor,
        "service_users": lambda: User.is_service,
        "server_administrators": lambda: User.administers.any(),
        "two_factor": lambda: protected,
        "no_two_factor": lambda: ~protected,
        "locked": lambda: User.username.in_(
            throttle.blocked(database(), database().scalars(select(User.username)))
        ),
        "no_roles": lambda: ~User.roles.any(),
    }
    return query.where(conditions[kind]()) if kind in conditions else query


@blueprint.route("/new", methods=["GET", "POST"])
@allow(Access.ADMIN)
def new() -> Response | str | tuple[str, int]:
    if request.method == "GET":
        return _form(None)
    try:
        created = actions.create_user(
            database(),
            services(),
            actor(),
            forms.text("username"),
            forms.secret("password"),
            with_link=forms.flag("link"),
            is_admin=forms.flag("is_admin"),
            is_auditor=forms.flag("is_auditor"),
            is_service=forms.flag("is_service"),
            administers=forms.numbers("administers"),
            require_two_factor=forms.flag("require_two_factor"),
            roles=forms.numbers("roles"),
        )
    except Refusal as refusal:
        return _form(None, refusal), refusal.status
    if forms.flag("link"):
        return links.made(created.id)
    if created.is_service:
        told = gettext("Service user %(name)s is created.", name=created.username)
    else:
        told = gettext(
            "User %(name)s is created and has to choose a new password at the first sign-in.",
            name=created.username,
        )
    flash(told, "success")
    return redirect(url_for("users.listing"), 303)


@blueprint.route("/<int:user_id>", methods=["GET", "POST"])
@allow(Access.ADMIN)
def edit(user_id: int) -> Response | str | tuple[str, int]:
    if request.method == "GET":
        return _form(actions.find_user(database(), user_id))
    try:
        changed = actions.change_user(
            database(),
            services(),
            actor(),
            user_id,
            username=forms.text("username"),
            password=forms.secret("password"),
            is_admin=forms.flag("is_admin"),
            is_auditor=forms.flag("is_auditor"),
            is_service=forms.flag("is_service"),
            administers=forms.numbers("administers"),
            require_two_factor=forms.flag("require_two_factor"),
            remove_two_factor=forms.flag("remove_two_factor"),
            roles=forms.numbers("roles"),
            session_digest=current_session().digest,
            shown=forms.shown(),
            after=forms.after(),
        )
    except Refusal as refusal:
        return _form(actions.find_user(database(), user_id), refusal), refusal.status
    flash(gettext("User %(name)s is saved.", name=changed.username), "success")
    return redirect(url_for("users.listing"), 303)


@blueprint.route("/<int:user_id>/delete", methods=["GET", "POST"])
@allow(Access.ADMIN)
def delete(user_id: int) -> Response | str:
    if request.method == "GET":
        shown = actions.find_user(database(), user_id)
        made = select(func.count(Token.id)).where(Token.user_id == shown.id)
        return render_template("delete_user.html", shown=shown, tokens=database().scalar(made) or 0)
    name = actions.delete_user(database(), actor(), user_id)
    flash(gettext("User %(name)s is deleted.", name=name), "success")
    return redirect(url_for("users.listing"), 303)


@blueprint.route("/<int:user_id>/revoke-tokens", methods=["GET", "POST"])
@allow(Access.ADMIN)
def revoke_tokens(user_id: int) -> Response | str:
    if request.method == "GET":
        shown = actions.find_user(database(), user_id)
        return render_template("revoke_tokens_of.html", shown=shown, running=_running(shown))
    shown, count = actions.revoke_tokens(database(), actor(), user_id)
    flash(
        ngettext(
            "%(num)s token of %(name)s revoked.",
            "%(num)s tokens of %(name)s revoked.",
            count,
            name=shown.username,
        ),
        "success",
    )
    return redirect(url_for("users.edit", user_id=user_id), 303)


@blueprint.post("/<int:user_id>/unlock")
@allow(Access.ADMIN)
def unlock(user_id: int) -> Response:
    unlocked = actions.unlock_user(database(), actor(), user_id)
    flash(gettext("User %(name)s may try to sign in again.", name=unlocked.username), "success")
    return redirect(url_for("users.edit", user_id=user_id), 303)


def _running(shown: User) -> int:
    kept = running.kept(database(), running.of_users([shown.id]))
    return kept.count if kept else 0


def _form(shown: User | None, problem: Refusal | None = None) -> str:
    roles = database().scalars(
        select(Role).join(Role.server).options(contains_eager(Role.server)).order_by(Server.name, Role.name)
    )
    if request.method == "POST":
        chosen = {identity for identity in forms.numbers("roles") if isinstance(identity, int)}
        administered = {identity for identity in forms.numbers("administers") if isinstance(identity, int)}
    else:
        chosen = {role.id for role in shown.roles} if shown else set()
        administered = {server.id for server in shown.administers} if shown else set()
    return render_template(
        "user.html",
        shown=shown,
        facts=actions.user_facts(shown) if shown else None,
        roles=[(role.id, role.name, gettext("on %(server)s", server=role.server.name)) for role in roles],
        chosen=chosen,
        servers=[
            (row.id, row.name, "")
            for row in database().execute(select(Server.id, Server.name).order_by(Server.name))
        ],
        administered=administered,
        problem=problem,
        running=_running(shown) if shown else 0,
        is_self=shown is not None and shown.id == user().id,
        blocked_until=throttle.blocked_until(database(), shown.username) if shown else None,
        link=waiting(database(), shown) if shown else None,
    )
