"""Replace the key that signs tokens; every running token stays verifiable."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.fernet import Fernet, MultiFernet
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from flowauth import clock
from flowauth.actions import signing_keys
from flowauth.actions.keys import encrypt_again
from flowauth.audit import CONSOLE
from flowauth.errors import Refusal
from flowauth.models import SigningKey, Token
from flowauth.services import Services
from flowauth.settings import Settings
from flowauth.signing import new_key
from flowauth.testing import Script, Visitor, World, command, new_environment, opened


@pytest.fixture
def ada_script(app: Flask, world: World) -> Script:
    return Script(app, "ada")


def mint(script: Script, name: str) -> str:
    reply = script("POST", "/servers/north/tokens", {"name": name, "roles": ["analyst"]})
    assert reply.status_code == 201, reply.text
    return str(reply.json["token"])


def verified(app: Flask, token: str) -> dict[str, object]:
    """Verify a token as a program does that knows only the key set."""
    keys = app.test_client().get("/.well-known/jwks.json").json
    found = {key.key_id: key for key in jwt.PyJWKSet.from_dict(keys).keys}
    key = found[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["RS256"], audience="north")


def kids(app: Flask) -> list[str]:
    return [key["kid"] for key in app.test_client().get("/.well-known/jwks.json").json["keys"]]


def test_a_rotation_from_the_page(app: Flask, ada_script: Script, root: Visitor) -> None:
    before = mint(ada_script, "before")
    (first,) = kids(app)
    assert root.post("/admin/signing-keys/prepare").status_code == 303
    page = root.get("/admin/public-key").text
    assert page.count("BEGIN PUBLIC KEY") == 2
    assert jwt.get_unverified_header(mint(ada_script, "between"))["kid"] == first
    assert root.post("/admin/signing-keys/prepare").status_code == 409

    assert root.post("/admin/signing-keys/activate").status_code == 303
    after = mint(ada_script, "after")
    assert jwt.get_unverified_header(after)["kid"] != first
    for token in (before, after):
        assert verified(app, token)["sub"] == "ada"
    assert root.post("/admin/signing-keys/activate").status_code == 409
    assert root.post("/admin/signing-keys/discard").status_code == 409


def test_a_retired_key_is_published_until_its_last_token_ends(
    app: Flask, ada_script: Script, services: Services, database: Session
) -> None:
    mint(ada_script, "old")
    signing_keys.prepare(database, services, CONSOLE)
    signing_keys.activate(database, services, CONSOLE)
    assert len(kids(app)) == 2
    database.execute(update(Token).values(expiry=clock.now() - timedelta(seconds=1)))
    database.commit()
    assert len(kids(app)) == 1
    assert verified(app, mint(ada_script, "new"))["sub"] == "ada"


def test_no_retired_private_key_is_kept(services: Services, database: Session, world: World) -> None:
    for _ in range(2):
        signing_keys.prepare(database, services, CONSOLE)
        signing_keys.activate(database, services, CONSOLE)
    stored = {key.state: [] for key in database.scalars(select(SigningKey))}
    for key in database.scalars(select(SigningKey)):
        stored[key.state].append(key.encrypted_private)
    assert stored["retired"] == [None, None]
    (active,) = stored["active"]
    assert "PRIVATE KEY" in (services.decrypt(active) or "")
    assert "PRIVATE KEY" not in active


def test_a_new_key_of_the_settings_takes_over(app: Flask, ada_script: Script, settings: Settings) -> None:
    before = mint(ada_script, "before")
    changed = settings.model_copy(update={"private_key": new_key(2048)})
    with opened(changed) as later:
        after = mint(Script(later, "ada"), "after")
        assert jwt.get_unverified_header(after)["kid"] != jwt.get_unverified_header(before)["kid"]
        for token in (before, after):
            assert verified(later, token)["sub"] == "ada"


def test_the_storage_key_of_signing_keys_is_replaced(services: Services, database: Session) -> None:
    old, new = Fernet(Fernet.generate_key()), Fernet(Fernet.generate_key())

    def holding(*keys: Fernet) -> Services:
        settings = services.settings.model_copy(update={"fernet": MultiFernet(keys)})
        return Services(settings, services.engine, services.passwords)

    signing_keys.prepare(database, holding(old), CONSOLE)
    signing_keys.activate(database, holding(old), CONSOLE)
    with pytest.raises(Refusal, match="FLOWAUTH_FERNET_KEY"):
        signing_keys.signer(database, holding(new))
    encrypt_again(database, holding(new, old))
    assert signing_keys.signer(database, holding(new)).kid


@pytest.mark.slow
def test_a_rotation_by_command(tmp_path: Path) -> None:
    environment = new_environment(tmp_path)
    assert command(environment, "init-db").returncode == 0
    shown = command(environment, "signing-keys")
    assert shown.stdout == (tmp_path / "secrets" / "PUBLIC_JWT_SIGNING_KEY").read_text()
    both = command(environment, "signing-keys", "prepare")
    assert both.stdout.count("BEGIN PUBLIC KEY") == 2, both.stderr
    assert command(environment, "signing-keys", "prepare").returncode == 1
    after = command(environment, "signing-keys", "activate")
    # No token runs, so the retired key is not needed any more.
    assert after.stdout.count("BEGIN PUBLIC KEY") == 1
    assert after.stdout in both.stdout
    assert after.stdout != shown.stdout
    assert "PRIVATE" not in json.dumps([both.stdout, after.stdout])
