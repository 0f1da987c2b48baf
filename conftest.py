"""Import the packages early, and set how many examples are drawn.

A test file `flowapi/tests/test_x.py` becomes the module `flowapi.tests.test_x`. If `flowapi` were not
imported yet, pytest would register the bare folder under that name, and nothing could be imported from the
package.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

import flowapi  # noqa: F401
import flowauth  # noqa: F401
import flowclient  # noqa: F401
import flowdb  # noqa: F401
import flowetl  # noqa: F401
import flowmachine  # noqa: F401
import flowsettings  # noqa: F401

# How long an example takes depends on what else the machine does.
_common = {"deadline": None, "suppress_health_check": list(HealthCheck)}
# The examples are the same each time, so more of them only find what has changed. `make soak` draws a thousand new
# ones for each property.
settings.register_profile("suite", settings(max_examples=30, derandomize=True, **_common))
# For `make test-fast` and the mutants: what few examples miss, the whole suite finds.
settings.register_profile("quick", settings(max_examples=10, derandomize=True, **_common))
_examples = int(os.environ.get("FLOWKIT_SOAK_EXAMPLES", "1000"))
settings.register_profile("soak", settings(max_examples=_examples, derandomize=False, **_common))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


class Spread(LoadFileScheduling):
    """Keep the tests of a file on one worker, and all those that use the whole stack."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        folder = file.partition("/")[0]
        return folder if folder == "integration_tests" else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Spread | None:
    """Take our scheduler where tests are spread by file."""
    return Spread(config, log) if config.getoption("dist") == "loadfile" else None
