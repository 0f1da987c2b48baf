"""Make the published client's environment from its lock file on first use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent
ENVIRONMENT = PROJECT.parents[1] / ".flowkit" / "published-client"


def make_environment() -> Path:
    """Install what the lock file names and return the environment's Python.

    Raises
    ------
    RuntimeError
        If uv is missing or cannot install it; with its own words.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise RuntimeError("The published client's environment is made by uv, which is not on the PATH.")
    command = [uv, "sync", "--frozen", "--quiet", "--project", str(PROJECT), "--python", sys.executable]
    settings = {"UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT), "UV_PYTHON_DOWNLOADS": "never"}
    inherited = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, env=inherited | settings, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"uv could not install the published client: {done.stderr.strip()}")
    return ENVIRONMENT / "bin" / "python"


def run_script(python: Path, script: str, given: Any = None) -> Any:
    """Run a script of this folder in that environment, with JSON input and output.

    Our own environment is hidden, because the published client has the same import name.
    """
    hidden = ("PYTHONPATH", "VIRTUAL_ENV")
    done = subprocess.run(
        [python, "-I", str(PROJECT / script)],
        input=json.dumps(given),
        env={name: value for name, value in os.environ.items() if name not in hidden},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{script} failed in the published client's environment: {done.stderr.strip()}")
    return json.loads(done.stdout)
