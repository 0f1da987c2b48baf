"""Sign in by an OpenID Connect provider: authorization code with PKCE."""

from __future__ import annotations

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import FlaskOAuth2App, OAuth
from flask import Blueprint, Flask, current_app, flash, g, redirect, render_template, url_for
from flask_babel import gettext
from joserfc.errors import JoseError
from werkzeug.wrappers import Response

from flowauth.access import Access, actor, allow, current_session, database, user
from flowauth.actions import identities as actions
from flowauth.actions.sign_in import CodeNeeded
from flowauth.errors import Refusal
from flowauth.settings import Settings
from flowauth.views import services
from flowauth.views.signing_in import enter, wait_for_code

blueprint = Blueprint("identities", __name__)
_PROVIDER, _CONNECTING = "provider", "connecting"
_TIMEOUT = 10


def install(app: Flask, settings: Settings) -> None:
    """Register the provider of the settings; nothing is fetched yet."""
    oauth = OAuth(app)
    if settings.oidc_issuer is not None:
        oauth.register(
            _PROVIDER,
            server_metadata_url=f"{settings.oidc_issuer}/.well-known/openid-configuration",
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            client_kwargs={
                "scope": "openid profile",
                "code_challenge_method": "S256",
                "default_timeout": _TIMEOUT,
            },
        )


def _provider() -> FlaskOAuth2App:
    provider = current_app.extensions["authlib.integrations.flask_client"].create_client(_PROVIDER)
    if provider is None:
        raise Refusal(gettext("There is nothing here."), 404)
    return provider


@blueprint.get("/sign-in/provider")
@allow(Access.ANYONE)
def go() -> Response:
    """Send the browser to the provider."""
    provider = _provider()
    try:
        return provider.authorize_redirect(url_for("identities.back", _external=True))
    except (requests.RequestException, AuthlibBaseError, ValueError):
        raise Refusal(
            gettext(
                "%(provider)s cannot be reached. Try again later.", provider=services().settings.oidc_name
            ),
            502,
        ) from None


@blueprint.get("/sign-in/provider/back")
@allow(Access.ANYONE)
def back() -> Response | tuple[str, int]:
    """Take the browser back from the provider: sign in, or connect the identity."""
    connecting = current_session().pop(_CONNECTING, None)
    try:
        claimed = _claimed()
        if g.user is not None and connecting == g.user.id:
            actions.connect(database(), actor(), user(), claimed)
            flash(
                gettext(
                    "%(provider)s signs in to this account from now on.",
                    provider=services().settings.oidc_name,
                ),
                "success",
            )
            return redirect(url_for("account.show"), 303)
        return enter(actions.sign_in(database(), services(), actor(), claimed), "")
    except CodeNeeded as needed:
        return wait_for_code(needed.half, "")
    except Refusal as refusal:
        return render_template("sign_in.html", target="", problem=refusal), refusal.status


def _claimed() -> actions.Claimed:
    """Return the verified claims of the provider's answer."""
    name = services().settings.oidc_name
    try:
        token = _provider().authorize_access_token()
    except (AuthlibBaseError, JoseError, requests.RequestException, ValueError):
        raise Refusal(gettext("%(name)s did not sign you in. Try again.", name=name), 401) from None
    claims = token.get("userinfo")
    if not claims:
        raise Refusal(gettext("%(name)s did not say who you are.", name=name), 502)
    return actions.Claimed(str(claims["iss"]), str(claims["sub"]), str(claims.get("preferred_username", "")))


@blueprint.post("/account/identity/connect")
@allow(Access.USER)
def connect() -> str:
    """Ask the user to go on to the provider.

    A page with a link, because the content security policy lets no form lead to another site.
    """
    _provider()
    current_session()[_CONNECTING] = user().id
    return render_template("connect_identity.html")


@blueprint.post("/account/identity/disconnect")
@allow(Access.USER)
def disconnect() -> Response:
    actions.disconnect(database(), actor(), user())
    flash(gettext("No identity of a provider signs in to this account any more."), "success")
    return redirect(url_for("account.show"), 303)
