"""Make a report in its container, and read the page through the proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
import pytest
from bootstrap import chromium
from operating import DAYS
from playwright.sync_api import Browser, Page, expect, sync_playwright
from services import get_json

from flowclient.reports.definition import read_definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from installation import Site

DEFINITION = """name: quality
body: {page: data-quality}
period: day
parameters: {weeks: 1, title: {en: "What arrived"}}
languages: [en]
recipients: operators
keep: {periods: 1}
server: north_operator
role: reports_operators
"""


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), chromium_sandbox=False)
        expect.set_options(timeout=30_000)
        yield browser
        browser.close()


def make_service_user(site: Site, scopes: list[str]) -> None:
    """Make the user and the role that the guide asks for."""
    # The server is known to the auth app once somebody has made a token.
    site.token()
    session, base = site.session(), f"{site.auth}/api/v1"
    role = {
        "server": "north_operator",
        "name": "reports_operators",
        "scopes": scopes,
        "longest_token_life_minutes": 720,
    }
    made = get_json(f"{base}/roles", role, token=session)
    user = {
        "username": "reports",
        "password": site.secret("FLOWKIT_REPORTS_PASSWORD"),
        "is_service": True,
        "roles": [made["id"]],
    }
    get_json(f"{base}/users", user, token=session)


def sign_in(page: Page, site: Site) -> None:
    page.goto("/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(site.secret("FLOWAUTH_ADMIN_PASSWORD"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="My servers")).to_be_visible()


def test_a_page_made_by_schedule_is_read_in_the_auth_app(site: Site, country: None, browser: Browser) -> None:
    definition = site.folder / "reports" / "quality.yml"
    definition.write_text(DEFINITION)
    make_service_user(site, read_definition(definition).parameters.scopes())
    # The first look is at the start, and the next five minutes later.
    site.compose("restart --timeout 10 reports")
    site.wait_until_well()
    assert "quality: ready" in site.compose("exec -T reports python -m flowetl reports check")

    def told() -> str:
        return site.compose("exec -T reports python -m flowetl reports list")

    site.until(lambda: "quality" in told() and DAYS[-1] in told(), 180, told)
    # The guide's commands show and copy the versions.
    site.shell(site.guide("production.md", "Reports"))
    page_file = f"./operators/quality/{DAYS[-1]}/v1/page.en.html"
    assert "What arrived" in site.shell(f"tar --extract --to-stdout --file=reports.tar {page_file}")

    page = browser.new_context(base_url=site.auth, ignore_https_errors=True).new_page()
    sign_in(page, site)
    address = f"/reports/operators/quality/{DAYS[-1]}/v1/en"
    refused = page.goto(address)
    assert refused is not None
    assert refused.status == 404
    page.goto("/admin/reports/operators")
    page.get_by_label("admin").check()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Reports", exact=True).click()
    page.get_by_role("link", name="What arrived").click()
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("heading", name="What arrived")).to_be_visible()
    assert page.url == f"{site.auth}{address}"


NOTEBOOK = """
import os, pathlib, socket
found = []
def attempt(name, act):
    try:
        act()
        found.append(name)
    except OSError:
        pass
for secret in ("FLOWKIT_REPORTS_PASSWORD", "FLOWETL_PREFECT_PASSWORD"):
    attempt(secret, lambda: pathlib.Path("/run/secrets", secret).read_text())
for host, port in (("flowdb", 9000), ("flowmachine", 5555), ("prefect", 4200), ("flowauth", 9091)):
    attempt(host, lambda: socket.create_connection((host, port), 5))
attempt("processes", lambda: pathlib.Path("/proc/1/environ").read_bytes())
assert found == [], found
assert not [name for name in os.environ if "PASSWORD" in name]

from flowclient.pages import collect_quality, render_quality
from flowclient.reports import connection
data = collect_quality(connection=connection(), until=period_end, weeks=1, aggregation_unit=None)
render_quality(data, "en").save("page.en.html")
"""


def test_a_notebook_finds_no_secret_and_no_database(site: Site, country: None) -> None:
    """Run a notebook that looks for them before it draws its page."""
    cells = [
        nbformat.v4.new_code_cell("weeks = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(NOTEBOOK),
    ]
    folder = site.folder / "reports"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "looking.ipynb")
    definition = DEFINITION.replace("name: quality", "name: looking").replace(
        "body: {page: data-quality}",
        "body: {notebook: looking.ipynb, scopes: [get_available_dates, get_qa_checks]}",
    )
    parameters = "parameters: {weeks: {type: integer, value: 1}}"
    (folder / "looking.yml").write_text(
        definition.replace('parameters: {weeks: 1, title: {en: "What arrived"}}', parameters)
    )
    command = f"exec -T reports python -m flowetl reports run looking --period {DAYS[-1]}"
    assert f"looking {DAYS[-1]}: published v1" in site.compose(command)


def test_the_maker_of_reports_holds_a_client_s_secrets_alone(site: Site) -> None:
    held = site.compose("exec -T reports ls /run/secrets /var/lib/flowkit/columnar /var/lib/flowkit/landing")
    assert held.split() == [
        *("/run/secrets:", "FLOWETL_PREFECT_PASSWORD", "FLOWKIT_REPORTS_PASSWORD"),
        *("/var/lib/flowkit/columnar:", "/var/lib/flowkit/landing:"),
    ]
