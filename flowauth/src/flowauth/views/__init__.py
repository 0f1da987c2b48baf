"""The pages: they read the form, call one action, and answer."""

from __future__ import annotations

from flask import current_app

from flowauth.services import Services


def services() -> Services:
    """What the running app shares between its requests."""
    return current_app.extensions["flowauth"]
