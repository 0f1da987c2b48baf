"""The API takes the list that the auth app signs, also after a new signing key."""

from __future__ import annotations

import io
from pathlib import Path

import jwt
import requests

from flowapi.fetched import FetchedTokens
from flowapi.logs import Logs
from flowapi.settings import parse_public_keys
from flowauth.testing import Deployment, command, served

SCOPES = ("get_available_dates", "get_result", "run")


def test_the_api_knows_what_the_auth_app_revokes(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with served(tmp_path, SCOPES) as app:
        headers = _session(app)
        assert command(app.environment, "signing-keys", "prepare").returncode == 0
        keys = parse_public_keys(command(app.environment, "signing-keys").stdout)
        url = f"{app.address}/.well-known/revoked-tokens"
        listed = FetchedTokens(url, copy, keys, Logs("error", audit=io.StringIO(), debug=io.StringIO()))
        first = _revoked(app, headers, "first")
        listed.fetch()
        assert first in listed
        assert command(app.environment, "signing-keys", "activate").returncode == 0
        second = _revoked(app, headers, "second")
        listed.fetch()
        assert second in listed
        assert listed.age_seconds < 60
    again = FetchedTokens(url, copy, keys, Logs("error", audit=io.StringIO(), debug=io.StringIO()))
    assert first in again
    assert second in again
    assert "another" not in again


def _session(app: Deployment) -> dict[str, str]:
    user = {"username": "TEST_USER", "password": "DUMMY_PASSWORD"}
    reply = requests.post(f"{app.address}/api/v1/session", json=user, timeout=30)
    return {"Authorization": f"Bearer {reply.json()['access_token']}"}


def _revoked(app: Deployment, headers: dict[str, str], name: str) -> str:
    """Make a token and revoke it; return its id."""
    path = f"{app.address}/api/v1/servers/TEST_SERVER/tokens"
    made = requests.post(path, json={"name": name, "roles": ["runner"]}, headers=headers, timeout=30).json()
    reply = requests.post(f"{app.address}/api/v1/tokens/{made['id']}/revoke", headers=headers, timeout=30)
    assert reply.status_code == 200, reply.text
    return str(jwt.decode(made["token"], options={"verify_signature": False})["jti"])
