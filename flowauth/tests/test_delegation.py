"""Call every route as auditor and as administrator of one server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from flowauth.access import Access, Delegated, access_of, delegated_by
from flowauth.models import Server
from flowauth.services import Services
from flowauth.testing import (
    DAY,
    PASSWORD,
    Script,
    Visitor,
    World,
    add_user,
    description_of,
    role_form,
    role_named,
    upload,
    user_named,
)

READING = ("GET",)


@dataclass(frozen=True)
class Staff:
    """Hold both delegated offices, signed in, and the id of a role of each server."""

    auditor: Visitor
    auditor_script: Script
    northerner: Visitor
    northerner_script: Script
    roles: dict[str, int]


@pytest.fixture
def staff(app: Flask, services: Services, world: World) -> Staff:
    with services.session() as session:
        north = session.query(Server).filter_by(name="north").one()
        add_user(session, services, "audrey", is_auditor=True)
        add_user(session, services, "noor", administers=[north.id])
        roles = {name: role_named(session, "analyst", name).id for name in ("north", "south")}
    visitors = {name: Visitor(app) for name in ("audrey", "noor")}
    for name, visitor in visitors.items():
        assert visitor.sign_in(name).status_code == 303
    return Staff(visitors["audrey"], Script(app, "audrey"), visitors["noor"], Script(app, "noor"), roles)


def routes(app: Flask, server: str, role: int) -> Iterator[tuple[str, str, Delegated, bool]]:
    """Yield each administrators' route, and whether its path names the server."""
    used = {
        "name": server,
        "server_name": server,
        "role_id": role,
        "user_id": 999_999,
        "filename": "x",
        "recipients": "ministry",
    }
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        if access_of(app, rule.endpoint) is not Access.ADMIN:
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            path = adapter.build(rule.endpoint, {key: used[key] for key in rule.arguments}, method=method)
            named = bool(rule.arguments & {"name", "server_name", "role_id"})
            yield method, path, delegated_by(app, rule.endpoint), named


def status(visitor: Visitor, script: Script, method: str, path: str) -> int:
    """Call a route with an empty body; a page's form carries its token."""
    if path.startswith("/api/v1"):
        return script(method, path.removeprefix("/api/v1")).status_code
    if method == "GET":
        return visitor.get(path, buffered=True).status_code
    return visitor.client.open(path, method=method, data={"csrf_token": visitor.token()}).status_code


def test_an_auditor_reads_all_and_changes_nothing(app: Flask, staff: Staff, database: Session) -> None:
    seen = set()
    for method, path, delegated, _ in routes(app, "north", staff.roles["north"]):
        found = status(staff.auditor, staff.auditor_script, method, path)
        may = method in READING or delegated is Delegated.READING
        assert (found not in (401, 403)) == may, (method, path, found)
        seen.add(may)
    assert seen == {True, False}
    assert database.query(Server).count() == 2


def test_a_server_administrator_keeps_to_the_server(app: Flask, staff: Staff) -> None:
    for server, is_own in (("south", False), ("north", True)):
        for method, path, delegated, named in routes(app, server, staff.roles[server]):
            if path.endswith("/delete") and method == "POST":
                continue
            may = delegated is Delegated.SERVER and (is_own or not named)
            if path == "/admin/servers/preview":
                may = False  # The form names the server, and this one names none.
            found = status(staff.northerner, staff.northerner_script, method, path)
            assert (found not in (401, 403)) == may, (server, method, path, found)


def test_lists_show_a_server_administrator_one_server(app: Flask, staff: Staff) -> None:
    for name in ("north", "south"):
        body = {"name": f"of_{name}", "roles": ["analyst"]}
        assert Script(app, "ada")("POST", f"/servers/{name}/tokens", body).status_code == 201
    for path in ("/admin/servers", "/admin/roles", "/admin/tokens"):
        text = staff.northerner.get(path).text
        assert "north" in text, path
        assert "south" not in text, path
        assert "south" in staff.auditor.get(path).text, path
    assert {role["server"] for role in staff.northerner_script("GET", "/roles").json} == {"north"}
    found = staff.northerner_script("GET", "/tokens").json
    assert {token["server"] for token in found["tokens"]} == {"north"}
    for path in ("/admin/users", "/admin/audit", "/admin/access", "/admin/public-key"):
        assert f'href="{path}"' not in staff.northerner.get("/admin/roles").text
        assert f'href="{path}"' in staff.auditor.get("/admin/roles").text


def test_tokens_of_other_servers_are_out_of_reach(app: Flask, staff: Staff, root: Visitor) -> None:
    tokens = {}
    for name in ("north", "south"):
        reply = Script(app, "ada")("POST", f"/servers/{name}/tokens", {"name": "t", "roles": ["analyst"]})
        tokens[name] = reply.json["id"]
    revoke = staff.northerner_script
    assert revoke("POST", "/tokens/revoke", {"tokens": [tokens["south"]]}).status_code == 400
    assert revoke("POST", "/tokens/revoke", {"user": "ada"}).json == {"revoked": 1}
    running = Script(app, "root")("GET", "/tokens").json["tokens"]
    assert [token["server"] for token in running] == ["south"]
    form: dict[str, Any] = {"tokens": [tokens["south"]], "sure": "1"}
    assert staff.northerner.post("/admin/tokens/revoke", form).status_code == 400


def test_a_server_administrator_works_on_the_server(staff: Staff) -> None:
    assert staff.northerner.post("/admin/roles/new/north", role_form(scopes=["run"])).status_code == 303
    assert staff.northerner.post("/admin/roles/new/south", role_form(scopes=["run"])).status_code == 403
    script = staff.northerner_script
    body = {"name": "extra", "scopes": ["run"], "longest_token_life_minutes": DAY}
    assert script("POST", "/roles", {**body, "server": "south"}).status_code == 403
    assert script("POST", "/roles", {**body, "server": "north"}).status_code == 201
    assert upload(staff.northerner, description_of("north"), "north").status_code == 200
    assert upload(staff.northerner, description_of("south"), "south").status_code == 403
    assert upload(staff.northerner, description_of("west")).status_code == 403


def test_offices_are_given_on_the_user_s_page(app: Flask, root: Visitor, database: Session) -> None:
    eve = user_named(database, "eve").id
    north = database.query(Server).filter_by(name="north").one().id
    database.rollback()
    form = {"username": "eve", "is_auditor": "on", "administers": [str(north)]}
    assert root.post(f"/admin/users/{eve}", form).status_code == 303
    seen = Script(app, "root")("GET", "/users").json
    (found,) = [user for user in seen if user["username"] == "eve"]
    assert (found["is_auditor"], found["administers"]) == (True, ["north"])
    visitor = Visitor(app)
    assert visitor.sign_in("eve", PASSWORD).status_code == 303
    assert "You are an auditor" in visitor.get("/admin/users").text
