"""A crisis page in a browser, opened as a file without a network."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from bootstrap import chromium
from crisis_world import crisis
from playwright.sync_api import Browser, Page, sync_playwright

from flowclient.pages import render
from flowclient.pages.languages import LOCALES

pytestmark = pytest.mark.slow
WIDTHS = (360, 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    data = crisis()
    for language in LOCALES:
        render(data, language, note="<b>Roads</b>").save(folder / f"{language}.html")
    return folder


@pytest.fixture
def opened(browser: Browser, folder: Path) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1000, "height": 900}, offline=True)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.goto((folder / "en.html").as_uri())
    yield page
    page.close()
    assert not faults


@pytest.fixture
def trap() -> Iterator[tuple[int, list[str]]]:
    """Listen on loopback and list what connects."""
    caught: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    caught.append(connection.recv(200).decode(errors="replace"))

        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1], caught
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", LOCALES)
def test_nothing_is_in_the_way_of_anybody(browser: Browser, folder: Path, language: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, offline=True)
    page.goto((folder / f"{language}.html").as_uri())
    page.select_option("#find", index=2)
    page.evaluate("document.querySelector('details').open = true")
    found = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    assert found.violations_count == 0, found.generate_report()
    # Also what axe does not see: text outside the window.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """() => [...document.querySelectorAll("td, th, dd, li, p, h1, label")]
            .filter((each) => each.checkVisibility() && !each.closest("thead"))
            .filter((each) => { const box = each.getBoundingClientRect();
                return box.right > innerWidth + 1 || box.left < -1 || each.scrollWidth > each.clientWidth + 1; })
            .map((each) => each.textContent)"""
    )
    assert outside == []
    page.close()


def test_planted_requests_are_refused(browser: Browser, folder: Path, trap: tuple[int, list[str]]) -> None:
    port, caught = trap
    html = (folder / "en.html").read_text()
    planted = (
        f'<img src="http://127.0.0.1:{port}/image"><script src="http://127.0.0.1:{port}/script"></script>'
        f'<script>document.title = "planted"; fetch("http://127.0.0.1:{port}/fetch")</script>'
        f'<link rel="stylesheet" href="http://127.0.0.1:{port}/style">'
    )
    hostile = folder / "hostile.html"
    hostile.write_text(html.replace("<main>", f"<main>{planted}"))
    # Without the policy all of them get through, so that the trap is known to catch.
    open_door = folder / "open.html"
    open_door.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", hostile.read_text()))
    for path, expected in ((hostile, 0), (open_door, 4)):
        page = browser.new_page()
        page.goto(path.as_uri(), wait_until="networkidle")
        assert (page.title() == "planted") == (expected > 0)
        assert len({line.split()[1] for line in caught if line}) == expected
        page.close()


def test_the_untouched_page_asks_for_nothing(opened: Page, folder: Path) -> None:
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.reload()
    assert asked == [(folder / "en.html").as_uri()]


def test_the_map_shows_what_is_chosen(opened: Page) -> None:
    def classes() -> str:
        letters = opened.eval_on_selector_all(
            "#areas path", "paths => paths.map((path) => [...path.classList].find((c) => c.length == 2)[1])"
        )
        return "".join(letters)

    data = opened.evaluate("JSON.parse(document.getElementById('data').textContent)")
    assert classes() == data["views"]["change"]["classes"]
    for view in ("before", "after"):
        opened.get_by_role("radio", name=view.capitalize(), exact=True).check()
        assert classes() == data["views"][view]["classes"]
        assert opened.locator("#caption").text_content() == data["views"][view]["caption"]
    # By keyboard alone: from the last day back to the day before the gap.
    opened.get_by_role("slider").focus()
    for _ in range(11):
        opened.keyboard.press("ArrowLeft")
    assert classes() == "n" * len(data["names"]) == data["days"][16]["classes"]
    assert opened.locator("#day-name").text_content() == "12 February"
    assert opened.get_by_role("radio", name="By day").is_checked()


def test_an_area_can_be_found(opened: Page) -> None:
    opened.get_by_label("Find an area").select_option("Emptied")
    assert opened.locator("#card dd").all_text_contents() == ["143", "withheld", "fell by more than 89%"]
    assert opened.locator("#line-text").text_content() == ("Before: 143; 10–16 Feb: 20; 17–23 Feb: withheld")
    # The line ends where the count is withheld.
    assert opened.locator("#line circle").count() == 2
    # Areas are drawn again in another order; each stays what it is.
    opened.locator("#areas path title", has_text="Halved").locator("..").dispatch_event("click")
    assert opened.locator("#card-name").text_content() == "Halved"


def test_without_scripts_the_last_complete_week_is_shown(browser: Browser, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 800})
    page = context.new_page()
    page.goto((folder / "en.html").as_uri())
    assert page.get_by_role("img", name="Map of 8 districts").is_visible()
    assert not page.get_by_role("radio").first.is_visible()
    assert page.locator("#areas path.cw").count() == 4
    assert page.locator("table.areas tbody tr").count() == 8
    context.close()


def test_the_table_can_be_taken_away(opened: Page) -> None:
    with opened.expect_download() as download:
        opened.get_by_role("link", name="Download as CSV").click()
    assert download.value.suggested_filename == "crisis-2016-02-10-2016-02-23.csv"
    assert Path(download.value.path()).read_bytes().decode("utf-8-sig") == render(crisis()).csv


def test_paper_has_no_controls_and_all_details(opened: Page) -> None:
    opened.emulate_media(media="print")
    for selector in ("#controls", "#find", ".controls-link"):
        assert not opened.locator(selector).is_visible()
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert opened.locator("footer dl").is_visible()
    assert opened.pdf(prefer_css_page_size=True).startswith(b"%PDF")
