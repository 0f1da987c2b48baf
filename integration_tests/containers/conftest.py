"""Provide the compose stack, set up and started by the guide.

The images are those of ``make containers``. The stack lives in ``.flowkit/containers`` and is taken down, with
its volumes, before and after the session. ``CONTAINERS_KEEP=1`` keeps it running.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cluster import free_port
from images import TAG, TEST_STACK, Engine, find_engine, what_is_missing
from installation import Site, health_of
from layout import CHECKOUT
from operating import DAYS

import flowclient

# Otherwise a failed assertion there does not tell what it compared.
pytest.register_assert_rewrite("mixed_load")

FOLDER = CHECKOUT / ".flowkit" / "containers"
#: Files of what the session measured, printed at its end.
TABLES = (
    CHECKOUT / ".flowkit" / "small" / "site" / "faults.txt",
    *(FOLDER / name for name in ("load.txt", "faults.txt", "summary.txt")),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with tests that start containers of their own, before the stack."""
    items.sort(key=lambda item: "site" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Provide the engine, with the images of this checkout."""
    found = find_engine()
    if found is None:
        pytest.skip(f"no containers: {what_is_missing()}")
    if not found.has(f"flowkit-flowapi:{TAG}"):
        pytest.skip("no images of this checkout: `make containers` builds them")
    return found


@pytest.fixture(scope="session")
def site(engine: Engine) -> Iterator[Site]:
    """Provide a running stack with three days that its own schedule loaded."""
    port = free_port()
    url = f"https://localhost:{port}"
    site = Site(FOLDER, engine, TEST_STACK, TAG, api=url, auth=url)
    site.set_up(
        {
            "COMPOSE_PROFILES": "proxy,monitoring,reports",
            "FLOWKIT_HOST": "localhost",
            "FLOWKIT_PORT": port,
            "FLOWKIT_MONITORING_PORT": free_port(),
            "FLOWDB_ARCHIVE": "/var/lib/flowkit/archive",
            # Beside an installation of this host.
            "FLOWKIT_FRONT_NETWORK": "198.18.213.16/28",
            "FLOWAPI_TRUSTED_PROXIES": "198.18.213.16/28",
        }
    )
    site.take_down()
    try:
        site.make_secrets()
        site.deliver()
        # A load before the geography would fail.
        site.describe_sources(timedelta(hours=12))
        site.start()
        with site.trusted():
            site.load_geography()
            site.describe_sources(timedelta(minutes=2))
            site.compose("restart flowetl")
            site.wait_until_well()
            yield site
    finally:
        (FOLDER / "summary.txt").write_text(_summary(site))
        (FOLDER / "logs.txt").write_text(site.compose("logs --no-color"))
        if not os.environ.get("CONTAINERS_KEEP"):
            site.take_down()


@pytest.fixture(scope="session")
def country(site: Site) -> None:
    """Wait until the schedule has loaded all days."""
    connection = site.connect()

    def is_loaded() -> bool:
        dates = flowclient.get_available_dates(connection=connection)
        return all(dates.get(each) == DAYS for each in ("calls", "sms", "mds", "topups"))

    site.until(is_loaded, 600, lambda: site.compose("exec -T flowetl python -m flowetl status"))


@pytest.fixture
def loaded(site: Site, country: None) -> flowclient.Connection:
    """Connect an analyst to the loaded country, with a new token."""
    return site.connect()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each service: state, restarts, memory used and allowed."""
    for file in TABLES:
        if file.exists():
            terminalreporter.section(f"containers: {file.stem}")
            terminalreporter.write(file.read_text())
            file.unlink()


def _summary(site: Site) -> str:
    lines = []
    for container in sorted(site.containers(), key=lambda each: str(each.name)):
        state = health_of(container)
        memory = container.stats(stream=False)["memory_stats"]
        used, allowed = (memory.get(name, 0) // 2**20 for name in ("usage", "limit"))
        restarts = container.attrs["RestartCount"]
        name = str(container.name).removeprefix(site.stack)[1:]
        lines.append(f"{name:<16} {state:<10} restarts {restarts}  {used:>5} of {allowed} MB\n")
    return "".join([f"{' '.join(site.engine.compose)}, stack {site.stack}\n", *lines])
