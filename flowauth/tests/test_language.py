"""Every text that a page shows is there in English, French and Spanish."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask import Flask

import flowauth
from flowauth import language
from flowauth.language import ENGLISH, LANGUAGES, TRANSLATIONS
from flowauth.testing import PASSWORD, Script, Visitor, World

SOURCE = Path(flowauth.__file__).parent
TEMPLATES = SOURCE / "templates"
OTHERS = [one for one in LANGUAGES if one != ENGLISH]
Text = str | tuple[str, ...]


def texts() -> set[Text]:
    """Return every text that the source marks for translation."""
    found = extract_from_dir(
        SOURCE,
        method_map=[("migrations/**", "ignore"), ("**.py", "python"), ("templates/**.html", "jinja2")],
        options_map={"templates/**.html": {"trimmed": "true", "silent": "false"}},
        keywords={"gettext": None, "ngettext": (1, 2), "_": None, "mark": None},
    )
    return {one[2] for one in found}


def catalogue(name: str) -> Catalog:
    with (TRANSLATIONS / name / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=name)


def pieces(text: str) -> list[str]:
    """Return placeholders and tags, which a translation must keep."""
    return sorted(set(re.findall(r"%\(\w+\)s|\{\w+\}|</?\w+", text)))


@pytest.mark.parametrize("name", OTHERS)
def test_every_text_is_translated(name: str) -> None:
    known = {message.id: message for message in catalogue(name) if message.id}
    assert sorted(map(str, texts() - known.keys())) == []
    assert sorted(map(str, known.keys() - texts())) == [], "no page shows these any more"
    for key, message in known.items():
        assert not message.fuzzy, key
        singular, plural = (key[0], key[-1]) if isinstance(key, tuple) else (key, key)
        said = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(said), key
        assert pieces(said[-1]) == pieces(plural), key
        assert set(pieces(said[0])) <= set(pieces(plural)) | set(pieces(singular)), key


def test_no_text_is_marked_inside_an_f_string() -> None:
    """Before Python 3.12 such a text is one token, in which nobody finds it."""
    marked = [
        f"{path.name}:{call.lineno}"
        for path in SOURCE.rglob("*.py")
        for string in ast.walk(ast.parse(path.read_text()))
        if isinstance(string, ast.JoinedStr)
        for call in ast.walk(string)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in {"gettext", "ngettext", "_", "mark"}
    ]
    assert marked == []


_PARTS = re.compile(
    r"(?P<trans>\{%\s*trans.*?\{%\s*endtrans\s*%\})|(?P<other>\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\})"
    r"|(?P<tag><(?:\{\{.*?\}\}|\{%.*?%\}|[^<>])*>)|(?P<text>[^<{]+|\{|<)",
    re.DOTALL,
)
_SAID = re.compile(r'\b(?:aria-label|title|data-label|placeholder)="([^"]*)"')


def untranslatable(template: str) -> Iterator[str]:
    """Yield texts of a template that stand outside of translations."""
    for part in _PARTS.finditer(template):
        if part["text"] and re.search(r"[A-Za-z]", re.sub(r"&\w+;", "", part["text"])):
            yield part["text"].strip()
        for said in _SAID.findall(part["tag"] or ""):
            if re.search(r"[A-Za-z]", re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", said)):
                yield said


def test_untranslatable_texts_are_found() -> None:
    template = (
        '<p title="Help">Hello {{ name }}</p><p>{{ _("Bye") }}{% trans %}So <b>long</b>{% endtrans %}</p>'
    )
    assert list(untranslatable(template)) == ["Help", "Hello"]


def test_no_template_has_a_text_of_its_own() -> None:
    found = {path.name: list(untranslatable(path.read_text())) for path in TEMPLATES.rglob("*.html")}
    assert {name: rest for name, rest in found.items() if rest} == {}


#: Modules whose refusals reach scripts and consoles only, which read English.
_ENGLISH_ONLY = {"api/body.py", "api/v1.py", "actions/demo.py", "copying.py", "testing.py", "__main__.py"}


def test_no_refusal_or_notice_is_untranslated() -> None:
    found = []
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if name in _ENGLISH_ONLY or name.startswith("migrations/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
            if called in ("Refusal", "flash") and isinstance(node.args[0], ast.Constant | ast.JoinedStr):
                if isinstance(node.args[0], ast.JoinedStr) and "gettext" in ast.unparse(node.args[0]):
                    continue
                found.append(f"{name}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
class TestPages:
    @pytest.mark.parametrize(
        ("asked", "heading", "spoken"),
        [
            ("fr-CA,fr;q=0.9,en;q=0.5", "Se connecter", "fr"),
            ("es", "Iniciar sesión", "es"),
            ("de,en;q=0.5", "Sign in", "en"),
            ("", "Sign in", "en"),
        ],
    )
    def test_the_browser_chooses(self, visitor: Visitor, asked: str, heading: str, spoken: str) -> None:
        page = visitor.get("/sign-in", headers={"Accept-Language": asked}).text
        assert f'<html lang="{spoken}">' in page
        assert f"<h1>{heading}</h1>" in page

    def test_the_account_chooses_before_the_browser(self, ada: Visitor) -> None:
        reply = ada.post("/account/language", {"language": "es"}, follow_redirects=True)
        assert "Su idioma se ha guardado." in reply.text
        page = ada.get("/", headers={"Accept-Language": "fr"}).text
        assert '<html lang="es">' in page
        assert "Mis servidores" in page
        ada.post("/account/language", {"language": ""})
        assert '<html lang="fr">' in ada.get("/", headers={"Accept-Language": "fr"}).text
        assert ada.post("/account/language", {"language": "xx"}).status_code == 400

    def test_refusals_dates_and_reasons(self, app: Flask, world: World, ada: Visitor) -> None:
        script = Script(app, world.user)
        made = script("POST", "/servers/north/tokens", {"name": "t", "roles": ["analyst"]}).json
        ada.post("/account/language", {"language": "fr"})
        assert "Il n'y a rien ici." in ada.get("/nowhere").text.replace("&#39;", "'")
        assert re.search(r"\d+ \S+ \d{4}, \d\d:\d\d:\d\d UTC", ada.get("/servers/north").text)
        ada.post(f"/tokens/{made['id']}/revoke")
        assert "par vous-même" in ada.get("/servers/north").text
        reply = ada.post(
            "/account/password", {"password": PASSWORD, "new_password": "a", "new_password_again": "b"}
        )
        assert "Les deux nouveaux mots de passe diffèrent." in reply.text

    def test_scripts_read_english(self, app: Flask) -> None:
        reply = app.test_client().post("/api/v1/session", json={}, headers={"Accept-Language": "fr"})
        assert reply.json["message"] == "username is missing. password is missing."

    def test_every_screen_of_administrators(self, root: Visitor) -> None:
        root.post("/account/language", {"language": "fr"})
        for path in ("users", "users/new", "servers", "servers/north", "roles", "roles/new/north", "tokens"):
            page = root.get(f"/admin/{path}")
            assert (page.status_code, '<html lang="fr">' in page.text) == (200, True), path
        for path in ("access", "access/denied", "public-key", "audit", "users/1", "users/1/delete"):
            assert root.get(f"/admin/{path}").status_code == 200, path


@pytest.mark.parametrize(
    ("stored", "spanish"),
    [
        ("by root: all of yours", "por root: todos los suyos"),
        ("by root: left us", "por root: left us"),
        ("by root", "por root"),
        ("role analyst is deleted", "el rol analyst se ha eliminado"),
        ("something else", "something else"),
    ],
)
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_stored_reason(app: Flask, stored: str, spanish: str) -> None:
    with app.test_request_context("/", headers={"Accept-Language": "es"}):
        assert language.reason(stored) == spanish
