"""Every page in a browser, opened as a file without a network."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from bootstrap import chromium
from page_worlds import PAGES
from playwright.sync_api import Browser, Page, sync_playwright

from flowclient.pages.languages import LOCALES
from flowclient.reports import read_definition
from flowclient.reports.shelf import Shelf

pytestmark = pytest.mark.slow
WIDTHS = (360, 1000)
every_page = pytest.mark.parametrize("name", PAGES)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for name, draw in PAGES.items():
        for language in LOCALES:
            draw(language, "<b>Roads</b>").save(folder / f"{name}.{language}.html")
    definition = folder / "flood.yml"
    definition.write_text(
        "{name: flood, body: {page: data-quality}, period: day, parameters: {}, recipients: cell}"
    )
    shelf = Shelf(read_definition(definition), folder)
    shelf.folder.mkdir(parents=True)
    shelf.failed("2016-02-23", "connection", None)
    for index in shelf.folder.glob("index.*.html"):
        index.rename(folder / index.name)
    return folder


@pytest.fixture
def openly(browser: Browser, folder: Path) -> Iterator[Callable[[str], Page]]:
    """Provide a function that opens a page; its console must stay empty."""
    faults: list[str] = []
    pages: list[Page] = []

    def openly(name: str) -> Page:
        page = browser.new_page(viewport={"width": 1000, "height": 900}, offline=True)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text))
        page.goto((folder / f"{name}.en.html").as_uri())
        pages.append(page)
        return page

    yield openly
    for page in pages:
        page.close()
    assert not faults


@pytest.fixture
def opened(openly: Callable[[str], Page]) -> Page:
    return openly("crisis")


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
@pytest.mark.parametrize("name", [*PAGES, "index"])
def test_nothing_is_in_the_way_of_anybody(
    browser: Browser, folder: Path, name: str, language: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, offline=True)
    page.goto((folder / f"{name}.{language}.html").as_uri())
    if page.locator("#find").count():
        page.select_option("#find", index=2)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
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


@every_page
def test_planted_requests_are_refused(
    browser: Browser, folder: Path, trap: tuple[int, list[str]], name: str
) -> None:
    port, caught = trap
    html = (folder / f"{name}.en.html").read_text()
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


@every_page
def test_the_untouched_page_asks_for_nothing(openly: Callable[[str], Page], folder: Path, name: str) -> None:
    asked: list[str] = []
    opened = openly(name)
    opened.on("request", lambda request: asked.append(request.url))
    opened.reload()
    assert asked == [(folder / f"{name}.en.html").as_uri()]


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
    # Editions of the Unicode data write ranges with and without thin spaces.
    told = str(opened.locator("#line-text").text_content()).replace("\u2009", "")
    assert told == "Before: 143; 10–16 Feb: 20; 17–23 Feb: withheld"
    # The line ends where the count is withheld.
    assert opened.locator("#line circle").count() == 2
    # Areas are drawn again in another order; each stays what it is.
    opened.locator("#areas path title", has_text="Halved").locator("..").dispatch_event("click")
    assert opened.locator("#card-name").text_content() == "Halved"


def test_without_scripts_the_last_complete_week_is_shown(browser: Browser, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 800})
    page = context.new_page()
    page.goto((folder / "crisis.en.html").as_uri())
    assert page.get_by_role("img", name="Map of 8 districts").is_visible()
    assert not page.get_by_role("radio").first.is_visible()
    assert page.locator("#areas path.cw").count() == 4
    assert page.locator("table.areas tbody tr").count() == 8
    context.close()


@every_page
def test_the_table_can_be_taken_away(openly: Callable[[str], Page], name: str) -> None:
    opened = openly(name)
    with opened.expect_download() as download:
        opened.get_by_role("link", name="Download as CSV").click()
    assert re.fullmatch(rf"{name}(-\d{{4}}-\d\d-\d\d){{2}}\.csv", download.value.suggested_filename)
    assert Path(download.value.path()).read_bytes().decode("utf-8-sig") == PAGES[name]("en", "").csv


@every_page
def test_paper_has_no_controls_and_all_details(openly: Callable[[str], Page], name: str) -> None:
    opened = openly(name)
    opened.emulate_media(media="print")
    assert opened.locator(".controls-link").count() > 0
    for each in opened.locator("#controls, #find, .controls-link").all():
        assert not each.is_visible()
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert opened.locator("footer dl").is_visible()
    assert all(each.is_visible() for each in opened.locator("table").all())
    assert opened.pdf(prefer_css_page_size=True).startswith(b"%PDF")
