"""Make and view a token in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import jwt
import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from flowauth.actions.demo import PASSWORD
from flowauth.testing import PASSWORD as STRONG
from flowauth.testing import served

UNITS = ("admin0", "admin1", "admin2", "admin3", "lon-lat")
MANY = [f"{unit}:kind_{top}:kind_{kind}" for unit in UNITS for top in range(25) for kind in range(5)]
SIMPLE = ["get_available_dates", "get_qa_checks", "get_result", "run"]
#: How often Tab stops on a page's form.
STOPS = """() => [...document.querySelectorAll("main form.card :is(input, button, a, summary, textarea, select)")]
  .filter((one) => one.type !== "hidden" && one.checkVisibility({ checkVisibilityCSS: true })).length"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the served app's address; the demo has as many scopes as a real server."""
    with served(tmp_path_factory.mktemp("served"), sorted(MANY + SIMPLE)) as deployment:
        yield deployment.address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(base_url=address, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    problems: list[str] = []
    # A form that was refused because of another's change is no fault of the page.
    page.on(
        "console",
        lambda message: (
            problems.append(message.text)
            if message.type == "error" and "409 (CONFLICT)" not in message.text
            else None
        ),
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert problems == [], "the browser complains of nothing, least of all of the content security policy"


def sign_in(page: Page, username: str) -> None:
    page.goto("/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="My servers")).to_be_visible()
    settled(page)


def settled(page: Page) -> None:
    """Wait for a page's style sheet and scripts, which load after its text."""
    page.wait_for_load_state("load")


def test_the_steps_of_the_talk(page: Page) -> None:
    sign_in(page, "TEST_USER")
    page.get_by_role("link", name="TEST_SERVER").click()
    page.get_by_role("link", name="New token").first.click()
    page.get_by_label("Token name").fill("demo_token")
    settled(page)
    page.get_by_role("button", name="Select all").click()
    expect(page.locator("#resulting-expiry")).to_contain_text("set by the latest expiry of role runner")
    page.get_by_role("button", name="Save", exact=True).click()

    row = page.get_by_role("row").filter(has_text="demo_token")
    expect(row).to_contain_text("runner")
    expect(row).to_contain_text("viewer")
    settled(page)
    row.get_by_role("button", name="View demo_token").click()
    text = page.get_by_label("Token text").input_value()
    assert jwt.decode(text, options={"verify_signature": False})["sub"] == "TEST_USER"
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_label("Token text")).to_have_count(0)

    row.get_by_role("button", name="Copy demo_token").click()
    expect(row.get_by_role("button", name="Copy demo_token")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == text
    with page.expect_download() as download:
        row.get_by_role("button", name="Download demo_token").click()
    assert download.value.suggested_filename == "demo_token.txt"
    assert download.value.path().read_text().strip() == text

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_the_scope_tree_of_a_role(page: Page) -> None:
    sign_in(page, "TEST_ADMIN")
    page.get_by_role("link", name="Roles").click()
    page.get_by_role("link", name="New role on TEST_SERVER").click()
    page.get_by_label("Role name").fill("coarse")
    settled(page)
    assert 10 < page.evaluate(STOPS) < 40
    unit = page.get_by_role("checkbox", name="All of admin1", exact=True)
    unit.check()
    branch = page.locator("li.twig", has=unit).first
    branch.locator(":scope > details > summary > code").click()
    branch.get_by_text("kind_0", exact=True).first.click()
    branch.get_by_role("checkbox", name="kind_3", exact=True).first.uncheck()
    assert unit.evaluate("box => box.indeterminate")
    expect(branch.locator(":scope > details > summary")).to_contain_text("124 of 125")
    unit.check()
    expect(branch.locator(":scope > details > summary")).to_contain_text("125 of 125")

    page.get_by_role("searchbox").fill("lon-lat kind_24 kind_4")
    expect(page.get_by_text("1 of 629 found")).to_be_visible()
    page.get_by_role("checkbox", name="kind_4", exact=True).check()
    page.get_by_role("button", name="Save", exact=True).click()
    row = page.get_by_role("row").filter(has_text="coarse")
    expect(row).to_contain_text("126")


def test_a_branch_of_a_searched_tree_ticks_what_can_be_seen(page: Page) -> None:
    sign_in(page, "TEST_ADMIN")
    page.get_by_role("link", name="Roles").click()
    page.get_by_role("link", name="New role on TEST_SERVER").click()
    page.get_by_label("Role name").fill("searched")
    settled(page)
    page.get_by_role("searchbox").fill("admin1 kind_24")
    expect(page.get_by_text("5 of 629 found")).to_be_visible()
    unit = page.get_by_role("checkbox", name="All of admin1", exact=True)
    unit.check()
    summary = page.locator("li.twig", has=unit).first.locator(":scope > details > summary")
    expect(summary).to_contain_text("5 of 125")
    assert unit.is_checked(), "all that can be seen"
    page.get_by_role("searchbox").fill("")
    expect(summary).to_contain_text("5 of 125")
    assert unit.evaluate("box => box.indeterminate")
    page.get_by_role("searchbox").fill("admin1 kind_24 kind_4")
    expect(page.get_by_text("1 of 629 found")).to_be_visible()
    unit.uncheck()
    expect(summary).to_contain_text("4 of 125")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="searched").locator("[data-label=Scopes]")).to_have_text(
        "4"
    )


def test_members_of_a_role_are_searched(page: Page, address: str) -> None:
    api = f"{address}/api/v1"
    admin = {"username": "TEST_ADMIN", "password": PASSWORD}
    token = requests.post(f"{api}/session", json=admin, timeout=30).json()["access_token"]
    for number in range(12):
        user = {"username": f"member_{number:02}", "password": STRONG}
        made = requests.post(
            f"{api}/users", json=user, headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        assert made.status_code == 201, made.text
    sign_in(page, "TEST_ADMIN")
    page.goto("/admin/roles/new/TEST_SERVER")
    settled(page)
    page.get_by_text("0 of 14").click()
    page.get_by_role("searchbox", name="Search: Members").fill("member 7")
    expect(page.get_by_role("checkbox", name="member_08")).to_be_hidden()
    page.get_by_role("checkbox", name="member_07").check()
    expect(page.get_by_text("1 of 14")).to_be_visible()


def test_the_end_of_a_session_is_announced_and_can_be_put_off(page: Page) -> None:
    page.clock.install()
    sign_in(page, "TEST_USER")
    page.set_viewport_size({"width": 375, "height": 300})
    page.goto("/account")
    settled(page)
    stay = page.get_by_role("button", name="Stay signed in")
    page.clock.fast_forward("17:00")
    expect(stay).to_have_count(0)
    page.clock.fast_forward("01:30")
    for place in ("0", "document.body.scrollHeight"):
        page.evaluate(f"window.scrollTo(0, {place})")
        expect(page.get_by_text("You will be signed out in 2 minutes.")).to_be_in_viewport()
    page.clock.fast_forward("01:00")
    expect(page.get_by_text("You will be signed out in less than a minute.")).to_be_visible()
    stay.click()
    expect(stay).to_have_count(0)
    page.clock.fast_forward("20:00")
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    page.context.clear_cookies()
    page.get_by_role("button", name="Sign in again").click()
    page.wait_for_url("**/sign-in?next=/account")


def lose_session(page: Page) -> None:
    """End the visit as its time limit would."""
    settled(page)
    page.context.clear_cookies()


def sign_in_again(page: Page, username: str) -> None:
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    settled(page)
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_new_user_comes_back_without_the_password(page: Page) -> None:
    sign_in(page, "TEST_ADMIN")
    page.goto("/admin/users/new")
    settled(page)
    page.get_by_label("User name").fill("half_made")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("checkbox", name="Two-factor sign-in required").check()
    page.get_by_role("checkbox", name="viewer on TEST_SERVER").check()
    lose_session(page)
    page.get_by_role("button", name="Save", exact=True).click()
    sign_in_again(page, "TEST_ADMIN")
    expect(page.get_by_text("The form is as you left it")).to_be_visible()
    expect(page.get_by_label("User name")).to_have_value("half_made")
    expect(page.get_by_label("Password")).to_have_value("")
    expect(page.get_by_role("checkbox", name="Two-factor sign-in required")).to_be_checked()
    expect(page.get_by_role("checkbox", name="viewer on TEST_SERVER")).to_be_checked()
    expect(page.get_by_role("checkbox", name="runner on TEST_SERVER")).not_to_be_checked()
    assert page.evaluate("sessionStorage.getItem('draft')") is None
    # Another form of the tab starts empty.
    page.goto("/admin/users/new")
    expect(page.get_by_label("User name")).to_have_value("")


def test_a_role_comes_back_with_the_state_it_was_made_from(page: Page) -> None:
    sign_in(page, "TEST_ADMIN")
    page.goto("/admin/roles/2")
    settled(page)
    shown = page.locator("input[name=shown]").input_value()
    page.get_by_label("Longest life of a token, in minutes").fill("77")
    page.get_by_role("checkbox", name="All of admin2", exact=True).uncheck()
    # Somebody else changes the role meanwhile.
    other = page.context.new_page()
    other.goto("/admin/roles/2")
    settled(other)
    # A longer life takes nothing from running tokens, so that nothing is asked.
    other.get_by_label("Longest life of a token, in minutes").fill("44000")
    other.get_by_role("button", name="Save", exact=True).last.click()
    expect(other.get_by_role("heading", name="Roles")).to_be_visible()
    other.close()
    lose_session(page)
    page.get_by_role("button", name="Save", exact=True).last.click()
    sign_in_again(page, "TEST_ADMIN")
    expect(page.get_by_text("The form is as you left it")).to_be_visible()
    expect(page.get_by_label("Longest life of a token, in minutes")).to_have_value("77")
    unit = page.locator("li.twig", has=page.get_by_role("checkbox", name="All of admin2", exact=True)).first
    expect(unit.locator("summary").first).to_contain_text("0 of 125")
    expect(page.locator("input[name=shown]")).to_have_value(shown)
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page.get_by_text("Somebody else changed this meanwhile")).to_be_visible()


def test_a_new_token_comes_back_after_the_warning(page: Page) -> None:
    page.clock.install()
    sign_in(page, "TEST_USER")
    page.goto("/servers/TEST_SERVER/tokens/new")
    settled(page)
    page.get_by_label("Token name").fill("half_token")
    page.get_by_role("checkbox", name="viewer").check()
    expect(page.locator("#resulting-expiry")).to_contain_text("role viewer")
    page.clock.fast_forward("21:00")
    lose_session(page)
    page.get_by_role("button", name="Sign in again").click()
    sign_in_again(page, "TEST_USER")
    expect(page.get_by_text("The form is as you left it")).to_be_visible()
    expect(page.get_by_label("Token name")).to_have_value("half_token")
    expect(page.locator("#resulting-expiry")).to_contain_text("role viewer")


def test_a_form_comes_back_to_its_user_only(page: Page) -> None:
    sign_in(page, "TEST_ADMIN")
    page.goto("/account/credentials")
    settled(page)
    page.get_by_label("Credential name").fill("of_the_administrator")
    lose_session(page)
    page.get_by_role("button", name="Make the credential").click()
    sign_in_again(page, "TEST_USER")
    expect(page.get_by_label("Credential name")).to_have_value("")
    assert page.evaluate("sessionStorage.getItem('draft')") is None
    page.get_by_label("Credential name").fill("kept")
    settled(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('draft')") is None, "who signs out leaves nothing behind"


def test_going_back_to_a_search_shows_the_whole_page(page: Page) -> None:
    sign_in(page, "TEST_ADMIN")
    page.goto("/admin/users")
    settled(page)
    page.get_by_role("searchbox").press_sequentially("test_a")
    page.wait_for_url("**/admin/users?search=test_a&role=&only=")
    page.get_by_role("searchbox").press_sequentially("dmin")
    page.wait_for_url("**/admin/users?search=test_admin&role=&only=")
    page.go_back()
    page.wait_for_url("**/admin/users?search=test_a&role=&only=")
    expect(page.get_by_role("row").filter(has_text="TEST_ADMIN")).to_be_visible()
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_no_page_is_wider_than_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in(page, "TEST_ADMIN")
    # The screens' test sees every page, with few scopes; these show the many of this file.
    for path in (
        "/servers/TEST_SERVER/tokens/new",
        "/admin/servers/TEST_SERVER",
        "/admin/roles/new/TEST_SERVER",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_a_long_name_does_not_widen_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in(page, "TEST_ADMIN")
    page.goto("/servers/TEST_SERVER/tokens/new")
    page.get_by_label("Token name").fill("n" * 75)
    page.get_by_role("checkbox", name="viewer").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("is ready")).to_be_visible()
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_signing_in_by_keyboard_alone(page: Page) -> None:
    page.goto("/")
    page.keyboard.type("TEST_USER")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="My servers")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_everything_needed_works_without_script(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, "TEST_USER")
    page.goto("/servers/TEST_SERVER/tokens/new")
    page.get_by_label("Token name").fill("plain")
    page.get_by_role("checkbox", name="viewer").check()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="View plain").click()
    assert page.get_by_label("Token text").input_value().count(".") == 2
    context.close()
