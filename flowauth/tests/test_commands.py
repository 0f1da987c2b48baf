"""Run the commands, and check that a scenario's log holds no secret."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pyotp
import pytest
import requests
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import make_url, select

import flowauth
from flowauth.actions.demo import PASSWORD
from flowauth.app import LARGEST_REQUEST
from flowauth.models import TwoFactor, User
from flowauth.services import Services
from flowauth.settings import Settings, load_private_key
from flowauth.testing import PASSWORD as STRONG
from flowauth.testing import (
    SCOPES,
    Script,
    Visitor,
    command,
    description_of,
    new_environment,
    opened,
    served,
)
from flowauth.throttle import ACCOUNT_TRIES
from flowsettings import SettingError

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return new_environment(tmp_path)


def rows(environment: dict[str, str], query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(environment["DB_URI"].removeprefix("sqlite:///"))
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def demo(environment: dict[str, str], folder: Path, *scopes: str) -> None:
    file = folder / "openapi.json"
    file.write_text(json.dumps(description_of("TEST_SERVER", scopes)))
    done = command(environment, "demo-data", "--api-description", str(file))
    assert done.returncode == 0, done.stderr


def test_demo_data_load_twice_and_follow_a_newer_description(
    environment: dict[str, str], tmp_path: Path
) -> None:
    demo(environment, tmp_path, *SCOPES)
    demo(environment, tmp_path, *SCOPES[1:], "get_qa_checks", "extremes")
    held = """SELECT role.name, scope.name FROM role JOIN scopes_in_role ON role_id = role.id
              JOIN scope ON scope.id = scope_id ORDER BY 1, 2"""
    complex_scopes = [scope for scope in SCOPES[1:] if ":" in scope]
    assert rows(environment, held) == [
        *(("runner", scope) for scope in sorted([*complex_scopes, "extremes", "get_available_dates", "run"])),
        *(
            ("viewer", scope)
            for scope in sorted(
                [*complex_scopes, "extremes", "get_available_dates", "get_qa_checks", "get_result"]
            )
        ),
    ]
    members = "SELECT username, is_admin, count(*) FROM user JOIN users_with_roles ON user_id = id GROUP BY 1 ORDER BY 1"
    assert rows(environment, members) == [("TEST_ADMIN", 1, 2), ("TEST_USER", 0, 2)]


def test_demo_data_load_without_any_file(environment: dict[str, str]) -> None:
    assert command(environment, "demo-data").returncode == 0
    assert rows(environment, "SELECT name FROM server") == [("TEST_SERVER",)]


def test_demo_data_are_refused_where_people_have_accounts(
    environment: dict[str, str], tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(STRONG + "\n")
    assert command(environment, "init-db").returncode == 0
    assert command(environment, "add-admin", "ada", "--password-file", str(password)).returncode == 0
    refused = command(environment, "demo-data")
    assert refused.returncode == 3
    assert "ada" in refused.stderr
    assert rows(environment, "SELECT username, is_admin FROM user") == [("ada", 1)]
    assert command(environment, "init-db", "--force").returncode == 0
    assert rows(environment, "SELECT username FROM user") == []


def test_a_weak_administrator_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("password1234")
    assert command(environment, "init-db").returncode == 0
    refused = command(environment, "add-admin", "ada", "--password-file", str(tmp_path / "password"))
    assert refused.returncode == 1
    assert "too easy to guess" in refused.stderr
    assert "password1234" not in refused.stderr


def test_the_configured_administrator_is_made_once_and_kept(environment: dict[str, str]) -> None:
    configured = environment | {"FLOWAUTH_ADMIN_USERNAME": "ada", "FLOWAUTH_ADMIN_PASSWORD": STRONG}
    assert command(configured, "init-db").returncode == 0
    first = rows(environment, "SELECT username, _password FROM user")
    changed = configured | {"FLOWAUTH_ADMIN_PASSWORD": "quite-another-9-harbour-bench"}
    assert command(changed, "init-db").returncode == 0
    assert rows(environment, "SELECT username, _password FROM user") == first


def test_an_administrator_who_is_locked_out_is_let_in_from_the_console(
    environment: dict[str, str], tmp_path: Path
) -> None:
    configured = environment | {"FLOWAUTH_ADMIN_USERNAME": "ada", "FLOWAUTH_ADMIN_PASSWORD": STRONG}
    assert command(configured, "init-db").returncode == 0
    with opened(Settings.load(environment)) as app:
        services: Services = app.extensions["flowauth"]
        with services.session() as database:
            ada = database.scalars(select(User)).one()
            secret = services.encrypt(pyotp.random_base32())
            database.add(TwoFactor(user_id=ada.id, enabled=True, encrypted_secret=secret))
            database.commit()
        visitor = Visitor(app)
        for _ in range(ACCOUNT_TRIES):
            assert visitor.sign_in("ada", "wrong-password-here").status_code == 401
        new = "quite-another-9-harbour-bench"
        (tmp_path / "password").write_text(new + "\n")
        options = ("--unlock", "--remove-two-factor", "--password-file", str(tmp_path / "password"))
        done = command(environment, "reset-user", "ada", *options)
        assert done.returncode == 0, done.stderr
        assert visitor.sign_in("ada", new).location == "/"
        assert visitor.get("/").location == "/account", "the password has to be changed"
    events = "SELECT actor, action FROM audit_event WHERE actor = '(console)' AND action != 'user.created'"
    assert rows(environment, events) == [("(console)", "user.changed"), ("(console)", "user.unlocked")]
    nothing = command(environment, "reset-user", "ada")
    assert nothing.returncode == 1
    assert "Say what to reset" in nothing.stderr
    nobody = command(environment, "reset-user", "eve", "--unlock")
    assert nobody.returncode == 1
    assert "There is no user eve" in nobody.stderr


@pytest.fixture
def started(environment: dict[str, str]) -> Iterator[Callable[[], Flask]]:
    """Start an app with the settings of that moment."""
    with contextlib.ExitStack() as apps:
        yield lambda: apps.enter_context(opened(Settings.load(environment)))


def test_the_storage_key_is_replaced_without_loss(
    environment: dict[str, str], tmp_path: Path, started: Callable[[], Flask]
) -> None:
    demo(environment, tmp_path, *SCOPES)
    file = Path(environment["FLOWKIT_SECRETS"]) / "FLOWAUTH_FERNET_KEY"
    first, second = file.read_text(), Fernet.generate_key().decode()

    app = started()
    minted = Script(app, "TEST_USER", PASSWORD)(
        "POST", "/servers/TEST_SERVER/tokens", {"name": "t", "roles": ["runner"]}
    ).json
    visitor = Visitor(app)
    assert visitor.sign_in("TEST_ADMIN", PASSWORD).status_code == 303
    reveal = f"/tokens/{minted['id']}/reveal"

    file.write_text(second)
    lost = started()
    after = Visitor(lost)
    assert visitor.cookie
    after.client.set_cookie("session", visitor.cookie)
    assert after.get("/").location == "/sign-in?next=/"
    refused = Script(lost, "TEST_USER", PASSWORD)("POST", reveal)
    assert refused.status_code == 410
    assert "make a new token" in refused.json["message"]
    failed = command(environment, "encrypt-again")
    assert failed.returncode == 1
    assert "does not hold" in failed.stderr

    file.write_text(f"{second}\n{first}\n")
    assert Script(started(), "TEST_USER", PASSWORD)("POST", reveal).json["token"] == minted["token"]
    done = command(environment, "encrypt-again")
    assert done.returncode == 0, done.stderr
    file.write_text(second)
    assert Script(started(), "TEST_USER", PASSWORD)("POST", reveal).json["token"] == minted["token"]


def test_several_storage_keys_may_stand_in_lines_or_between_commas(environment: dict[str, str]) -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    stored = Fernet(old).encrypt(b"kept").decode()
    (Path(environment["FLOWKIT_SECRETS"]) / "FLOWAUTH_FERNET_KEY").unlink()
    for between in (",", "\n", " , "):
        keys = environment | {"FLOWAUTH_FERNET_KEY": f"{new.decode()}{between}{old.decode()}"}
        fernet = Settings.load(keys).fernet
        assert fernet.decrypt(stored) == b"kept"
        assert Fernet(new).decrypt(fernet.encrypt(b"fresh")) == b"fresh"
    for wrong in (",", f"{new.decode()},short"):
        with pytest.raises(SettingError, match="FLOWAUTH_FERNET_KEY"):
            Settings.load(environment | {"FLOWAUTH_FERNET_KEY": wrong})


@pytest.mark.parametrize("name", ["PRIVATE_JWT_SIGNING_KEY", "FLOWAUTH_FERNET_KEY", "SECRET_KEY"])
def test_a_missing_secret_stops_the_start_and_is_named(environment: dict[str, str], name: str) -> None:
    (Path(environment["FLOWKIT_SECRETS"]) / name).unlink()
    with pytest.raises(SettingError, match=f"{name} is not set"):
        Settings.load(environment)


def test_a_secret_that_cannot_be_read_is_named_with_its_file(environment: dict[str, str]) -> None:
    path = Path(environment["FLOWKIT_SECRETS"]) / "SECRET_KEY"
    path.unlink()
    path.mkdir()
    refused = command(environment, "init-db")
    assert refused.returncode == 1
    assert refused.stderr == f"flowauth: SECRET_KEY cannot be read from {path}: Is a directory.\n"


def test_an_empty_value_counts_as_absent(environment: dict[str, str]) -> None:
    names = ("FLOWAUTH_PORT", "TWO_FACTOR_VALID_WINDOW", "FLOWAUTH_LOG_LEVEL", "FLOWAUTH_TWO_FACTOR_ISSUER")
    settings = Settings.load(environment | dict.fromkeys(names, ""))
    assert (settings.port, settings.two_factor_window) == (9091, 0)
    assert (settings.log_level, settings.two_factor_issuer) == ("info", "FlowAuth")


def test_keys_are_never_overwritten_and_read_by_the_owner_alone(
    environment: dict[str, str], tmp_path: Path
) -> None:
    generate = ("generate-signing-keys", str(tmp_path / "made"), "--bits", "2048")
    assert command(environment, *generate).returncode == 0
    private = tmp_path / "made" / "PRIVATE_JWT_SIGNING_KEY"
    before = private.read_text()
    assert private.stat().st_mode & 0o777 == 0o600
    assert load_private_key(before).key_size == 2048
    assert command(environment, *generate).returncode == 1
    assert private.read_text() == before


def test_a_bad_key_is_not_repeated(environment: dict[str, str]) -> None:
    path = Path(environment["FLOWKIT_SECRETS"]) / "PRIVATE_JWT_SIGNING_KEY"
    path.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----")
    with pytest.raises(
        SettingError, match=r"^PRIVATE_JWT_SIGNING_KEY cannot be used: it must be an RSA"
    ) as error:
        Settings.load(environment)
    assert "c2VjcmV0" not in str(error.value)


def test_the_password_of_the_database_is_put_into_its_address(environment: dict[str, str]) -> None:
    made = "6d1f0a93c5e27b48d0b6"
    for uri in ("postgresql://u:{}@h/d", "postgresql://u@h/d"):
        settings = Settings.load(environment | {"DB_URI": uri, "FLOWAUTH_DB_PASSWORD": made})
        assert settings.database_uri == f"postgresql://u:{made}@h/d"
    # A password that only an address can hold in another form is the same password.
    odd = Settings.load(environment | {"DB_URI": "postgresql://u@h/d", "FLOWAUTH_DB_PASSWORD": f"{made}/b@c"})
    assert make_url(odd.database_uri).password == f"{made}/b@c"


@pytest.mark.parametrize(
    ("weak", "told"), [("hush", "16 characters or more, and has 4"), ("secret" * 5, "repeats itself")]
)
def test_a_password_of_the_database_that_could_be_guessed_is_refused(
    environment: dict[str, str], weak: str, told: str
) -> None:
    with pytest.raises(SettingError, match=f"FLOWAUTH_DB_PASSWORD.*{told}") as refused:
        Settings.load(environment | {"FLOWAUTH_DB_PASSWORD": weak})
    assert weak not in str(refused.value)


def test_a_served_scenario_whose_log_holds_no_secret(tmp_path: Path) -> None:
    with served(tmp_path, SCOPES) as deployment:
        secrets = [PASSWORD, STRONG]
        api = f"{deployment.address}/api/v1"
        assert requests.get(f"{deployment.address}/health/ready", timeout=30).json() == {
            "status": "ok",
            "version": flowauth.__version__,
        }
        body = {"username": "TEST_USER", "password": PASSWORD}
        session = requests.post(f"{api}/session", json=body, timeout=30).json()
        headers = {"Authorization": f"Bearer {session['access_token']}"}
        mint = {"name": "demo_token", "roles": ["runner", "viewer"]}
        token = requests.post(
            f"{api}/servers/TEST_SERVER/tokens", json=mint, headers=headers, timeout=30
        ).json()["token"]
        public = (Path(deployment.environment["FLOWKIT_SECRETS"]) / "PUBLIC_JWT_SIGNING_KEY").read_text()
        assert jwt.decode(token, public, algorithms=["RS256"], audience="TEST_SERVER")["sub"] == "TEST_USER"
        secrets += [token, session["access_token"]]

        browser = requests.Session()

        def send(path: str, **form: str) -> str:
            page = browser.get(f"{deployment.address}/account", timeout=30).text
            csrf = page.split('name="csrf_token" value="')[1].split('"')[0]
            secrets.append(csrf)
            reply = browser.post(f"{deployment.address}{path}", data={"csrf_token": csrf, **form}, timeout=30)
            secrets.extend(browser.cookies.values())
            return reply.text

        send("/sign-in", username="TEST_USER", password="a-wrong-password-typed")
        send("/sign-in", username="a-password-in-the-wrong-field", password="x")
        assert "My servers" in send("/sign-in", username="TEST_USER", password=PASSWORD)
        secrets += ["a-wrong-password-typed", "a-password-in-the-wrong-field"]
        codes = browser.get(f"{deployment.address}/account/two-factor", timeout=30).text
        backup = codes.split("<li><code>")[1].split("<")[0]
        page = browser.get(f"{deployment.address}/account/two-factor/app", timeout=30).text
        secret = page.split('class="key"><code>')[1].split("<")[0]
        code = pyotp.TOTP(secret).now()
        assert "Two-factor sign-in is on" in send("/account/two-factor/app", two_factor_code=code)
        send("/account/password", password=PASSWORD, new_password=STRONG, new_password_again=STRONG)
        send("/account/two-factor/disable", password=STRONG, two_factor_code=backup)
        secrets += [backup, secret]

        deployment.process.terminate()
        assert deployment.process.wait(timeout=30) == 0
    log = deployment.log.read_text()
    # On a busy machine waitress tells of requests that wait.
    lines = [line for line in map(json.loads, log.splitlines()) if "queue depth" not in line["event"]]
    assert {line["event"] for line in lines} == {"request", "stopped"}
    assert len({line["request_id"] for line in lines if line["event"] == "request"}) == len(lines) - 1
    assert [secret for secret in secrets if secret in log] == []


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "auth.example",
}


@pytest.mark.parametrize(("proxies", "believed"), [("0", False), ("1", True)])
def test_what_proxies_forward_is_believed_from_as_many_as_the_setting_says(
    tmp_path: Path, proxies: str, believed: bool
) -> None:
    with served(tmp_path, SCOPES, FLOWAUTH_TRUSTED_PROXIES=proxies) as deployment:
        page = requests.get(f"{deployment.address}/sign-in", headers=FORWARDED, timeout=30)
        body = {"username": "TEST_USER", "password": "a-wrong-password-typed"}
        requests.post(f"{deployment.address}/api/v1/session", json=body, headers=FORWARDED, timeout=30)
        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-session=") is believed
        assert ("Secure" in cookie) is believed
        assert ("Strict-Transport-Security" in page.headers) is believed
        address = "203.0.113.9" if believed else "127.0.0.1"
        failed = "SELECT address FROM audit_event WHERE action = 'sign_in.failed'"
        assert rows(deployment.environment, failed) == [(address,)]
        tries = "SELECT subject FROM sign_in_attempts WHERE subject LIKE 'address:%'"
        assert rows(deployment.environment, tries) == [(f"address:{address}",)]


def test_a_request_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with served(tmp_path, SCOPES) as deployment:
        host, port = deployment.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = f"POST /sign-in HTTP/1.1\r\nHost: {host}\r\nContent-Length: {LARGEST_REQUEST + 1}\r\n\r\n"
            connection.sendall(head.encode())
            assert b" 413 " in connection.recv(1000)
