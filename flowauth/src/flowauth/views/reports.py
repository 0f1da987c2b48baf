"""Show reports to their readers."""

from __future__ import annotations

from flask import Blueprint, Response, g, render_template
from flask_babel import gettext

from flowauth.access import Access, actor, allow, database, user
from flowauth.actions import readers as actions
from flowauth.errors import Refusal
from flowauth.language import mark
from flowauth.published import Published
from flowauth.views import services

blueprint = Blueprint("reports", __name__)
#: The page comes from others: its script runs without this site's cookies and addresses.
POLICY = "sandbox allow-scripts allow-downloads"
#: What the makers of reports say of versions and failures.
WORDS = {
    "first": mark("first version"),
    "definition": mark("the report is defined in another way"),
    "version": mark("made with another version of FlowKit"),
    "loads": mark("data were loaded later or again"),
    "cells": mark("the list of cells changed"),
    "notebook": mark("its notebook changed"),
    "notes": mark("a note was added or changed"),
    "connection": mark("the server could not be reached"),
    "right": mark("a right is missing"),
    "refused": mark("the server refused the questions"),
    "size": mark("the page was too large"),
    "limits": mark("it took too long or too much memory"),
    "cell": mark("a cell of its notebook failed"),
    "verification": mark("the page did not pass its checks"),
}


def published_reports() -> Published:
    return Published(services().settings.reports)


def offered() -> bool:
    """Return whether the signed-in user has reports to read."""
    return services().settings.reports is not None and actions.reads_anything(database(), g.user)


@blueprint.get("/reports")
@allow(Access.USER)
def listing() -> str:
    published = published_reports()
    found = [report for name in actions.read_by(database(), user()) for report in published.reports(name)]
    return render_template("reports.html", reports=found, words=WORDS)


@blueprint.get("/reports/<recipients>/<report>")
@allow(Access.USER)
def show(recipients: str, report: str) -> str:
    found = actions.readable(database(), user(), published_reports(), recipients, report)
    return render_template("report.html", report=found, words=WORDS)


@blueprint.get("/reports/<recipients>/<report>/<period>/<version>/<language>")
@allow(Access.USER)
def page(recipients: str, report: str, period: str, version: str, language: str) -> Response:
    """Send a page as it was published, and record that it is read."""
    published = published_reports()
    found = actions.readable(database(), user(), published, recipients, report)
    content = published.page(recipients, report, period, version, language)
    if content is None:
        raise Refusal(gettext("There is no such page of this report any more."), 404)
    actions.note_reading(database(), actor(), found, period, version, language)
    return Response(content, mimetype="text/html", headers={"Content-Security-Policy": POLICY})
