"""Fixtures of the whole-stack scenarios."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "published_client"))

from published_environment import make_environment


@pytest.fixture(scope="session")
def published_python() -> Path:
    """The Python of an environment that holds the published client; see ``published_environment.run_script``."""
    return make_environment()
