"""Let administrators tick who reads the reports of which recipients."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy import select
from werkzeug.wrappers import Response

from flowauth.access import Access, actor, allow, database
from flowauth.actions import readers as actions
from flowauth.errors import Refusal
from flowauth.models import User
from flowauth.views import forms, services
from flowauth.views.reports import published_reports

blueprint = Blueprint("readers", __name__)


@blueprint.get("/admin/reports")
@allow(Access.ADMIN)
def listing() -> str:
    published = published_reports()
    known = actions.known(database(), published)
    return render_template(
        "report_readers.html",
        recipients=[(name, published.reports(name)) for name in known],
        numbers=actions.numbers(database()),
        is_set=services().settings.reports is not None,
    )


@blueprint.route("/admin/reports/<recipients>", methods=["GET", "POST"])
@allow(Access.ADMIN)
def edit(recipients: str) -> Response | str | tuple[str, int]:
    actions.check_recipients(recipients)
    if request.method == "GET":
        return _form(recipients)
    try:
        actions.set_readers(database(), actor(), recipients, forms.numbers("users"), forms.shown())
    except Refusal as refusal:
        return _form(recipients, refusal), refusal.status
    flash(gettext("The readers of %(recipients)s are saved.", recipients=recipients), "success")
    return redirect(url_for("readers.listing"), 303)


def _form(recipients: str, problem: Refusal | None = None) -> str:
    if request.method == "POST":
        chosen = {one for one in forms.numbers("users") if isinstance(one, int)}
    else:
        chosen = {one.id for one in actions.of_recipients(database(), recipients)}
    people = select(User.id, User.username).where(~User.is_service).order_by(User.username)
    return render_template(
        "report_reader.html",
        recipients=recipients,
        reports=published_reports().reports(recipients),
        users=[(row.id, row.username, "") for row in database().execute(people)],
        chosen=chosen,
        facts=actions.facts(database(), recipients),
        problem=problem,
    )
