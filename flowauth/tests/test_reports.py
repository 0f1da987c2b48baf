"""Show reports to ticked readers alone, and record each reading."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
import yaml
from flask import Flask
from playwright.sync_api import Browser, expect
from published_reports import DEFINITION, PERIOD, publish
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from flowauth import clock, testing
from flowauth.actions.demo import PASSWORD as DEMO_PASSWORD
from flowauth.models import AuditEvent, Token
from flowauth.published import Published
from flowauth.settings import Settings
from flowauth.testing import PASSWORD, SCOPES, Script, Visitor, World, form_of, role_named, served, user_named
from flowauth.views.reports import WORDS
from flowclient.reports import Definition, read_definition
from flowclient.reports.asking import REASONS, ReportError
from flowclient.reports.making import rights_of
from flowclient.reports.service_user import look_as, run_as
from flowclient.reports.shelf import _REASONS

PAGE = f"/reports/crisis-cell/displacement/{PERIOD}/v1/en"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    publish(folder, folder / "out")
    return folder / "out"


@pytest.fixture
def app(settings: Settings, out: Path) -> Iterator[Flask]:
    with testing.opened(settings.model_copy(update={"reports": out})) as app:
        yield app


def tick(root: Visitor, database: Session, *names: str) -> Any:
    ids = [user_named(database, name).id for name in names]
    database.rollback()
    shown = form_of(root.get("/admin/reports/crisis-cell").text)["shown"]
    return root.post("/admin/reports/crisis-cell", {"users": ids, "shown": shown})


def readings(database: Session) -> list[Any]:
    columns = (AuditEvent.actor, AuditEvent.subject, AuditEvent.detail)
    found = database.execute(select(*columns).where(AuditEvent.action == "report.read")).all()
    database.rollback()
    return list(found)


def test_a_reader_reads_and_each_reading_is_recorded(
    root: Visitor, ada: Visitor, out: Path, database: Session
) -> None:
    assert "Reports" not in ada.get("/").text
    assert tick(root, database, "ada").status_code == 303
    assert '<a href="/reports"' in ada.get("/").text
    listed = ada.get("/reports").text
    assert "Flood, North-West" in listed
    assert f'href="{PAGE}"' in listed
    assert "The last run failed" in listed
    shown = ada.get("/reports/crisis-cell/displacement").text
    assert "first version" in shown
    assert "the server could not be reached" in shown
    assert PAGE.replace("/en", "/fr") in shown
    assert readings(database) == []
    reply = ada.get(PAGE)
    assert reply.status_code == 200
    assert reply.data == (out / "crisis-cell" / "displacement" / PERIOD / "v1" / "page.en.html").read_bytes()
    assert reply.headers["Content-Security-Policy"] == "sandbox allow-scripts allow-downloads"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    detail = {"period": PERIOD, "version": "v1", "language": "en"}
    assert readings(database) == [("ada", "crisis-cell/displacement", detail)]
    assert "readers.changed" in root.get("/admin/audit?search=crisis-cell").text


def test_nobody_else_reads(
    root: Visitor, ada: Visitor, visitor: Visitor, world: World, database: Session
) -> None:
    tick(root, database, world.stranger)
    for path in (PAGE, "/reports/crisis-cell/displacement"):
        # An administrator who is not ticked is no reader, either.
        for other in (ada, root):
            reply = other.get(path)
            assert reply.status_code == 404
            assert "displacement" in reply.text
            assert "Flood" not in reply.text
        assert visitor.get(path).status_code == 303
    # The same words for what is not there.
    unknown, others = ada.get("/reports/nobody/nothing").text, ada.get("/reports/crisis-cell/nothing").text
    assert "There is no report &#39;nothing&#39; that you read." in unknown
    assert "There is no report &#39;nothing&#39; that you read." in others
    assert ada.get("/admin/reports").status_code == 403
    assert readings(database) == []


def test_a_reader_who_is_unticked_reads_no_more(root: Visitor, ada: Visitor, database: Session) -> None:
    tick(root, database, "ada", "eve")
    assert ada.get(PAGE).status_code == 200
    page = root.get("/admin/reports").text
    assert "Flood, North-West" in page
    assert '<td data-label="Readers">2</td>' in page
    tick(root, database, "eve")
    assert ada.get(PAGE).status_code == 404


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "path",
    [
        f"crisis-cell/displacement/{PERIOD}/v2/en",
        f"crisis-cell/displacement/{PERIOD}/v1/es",
        f"crisis-cell/displacement/{PERIOD}/held/en",
        "crisis-cell/displacement/../v1/en",
        "crisis-cell/displacement/2016-02-24/v1/en",
        f"crisis-cell/..%2Fcrisis-cell%2Fdisplacement/{PERIOD}/v1/en",
        f"..%2Fcrisis-cell/displacement/{PERIOD}/v1/en",
        f"crisis-cell/displacement/{PERIOD}/v1/en.html",
        f"crisis-cell/displacement/{PERIOD}/v1%00/en",
    ],
)
def test_what_is_not_published_is_not_there(
    root: Visitor, ada: Visitor, database: Session, path: str
) -> None:
    tick(root, database, "ada")
    assert ada.get(f"/reports/{path}").status_code == 404
    assert readings(database) == []


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_two_administrators_notice_each_other(root: Visitor, database: Session) -> None:
    stale = form_of(root.get("/admin/reports/crisis-cell").text)["shown"]
    tick(root, database, "ada")
    identity = user_named(database, "eve").id
    database.rollback()
    reply = root.post("/admin/reports/crisis-cell", {"users": [identity], "shown": stale})
    assert reply.status_code == 409
    assert "added ada" in reply.text


# A folder that is not as the maker of reports leaves it


def written(folder: Path, index: Any) -> Published:
    place = folder / "cell" / "report"
    place.mkdir(parents=True)
    (place / "index.json").write_text(index if isinstance(index, str) else json.dumps(index))
    return Published(folder)


@pytest.mark.parametrize(
    "index",
    ["", "[]", "{", "[" * 100_000, {"periods": 7}, {"periods": [7, {"period": "../x"}, {"period": None}]}],
)
def test_a_broken_index_is_no_fault(tmp_path: Path, index: Any) -> None:
    published = written(tmp_path, index)
    assert published.recipients() == ["cell"]
    assert all(report.periods == () for report in published.reports("cell"))


def test_an_index_is_read_again_once_it_changes(tmp_path: Path) -> None:
    versions = [{"version": "v1", "because": "first"}]
    index = {"titles": {"en": "One"}, "periods": [{"period": PERIOD, "versions": versions}]}
    published = written(tmp_path, index)
    place = tmp_path / "cell" / "report"
    assert [report.last_good for report in published.reports("cell")] == [None]
    # The index was copied before the version.
    (place / PERIOD / "v1").mkdir(parents=True)
    (place / PERIOD / "v1" / "page.en.html").write_text("page")
    (place / PERIOD / "v1" / "manifest.json").write_text("{}")
    [report] = published.reports("cell")
    assert report.last_good is not None
    assert report.title("en") == "One"
    file, status = place / "index.json", (place / "index.json").stat()
    file.write_text(json.dumps(index | {"titles": {"en": "Two"}}))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert published.reports("cell") == [report], "as if it had not changed"
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert [one.title("en") for one in published.reports("cell")] == ["Two"]


def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("secret")
    versions = [{"version": "v1", "because": "first"}]
    published = written(tmp_path / "out", {"periods": [{"period": PERIOD, "versions": versions}]})
    place = tmp_path / "out" / "cell" / "report" / PERIOD / "v1"
    place.mkdir(parents=True)
    (place / "page.en.html").symlink_to(secret)
    assert published.page("cell", "report", PERIOD, "v1", "en") is None
    (place / "page.en.html").unlink()
    (place / "page.en.html").write_text("page")
    assert published.page("cell", "report", PERIOD, "v1", "en") == b"page"


def test_every_reason_has_words() -> None:
    assert {*REASONS, *_REASONS, "first"} == WORDS.keys() | {"other"}


# Service users


def service_user(root: Visitor, **form: Any) -> Any:
    return root.post(
        "/admin/users/new", {"username": "maker", "password": PASSWORD, "is_service": "on", **form}
    )


def test_a_service_user_signs_in_by_scripts_only(app: Flask, root: Visitor, database: Session) -> None:
    assert service_user(root).status_code == 303
    reply = Visitor(app).sign_in("maker")
    assert reply.status_code == 403
    assert "signs in by scripts only" in reply.text
    assert Visitor(app).sign_in("maker", "wrong-password").status_code == 401, "a stranger learns nothing"
    maker = user_named(database, "maker")
    maker.roles = [role_named(database, "reader", "north")]
    identity = maker.id
    database.commit()
    made = Script(app, "maker")("POST", "/servers/north/tokens", {"name": "t", "roles": ["reader"]})
    assert made.status_code == 201
    page = root.get("/admin/users?only=service_users").text
    assert "1 user found" in page
    assert "maker" not in root.get("/admin/reports/crisis-cell").text
    assert root.post(f"/admin/users/{identity}/link").status_code == 403


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("more", ["is_admin", "is_auditor", "require_two_factor", "link"])
def test_a_service_user_has_roles_alone(root: Visitor, database: Session, more: str) -> None:
    reply = service_user(root, **{more: "1"})
    assert reply.status_code == 400
    assert 'id="is_service-wrong"' in reply.text
    assert service_user(root).status_code == 303
    identity = user_named(database, "maker").id
    database.rollback()
    if more != "link":
        form = {"username": "maker", "is_service": "on", more: "on"}
        assert root.post(f"/admin/users/{identity}", form).status_code == 400


def test_a_user_becomes_a_service_user(root: Visitor, ada: Visitor, database: Session) -> None:
    identity = user_named(database, "ada").id
    database.rollback()
    page = root.get(f"/admin/users/{identity}").text
    assert root.post(f"/admin/users/{identity}", {**form_of(page), "is_service": "on"}).status_code == 303
    assert ada.get("/").status_code == 303, "the session ended"
    assert ada.sign_in("ada").status_code == 403


# A run of a report asks as a service user


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    path = tmp_path / "displacement.yml"
    path.write_text(yaml.safe_dump({**DEFINITION, "server": "north", "role": "analyst"}))
    return read_definition(path)


@pytest.fixture
def address(
    app: Flask, root: Visitor, database: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Serve the app, and set the settings of the service user ``maker``."""
    service_user(root)
    user_named(database, "maker").roles = [role_named(database, "analyst", "north")]
    database.commit()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    (tmp_path / "password").write_text(PASSWORD + "\n")
    monkeypatch.setenv("FLOWAUTH_URL", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("FLOWKIT_REPORTS_USER", "maker")
    monkeypatch.setenv("FLOWKIT_REPORTS_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("FLOWAPI_TOKEN_FILE", "/no/such/token")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join(timeout=30)
    server.server_close()


def tokens(database: Session) -> list[Any]:
    columns = (Token.name, Token.role_names, Token.expiry, Token.revoked_at)
    found = database.execute(select(*columns).order_by(Token.id)).all()
    database.rollback()
    return list(found)


@pytest.mark.filterwarnings("ignore:Communications with this server are NOT SECURE")
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
class TestRuns:
    def test_a_run_has_a_token_of_its_own(
        self, address: str, definition: Definition, database: Session
    ) -> None:
        with run_as(definition):
            file = Path(os.environ["FLOWAPI_TOKEN_FILE"])
            assert file.stat().st_mode & 0o077 == 0
            claims = jwt.decode(file.read_text(), options={"verify_signature": False})
            assert (claims["sub"], claims["aud"]) == ("maker", "north")
            [made] = tokens(database)
            assert (made.name, made.role_names, made.revoked_at) == ("report_displacement", ["analyst"], None)
            assert 34 * 60 < (made.expiry - clock.now()).total_seconds() <= 35 * 60
        assert not file.exists()
        assert os.environ["FLOWAPI_TOKEN_FILE"] == "/no/such/token"
        assert tokens(database)[0].revoked_at is not None

    def test_looking_uses_one_token_again(
        self, address: str, definition: Definition, database: Session
    ) -> None:
        seen = []
        for _ in range(2):
            with look_as([definition]):
                file = Path(os.environ["FLOWAPI_TOKEN_FILE"])
                seen.append(file.read_text())
        assert seen[0] == seen[1]
        assert file.stat().st_mode & 0o077 == 0
        assert file.parent.stat().st_mode & 0o077 == 0
        [made] = tokens(database)
        assert 719 * 60 < (made.expiry - clock.now()).total_seconds() <= 720 * 60
        # A role that allows less gives less, and a token that is almost over is replaced.
        role_named(database, "analyst", "north").longest_token_life_minutes = 5
        database.commit()
        file.unlink()
        for _ in range(2):
            with look_as([definition]):
                pass
        assert len(tokens(database)) == 3

    def test_what_the_app_refuses_is_a_missing_right(
        self, address: str, definition: Definition, tmp_path: Path, database: Session
    ) -> None:
        other = definition.model_copy(update={"role": "reader"})
        with pytest.raises(ReportError, match="do not hold on north: reader") as refused, rights_of(other):
            pass
        assert refused.value.reason == "right"
        (tmp_path / "password").write_text("wrong")
        with pytest.raises(ReportError, match="Wrong user name") as refused, rights_of(definition):
            pass
        assert refused.value.reason == "right"
        assert tokens(database) == []

    def test_what_is_not_set_is_named(
        self, address: str, definition: Definition, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("FLOWKIT_REPORTS_USER")
        with pytest.raises(ReportError, match="FLOWKIT_REPORTS_USER is not set"), rights_of(definition):
            pass
        monkeypatch.setenv("FLOWKIT_REPORTS_USER", "maker")
        monkeypatch.setenv("FLOWAUTH_URL", "http://127.0.0.1:1")
        with pytest.raises(ReportError, match="Unable to connect") as refused, rights_of(definition):
            pass
        assert refused.value.reason == "connection"

    def test_without_a_role_the_token_of_the_settings_asks(
        self, address: str, definition: Definition, database: Session
    ) -> None:
        plain = definition.model_copy(update={"server": None, "role": None})
        for context in (run_as(plain), look_as([plain])):
            with context:
                assert os.environ["FLOWAPI_TOKEN_FILE"] == "/no/such/token"
        assert tokens(database) == []


def test_a_role_has_a_server(tmp_path: Path) -> None:
    path = tmp_path / "displacement.yml"
    path.write_text(yaml.safe_dump({**DEFINITION, "role": "analyst"}))
    with pytest.raises(ValueError, match="'server' and 'role' go together"):
        read_definition(path)


# In a browser


@pytest.mark.slow
def test_a_page_is_apart_from_the_app(browser: Browser, out: Path, tmp_path: Path) -> None:
    with served(tmp_path, SCOPES, FLOWAUTH_REPORTS=str(out)) as deployment:
        context = browser.new_context(base_url=deployment.address, accept_downloads=True)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("User name").fill("TEST_ADMIN")
        page.get_by_label("Password").fill(DEMO_PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Readers").click()
        page.get_by_role("link", name="Readers of crisis-cell").click()
        page.get_by_role("checkbox", name="TEST_ADMIN").check()
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("link", name="Reports", exact=True).click()
        page.get_by_role("link", name=f"Open {PERIOD}").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Flood")
        assert page.evaluate("self.origin") == "null"
        assert page.evaluate(
            "() => { try { return document.cookie; } catch (error) { return error.name; } }"
        ) == ("SecurityError")
        refused = "fetch('/account').then(() => 'sent', () => 'refused')"
        assert page.evaluate(refused) == "refused"
        # The page's own script works.
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
        assert "before" in download.value.path().read_text()
        context.close()
        assert (
            requests.get(f"{deployment.address}{PAGE}", timeout=30, allow_redirects=False).status_code == 303
        )
