"""Administer servers: registration from a description, limits, scopes."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import select
from werkzeug.wrappers import Response

from flowauth import api_description
from flowauth.access import Access, Delegated, actor, allow, database, reach, user
from flowauth.actions import running
from flowauth.actions import servers as actions
from flowauth.api_description import ApiDescription
from flowauth.errors import Refusal
from flowauth.models import Server
from flowauth.scopes import ScopeTree
from flowauth.views import counting, forms, services

blueprint = Blueprint("servers", __name__, url_prefix="/admin/servers")
_AN_HOUR = 3600


@blueprint.get("")
@allow(Access.ADMIN, Delegated.SERVER)
def listing() -> str:
    within, query = reach(), select(Server).order_by(Server.name)
    if within is not None:
        query = query.where(Server.id.in_(within))
    return render_template(
        "servers.html",
        servers=database().scalars(query).all(),
        scopes=counting.scopes_of_servers(),
        roles=counting.roles_of_servers(),
    )


@blueprint.get("/new")
@allow(Access.ADMIN)
def new() -> str:
    return render_template("server_upload.html", server=None)


@blueprint.post("/preview")
@allow(Access.ADMIN, Delegated.SERVER)
def preview() -> str | tuple[str, int]:
    """Show the effect of an uploaded description without storing it.

    The parsed description travels signed to the saving form and back, so that the saved description is the
    one shown.
    """
    server = None
    try:
        if reach() is not None and forms.text("server") not in {one.name for one in user().administers}:
            raise Refusal(gettext("You do not administer this server."), 403)
        if name := forms.text("server"):
            server = actions.find_server(database(), name)
        upload = request.files.get("description")
        if upload is None or not upload.filename:
            raise Refusal(gettext("Choose the description file of the API server."), field="description")
        description = api_description.parse(upload.stream.read())
        change = actions.difference(server, description)
        if server is None:
            actions.check_free(database(), description)
    except Refusal as refusal:
        return render_template("server_upload.html", server=server, problem=refusal), refusal.status
    return _confirm(server, description, change)


def _confirm(
    server: Server | None,
    description: ApiDescription,
    change: actions.Difference,
    problem: Refusal | None = None,
) -> str:
    return render_template(
        "server_confirm.html",
        server=server,
        description=description,
        change=change,
        added=ScopeTree(change.added),
        removed=ScopeTree(change.removed),
        signed=_serializer().dumps(
            {
                "audience": description.audience,
                "scopes": description.scopes,
                "sentences": dict(description.sentences),
            }
        ),
        kept=running.kept(database(), actions.holding_removed(server, change)) if server else None,
        default_life=actions.DEFAULT_LIFE_MINUTES,
        problem=problem,
    )


@blueprint.post("/register")
@allow(Access.ADMIN)
def register() -> Response | str | tuple[str, int]:
    description = _signed_description()
    try:
        server = actions.register_server(
            database(),
            actor(),
            description,
            forms.number("longest_token_life_minutes"),
            forms.text("latest_token_expiry"),
        )
    except Refusal as refusal:
        return _confirm(None, description, actions.difference(None, description), refusal), refusal.status
    flash(
        gettext(
            "Server %(name)s is registered with %(count)s scopes.",
            name=server.name,
            count=len(description.scopes),
        ),
        "success",
    )
    return redirect(url_for("servers.edit", name=server.name), 303)


@blueprint.route("/<name>", methods=["GET", "POST"])
@allow(Access.ADMIN, Delegated.SERVER)
def edit(name: str) -> Response | str | tuple[str, int]:
    server = actions.find_server(database(), name)
    if request.method == "GET":
        return _page(server)
    try:
        actions.change_limits(
            database(),
            actor(),
            server,
            forms.number("longest_token_life_minutes"),
            forms.text("latest_token_expiry"),
            forms.after(),
        )
    except Refusal as refusal:
        return _page(actions.find_server(database(), name), refusal), refusal.status
    flash(gettext("The limits of %(name)s are saved.", name=name), "success")
    return redirect(url_for("servers.edit", name=name), 303)


def _page(server: Server, problem: Refusal | None = None, form: str = "limits") -> str:
    enabled = {scope.name for scope in server.scopes if scope.enabled}
    if problem and form == "scopes":
        enabled = {scope.name for scope in server.scopes} & set(request.form.getlist("scopes"))
    return render_template(
        "server.html",
        server=server,
        tree_scopes=ScopeTree((scope.name for scope in server.scopes), enabled),
        exceeding=actions.exceeding_roles(server),
        problem=problem,
        form=form,
    )


@blueprint.post("/<name>/scopes")
@allow(Access.ADMIN, Delegated.SERVER)
def update_scopes(name: str) -> Response | tuple[str, int]:
    server, description = actions.find_server(database(), name), _signed_description()
    try:
        change = actions.update_scopes(database(), actor(), server, description, forms.after())
    except Refusal as refusal:
        return _confirm(server, description, actions.difference(server, description), refusal), refusal.status
    flash(
        gettext(
            "%(added)s scopes added to %(name)s, %(removed)s removed.",
            added=len(change.added),
            name=name,
            removed=len(change.removed),
        ),
        "success",
    )
    return redirect(url_for("servers.edit", name=name), 303)


@blueprint.post("/<name>/scopes/enabled")
@allow(Access.ADMIN, Delegated.SERVER)
def enable_scopes(name: str) -> Response | tuple[str, int]:
    server = actions.find_server(database(), name)
    try:
        actions.enable_scopes(database(), actor(), server, set(request.form.getlist("scopes")), forms.after())
    except Refusal as refusal:
        return _page(server, refusal, "scopes"), refusal.status
    flash(gettext("The scopes of %(name)s are saved.", name=name), "success")
    return redirect(url_for("servers.edit", name=name), 303)


@blueprint.route("/<name>/delete", methods=["GET", "POST"])
@allow(Access.ADMIN)
def delete(name: str) -> Response | str:
    server = actions.find_server(database(), name)
    if request.method == "GET":
        return render_template(
            "delete_server.html", server=server, goes=actions.goes_with(database(), server)
        )
    actions.delete_server(database(), actor(), server)
    flash(gettext("Server %(name)s is deleted.", name=name), "success")
    return redirect(url_for("servers.listing"), 303)


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(services().settings.secret_key, salt="api-description")


def _signed_description() -> ApiDescription:
    try:
        content: Any = _serializer().loads(forms.text("signed"), max_age=_AN_HOUR)
    except BadData:
        raise Refusal(gettext("This page is too old: upload the description again.")) from None
    return ApiDescription(content["audience"], tuple(content["scopes"]), content["sentences"])
