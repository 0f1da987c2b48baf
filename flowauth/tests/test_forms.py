"""Fill in every form wrongly, and expect all errors at once.

Each error links to its field.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import pyotp
import pytest
from flask import Flask
from sqlalchemy import func, select

from flowauth import two_factor
from flowauth.actions import account
from flowauth.api.description import describe
from flowauth.audit import Actor
from flowauth.models import AuditEvent
from flowauth.services import Services
from flowauth.testing import (
    Script,
    Visitor,
    World,
    description_of,
    role_named,
    upload,
    user_named,
)

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@dataclass(frozen=True)
class Scene:
    """Hold the app with a few things to fill in forms about."""

    app: Flask
    root: Visitor
    ids: dict[str, Any]

    def ada(self) -> Visitor:
        visitor = Visitor(self.app)
        visitor.sign_in("ada")
        return visitor

    def ada_with_two_factor(self, then: str = "") -> Visitor:
        """Return a visitor who gave the password, and then a code."""
        services = self.app.extensions["flowauth"]
        secret, codes = two_factor.new_secret(), two_factor.new_backup_codes()
        with services.session() as database:
            ada, code = user_named(database, "ada"), pyotp.TOTP(secret).now()
            account.confirm_two_factor(database, services, Actor("ada"), ada, secret, codes, code, None)
        visitor = Visitor(self.app)
        assert visitor.sign_in("ada").location == "/sign-in/code"
        if then != "waits":
            assert visitor.post("/sign-in/code", {"two_factor_code": codes[0]}).status_code == 303
        return visitor

    def ada_setting_up(self) -> Visitor:
        visitor = self.ada()
        visitor.get("/account/two-factor")
        return visitor

    def invited(self) -> Visitor:
        """Return a new user with a one-time link."""
        page = self.root.post("/admin/users/new", {"username": "zoe", "link": "1"}).text
        found = re.search(r">http://localhost/choose-password/([\w-]+)<", page)
        assert found
        self.ids["link"] = found[1]
        return Visitor(self.app)

    def ada_approving(self) -> Visitor:
        visitor = self.ada()
        asked = {"client_id": "notebook", "audience": "north"}
        codes = self.app.test_client().post("/api/v1/device-authorization", data=asked).json
        assert codes is not None
        self.ids["code"] = codes["user_code"]
        return visitor


@dataclass(frozen=True)
class Form:
    """Describe how a form can be filled in wrongly.

    ``wrong`` maps each field that a rule checks to a value that it refuses; ``free`` are fields without a wrong
    value. Paths may name ids of the scene.
    """

    path: str
    wrong: dict[str, Any]
    free: tuple[str, ...] = ()
    who: Callable[[Scene], Visitor] = lambda scene: scene.root
    #: Path or text of the page that shows the form, where this is not the form's path.
    page: str | Callable[[Visitor], str] = ""
    prefix: str = ""


LIMITS = {"longest_token_life_minutes": "never", "latest_token_expiry": "yesterday"}
ROLE = {"name": "a b", **LIMITS, "users": ["999999"], "scopes": ["nothing:of:it"]}
USER = {"username": "a b", "password": "short", "roles": ["999999"], "administers": ["999999"]}
RIGHTS = ("is_admin", "is_auditor", "is_service", "require_two_factor")
PROOF = {"password": "", "two_factor_code": ""}


def confirmed(visitor: Visitor) -> str:
    return visitor.post("/admin/tokens/revoke", {"found": "1", "user": "ada"}).text


def described(visitor: Visitor) -> str:
    return upload(visitor, description_of()).text


FORMS: dict[str, list[Form]] = {
    "signing_in.sign_in": [
        Form("/sign-in", {"username": "", "password": ""}, who=lambda scene: Visitor(scene.app))
    ],
    "signing_in.code": [
        Form("/sign-in/code", {"two_factor_code": ""}, who=lambda scene: scene.ada_with_two_factor("waits"))
    ],
    "account.password": [
        Form(
            "/account/password",
            {"password": "wrong", "new_password": "short", "new_password_again": "other"},
            free=("username",),
            page="/account",
        )
    ],
    "account.choose_language": [Form("/account/language", {"language": "xx"}, page="/account")],
    "account.two_factor_codes": [
        Form("/account/two-factor", PROOF, (), Scene.ada_with_two_factor, "/account", "reset-")
    ],
    "account.disable_two_factor": [
        Form("/account/two-factor/disable", PROOF, (), Scene.ada_with_two_factor, "/account", "disable-")
    ],
    "account.backup_codes": [
        Form(
            "/account/two-factor/backup-codes",
            {"password": ""},
            (),
            Scene.ada_with_two_factor,
            "/account",
            "backup-",
        )
    ],
    "account.confirm_two_factor": [
        Form("/account/two-factor/app", {"two_factor_code": "000"}, who=Scene.ada_setting_up)
    ],
    "credentials.make": [Form("/account/credentials", {"name": "a b", "days": "never", "rights": ["none"]})],
    "tokens.new": [
        Form(
            "/servers/north/tokens/new",
            {"name": "a b", "roles": ["none"], "expires": "yesterday"},
            who=Scene.ada,
        )
    ],
    "devices.decide": [
        Form("/device", {"name": "a b", "roles": ["none"]}, (), Scene.ada_approving, "/device?code={code}")
    ],
    "links.chosen": [
        Form(
            "/choose-password/{link}",
            {"new_password": "short", "new_password_again": "other"},
            free=("username",),
            who=Scene.invited,
        )
    ],
    "users.new": [Form("/admin/users/new", USER, RIGHTS)],
    "users.edit": [
        Form("/admin/users/{ada}", USER, RIGHTS),
        # The last administrator stays one, and changes the own password elsewhere.
        Form(
            "/admin/users/{root}",
            {"username": "a b", "is_admin": [], "roles": ["999999"], "administers": ["999999"]},
            RIGHTS[1:],
        ),
    ],
    "servers.preview": [
        Form("/admin/servers/preview", {"description": ""}, page="/admin/servers/new"),
        Form("/admin/servers/preview", {"description": ""}, page="/admin/servers/north"),
    ],
    "servers.register": [Form("/admin/servers/register", LIMITS, page=described)],
    "servers.edit": [Form("/admin/servers/north", LIMITS)],
    "readers.edit": [Form("/admin/reports/crisis-cell", {"users": ["999999"]})],
    "roles.new": [Form("/admin/roles/new/north", ROLE)],
    "roles.edit": [Form("/admin/roles/{role}", ROLE)],
    "all_tokens.revoke": [Form("/admin/tokens/revoke", {"reason": "x" * 201}, page=confirmed)],
    "rights.denied": [
        Form("/admin/access/denied", {"server": "none", "user": "", "asked": "none", "pasted": ""})
    ],
}
#: Forms of buttons and of boxes, in which nothing can be wrong.
NOTHING_TO_FILL_IN = {
    "audit.check_all",
    "credentials.delete",
    "identities.connect",
    "identities.disconnect",
    "keys.activate",
    "keys.discard",
    "keys.prepare",
    "keys.publish",
    "links.make",
    "links.withdraw",
    "roles.delete",
    "servers.delete",
    "servers.enable_scopes",
    "servers.update_scopes",
    "signing_in.sign_out",
    "tokens.download",
    "tokens.hide",
    "tokens.preview",
    "tokens.renew",
    "tokens.revoke",
    "tokens.show_hidden",
    "tokens.view",
    "users.delete",
    "users.revoke_tokens",
    "users.unlock",
}


class Page(HTMLParser):
    """Read title, ids, forms with their fields, refusals and the summary of a page."""

    _EMPTY = ("br", "input", "link", "meta")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title, self.ids, self.forms = "", set[str](), list[dict[str, Any]]()
        self.links, self.told = dict[str, str](), dict[str, str]()
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids.add(values.get("id", ""))
        if tag == "form":
            self.forms.append({"action": values.get("action", ""), "fields": set(), "hidden": {}})
        if tag in ("input", "select", "textarea") and values.get("name"):
            if values.get("type") == "hidden":
                self.forms[-1]["hidden"][values["name"]] = values.get("value", "")
            else:
                self.forms[-1]["fields"].add(values["name"])
        if tag not in self._EMPTY:
            self._open.append((tag, values))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        tag, values = self._open[-1] if self._open else ("", {})
        if tag == "title":
            self.title += data
        if values.get("id", "").endswith("-wrong"):
            self.told[values["id"].removesuffix("-wrong")] = data
        if tag == "a" and any("summary" in one.get("class", "").split() for _, one in self._open):
            self.links[values["href"].removeprefix("#")] = data

    def form(self, path: str, wrong: dict[str, Any]) -> dict[str, Any]:
        """Return the form of this address with these fields."""
        fits = [one for one in self.forms if one["action"] in (path, "") and wrong.keys() <= one["fields"]]
        assert len(fits) == 1, self.forms
        return fits[0]


@pytest.fixture
def scene(app: Flask, root: Visitor, world: World, services: Services) -> Scene:
    Script(app, world.user)("POST", "/servers/north/tokens", {"name": "mine", "roles": ["analyst"]})
    with services.session(reading=True) as database:
        ids = {name: user_named(database, name).id for name in ("root", "ada")}
        ids["role"] = role_named(database, "analyst", "north").id
    return Scene(app, root, ids)


def test_every_form_is_here(app: Flask) -> None:
    found = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "POST" in (rule.methods or set()) and not rule.rule.startswith("/api/")
    }
    assert found == FORMS.keys() | NOTHING_TO_FILL_IN


@pytest.mark.parametrize(
    "form",
    [pytest.param(form, id=f"{name}-{n}") for name, forms in FORMS.items() for n, form in enumerate(forms)],
)
def test_all_that_is_wrong_is_told_at_once(scene: Scene, form: Form) -> None:
    visitor = form.who(scene)
    path = form.path.format(**scene.ids)
    if callable(form.page):
        shown = Page(form.page(visitor))
    else:
        shown = Page(visitor.get((form.page or form.path).format(**scene.ids)).text)
    blank = shown.form(path, form.wrong)
    assert blank["fields"] == form.wrong.keys() | set(form.free)
    before = events(scene)
    reply = visitor.client.post(path, data={**blank["hidden"], **form.wrong})
    assert 400 <= reply.status_code < 500
    told = Page(reply.text)
    assert told.title.startswith("Error: ")
    wrong = [form.prefix + name for name in form.wrong]
    assert list(told.links) == wrong, "in the order of the form"
    assert told.told == told.links, "beside the field in the same words"
    assert set(wrong) <= told.ids, "each line leads to its field"
    assert events(scene) == before, "nothing was done"


def events(scene: Scene) -> int:
    with scene.app.extensions["flowauth"].session(reading=True) as database:
        return database.scalar(select(func.count()).select_from(AuditEvent)) or 0


def test_a_code_without_a_program_is_told_at_its_field(root: Visitor) -> None:
    told = Page(root.get("/device?code=nothing").text)
    assert list(told.links) == ["code"]


# The same through /api/v1

WRONG = {"string": 7, "integer": "x", "boolean": "x", "array": 7, "object": 7}
BODIES = [
    pytest.param(
        method, path, operation["requestBody"]["content"]["application/json"]["schema"], id=f"{method} {path}"
    )
    for path, item in describe()["paths"].items()
    for method, operation in item.items()
    if method != "parameters" and "requestBody" in operation
]


def kind(schema: dict[str, Any]) -> str:
    return schema["type"] if isinstance(schema["type"], str) else schema["type"][0]


@pytest.mark.parametrize(("method", "path", "schema"), BODIES)
def test_all_that_is_wrong_with_a_body_is_told_at_once(
    scene: Scene, method: str, path: str, schema: dict[str, Any]
) -> None:
    call, place = Script(scene.app, "root"), path.removeprefix("/api/v1")
    if path.endswith(("tokens", "renew")):
        call = Script(scene.app, "ada")
    place = place.format(name="north", token_id=1, role_id=scene.ids["role"])
    before = events(scene)
    wrong = {name: WRONG[kind(one)] for name, one in schema["properties"].items()}
    # A role belongs to a server, whose rules the rest is checked by.
    given = {"server": "north"} if path == "/api/v1/roles" else {}
    reply = call(method.upper(), place, {**wrong, **given, "strange": 1})
    assert reply.status_code == 400
    assert reply.json["bad_fields"].keys() == {*wrong, "strange"} - given.keys()
    assert reply.json["bad_field"] in reply.json["bad_fields"]
    for name in reply.json["bad_fields"]:
        assert name in reply.json["message"]
    required = schema.get("required", [])
    if required:
        reply = call(method.upper(), place, {})
        assert reply.json["bad_fields"].keys() == set(required)
    assert events(scene) == before, "nothing was done"
