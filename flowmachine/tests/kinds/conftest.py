"""Provide the stages of these tests' worlds per module: in UTC and far from UTC."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowdb.testing import TestCluster

from .world import EXECUTORS, Stage, stage

# The modules of the themes add the definitions and the drawings of their kinds.
for path in sorted(Path(__file__).parent.glob("*/*.py")):
    if not path.stem.startswith("test_"):
        importlib.import_module(f"{__package__}.{path.parent.name}.{path.stem}")
importlib.import_module(f"{__package__}.sayings_combined")


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
