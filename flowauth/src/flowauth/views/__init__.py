"""Serve pages: each view reads the form, calls one action, and answers."""

from __future__ import annotations

from flask import current_app

from flowauth.services import Services


def services() -> Services:
    """Return what requests of the running app share."""
    return current_app.extensions["flowauth"]
