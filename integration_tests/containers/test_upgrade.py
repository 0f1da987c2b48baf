"""Upgrade an earlier version with its data, and go back by a restore.

Building the earlier images takes minutes, so only ``make containers ARGS=--long`` runs this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cluster import free_port
from guide import blocks, without_terminal
from images import TAG, UPGRADED_STACK, Engine, build, make_debian
from installation import Site
from layout import CHECKOUT
from operating import DAYS, answer
from services import get_json

import flowclient

#: The last state of 0.2.0 before the compose file was tested: Prefect asks for a password, users are in SQLite.
EARLIER = "0a87a17eafece098d6209f2c3e8c67e7b604012a"
EARLIER_TAG = "earlier"
FOLDER = CHECKOUT / ".flowkit" / "upgraded"
SECOND_DAY, THIRD_DAY = DAYS[1:]
TABLES = ("events.calls", "events.sms", "events.mds", "events.topups", "infrastructure.cells", "etl.loads")

pytestmark = pytest.mark.skipif(
    os.environ.get("WITH_CONTAINERS") != "long", reason="builds an earlier version: ARGS=--long"
)


@pytest.fixture(scope="module")
def tree() -> Path:
    """Provide the sources of the earlier version."""
    tree = FOLDER / "earlier"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", EARLIER], cwd=CHECKOUT, capture_output=True)
    if archive.returncode != 0:
        pytest.skip("this clone has no history")
    subprocess.run(["tar", "--extract", "--directory", str(tree)], input=archive.stdout, check=True)
    compose = tree / "docker-compose.yml"
    # Compose 1.29 refuses the name, which is in `.env`, too. Where containers have no IPv6, the loader is not well.
    runner = '      PREFECT_RUNNER_SERVER_ENABLE: "true"\n'
    text = compose.read_text().replace("name: flowkit\n", "")
    compose.write_text(text.replace(runner, f"{runner}      PREFECT_RUNNER_SERVER_HOST: 127.0.0.1\n"))
    return tree


@pytest.fixture(scope="module")
def earlier(engine: Engine, tree: Path) -> Iterator[Site]:
    """Provide a running installation of the earlier version, with two days."""
    if not engine.has(f"flowkit-flowetl:{EARLIER_TAG}"):
        os.environ.setdefault("FLOWKIT_DEBIAN", make_debian(engine))
        build(engine, EARLIER_TAG, tree)
    api, auth = free_port(), free_port()
    site = Site(
        FOLDER / "site",
        engine,
        UPGRADED_STACK,
        EARLIER_TAG,
        api=f"http://127.0.0.1:{api}",
        auth=f"http://127.0.0.1:{auth}",
        tree=tree,
    )
    site.set_up(settings_of(site))
    site.take_down()
    try:
        site.make_secrets()
        site.deliver()
        site.describe_sources(timedelta(hours=12))
        start(site)
        site.load_geography()
        load(site, DAYS[0], SECOND_DAY)
        yield site
    finally:
        (FOLDER / "logs.txt").write_text(site.compose("logs --no-color"))
        if not os.environ.get("CONTAINERS_KEEP"):
            site.take_down()


def settings_of(site: Site) -> dict[str, Any]:
    """Return the settings of the earlier version, which published two ports."""
    return {
        "FLOWAPI_PORT": site.api.rpartition(":")[2],
        "FLOWAUTH_PORT": site.auth.rpartition(":")[2],
        "FLOWMACHINE_MEMORY_LIMIT": "1GB",
        "FLOWKIT_FRONT_NETWORK": "198.18.213.32/28",
        "FLOWAPI_TRUSTED_PROXIES": "198.18.213.32/28",
    }


def start(site: Site) -> None:
    """Start the earlier version.

    Its health checks have too little patience with a busy machine, so that a start may need a second try.
    """
    site.until(
        lambda: "unhealthy" not in site.compose("up --detach 2>&1 || true"),
        900,
        lambda: f"no start: {site.ill()}",
    )
    site.start()


def load(site: Site, first: str, last: str) -> None:
    site.compose(
        f"exec -T flowetl python -m flowetl backfill --source all --start {first} --end {last}", limit=900
    )


def counted(site: Site) -> dict[str, int]:
    """Return how many rows of events, cells and loads there are."""
    return {table: int(site.sql(f"SELECT count(*) FROM {table}")) for table in TABLES}


def people(site: Site) -> Any:
    """Return who has which roles, and all tokens, as an administrator sees them."""
    session, base = site.session(), f"{site.auth}/api/v1"
    users = [
        (user["username"], user["is_admin"], [role["name"] for role in user["roles"]])
        for user in get_json(f"{base}/users", token=session)
    ]
    roles = [
        (role["name"], role["server"], role["scopes"]) for role in get_json(f"{base}/roles", token=session)
    ]
    tokens = [
        (token["name"], token["user"], token["issued"], token["expires"], token["revoked"])
        for token in get_json(f"{base}/tokens", token=session)["tokens"]
    ]
    return users, roles, tokens


def revoked_token(site: Site) -> str:
    """Make a token and revoke it."""
    token = site.token()
    session, base = site.session(), f"{site.auth}/api/v1"
    newest = max(
        get_json(f"{base}/servers/north_operator/tokens", token=session), key=lambda each: each["id"]
    )
    get_json(f"{base}/tokens/{newest['id']}/revoke", {}, token=session)
    return token


def is_refused(site: Site, token: str) -> None:
    with pytest.raises(flowclient.FlowclientConnectionError, match="revoked"):
        flowclient.get_available_dates(connection=site.connect(token))


def days_of(site: Site, token: str) -> list[str]:
    return list(flowclient.get_available_dates(connection=site.connect(token))["calls"])


def add_new_secrets(site: Site) -> None:
    """Make the secrets that the changelog names, and keep the others."""
    old = {path.name: path.read_bytes() for path in (site.folder / "secrets").iterdir()}
    site.shell(blocks("production.md", "Secrets")[0])
    for name, text in old.items():
        if text:
            (site.folder / "secrets" / name).write_bytes(text)
    site.shell("sudo chown -R 10001:10001 secrets")


# Building the earlier version counts, too.
@pytest.mark.timeout(5400)
def test_data_survive_an_upgrade_and_the_way_back(earlier: Site) -> None:
    token, revoked = earlier.token(), revoked_token(earlier)
    before = answer(earlier.connect(token))
    assert len(before) > 0
    rows, known = counted(earlier), people(earlier)
    earlier.shell(earlier.guide("maintenance.md", "Back up"))

    # The guide's steps 2 to 4.
    earlier.compose("down --timeout 20")
    url = f"https://localhost:{free_port()}"
    upgraded = replace(earlier, tag=TAG, api=url, auth=url, tree=CHECKOUT)
    port = {"COMPOSE_PROFILES": "proxy", "FLOWKIT_HOST": "localhost", "FLOWKIT_PORT": url.rpartition(":")[2]}
    upgraded.set_up(settings_of(earlier) | port)
    add_new_secrets(upgraded)
    (copy,) = (each for each in blocks("auth-app.md", "The app's database", tree=CHECKOUT) if "copy" in each)
    upgraded.shell(without_terminal(copy))
    upgraded.start()
    with upgraded.trusted():
        assert counted(upgraded) == rows
        assert people(upgraded) == known
        assert answer(upgraded.connect(token)).equals(before)
        is_refused(upgraded, revoked)
        upgraded.compose("run --rm -T migrate python -m flowdb check")
        upgraded.compose("run --rm --no-deps -T flowetl python -m flowetl reconcile")
        # Days after the upgrade go on where the earlier ones ended.
        load(upgraded, THIRD_DAY, THIRD_DAY)
        assert days_of(upgraded, token) == DAYS
        assert len(answer(upgraded.connect(token), date=THIRD_DAY)) == len(before)
        assert counted(upgraded)["events.calls"] > rows["events.calls"]

    # Back, by the earlier version's own page.
    upgraded.compose("down --volumes --timeout 20")
    earlier.set_up(settings_of(earlier))
    earlier.shell(earlier.guide("maintenance.md", "Restore"))
    start(earlier)
    # Prefect's server knows nothing of the restore; the loads are in the database.
    assert counted(earlier) == rows
    assert people(earlier) == known
    assert days_of(earlier, token) == DAYS[:2]
    assert answer(earlier.connect(token)).equals(before)
    is_refused(earlier, revoked)
