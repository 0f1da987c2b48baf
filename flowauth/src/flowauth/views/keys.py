"""Serve the signing keys and the list of revoked tokens."""

from __future__ import annotations

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as WerkzeugResponse

from flowauth import revocation
from flowauth.access import Access, actor, allow, database
from flowauth.actions import signing_keys as actions
from flowauth.errors import Refusal
from flowauth.signing import jwk_of
from flowauth.views import services

blueprint = Blueprint("keys", __name__)


@blueprint.get("/admin/public-key")
@allow(Access.ADMIN)
def public_key() -> str:
    path = services().settings.revocation_file
    keys = actions.published(database(), services())
    return render_template(
        "public_key.html",
        pem=actions.public_pems(database(), services()),
        keys=keys,
        following=next((key for key in keys if key.state == actions.NEXT), None),
        revoked=revocation.listing(database()).count("\n"),
        is_published=path is None or revocation.is_published(services(), path),
    )


@blueprint.get("/admin/public-key/flowauth_public_key.pub")
@allow(Access.ADMIN)
def public_key_file() -> Response:
    return Response(
        actions.public_pems(database(), services()),
        mimetype="application/x-pem-file",
        headers={"Content-Disposition": "attachment; filename=flowauth_public_key.pub"},
    )


@blueprint.get("/.well-known/jwks.json")
@allow(Access.ANYONE)
def jwks() -> Response:
    """Return the public keys as a JSON Web Key Set (RFC 7517)."""
    keys = [jwk_of(key.public_pem) for key in actions.published(database(), services())]
    return jsonify(keys=keys)


@blueprint.get("/.well-known/revoked-tokens")
@allow(Access.ANYONE)
def revoked_tokens() -> Response:
    """Return the signed list of revoked tokens for API servers."""
    signer = actions.reading_signer(database(), services())
    return Response(revocation.signed_listing(database(), signer), mimetype="application/jwt")


@blueprint.post("/admin/signing-keys/prepare")
@allow(Access.ADMIN)
def prepare() -> WerkzeugResponse:
    actions.prepare(database(), services(), actor())
    flash(
        gettext("The next key is made. Give the text below to every API server, then activate the key."),
        "success",
    )
    return redirect(url_for("keys.public_key"), 303)


@blueprint.post("/admin/signing-keys/activate")
@allow(Access.ADMIN)
def activate() -> WerkzeugResponse:
    actions.activate(database(), services(), actor())
    flash(gettext("New tokens are signed with the new key. Running tokens keep the retired key."), "success")
    return redirect(url_for("keys.public_key"), 303)


@blueprint.post("/admin/signing-keys/discard")
@allow(Access.ADMIN)
def discard() -> WerkzeugResponse:
    actions.discard(database(), actor())
    flash(gettext("The next key is discarded."), "success")
    return redirect(url_for("keys.public_key"), 303)


@blueprint.post("/admin/revoked-tokens")
@allow(Access.ADMIN)
def publish() -> WerkzeugResponse:
    """Write the list of revoked tokens again."""
    path = services().settings.revocation_file
    if path is None:
        raise Refusal(gettext("FLOWAUTH_REVOCATION_FILE names no file to write the list to."), 404)
    try:
        revocation.publish(services(), path)
    except OSError as error:
        raise Refusal(
            gettext("The list cannot be written: %(strerror)s.", strerror=error.strerror), 500
        ) from None
    flash(gettext("The list of revoked tokens is written."), "success")
    return redirect(url_for("keys.public_key"), 303)


@blueprint.get("/admin/revoked-tokens/revoked_tokens.txt")
@allow(Access.ADMIN)
def revoked_tokens_file() -> Response:
    return Response(
        revocation.listing(database()),
        mimetype="text/plain",
        headers={"Content-Disposition": "attachment; filename=revoked_tokens.txt"},
    )
