"""Break one container after the other under load, and count what users see.

``make containers ARGS=--long`` breaks every container in every way, which takes about half an hour.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from breaking import WAYS, breaking
from mixed_load import ask_while_broken, right_answers

if TYPE_CHECKING:
    from installation import Site

SERVICES = (
    "proxy",
    "flowapi",
    "flowmachine",
    "worker",
    "flowdb",
    "flowauth",
    "accounts",
    "evict",
    "prefect",
    "flowetl",
    "reports",
)
SOME = (
    ("proxy", "kill"),
    ("flowapi", "kill"),
    ("flowapi", "pause"),
    ("flowmachine", "stop"),
    ("flowmachine", "cut"),
    ("worker", "kill"),
    ("worker", "pause"),
    ("flowdb", "stop"),
    ("flowdb", "cut"),
    ("flowdb", "slow"),
    ("accounts", "kill"),
)
FAULTS = tuple(itertools.product(SERVICES, WAYS)) if os.environ.get("WITH_CONTAINERS") == "long" else SOME
#: Seconds within which a user hears that something is broken, and the time that this takes on the way.
AT_MOST = 5 + 2


@pytest.fixture(scope="module")
def right(site: Site, country: None) -> list[pd.DataFrame]:
    """Return the right answers, asked while nothing was broken."""
    return right_answers(site)


@pytest.mark.parametrize(("service", "way"), FAULTS)
def test_users_only_wait(site: Site, right: list[pd.DataFrame], service: str, way: str) -> None:
    container = site.containers(service)[0]
    watched, _ = ask_while_broken(site, right, service, way, lambda: breaking(way, container))
    undocumented = {each.outcome for each in watched.exchanges if not each.documented}
    # Only the proxy is between users and everything else, so only its absence cuts connections.
    assert undocumented == set() or service == "proxy"
    # Also a request that was under way. A paused or slow service cannot be told from a long computation.
    assert watched.slowest_refusal() < AT_MOST or way in ("pause", "slow")
