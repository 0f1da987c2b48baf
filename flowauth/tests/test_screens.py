"""Look at every screen in a real browser.

Axe finds what is hard to reach, and no screen is wider than a phone. With ``FLOWAUTH_PICTURES=1`` the tests also
take the pictures of the screens' page in the documentation.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, expect
from published_reports import publish

from flowauth.actions.demo import PASSWORD
from flowauth.testing import SCOPES, served

AXE = Axe().axe_script
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

#: Endpoint to the path of its screen in the demo data.
SCREENS = {
    "tokens.servers": "/",
    "tokens.server": "/servers/TEST_SERVER",
    "tokens.new": "/servers/TEST_SERVER/tokens/new",
    "tokens.revoke": "/tokens/1/revoke",
    "devices.enter": "/device",
    "account.show": "/account",
    "account.two_factor_codes": "/account/two-factor",
    "account.two_factor_app": "/account/two-factor/app",
    "credentials.listing": "/account/credentials",
    "account.events": "/account/events",
    "users.listing": "/admin/users",
    "users.new": "/admin/users/new",
    "users.edit": "/admin/users/1",
    "users.delete": "/admin/users/1/delete",
    "users.revoke_tokens": "/admin/users/1/revoke-tokens",
    "servers.listing": "/admin/servers",
    "servers.new": "/admin/servers/new",
    "servers.edit": "/admin/servers/TEST_SERVER",
    "servers.delete": "/admin/servers/TEST_SERVER/delete",
    "roles.listing": "/admin/roles",
    "roles.new": "/admin/roles/new/TEST_SERVER",
    "roles.edit": "/admin/roles/1",
    "roles.delete": "/admin/roles/1/delete",
    "all_tokens.listing": "/admin/tokens",
    "rights.table": "/admin/access",
    "rights.denied": "/admin/access/denied",
    "readers.listing": "/admin/reports",
    "readers.edit": "/admin/reports/crisis-cell",
    "reports.listing": "/reports",
    "reports.show": "/reports/crisis-cell/displacement",
    "keys.public_key": "/admin/public-key",
    "audit.trail": "/admin/audit",
}
#: Screens that need no sign-in, or one of another kind; they have tests of their own below.
OTHERS = {"signing_in.sign_in", "signing_in.code", "links.choose"}
#: What screens look like after something was done on them.
AFTERWARDS = {
    "signing_in.refused",
    "devices.decide",
    "credentials.made",
    "links.made",
    "users.refused",
    "rights.explained",
}
OPERATORS = Path(__file__).parents[2] / "docs" / "operators"
PICTURES = OPERATORS / "screens"
TALLEST = 1400
#: Words of up to 30 letters that stand on two lines.
BROKEN_WORDS = r"""() => {
  const found = [], range = document.createRange();
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.parentElement.checkVisibility()) continue;
    for (const word of node.data.matchAll(/[\p{L}\p{N}_]+/gu)) {
      if (word[0].length > 30) continue;
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((one) => one.top)).size > 1) found.push(word[0]);
    }
  }
  return found;
}"""
#: Cards that cut their content off, and labels of a phone's rows that run into the value beside them.
CUT_OFF = r"""() => {
  const found = [...document.querySelectorAll(".flush")].filter((card) => card.scrollWidth > card.clientWidth)
    .map((card) => card.innerText.slice(0, 60));
  const pen = document.createElement("canvas").getContext("2d");
  for (const cell of document.querySelectorAll("td[data-label]")) {
    const label = getComputedStyle(cell, "::before");
    if (label.float !== "left" || !cell.checkVisibility()) continue;
    pen.font = label.font;
    const widest = Math.max(...cell.dataset.label.split(/\s+/).map((word) => pen.measureText(word).width));
    if (widest > parseFloat(label.width)) found.push(cell.dataset.label);
  }
  return found;
}"""
#: What a GET sends that is no screen.
FILES = {
    "static",
    "account.data",
    "reports.page",
    "audit.export",
    "audit.export_json",
    "rights.export",
    "keys.jwks",
    "keys.public_key_file",
    "keys.revoked_tokens",
    "keys.revoked_tokens_file",
    "devices.metadata",
    "identities.go",
    "identities.back",
    "health.live",
    "health.ready",
}


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_every_screen_is_listed(app: Flask) -> None:
    found = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or set()) and not rule.rule.startswith("/api/")
    }
    assert found == SCREENS.keys() | OTHERS | FILES


def test_every_screen_is_in_the_documentation() -> None:
    names = SCREENS.keys() | OTHERS | AFTERWARDS
    assert {path.stem for path in PICTURES.iterdir()} == names
    shown = re.findall(
        r"^!\[[^\]]+\]\(screens/(.+)\.webp\)$", (OPERATORS / "screens.md").read_text(), re.MULTILINE
    )
    assert sorted(shown) == sorted(names)
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 1_500_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the demo data with one token, so that every screen has something to show."""
    folder = tmp_path_factory.mktemp("screens")
    publish(folder, folder / "reports")
    settings = {"FLOWAUTH_REPORTS": str(folder / "reports")}
    with served(folder, SCOPES, **settings) as deployment:
        base = f"{deployment.address}/api/v1"
        signed = requests.post(
            f"{base}/session", json={"username": "TEST_ADMIN", "password": PASSWORD}, timeout=30
        ).json()
        made = requests.post(
            f"{base}/servers/TEST_SERVER/tokens",
            json={"name": "january", "roles": ["viewer"]},
            headers={"Authorization": f"Bearer {signed['access_token']}"},
            timeout=30,
        )
        assert made.status_code == 201, made.text
        yield deployment.address


def still(browser: Browser, address: str) -> BrowserContext:
    """Open a wide browser context without motion.

    Axe would measure colours that are still changing from light to dark, and these have less contrast than either.
    """
    return browser.new_context(
        base_url=address, viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
    )


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    """Provide a page of an administrator who is signed in."""
    context = still(browser, address)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("User name").fill("TEST_ADMIN")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="My servers")).to_be_visible()
    page.goto("/admin/reports/crisis-cell")
    page.get_by_role("checkbox", name="TEST_ADMIN").check()
    page.get_by_role("button", name="Save", exact=True).click()
    yield page
    context.close()


def faults(page: Page, *rules: str) -> list[str]:
    """Return what axe finds, a line for each element."""
    options: dict[str, object] = {"resultTypes": ["violations"]}
    options["runOnly"] = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": TAGS}
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE)
    found = page.evaluate("options => axe.run(options)", options)["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


def take_picture(page: Page, name: str) -> None:
    """Put a picture of a screen into the documentation, if asked for."""
    if not os.environ.get("FLOWAUTH_PICTURES"):
        return
    height = min(page.evaluate("document.documentElement.scrollHeight"), TALLEST)
    clip = {"x": 0, "y": 0, "width": 1280, "height": height, "scale": 1}
    asked = {"format": "webp", "quality": 60, "clip": clip, "captureBeyondViewport": True}
    taken = page.context.new_cdp_session(page).send("Page.captureScreenshot", asked)
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))


def look(page: Page, name: str) -> None:
    """Check a screen in light and dark at two widths."""
    page.wait_for_load_state("load")
    page.emulate_media(color_scheme="light")
    take_picture(page, name)
    assert page.evaluate(BROKEN_WORDS) == [], name
    assert page.evaluate(CUT_OFF) == [], name
    assert faults(page) == [], name
    page.emulate_media(color_scheme="dark")
    assert faults(page, "color-contrast") == [], name
    page.set_viewport_size({"width": 375, "height": 740})
    try:
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, name
        assert page.evaluate(CUT_OFF) == [], name
        assert faults(page, "target-size", "scrollable-region-focusable") == [], name
    finally:
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="light")


class TestScreens:
    pytestmark = pytest.mark.slow

    @pytest.mark.parametrize("endpoint", SCREENS)
    def test_a_screen(self, page: Page, endpoint: str) -> None:
        reply = page.goto(SCREENS[endpoint])
        assert reply is not None
        assert reply.status == 200
        look(page, endpoint)

    @pytest.mark.parametrize(("spoken", "heading"), [("fr", "Mes serveurs"), ("es", "Mis servidores")])
    def test_screens_in_another_language(
        self, browser: Browser, page: Page, address: str, spoken: str, heading: str
    ) -> None:
        """Check that longer words fit on a phone's screen.

        They neither widen it, nor are cut off, nor lose a control its name."""
        context = browser.new_context(
            base_url=address,
            locale=spoken,
            viewport={"width": 375, "height": 740},
            storage_state=page.context.storage_state(),
        )
        other = context.new_page()
        other.goto("/")
        expect(other.get_by_role("heading", name=heading)).to_be_visible()
        for endpoint, path in SCREENS.items():
            other.goto(path, wait_until="load")
            assert other.locator("html").get_attribute("lang") == spoken
            assert other.evaluate("document.documentElement.scrollWidth") <= 375, endpoint
            assert other.evaluate(CUT_OFF) == [], endpoint
            other.set_viewport_size({"width": 1280, "height": 740})
            assert other.evaluate(CUT_OFF) == [], endpoint
            assert other.evaluate(BROKEN_WORDS) == [], endpoint
            other.set_viewport_size({"width": 375, "height": 740})
            assert faults(other, "html-lang-valid", "valid-lang", "label", "button-name", "link-name") == []
        context.close()

    def test_the_screen_of_a_waiting_program(self, page: Page, address: str) -> None:
        codes = requests.post(
            f"{address}/api/v1/device-authorization",
            data={"client_id": "flowclient", "audience": "TEST_SERVER"},
            timeout=30,
        ).json()
        page.goto(codes["verification_uri_complete"])
        expect(page.get_by_role("heading", name="Connect a program to TEST_SERVER?")).to_be_visible()
        look(page, "devices.decide")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("The program gets token")).to_be_visible()

    def test_the_screen_of_a_new_credential(self, page: Page) -> None:
        page.goto("/account/credentials")
        page.get_by_label("Credential name").fill("nightly")
        page.get_by_role("button", name="Make the credential").click()
        expect(page.get_by_text("it is shown only this once")).to_be_visible()
        look(page, "credentials.made")

    def test_the_screen_of_a_refused_form(self, page: Page) -> None:
        page.goto("/admin/users/new")
        page.get_by_label("User name").fill("TEST_USER")
        page.get_by_label("Password").fill("x")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page).to_have_title(re.compile("^Error: "))
        look(page, "users.refused")

    def test_the_screens_of_a_one_time_link(self, page: Page, browser: Browser, address: str) -> None:
        page.goto("/admin/users/new")
        page.get_by_label("User name").fill("newcomer")
        page.get_by_role("button", name="Save and make a one-time link").click()
        expect(page.get_by_role("heading", name="One-time link for newcomer")).to_be_visible()
        look(page, "links.made")
        context = still(browser, address)
        other = context.new_page()
        other.goto(page.locator("#link").inner_text())
        look(other, "links.choose")
        other.get_by_label("New password", exact=True).fill("sober-violin-41-harbour")
        other.get_by_label("New password again").fill("sober-violin-41-harbour")
        other.get_by_role("button", name="Save", exact=True).click()
        expect(other.get_by_text("The password of newcomer is set")).to_be_visible()
        context.close()

    def test_the_screen_of_an_explained_refusal(self, page: Page) -> None:
        page.goto("/admin/access/denied?user=TEST_USER")
        # No role of the demo holds both.
        page.get_by_label("The query's id or spec").fill("run get_result admin3:flows:flows")
        page.get_by_role("button", name="Explain").click()
        expect(page.get_by_role("heading", name="It is denied")).to_be_visible()
        look(page, "rights.explained")

    def test_the_screen_of_sign_in(self, browser: Browser, address: str) -> None:
        context = still(browser, address)
        page = context.new_page()
        page.goto("/sign-in")
        look(page, "signing_in.sign_in")
        page.get_by_label("User name").fill("TEST_USER")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        look(page, "signing_in.refused")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.goto("/account/two-factor/app")
        page.get_by_role("button", name="Copy").click()
        page.get_by_role("link", name="I have saved them: next").click()
        key = page.locator(".key code").inner_text()
        page.get_by_label("Code that the app shows").fill(pyotp.TOTP(key).now())
        page.get_by_role("button", name="Activate").click()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("User name").fill("TEST_USER")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Two-factor code")).to_be_visible()
        look(page, "signing_in.code")
        context.close()

    def test_a_token_by_keyboard_alone(self, page: Page) -> None:
        page.goto("/servers/TEST_SERVER/tokens/new")
        page.wait_for_load_state("load")
        page.get_by_label("Token name").focus()
        page.keyboard.type("by_keyboard")
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.name === 'roles' && !document.activeElement.checked"):
                page.keyboard.press("Space")
                break
        page.keyboard.press("Enter")
        expect(page.get_by_role("row").filter(has_text="by_keyboard")).to_be_visible()

    def test_a_key_is_replaced_by_keyboard_alone(self, page: Page) -> None:
        page.goto("/admin/public-key")
        page.wait_for_load_state("load")
        for button in ("Make the next key", "Activate the next key"):
            target = page.get_by_role("button", name=button)
            for _ in range(40):
                page.keyboard.press("Tab")
                if target.evaluate("button => button === document.activeElement"):
                    break
            page.keyboard.press("Enter")
            # Making a key takes seconds.
            expect(page.get_by_role("button", name="Activate the next key")).to_have_count(
                1 if button.startswith("Make") else 0, timeout=60_000
            )
