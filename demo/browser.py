"""Sign in to the auth app with a browser and make a token (steps 1 to 4)."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

TOKEN_NAME = "demo_token"


def make_token(
    url: str, user: str, password: str, server: str, screenshots: Path, chromium: Path, days: int = 7
) -> str:
    """Make a token with every role in the browser and return its text.

    ``screenshots`` gets one picture per step; none of them shows the token.
    """
    screenshots.mkdir(parents=True, exist_ok=True)
    # Chromium's own sandbox needs privileges that containers and root sessions lack; the only site visited is
    # ours.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=False)
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
            return _walk(page, url, user, password, server, screenshots, days)
        finally:
            browser.close()


def _walk(page: Page, url: str, user: str, password: str, server: str, screenshots: Path, days: int) -> str:
    page.goto(url)
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.screenshot(path=screenshots / "1-sign-in.png")
    page.get_by_role("button", name="Sign in").click()

    page.get_by_role("link", name=server).click()
    page.get_by_role("heading", name="Active tokens").wait_for()
    page.wait_for_load_state()  # The text appears before the style sheet has loaded.
    page.screenshot(path=screenshots / "2-server.png")

    page.get_by_role("link", name="New token").first.click()
    page.get_by_label("Token name").fill(TOKEN_NAME)
    page.wait_for_load_state()
    for box in page.locator("input[name=roles]").all():
        box.check()
    expiry = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    page.locator("input[type=datetime-local]").fill(expiry.strftime("%Y-%m-%dT%H:%M:%S"))
    page.locator("details.scopes", has_text="get_result").locator("summary").first.click()
    page.screenshot(path=screenshots / "3-new-token.png", full_page=True)
    page.get_by_role("button", name="Save", exact=True).click()

    row = page.get_by_role("row", name=re.compile(rf"^{TOKEN_NAME}\b")).first
    row.wait_for()
    page.wait_for_load_state()
    page.screenshot(path=screenshots / "4-tokens.png")
    with page.expect_download() as download:
        row.get_by_role("button", name=re.compile("^download", re.IGNORECASE)).click()
    saved = download.value.path()
    token = saved.read_text().strip()
    saved.unlink()
    return token


if __name__ == "__main__":
    sys.exit("This is a part of `make demo`.")
