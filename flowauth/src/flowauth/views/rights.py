"""Show who can do what, and why a request is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, render_template, request
from flask_babel import gettext
from sqlalchemy import Select, func, select

from flowauth import clock
from flowauth.access import Access, Delegated, allow, database
from flowauth.actions import rights as actions
from flowauth.actions.running import of_each_user
from flowauth.errors import Checks, Refusal
from flowauth.models import Server, Token
from flowauth.services import Services
from flowauth.views import forms, services
from flowauth.views.paging import SIZE

blueprint = Blueprint("rights", __name__, url_prefix="/admin/access")


def _asked() -> dict[str, str]:
    return {name: request.args.get(name, "").strip() for name in ("server", "scope", "user")}


@blueprint.get("")
@allow(Access.ADMIN)
def table() -> str:
    asked = _asked()
    server = actions.find_any_server(database(), asked["server"])
    rows: Any = []
    roles: dict[int, list[str]] = {}
    tokens: dict[int, Any] = {}
    total, number, pages = 0, 1, 1
    if server is not None:
        query = actions.holders(server.id, asked["scope"], asked["user"])
        total = database().scalar(select(func.count()).select_from(query.subquery())) or 0
        pages = max(-(-total // SIZE), 1)
        number = min(forms.page(), pages)
        page = query.order_by("username").limit(SIZE).offset((number - 1) * SIZE)
        rows = database().execute(page).all()
        shown = [row.id for row in rows]
        roles = actions.roles_of(database(), server.id, shown)
        tokens = {row.user_id: row for row in database().execute(of_each_user(server.id, shown))}
        asked["server"] = server.name
    return render_template(
        "fragments/access_rows.html" if "HX-Request" in request.headers else "access.html",
        asked=asked,
        arguments={name: value for name, value in asked.items() if value},
        servers=database().scalars(select(Server.name).order_by(Server.name)).all(),
        rows=rows,
        roles=roles,
        tokens=tokens,
        total=total,
        number=number,
        pages=pages,
    )


@blueprint.get("/access.csv")
@allow(Access.ADMIN)
def export() -> Response:
    asked = _asked()
    server = actions.find_any_server(database(), asked["server"]) if asked["server"] else None
    query = actions.every_right(server.id if server else None, asked["scope"], asked["user"])
    return Response(
        _lines(services(), query),
        mimetype="text/csv",
        headers={"Content-Disposition": "attachment; filename=access.csv"},
    )


def _lines(shared: Services, query: Select[Any]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("user", "server", "role", "scope", "tokens_until", "last_used"))
    # Use a separate session, because the request's session closes before the last row is sent.
    with shared.session(reading=True) as session:
        for rows in session.execute(query.execution_options(yield_per=1000)).partitions():
            writer.writerows(
                (*held, latest and clock.iso(latest), used and clock.iso(used))
                for *held, latest, used in rows
            )
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


@blueprint.route("/denied", methods=["GET", "POST"])
@allow(Access.ADMIN, Delegated.READING)
def denied() -> str | tuple[str, int]:
    """Compare the scopes that a request needs with those of a user or a token."""
    values = {
        name: request.values.get(name, "").strip() for name in ("server", "user", "token", "asked", "pasted")
    }
    explanation, problem, token, checks = None, None, None, Checks()
    if values["token"]:
        token = _token(values["token"])
        values |= {"server": token.server.name, "user": token.user.username}
    server = checks(actions.find_any_server, database(), values["server"])
    try:
        if request.method == "POST":
            explanation = _explained(server, token, values, checks)
        checks.settle()
    except Refusal as refusal:
        problem = refusal
    page = render_template(
        "denied.html",
        values=values,
        token=token,
        asked=list(actions.ASKED),
        servers=database().scalars(select(Server.name).order_by(Server.name)).all(),
        explanation=explanation,
        problem=problem,
    )
    return (page, problem.status) if problem else page


def _explained(
    server: Server | None, token: Token | None, values: dict[str, str], checks: Checks
) -> actions.Explanation | None:
    holder = None if token is not None else checks(actions.find_named_user, database(), values["user"])
    asked = checks(actions.check_asked, values["asked"])
    pasted = checks(actions.check_pasted, values["pasted"])
    needed: frozenset[str] = frozenset()
    if server is not None and pasted:
        needed = checks(actions.needed_for, server, pasted, asked, services().settings.query_scopes_files)
    checks.settle()
    if server is None:
        return None
    if token is not None:
        held = actions.held_by_token(services(), token)
    else:
        held = actions.held_by_user(holder, server) if holder is not None else {}
    return actions.explain(database(), server, needed, held)


def _token(text: str) -> Token:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Refusal(gettext("token must be the id of a token."), field="token")
    return actions.find_token(database(), int(text))
