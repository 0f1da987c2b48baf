"""Go through the scenarios that the auth app has to pass, in a real browser."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
import requests
from playwright.sync_api import Browser, FilePayload, Page, expect
from scenarios import SCENARIOS

from flowauth.actions.demo import PASSWORD as DEMO_PASSWORD
from flowauth.testing import DAY, PASSWORD, SCOPES, Deployment, description_of, served

TESTS = Path(__file__).parent
NEW_PASSWORD = "sober-violin-41-harbour"


def test_every_scenario_has_its_test() -> None:
    for area, scenarios in SCENARIOS.items():
        for scenario, test in scenarios.items():
            module, _, name = test.rpartition(".")
            path = TESTS / f"{module or Path(__file__).stem}.py"
            defined = {
                node.name
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.FunctionDef)
            }
            assert name in defined, f"{area}: {scenario}"
    used = {test for scenarios in SCENARIOS.values() for test in scenarios.values()}
    here = {
        node.name
        for node in ast.parse(Path(__file__).read_text()).body
        if isinstance(node, ast.FunctionDef) and any(one.arg == "page" for one in node.args.args)
    }
    assert {name for name in here if name.startswith("test_")} <= used


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, postgres: Any) -> Iterator[Deployment]:
    """Serve the demo data; a code also counts just before and after its half minute.

    The scenarios run on PostgreSQL, other browser tests on SQLite.
    """
    settings = {"DB_URI": postgres.create()}
    with served(tmp_path_factory.mktemp("scenarios"), SCOPES, **settings) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def add_user(deployment: Deployment) -> Callable[..., None]:
    """Return a function that adds a user whose `PASSWORD` must be changed."""
    base, person = f"{deployment.address}/api/v1", {"username": "TEST_ADMIN", "password": DEMO_PASSWORD}
    signed = requests.post(f"{base}/session", json=person, timeout=60).json()
    headers = {"Authorization": f"Bearer {signed['access_token']}"}

    def add(username: str, **properties: bool) -> None:
        user = {"username": username, "password": PASSWORD, **properties}
        made = requests.post(f"{base}/users", json=user, headers=headers, timeout=60)
        assert made.status_code == 201, made.text

    return add


@pytest.fixture
def page(browser: Browser, deployment: Deployment) -> Iterator[Page]:
    context = browser.new_context(
        base_url=deployment.address, permissions=["clipboard-read", "clipboard-write"]
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    yield page
    context.close()


def sign_in(page: Page, username: str, password: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def sign_in_as_administrator(page: Page) -> None:
    sign_in(page, "TEST_ADMIN", DEMO_PASSWORD)
    expect(page.get_by_role("heading", name="My servers")).to_be_visible()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def choose_password(page: Page, old: str, new: str, again: str = "") -> None:
    page.get_by_label("Present password").fill(old)
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password again").fill(again or new)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).last.click()


def told_at(page: Page, field: str) -> str:
    """Return what is said at a field."""
    return page.locator(f"#{field}-wrong").inner_text()


def test_a_demo_user_signs_in_and_out(page: Page) -> None:
    page.goto("/servers/TEST_SERVER")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.locator("main button")).to_have_count(1)
    version = page.locator("footer").inner_text()
    assert re.fullmatch(r"FlowAuth v\d+\.\d+\.\d+\S*", version)
    sign_in(page, "TEST_USER", DEMO_PASSWORD)
    expect(page.get_by_role("heading", name="My servers")).to_be_visible()
    card = page.get_by_role("listitem").filter(has_text="TEST_SERVER")
    expect(card).to_contain_text("runner")
    expect(card).to_contain_text("viewer")
    assert page.locator("footer").inner_text() == version
    assert "session" in {cookie.get("name") for cookie in page.context.cookies()}
    expect(page.locator("input[name=csrf_token]").first).not_to_have_value("")
    page.reload()
    expect(page.get_by_role("heading", name="My servers")).to_be_visible()
    sign_out(page)
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_refused_sign_ins(page: Page) -> None:
    refusal = page.get_by_role("alert")
    said = set()
    for username, password in (
        ("NOBODY", DEMO_PASSWORD),
        ("TEST_USER", "wrong"),
        ("TEST_USER", "wrong again"),
    ):
        page.goto("/sign-in")
        page.get_by_label("User name").press_sequentially(username)
        page.get_by_label("Password").press_sequentially(password)
        expect(refusal).to_have_count(0)
        page.get_by_role("button", name="Sign in").click()
        expect(refusal).to_be_visible()
        expect(page).to_have_title(re.compile("^Error: "))
        said.add(refusal.inner_text())
        # The next try starts from the refused form.
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_label("Password")).to_have_value("")
        expect(refusal).to_be_visible()
    assert len(said) == 1, "an unknown user reads the same as a wrong password"


def test_a_required_second_factor(page: Page, add_user: Callable[..., None]) -> None:
    add_user("required", require_two_factor=True)
    sign_in(page, "required", PASSWORD)
    expect(page.get_by_text("Then set up two-factor sign-in")).to_be_visible()
    choose_password(page, PASSWORD, NEW_PASSWORD)
    save(page)
    expect(
        page.get_by_text("Two-factor sign-in is required for this account: set it up now.")
    ).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="Keep your backup codes")).to_be_visible()
    first = page.locator("#backup-codes li").all_inner_texts()
    page.reload()
    codes = page.locator("#backup-codes li").all_inner_texts()
    assert len(codes) == 16
    assert not set(codes) & set(first)
    onward = page.get_by_role("link", name="I have saved them: next")
    expect(onward).to_have_attribute("aria-disabled", "true")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").split() == codes
    onward.click()
    code = activate(page)
    page.goto("/")
    expect(page.get_by_role("heading", name="My servers")).to_be_visible()
    sign_out(page)

    sign_in(page, "required", NEW_PASSWORD)
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="My servers")).to_be_visible()
    expect(page.get_by_text("A backup code is used up: 15 codes are left.")).to_be_visible()
    page.goto("/account")
    expect(page.get_by_text("15 of 16 backup codes are unused.")).to_be_visible()
    sign_out(page)
    sign_in(page, "required", NEW_PASSWORD)
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()


def activate(page: Page) -> str:
    """Add the app's key to an authenticator, and return the code that proved it."""
    expect(page.get_by_role("img", name="QR code holding the key below")).to_be_visible()
    code = pyotp.TOTP(page.locator(".key code").inner_text()).now()
    page.get_by_label("Code that the app shows").fill(code)
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("Two-factor sign-in is on.")).to_be_visible()
    return code


def test_a_second_factor_by_choice(page: Page, add_user: Callable[..., None]) -> None:
    add_user("careful")
    sign_in(page, "careful", PASSWORD)
    choose_password(page, PASSWORD, NEW_PASSWORD)
    save(page)
    page.get_by_role("link", name="Set up").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "two_factor_backups.txt"
    kept = download.value.path().read_text().split()
    assert kept == page.locator("#backup-codes li").all_inner_texts()
    page.get_by_role("link", name="I have saved them: next").click()
    activate(page)
    expect(page.get_by_text("Move to another device").first).to_be_visible()


def test_the_password_changes(page: Page, add_user: Callable[..., None]) -> None:
    add_user("changing")
    sign_in(page, "changing", PASSWORD)
    choose_password(page, PASSWORD, NEW_PASSWORD)
    save(page)
    expect(page.get_by_text("Your password is changed.")).to_be_visible()
    for field in ("Present password", "New password", "New password again"):
        expect(page.get_by_label(field, exact=True)).to_have_value("")
    sign_out(page)
    sign_in(page, "changing", PASSWORD)
    expect(page.get_by_role("alert")).to_be_visible()
    sign_in(page, "changing", NEW_PASSWORD)
    expect(page.get_by_role("heading", name="My servers")).to_be_visible()


def test_refused_passwords(page: Page, add_user: Callable[..., None]) -> None:
    add_user("clumsy")
    sign_in(page, "clumsy", PASSWORD)
    for old, new, again, field in (
        ("wrong", NEW_PASSWORD, NEW_PASSWORD, "password"),
        ("wrong", NEW_PASSWORD, NEW_PASSWORD, "password"),
        (PASSWORD, NEW_PASSWORD, f"{NEW_PASSWORD}x", "new_password_again"),
        (PASSWORD, "password1234", "password1234", "new_password"),
        (PASSWORD, "short", "short", "new_password"),
    ):
        choose_password(page, old, new, again)
        save(page)
        expect(page.locator(f"#{field}-wrong")).to_be_visible()
        expect(page).to_have_title(re.compile("^Error: "))
        # The form is loaded again, so that the next refusal cannot be this one.
        page.goto("/account")
        page.get_by_label("New password", exact=True).press_sequentially("short")
        expect(page.locator(".wrong-text")).to_have_count(0)


def test_names_of_tokens(page: Page) -> None:
    sign_in(page, "TEST_USER", DEMO_PASSWORD)
    page.goto("/servers/TEST_SERVER/tokens/new")
    name = page.get_by_label("Token name")
    name.press_sequentially("two words")
    expect(page.locator("#name-wrong")).to_have_count(0)
    name.press("Tab")
    assert told_at(page, "name") == "1 to 75 letters, digits and underscores."
    name.fill("one_word")
    expect(page.locator("#name-wrong")).to_have_count(0)
    name.fill("")
    save(page)
    # The server tells all at once.
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary.get_by_role("link")).to_have_text(
        ["A name has 1 to 75 letters, digits and underscores.", "Choose at least one role."]
    )
    summary.get_by_role("link", name="Choose").click()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Select all")).to_be_focused()
    name.fill("scenario")
    page.get_by_role("button", name="Select all").click()
    save(page)
    row = page.get_by_role("row").filter(has_text="scenario")
    expect(row).to_contain_text("runner")
    expect(row).to_contain_text("viewer")


def test_refused_users(page: Page) -> None:
    sign_in_as_administrator(page)
    page.goto("/admin/users/new")
    page.get_by_label("User name").fill("two words")
    page.get_by_label("Password").fill("short")
    # A hand holds the button for a moment; it must not move meanwhile.
    page.get_by_role("button", name="Save", exact=True).click(delay=300)
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary.get_by_role("link")).to_have_text(["User name: 1 to 75 letters, digits and underscores."])
    expect(page).to_have_title("Error: New user · FlowAuth")
    # The server would not send the password back, so it was not asked.
    expect(page.get_by_label("Password")).to_have_value("short")
    summary.get_by_role("link").first.click()
    expect(page.get_by_label("User name")).to_be_focused()
    page.get_by_label("Password").fill("")
    page.get_by_role("button", name="Save", exact=True).click(delay=300)
    expect(summary.get_by_role("link")).to_have_text(
        ["A name has 1 to 75 letters, digits and underscores.", "A password needs 10 to 256 characters."]
    )
    expect(summary).to_be_focused()
    expect(page).to_have_title("Error: New user · FlowAuth")
    for username, password, field, part in (
        ("TEST_USER", PASSWORD, "username", "taken"),
        ("test_user", PASSWORD, "username", "TEST_USER is taken"),
        ("weakling", "password", "password", "10"),
        ("weakling", "password1234", "password", "guess"),
    ):
        page.get_by_label("User name").fill(username)
        page.get_by_label("Password").fill(password)
        save(page)
        expect(page.locator(f"#{field}-wrong")).to_contain_text(part)
        expect(page.get_by_role("alert").get_by_role("link")).to_have_count(1)
        page.goto("/admin/users/new")


def test_a_user_is_added_and_gets_another_password(page: Page) -> None:
    sign_in_as_administrator(page)
    page.goto("/admin/users/new")
    page.get_by_label("User name").fill("nobody_yet")
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="nobody_yet")).to_have_count(0)
    page.get_by_role("link", name="New user").click()
    page.get_by_label("User name").fill("newcomer")
    page.get_by_role("button", name="Generate").click()
    first = page.get_by_label("Password").input_value()
    assert len(first) == 16
    save(page)
    page.get_by_role("link", name="Edit newcomer").click()
    page.get_by_label("New password").fill(PASSWORD)
    save(page)
    expect(page.get_by_role("row").filter(has_text="newcomer")).to_be_visible()
    sign_out(page)
    sign_in(page, "newcomer", PASSWORD)
    expect(page.get_by_text("Choose your own password before you go on.")).to_be_visible()


def description(audience: str, *scopes: str) -> FilePayload:
    content = json.dumps(description_of(audience, scopes)).encode()
    return {"name": "openapi.json", "mimeType": "application/json", "buffer": content}


def test_a_server_from_its_registration_to_its_end(page: Page) -> None:
    sign_in_as_administrator(page)
    page.goto("/admin/servers/new")
    page.get_by_label("API description").set_input_files(description("TEST_SERVER", "run"))
    page.get_by_role("button", name="Check").click()
    assert "TEST_SERVER is registered already" in told_at(page, "description")
    page.get_by_label("API description").set_input_files(description("highland", "run", *SCOPES[:2]))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_label("Server name")).to_have_value("highland")
    life = page.get_by_label("Longest life of a token, in minutes")
    life.fill("")
    save(page)
    assert told_at(page, "longest_token_life_minutes") == (
        "The longest life must be a whole number of minutes from 1 to 5270400."
    )
    life.fill("0")
    save(page)
    assert "from 1 to" in told_at(page, "longest_token_life_minutes")
    life.fill(str(DAY))
    save(page)
    expect(page.get_by_text("Server highland is registered with 3 scopes.")).to_be_visible()

    life.fill(str(2 * DAY))
    page.get_by_role("button", name="Save limits").click()
    page.goto("/admin/servers")
    expect(page.get_by_role("row").filter(has_text="highland")).to_contain_text("2 days")
    page.get_by_role("link", name="Edit highland").click()
    page.get_by_label("API description").set_input_files(description("highland", SCOPES[0], SCOPES[4]))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("heading", name="1 scope added")).to_be_visible()
    expect(page.get_by_role("heading", name="2 scopes removed")).to_be_visible()
    save(page)
    leaves = page.locator(".tree-choice li[data-leaf]")
    expect(leaves).to_have_count(2)
    assert leaves.evaluate_all("all => all.map(leaf => leaf.dataset.leaf)") == [SCOPES[0], SCOPES[4]]
    page.goto("/admin/servers/highland/delete")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Servers")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="highland")).to_have_count(0)


def test_a_role_from_its_making_to_its_end(page: Page) -> None:
    sign_in_as_administrator(page)
    page.goto("/admin/roles/new/TEST_SERVER")
    name = page.get_by_label("Role name")
    for wrong in ("", "two words"):
        name.fill(wrong)
        with page.expect_navigation():
            save(page)
        assert told_at(page, "name") == "A name has 1 to 75 letters, digits and underscores."
    name.fill("viewer")
    page.get_by_role("checkbox", name="run", exact=True).check()
    save(page)
    expect(page.locator("#name-wrong")).to_contain_text("viewer")
    expect(page.get_by_role("checkbox", name="run", exact=True)).to_be_checked()
    name.fill("surveyor")
    unit = page.locator("li.twig", has=page.get_by_role("checkbox", name="All of admin1", exact=True)).first
    unit.locator("summary").first.click()
    unit.get_by_text("flows", exact=True).first.click()
    unit.get_by_role("checkbox", name="daily_location", exact=True).check()
    save(page)
    row = page.get_by_role("row").filter(has_text="surveyor")
    expect(row.locator("[data-label=Scopes]")).to_have_text("2")

    page.get_by_role("link", name="Edit surveyor").click()
    mixed = page.get_by_role("checkbox", name="All of admin1", exact=True)
    expect(mixed).to_be_visible()
    assert mixed.evaluate("box => box.indeterminate")
    assert page.get_by_role("checkbox", name="All of admin3", exact=True).evaluate(
        "box => !box.indeterminate"
    )
    name.fill("cartographer")
    save(page)
    expect(page.get_by_role("row").filter(has_text="surveyor")).to_have_count(0)
    page.get_by_role("link", name="Delete cartographer").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Roles")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="cartographer")).to_have_count(0)


def test_the_public_key(page: Page, deployment: Deployment) -> None:
    sign_in_as_administrator(page)
    page.goto("/admin/public-key")
    configured = Path(deployment.environment["FLOWKIT_SECRETS"]) / "PUBLIC_JWT_SIGNING_KEY"
    assert page.locator("#public-key").inner_text().strip() == configured.read_text().strip()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").first.click()
    assert download.value.path().read_text().strip() == configured.read_text().strip()
