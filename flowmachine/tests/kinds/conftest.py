"""Provide the stages of these tests' worlds per module: in UTC and far from UTC."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from flowdb.testing import TestCluster

from .world import EXECUTORS, Stage, stage

# The modules of the themes add the definitions and the drawings of their kinds.
for path in sorted(Path(__file__).parent.glob("*/*.py")):
    if not path.stem.startswith("test_"):
        importlib.import_module(f"{__package__}.{path.parent.name}.{path.stem}")

_common = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("kinds", settings(max_examples=50, derandomize=True, **_common))
# For `make test-fast` and the mutants: what few examples miss, the whole suite finds.
settings.register_profile("quick", settings(max_examples=10, derandomize=True, **_common))
_examples = int(os.environ.get("FLOWKIT_SOAK_EXAMPLES", "1000"))
settings.register_profile("soak", settings(max_examples=_examples, derandomize=False, **_common))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "kinds"))


@pytest.fixture(scope="session")
def stage_in_utc(cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with cluster.database() as database, stage(database, tmp_path_factory.mktemp("utc")) as set_up:
        yield set_up


@pytest.fixture(scope="session")
def stage_in_nepal(cluster: TestCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Provide a zone that is no whole number of hours from UTC.

    Hours and days are then easily distinguished from UTC's.
    """
    with (
        cluster.database("Asia/Kathmandu") as database,
        stage(database, tmp_path_factory.mktemp("nepal")) as set_up,
    ):
        yield set_up


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)
