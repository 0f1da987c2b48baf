"""Check that the stack comes up healthy, issues a token and serves loaded data."""

from __future__ import annotations

import csv
import gzip
import json
import re
import stat
from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from bootstrap import chromium
from layout import DEMO, PRIVATE, StackError
from playwright.sync_api import sync_playwright
from raw_files import good_lines, people_by_region
from services import Refused, get_json

import flowclient
from flowclient.device import get_token

if TYPE_CHECKING:
    from conftest import Stack

DAYS = [f"2016-01-{day:02d}" for day in range(1, 8)]


def test_every_service_is_well(stack: Stack) -> None:
    assert stack.native.ill() == {}


def test_endpoints_name_everything_and_hold_no_secret(stack: Stack) -> None:
    text = stack.layout.endpoints_file.read_text()
    endpoints = json.loads(text)
    assert endpoints == stack.layout.endpoints()
    for path in stack.layout.secrets.iterdir():
        assert path.read_text().strip() not in text
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_start_changes_nothing(stack: Stack) -> None:
    before = {name: process["pid"] for name, process in stack.native.processes().items()}
    stack.native.up()
    assert {name: process["pid"] for name, process in stack.native.processes().items()} == before


def test_every_loaded_day_is_available(connection: flowclient.Connection) -> None:
    dates = flowclient.get_available_dates(connection=connection)
    assert dates == dict.fromkeys(("calls", "mds", "sms", "topups"), DAYS)


def test_without_a_token_there_is_nothing(stack: Stack) -> None:
    with pytest.raises(Refused) as refused:
        get_json(f"{stack.api}/api/0/available_dates")
    assert refused.value.code == 401


def test_boundaries_are_those_of_the_operator(stack: Stack, connection: flowclient.Connection) -> None:
    given = json.loads((stack.landing / "boundaries" / "admin3.geojson").read_text())
    served = flowclient.get_geography(connection=connection, aggregation_unit="admin3")
    codes = {feature["properties"]["pcod"] for feature in served["features"]}
    assert codes == {feature["properties"]["pcod"] for feature in given["features"]}
    assert {feature["geometry"]["type"] for feature in served["features"]} == {"MultiPolygon"}


@pytest.mark.parametrize("unit", ["admin0", "admin3"])
def test_unique_subscribers_equal_a_count_of_the_raw_files(
    stack: Stack, connection: flowclient.Connection, unit: str
) -> None:
    """Compare two days' subscribers by region with the raw files.

    Everyone whose located event survives loading counts. A region with fifteen or fewer subscribers must be
    absent.
    """
    query = flowclient.unique_subscriber_counts(
        connection=connection, start_date="2016-01-01", end_date="2016-01-03", aggregation_unit=unit
    )
    result = query.get_result()
    people = people_by_region(stack.landing, unit, [date(2016, 1, 1), date(2016, 1, 2)], ("calls", "sms"))
    counts = {pcod: len(numbers) for pcod, numbers in people.items()}
    expected = {pcod: count for pcod, count in counts.items() if count > 15}
    assert expected
    found = dict(zip(result["pcod"], result["value"], strict=True))
    assert not result.attrs["repeats"]
    assert found == {pcod: count for pcod, count in expected.items() if pcod in found}
    # Published flows of other tests may leave few of a region's subscribers.
    parts = 3 if "parts" in result.attrs["withheld"] else 0
    assert len(found) >= len(expected) - parts


def test_a_days_events_equal_the_good_lines_of_its_file(
    stack: Stack, connection: flowclient.Connection
) -> None:
    """Compare event counts with the file's valid lines.

    A repeated line is two events. A refused line is none.
    """
    checks = {"calls": 0, "sms": 0, "mds": 0, "topups": 0}
    for kind in checks:
        outcome = flowclient.get_qa_check_outcome(
            connection=connection,
            event_type=kind,
            check_type="count_added_rows",
            event_date="2016-01-01",
        )
        checks[kind] = int(outcome)
    assert checks == {kind: len(good_lines(stack.landing, kind, date(2016, 1, 1))) for kind in checks}


def test_no_value_of_fifteen_or_less_leaves(connection: flowclient.Connection) -> None:
    homes = flowclient.daily_location_spec(date="2016-01-01", aggregation_unit="admin3", method="last")
    result = flowclient.spatial_aggregate(connection=connection, locations=homes).get_result()
    assert list(result.columns) == ["pcod", "value"]
    assert not result.empty
    assert result["value"].min() > 15
    assert max(Counter(result["pcod"]).values()) == 1


def test_geojson_and_table_say_the_same(connection: flowclient.Connection) -> None:
    homes = flowclient.daily_location_spec(date="2016-01-02", aggregation_unit="admin3", method="most-common")
    query = flowclient.spatial_aggregate(connection=connection, locations=homes)
    table = query.get_result()
    shapes = query.get_result(format="geojson")
    values = {feature["properties"]["pcod"]: feature["properties"]["value"] for feature in shapes["features"]}
    assert values == dict(zip(table["pcod"], table["value"], strict=True))


def test_no_service_is_refused_a_file(stack: Stack) -> None:
    """Another user than theirs may own folders in ``/tmp``."""
    logs = {log.name: log.read_text(errors="replace") for log in stack.layout.logs.glob("*.log")}
    assert "flowetl.log" in logs
    refused = {
        name: line
        for name, text in logs.items()
        for line in text.splitlines()
        if "PermissionError" in line or "Permission denied" in line
    }
    assert refused == {}


def test_a_revoked_token_is_refused_from_the_next_request_on(stack: Stack) -> None:
    base = f"{stack.auth}/api/v1"
    session = get_json(f"{base}/session", {"username": DEMO["user"], "password": DEMO["password"]})[
        "access_token"
    ]
    wanted = {"name": "lost", "roles": ["viewer"]}
    made = get_json(f"{base}/servers/{DEMO['server']}/tokens", wanted, token=session)
    dates = f"{stack.api}/api/0/available_dates"
    assert get_json(dates, token=made["token"])["available_dates"]
    get_json(f"{base}/tokens/{made['id']}/revoke", {}, token=session)
    with pytest.raises(Refused, match="revoked") as refused:
        get_json(dates, token=made["token"])
    assert refused.value.code == 401


def test_a_program_gets_its_token_by_a_short_code(stack: Stack) -> None:
    def approve(address: str, code: str) -> None:
        """Do in the auth app what its user does in a browser."""
        assert address == f"{stack.auth}/device?code={code}"
        with requests.Session() as visit:
            visit.trust_env = False

            def send(path: str, **fields: object) -> requests.Response:
                page = visit.get(f"{stack.auth}{path}", timeout=30).text
                token = re.search(r'name="csrf_token" value="([^"]+)"', page)
                assert token is not None
                form = {"csrf_token": token[1], **fields}
                return visit.post(f"{stack.auth}{path.partition('?')[0]}", data=form, timeout=30)

            send("/sign-in", username=DEMO["user"], password=DEMO["password"])
            reply = send(f"/device?code={code}", code=code, name="by_code", roles=["viewer"])
            assert "The program gets token by_code" in reply.text

    with pytest.warns(UserWarning, match="NOT SECURE"):
        token = get_token(url=stack.api, flowauth_url=None, ssl_certificate=None, timeout=30.0, tell=approve)
    with pytest.warns(UserWarning, match="NOT SECURE"):
        connection = flowclient.connect(url=stack.api, token=token)
    assert flowclient.get_available_dates(connection=connection)["calls"] == DAYS


def test_the_pages_of_loading_ask_nobody_outside(stack: Stack) -> None:
    address = stack.layout.url("PREFECT_PORT")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), chromium_sandbox=False)
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.get_by_placeholder("admin:pass").fill(f"flowetl:{stack.layout.prefect_password.read_text()}")
        page.get_by_role("button", name="Login").click()
        page.get_by_text("Flow Runs").first.wait_for()
        page.wait_for_load_state("networkidle")
        browser.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def test_no_other_user_of_the_machine_can_use_a_file_of_the_stack(stack: Stack) -> None:
    assert stack.layout.open_to_others() == []
    written = [stack.layout.state / "flowauth.sqlite", *stack.layout.logs.glob("*.log")]
    written += [*(stack.layout.state / "prefect").rglob("*.db*"), *(stack.layout.state / "cache").rglob("*")]
    assert {path.name: path.stat().st_mode & PRIVATE for path in written} == dict.fromkeys(
        (path.name for path in written), 0
    )


def test_no_service_is_root_where_another_user_can_be_had(stack: Stack) -> None:
    chosen = stack.layout.runs_as.account
    if chosen is None:
        pytest.skip("the stack was not started by root, or no other user can reach the checkout")
    running = {
        name: process["pid"] for name, process in stack.native.processes().items() if name != "postgres"
    }
    assert {name: Path(f"/proc/{number}").stat().st_uid for name, number in running.items()} == dict.fromkeys(
        running, chosen.user
    )
    folders = set(stack.layout.service_folders) - {stack.landing}  # The operator's files are the operator's.
    written = [path for folder in folders for path in folder.rglob("*")]
    assert [path for path in written if path.lstat().st_uid != chosen.user] == []


def test_no_token_and_no_raw_number_is_in_any_log(stack: Stack, token: str) -> None:
    raw = set()
    with gzip.open(stack.landing / "cdr" / "calls_2016-01-01.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            raw |= {(row[name] or "").lstrip("+") for name in ("calling", "called", "imsi", "imei")}
    for log in stack.layout.logs.glob("*.log"):
        text = log.read_text(errors="replace")
        assert token not in text, log.name
        assert raw.isdisjoint(re.findall(r"[0-9]{8,}", text)), log.name


def test_a_server_that_was_deleted_comes_back_with_the_next_start(stack: Stack) -> None:
    """Check that the next start restores a deleted server.

    This is the file's last test because it revokes every token; each file asks for its own tokens.
    """
    base = f"{stack.auth}/api/v1"
    credentials = {"username": DEMO["admin_user"], "password": DEMO["admin_password"]}
    session = requests.Session()
    session.trust_env = False
    opened = session.post(f"{base}/session", json=credentials, timeout=30).json()
    session.headers["Authorization"] = f"Bearer {opened['access_token']}"
    # The commands of the pages, which are run on the same stack, add administrators.
    for user in session.get(f"{base}/users", timeout=30).json():
        if user["username"] not in (DEMO["user"], DEMO["admin_user"]):
            assert session.delete(f"{base}/users/{user['id']}", timeout=30).status_code == 204
    assert session.delete(f"{base}/servers/{DEMO['server']}", timeout=30).status_code == 204
    with pytest.raises(StackError, match="TEST_USER has no role on a server TEST_SERVER"):
        stack.native.token()
    stack.native.up()
    assert get_json(f"{stack.api}/api/0/available_dates", token=stack.native.token())["available_dates"]

    # With another user's account and a changed description, the start leaves the app alone.
    wanted = {"username": "somebody_else", "password": "quite-another-9-harbour-bench"}
    added = session.post(f"{base}/users", json=wanted, timeout=30).json()
    try:
        (stack.layout.state / "run" / "openapi.json").write_text("{}")
        stack.native.up()
        assert stack.native.token()
    finally:
        assert session.delete(f"{base}/users/{added['id']}", timeout=30).status_code == 204
    stack.native.up()
    assert (stack.layout.state / "run" / "openapi.json").read_text() != "{}"
