"""Time pages with 500 users, 20 servers, 200 roles, 10,000 tokens, 20,000 events."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, insert, select
from sqlalchemy.orm import Session

from flowauth import audit, clock
from flowauth.models import (
    AuditEvent,
    AuditHead,
    ReportReader,
    Role,
    Scope,
    Server,
    Token,
    User,
    scopes_in_role,
    tokens_with_roles,
    users_with_roles,
)
from flowauth.services import Services
from flowauth.settings import Settings
from flowauth.testing import Visitor, add_user, opened

USERS, SERVERS, ROLES, TOKENS, EVENTS = 500, 20, 200, 10_000, 20_000
RECIPIENTS, REPORTS, PERIODS = 10, 4, 60
UNITS = ("admin0", "admin1", "admin2", "admin3", "lon-lat")
SCOPES = ["get_available_dates", "get_result", "run"] + [
    f"{unit}:kind_{top}:kind_{kind}" for unit in UNITS for top in range(20) for kind in range(6)
]
#: Upper bound of statements for a page, independent of the data's size.
STATEMENTS = 30
#: Factor by which a page may exceed the time of the account page, which shows one user.
RATIO = 40


def fill(services: Services) -> None:
    draw, now = random.Random(7), clock.now()
    with services.session() as database:
        add_user(database, services, "root", is_admin=True)
        password = database.scalars(select(User.password_hash)).one()
        many: list[tuple[Any, list[dict[str, Any]]]] = [
            (
                User,
                [
                    {"id": 1000 + n, "username": f"user_{n:03}", "password_hash": password}
                    for n in range(USERS)
                ],
            ),
            (
                Server,
                [
                    {"id": n, "name": f"server_{n:02}", "longest_token_life_minutes": 43200}
                    for n in range(1, SERVERS + 1)
                ],
            ),
            (
                Scope,
                [
                    {"id": s * 1000 + n, "name": name, "server_id": s}
                    for s in range(1, SERVERS + 1)
                    for n, name in enumerate(SCOPES)
                ],
            ),
            (
                Role,
                [
                    {
                        "id": n,
                        "name": f"role_{n:03}",
                        "server_id": 1 + n % SERVERS,
                        "longest_token_life_minutes": 43200,
                    }
                    for n in range(1, ROLES + 1)
                ],
            ),
            (
                scopes_in_role,
                [
                    {"scope_id": (1 + n % SERVERS) * 1000 + one, "role_id": n}
                    for n in range(1, ROLES + 1)
                    for one in range(0, len(SCOPES), 5)
                ],
            ),
            (
                users_with_roles,
                [
                    {"user_id": 1000 + n, "role_id": role}
                    for n in range(USERS)
                    # The analyst who is timed holds a role on server_03.
                    for role in {*draw.sample(range(1, ROLES + 1), 8), *([2] if n == 7 else [])}
                ],
            ),
        ]
        # The analyst who is timed reads all reports.
        read = [{"user_id": 1007, "recipients": f"cell-{n}"} for n in range(RECIPIENTS)]
        many.append((ReportReader, read))
        for table, rows in many:
            database.execute(insert(table), rows)
        tokens = [
            {
                "id": n,
                "name": f"token_{n}",
                "encrypted_token": "x" * 3000,
                "jti": f"jti-{n}",
                "issued": now - timedelta(days=1),
                "expiry": now + timedelta(days=draw.choice((-1, 9))),
                "user_id": 1000 + draw.randrange(USERS),
                "server_id": 1 + n % SERVERS,
                "role_names": [f"role_{1 + n % ROLES:03}"],
            }
            for n in range(1, TOKENS + 1)
        ]
        database.execute(insert(Token), tokens)
        links = [{"token_id": n, "role_id": 1 + (n - 1) % ROLES} for n in range(1, TOKENS + 1)]
        database.execute(insert(tokens_with_roles), links)
        _events(database)
        database.commit()


def _events(database: Session) -> None:
    head = database.scalars(select(AuditHead)).one()
    rows = []
    for n in range(EVENTS):
        row = AuditEvent(
            at=clock.now(),
            actor=f"user_{n % USERS:03}",
            action="token.minted",
            subject=f"server/{n}",
            detail={"jti": f"jti-{n}"},
            address="",
            request_id="",
            previous_hash=head.hash,
            hash="",
        )
        row.hash = head.hash = audit.hash_of(row)
        names = [column.key for column in AuditEvent.__table__.columns if column.key != "id"]
        rows.append({name: getattr(row, name) for name in names})
    head.length += EVENTS
    database.execute(insert(AuditEvent), rows)


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of reports that were published for 60 days."""
    folder = tmp_path_factory.mktemp("reports")
    days = [f"2016-{1 + n // 28:02}-{1 + n % 28:02}" for n in range(PERIODS)]
    versions = [{"version": "v1", "because": "first"}]
    index = json.dumps({"periods": [{"period": day, "versions": versions} for day in days]})
    for recipients in range(RECIPIENTS):
        for report in range(REPORTS):
            place = folder / f"cell-{recipients}" / f"report-{report}"
            for day in days:
                (place / day / "v1").mkdir(parents=True)
                (place / day / "v1" / "page.en.html").touch()
                (place / day / "v1" / "manifest.json").touch()
            (place / "index.json").write_text(index)
    return folder


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(
    request: pytest.FixtureRequest, keys: Settings, tmp_path_factory: pytest.TempPathFactory, shelves: Path
) -> Iterator[Flask]:
    if request.param == "sqlite":
        folder: Path = tmp_path_factory.mktemp("full")
        uri = f"sqlite:///{folder / 'flowauth.sqlite'}"
    else:
        uri = request.getfixturevalue("postgres").create()
    with opened(keys.model_copy(update={"db_uri": uri, "reports": shelves})) as app:
        services = app.extensions["flowauth"]
        fill(services)
        if request.param == "postgresql":
            with services.engine.begin() as connection:
                connection.exec_driver_sql("ANALYZE")
        yield app


@pytest.fixture(scope="module")
def administrator(full: Flask) -> Visitor:
    visitor = Visitor(full)
    assert visitor.sign_in("root").status_code == 303
    # The chain is verified for the first time.
    assert visitor.get("/admin/audit").status_code == 200
    return visitor


@pytest.fixture(scope="module")
def analyst(full: Flask) -> Visitor:
    visitor = Visitor(full)
    assert visitor.sign_in("user_007").status_code == 303
    return visitor


ADMINISTRATION = (
    "/admin/users",
    "/admin/users?page=10",
    "/admin/users?search=42",
    "/admin/users?only=locked",
    "/admin/users?only=no_two_factor&role=42",
    "/admin/users/new",
    "/admin/users/1042",
    "/admin/users/1042/delete",
    "/admin/servers",
    "/admin/servers/server_03",
    "/admin/servers/server_03/delete",
    "/admin/roles",
    "/admin/roles/new/server_03",
    "/admin/roles/42",
    "/admin/roles/42/delete",
    "/admin/tokens",
    "/admin/tokens?page=99",
    "/admin/tokens?role=42",
    "/admin/tokens?search=user_04",
    "/admin/tokens?state=all&unused_days=30",
    "/admin/audit",
    "/admin/audit?search=jti-19",
    "/admin/audit?who=user_042",
    "/admin/public-key",
    "/admin/access?server=server_03",
    "/admin/access?server=server_03&scope=kind_3",
    "/admin/access?server=server_03&user=user_04",
    "/admin/access/denied?server=server_03",
    "/admin/users/1042/revoke-tokens",
    "/admin/servers/new",
    "/admin/reports",
    "/admin/reports/cell-3",
)
OWN = (
    "/",
    "/servers/server_03",
    "/servers/server_03/tokens/new",
    "/account/events",
    "/account/credentials",
    "/account/two-factor",
    "/device",
    "/reports",
    "/reports/cell-3/report-2",
)
#: The account page is the measure. These show one token, what another page left, or no list at all.
UNTIMED = {
    "account.show",
    "account.two_factor_app",
    "tokens.revoke",
    "signing_in.sign_in",
    "signing_in.code",
    "links.choose",
    "identities.go",
    "identities.back",
    "devices.metadata",
    "health.live",
    "health.ready",
    "keys.jwks",
    "keys.public_key_file",
    "keys.revoked_tokens",
    "keys.revoked_tokens_file",
    "static",
    # One file of the folder.
    "reports.page",
    "account.data",
    # Streams, as long as what they hold.
    "audit.export",
    "audit.export_json",
    "rights.export",
}


@pytest.mark.parametrize("full", ["sqlite"], indirect=True)
def test_every_page_is_timed(full: Flask) -> None:
    pages = {
        rule.endpoint
        for rule in full.url_map.iter_rules()
        if "GET" in (rule.methods or set()) and not rule.rule.startswith("/api/")
    }
    routes = full.url_map.bind("localhost")
    timed = {routes.match(path.partition("?")[0])[0] for path in (*ADMINISTRATION, *OWN)}
    assert timed | UNTIMED == pages


def seconds(visitor: Visitor, path: str) -> float:
    """Return the shortest of several times, because other processes only add time."""
    least = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        assert visitor.get(path).status_code == 200, path
        least = min(least, time.perf_counter() - started)
    return least


@pytest.mark.parametrize("path", [*ADMINISTRATION, *OWN])
def test_a_page_costs_little_however_much_there_is(
    full: Flask, administrator: Visitor, analyst: Visitor, path: str
) -> None:
    visitor = analyst if path in OWN else administrator
    asked: list[str] = []
    engine = full.extensions["flowauth"].engine

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        visitor.get(path)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(asked) <= STATEMENTS, "\n".join(asked)
    ratio = seconds(visitor, path) / seconds(visitor, "/account")
    assert ratio < RATIO, f"{path} takes {ratio:.0f} times as long as the account page"


def test_the_page_beyond_the_last_is_the_last(administrator: Visitor) -> None:
    assert "Page 11 of 11" in administrator.get("/admin/users?page=99").text
