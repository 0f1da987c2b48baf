"""Test sign-in: uniform failures, single-use codes, throttled guessing."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from flowauth import clock, testing, throttle, two_factor
from flowauth.actions import account
from flowauth.actions.sign_in import CodeNeeded, HalfSignedIn, sign_in, sign_in_with_code
from flowauth.audit import Actor
from flowauth.errors import Refusal
from flowauth.models import AuditEvent, BackupCode, SignInAttempts, TwoFactor, User
from flowauth.passwords import Passwords, check_strength
from flowauth.services import Services
from flowauth.settings import PasswordHashing, Settings
from flowauth.testing import PASSWORD, Script, Visitor, World, add_user, build_world
from flowauth.throttle import ACCOUNT_TRIES, FORGOTTEN_AFTER, _account, _address, give_back, reserve

HERE = Actor("ada", "192.0.2.7")


@pytest.fixture
def second_factor(services: Services, world: World, database: Session) -> tuple[str, list[str]]:
    """Return Ada's TOTP secret and backup codes."""
    secret, codes = two_factor.new_secret(), two_factor.new_backup_codes()
    ada = database.scalars(select(User).where(User.username == world.user)).one()
    account.confirm_two_factor(database, services, HERE, ada, secret, codes, pyotp.TOTP(secret).now(), None)
    # The confirming code is used up, so tests that sign in at once reset the last step.
    database.execute(update(TwoFactor).values(last_step=None))
    database.commit()
    return secret, codes


def test_wrong_names_and_wrong_passwords_read_the_same(visitor: Visitor, world: World) -> None:
    unknown, wrong = visitor.sign_in("nobody"), visitor.sign_in(world.user, "wrong-password-here")
    assert unknown.status_code == wrong.status_code == 401

    def words(text: str) -> str:
        """Return a page without its anti-forgery token, which contains the time."""
        return re.sub(r'(name="csrf_token" value=)"[^"]+"', r"\1", text)

    assert words(unknown.text).replace("nobody", world.user) == words(wrong.text)
    assert "Wrong user name, password or code." in wrong.text


def test_an_unknown_name_costs_one_hash_like_a_known_one(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    passwords = Passwords(services.settings.hashing)
    real = type(passwords._hasher).verify
    monkeypatch.setattr(
        type(passwords._hasher),
        "verify",
        lambda self, stored, given: verified.append(stored) or real(self, stored, given),
    )
    assert not passwords.matches(None, "x")
    assert not passwords.matches(passwords.hash("y"), "x")
    dummy, known = verified
    assert dummy.split("$")[:4] == known.split("$")[:4]


def test_old_hashes_are_renewed_at_sign_in(
    app: Flask, services: Services, world: World, database: Session
) -> None:
    ada = database.scalars(select(User).where(User.username == world.user)).one()
    ada.password_hash = Passwords(PasswordHashing(2, 16, 1)).hash(PASSWORD)
    database.commit()
    Script(app, world.user)
    database.refresh(ada)
    assert "m=8,t=1,p=1" in ada.password_hash


def test_a_code_is_asked_for_after_the_password(visitor: Visitor, world: World, second_factor: Any) -> None:
    secret, _ = second_factor
    reply = visitor.sign_in(world.user)
    assert reply.location == "/sign-in/code"
    assert visitor.get("/").location.startswith("/sign-in")
    assert visitor.post("/sign-in/code", {"two_factor_code": "000000"}).status_code == 401
    assert visitor.post("/sign-in/code", {"two_factor_code": pyotp.TOTP(secret).now()}).status_code == 303
    assert "My servers" in visitor.get("/").text


def test_the_code_page_alone_signs_nobody_in(visitor: Visitor, world: World, second_factor: Any) -> None:
    reply = visitor.post("/sign-in/code", {"two_factor_code": pyotp.TOTP(second_factor[0]).now()})
    assert reply.location == "/sign-in"


def test_half_a_sign_in_is_void_after_a_password_change(
    services: Services, database: Session, world: World, second_factor: Any
) -> None:
    with pytest.raises(CodeNeeded) as needed:
        sign_in(database, services, HERE, world.user, PASSWORD)
    ada = database.scalars(select(User).where(User.username == world.user)).one()
    ada.password_hash = services.passwords.hash("another-password-altogether")
    database.commit()
    with pytest.raises(Refusal):
        sign_in_with_code(database, services, HERE, needed.value.half, pyotp.TOTP(second_factor[0]).now())


def test_the_script_is_told_that_a_code_is_needed(app: Flask, world: World, second_factor: Any) -> None:
    client = app.test_client()
    body = {"username": world.user, "password": PASSWORD}
    reply = client.post("/api/v1/session", json=body)
    assert reply.status_code == 400
    assert reply.json["need_two_factor"] is True
    code = pyotp.TOTP(second_factor[0]).now()
    assert client.post("/api/v1/session", json={**body, "two_factor_code": code}).status_code == 200
    assert client.post("/api/v1/session", json={**body, "two_factor_code": code}).status_code == 401


def test_a_backup_code_works_once_however_it_is_typed(
    services: Services, database: Session, world: World, second_factor: Any
) -> None:
    code = second_factor[1][3].upper().replace("-", " ")
    assert sign_in(database, services, HERE, world.user, PASSWORD, code).username == world.user
    with pytest.raises(Refusal):
        sign_in(database, services, HERE, world.user, PASSWORD, code)
    assert len(database.scalars(select(BackupCode)).all()) == two_factor.BACKUP_CODES - 1


def test_a_backup_code_is_the_way_in_when_the_key_of_the_second_factor_is_gone(
    services: Services, database: Session, world: World, second_factor: Any
) -> None:
    stranger = Fernet(Fernet.generate_key())
    database.execute(update(TwoFactor).values(encrypted_secret=stranger.encrypt(b"A" * 32).decode()))
    database.commit()
    code = pyotp.TOTP(second_factor[0]).now()
    with pytest.raises(Refusal):
        sign_in(database, services, HERE, world.user, PASSWORD, code)
    assert sign_in(database, services, HERE, world.user, PASSWORD, second_factor[1][0]).username == world.user


@pytest.mark.parametrize("kind", ["totp", "backup"])
def test_of_many_tries_with_one_code_at_once_exactly_one_succeeds(
    services: Services, database: Session, world: World, second_factor: Any, kind: str
) -> None:
    code = pyotp.TOTP(second_factor[0]).now() if kind == "totp" else second_factor[1][0]
    user = database.scalars(select(User).where(User.username == world.user)).one()
    with pytest.raises(CodeNeeded) as needed:
        sign_in(database, services, HERE, world.user, PASSWORD)
    database.rollback()
    half: HalfSignedIn = needed.value.half
    assert half.user_id == user.id
    database.rollback()
    together, outcomes = threading.Barrier(4), []

    def attempt() -> None:
        with services.session() as own:
            together.wait(timeout=20)
            try:
                sign_in_with_code(own, services, HERE, half, code)
                outcomes.append("in")
            except Refusal as refusal:
                outcomes.append(str(refusal.status))

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(outcomes) == ["401", "401", "401", "in"]


def test_guessing_is_slowed_for_known_and_unknown_alike(
    visitor: Visitor, world: World, database: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    for name in (world.user, "nobody"):
        answers = [visitor.sign_in(name, "wrong-password-here").status_code for _ in range(ACCOUNT_TRIES + 2)]
        assert answers == [401] * ACCOUNT_TRIES + [429, 429]
        database.execute(
            update(SignInAttempts).where(SignInAttempts.subject.like("address:%")).values(attempts=0)
        )
        database.commit()
    refused = visitor.sign_in(world.user)
    assert refused.status_code == 429, "the right password waits too"
    seconds = int(refused.headers["Retry-After"])
    assert seconds > 0
    assert f"Too many tries. Wait {seconds} second{'s' if seconds > 1 else ''}." in refused.text


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_tries_of_strangers_do_not_lock_an_account_at_a_place_that_it_knows(
    services: Services, database: Session, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    office, stranger = HERE, Actor("", "203.0.113.9")
    # Time stands still, so that no wait ends on a slow machine.
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)

    def answers(actor: Actor, password: str, number: int = 1) -> list[int]:
        found = []
        for _ in range(number):
            try:
                sign_in(database, services, actor, world.user, password)
                found.append(200)
            except Refusal as refusal:
                found.append(refusal.status)
        return found

    assert answers(office, PASSWORD) == [200]
    assert answers(stranger, "wrong-password-here", ACCOUNT_TRIES + 1) == [401] * ACCOUNT_TRIES + [429]
    assert answers(stranger, PASSWORD) == [429]
    assert throttle.blocked(database, [world.user, world.admin]) == [world.user]
    # The owner gets in, and that gives the stranger no further tries.
    assert answers(office, PASSWORD) == [200]
    assert answers(stranger, "wrong-password-here") == [429]
    # Guessing at the known place is slowed down alike, and an administrator ends both waits.
    assert answers(office, "wrong-password-here", ACCOUNT_TRIES + 1) == [401] * ACCOUNT_TRIES + [429]
    assert throttle.blocked_until(database, world.user) is not None
    throttle.unlock(database, world.user)
    database.commit()
    assert throttle.blocked_until(database, world.user) is None
    assert answers(office, PASSWORD) == [200]
    database.execute(delete(SignInAttempts))
    database.commit()
    # After a while the place is known no more.
    assert throttle._signed_in_before(database, world.user, office.address)
    assert not throttle._signed_in_before(database, world.admin, office.address)
    monkeypatch.setattr(throttle, "KNOWN_FOR", timedelta(0))
    assert not throttle._signed_in_before(database, world.user, office.address)


def test_waits_double_and_end(services: Services, database: Session, world: World) -> None:
    waits = []
    for _ in range(ACCOUNT_TRIES + 3):
        with pytest.raises(Refusal):
            sign_in(database, services, HERE, world.user, "wrong-password-here")
        row = next(
            row for row in database.scalars(select(SignInAttempts)) if row.subject.startswith("account:")
        )
        if row.blocked_until:
            waits.append((row.blocked_until - row.last_attempt).total_seconds())
        row.blocked_until = None
        database.commit()
    assert waits == [2, 4, 8, 16]
    done = sign_in(database, services, HERE, world.user, PASSWORD)
    assert done.failures_before == ACCOUNT_TRIES + 3
    assert sign_in(database, services, HERE, world.user, PASSWORD).failures_before == 0


def waited(database: Session, attempts: int, subject: str) -> None:
    """Record failed tries so old that their wait is over."""
    past = clock.now() - timedelta(seconds=1)
    database.merge(SignInAttempts(subject=subject, attempts=attempts, last_attempt=past, blocked_until=past))
    database.commit()


def test_the_right_password_after_a_wait_leads_to_the_code_and_in(
    visitor: Visitor, world: World, database: Session, second_factor: Any
) -> None:
    waited(database, 14, _account(world.user))
    assert visitor.sign_in(world.user).location == "/sign-in/code"
    assert visitor.post("/sign-in/code", {"two_factor_code": "000000"}).status_code == 401
    refused = visitor.post("/sign-in/code", {"two_factor_code": pyotp.TOTP(second_factor[0]).now()})
    assert refused.status_code == 429, "a wrong code sets its wait"
    waited(database, 14, _account(world.user))
    assert visitor.sign_in(world.user).location == "/sign-in/code"
    right = visitor.post("/sign-in/code", {"two_factor_code": pyotp.TOTP(second_factor[0]).now()})
    assert right.location == "/"


def test_a_success_leaves_no_wait_to_others_at_its_address(
    app: Flask, world: World, database: Session
) -> None:
    waited(database, 40, _address("127.0.0.1"))
    for name in (world.admin, world.stranger):
        assert Visitor(app).sign_in(name).status_code == 303
    assert Visitor(app).sign_in(world.user, "wrong-password-here").status_code == 401
    assert Visitor(app).sign_in(world.user).status_code == 429, "forty failures still count"


def test_giving_back_leaves_the_wait_of_another_try(database: Session, world: World) -> None:
    waited(database, 40, _address(HERE.address))
    first = reserve(database, world.user, HERE.address)
    waited(database, first.on_address, _address(HERE.address))
    reserve(database, world.stranger, HERE.address)
    give_back(database, first)
    with pytest.raises(Refusal) as refused:
        reserve(database, world.admin, HERE.address)
    assert refused.value.status == 429


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_one_address_cannot_try_many_accounts(visitor: Visitor, world: World, database: Session) -> None:
    answers = {visitor.sign_in(f"nobody{number}").status_code for number in range(35)}
    assert answers == {401, 429}


def test_an_administrator_unlocks(visitor: Visitor, root: Visitor, world: World, database: Session) -> None:
    for _ in range(ACCOUNT_TRIES):
        visitor.sign_in(world.user, "wrong-password-here")
    ada = database.scalars(select(User).where(User.username == world.user)).one().id
    database.rollback()
    assert "locked until" in root.get(f"/admin/users/{ada}").text
    root.post(f"/admin/users/{ada}/unlock")
    assert visitor.sign_in(world.user).status_code == 303
    assert "failed" not in visitor.get("/").text, "unlocking forgets the tries"


def test_the_user_is_told_of_failed_tries(visitor: Visitor, world: World) -> None:
    visitor.sign_in(world.user, "wrong-password-here")
    visitor.sign_in(world.user)
    assert "failed once since your last visit" in visitor.get("/").text


def test_the_user_is_told_of_tries_that_the_throttle_has_forgotten(
    visitor: Visitor, world: World, database: Session
) -> None:
    visitor.sign_in(world.user, "wrong-password-here")
    visitor.sign_in(world.user, "wrong-password-here")
    database.execute(update(SignInAttempts).values(last_attempt=clock.now() - 2 * FORGOTTEN_AFTER))
    database.commit()
    visitor.sign_in(world.user)
    assert "failed 2 times since your last visit" in visitor.get("/").text


def test_a_mistyped_name_is_kept_nowhere(visitor: Visitor, world: World, database: Session) -> None:
    visitor.sign_in("my-secret-typed-in-the-wrong-field")
    kept = [row.subject for row in database.scalars(select(SignInAttempts))]
    kept += [
        f"{event.actor} {event.subject} {event.detail}" for event in database.scalars(select(AuditEvent))
    ]
    assert "my-secret" not in " ".join(kept)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/\\/evil.example",
        "http://[",
        "/\t/evil.example",
        "/servers\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "",
    ],
)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_way_back_leads_nowhere_else(visitor: Visitor, world: World, target: str) -> None:
    reply = visitor.post("/sign-in", {"username": world.user, "password": PASSWORD, "next": target})
    assert reply.location == "/"


def test_the_way_back_leads_to_the_page_asked_for(visitor: Visitor, world: World) -> None:
    asked = visitor.get("/servers/north").location
    assert asked == "/sign-in?next=/servers/north"
    form = {"username": world.user, "password": PASSWORD, "next": "/servers/north"}
    assert visitor.post("/sign-in", form).location == "/servers/north"


@pytest.mark.parametrize(
    "password",
    ["short", "password1234", "correcthorse"[:9], "ada_ada_ada_ada", "north_server_north", "x" * 257],
)
def test_weak_passwords_are_refused_without_repeating_them(password: str) -> None:
    with pytest.raises(Refusal) as refusal:
        check_strength(password, "password", ["ada", "north_server"])
    assert password not in refusal.value.message
    assert refusal.value.field == "password"


def test_a_long_strong_password_is_taken() -> None:
    assert check_strength("unlikely sequence of words " * 8, "password")


def test_totp_window_is_what_the_settings_say() -> None:
    secret, at = two_factor.new_secret(), clock.now()
    earlier = pyotp.TOTP(secret).at(at - timedelta(seconds=30))
    assert two_factor.matching_step(secret, earlier, at, window=0) is None
    assert two_factor.matching_step(secret, earlier, at, window=1) == int(at.timestamp()) // 30 - 1


def test_users_made_by_somebody_else_choose_their_own_password(
    app: Flask, services: Services, root: Visitor, visitor: Visitor, database: Session
) -> None:
    root.post("/admin/users/new", {"username": "new_user", "password": PASSWORD})
    visitor.sign_in("new_user")
    assert visitor.get("/").location == "/account"
    new = "quite-another-9-harbour-bench"
    form = {"password": PASSWORD, "new_password": new, "new_password_again": new}
    assert visitor.post("/account/password", form).status_code == 303
    assert visitor.get("/").status_code == 200
    database.rollback()
    add_user(database, services, "trusted")
    assert Script(app, "trusted")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_everybody_has_a_second_factor_where_the_settings_have_it_so(settings: Settings) -> None:
    with testing.opened(settings.model_copy(update={"require_two_factor": True})) as app:
        services = app.extensions["flowauth"]
        world = build_world(services)
        with services.session() as database:
            add_user(database, services, "maker", is_service=True)
        visitor = Visitor(app)
        assert visitor.sign_in(world.user).status_code == 303
        assert visitor.get("/").location == "/account/two-factor"
        with services.session(reading=True) as database:
            asked = database.scalars(
                select(AuditEvent.subject).where(AuditEvent.action == "two_factor.required")
            ).all()
        assert asked == [world.user]
        # A program has no device.
        assert Script(app, "maker")("GET", "/servers").status_code == 200
