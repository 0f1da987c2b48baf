"""Run `make check`: style, types, imports, the lock and container descriptions.

Every check runs even when an earlier check fails, so that one run shows every problem.
"""

from __future__ import annotations

import os
import subprocess
import time

from bootstrap import uv, uv_environment
from layout import CHECKOUT, VENV

PACKAGES = ["flowsettings", "flowdb", "flowmachine", "flowapi", "flowauth", "flowetl", "flowclient"]


def commands() -> dict[str, list[str]]:
    """Return the checks by name; a program without a slash is in the environment."""
    dockerfiles = sorted(str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob("*/Dockerfile*"))
    dockerfiles += sorted(str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob("Dockerfile*"))
    checks = {
        "style": ["ruff", "check", "."],
        "format": ["ruff", "format", "--check", "."],
        "types": ["mypy", *[f"{package}/src" for package in PACKAGES], "tools", "benchmarks"],
        "imports": ["lint-imports"],
        "lock": [uv(), "lock", "--check", "--offline"],
    }
    if (CHECKOUT / "docker-compose.yml").exists():
        schema = "vendor.compose-spec"
        checks["compose"] = ["check-jsonschema", "--builtin-schema", schema, "docker-compose.yml"]
    schemas = {
        "citation-file-format": ["CITATION.cff"],
        "github-workflows": [".github/workflows/*.yml"],
        "github-issue-forms": [".github/ISSUE_TEMPLATE/[!c]*.yml"],
        "github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
    }
    for schema, patterns in schemas.items():
        files = sorted(str(path.relative_to(CHECKOUT)) for name in patterns for path in CHECKOUT.glob(name))
        checks[schema] = ["check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    if dockerfiles:
        checks["dockerfiles"] = ["hadolint", *dockerfiles]
    return checks


def check() -> int:
    """Run all checks; return 0 when all pass."""
    environment = uv_environment()
    environment["PATH"] = f"{VENV / 'bin'}{os.pathsep}{environment['PATH']}"
    failed = []
    for name, command in commands().items():
        begin = time.monotonic()
        program = command[0] if "/" in command[0] else str(VENV / "bin" / command[0])
        done = subprocess.run(
            [program, *command[1:]],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        good = done.returncode == 0
        print(f"{'ok    ' if good else 'FAILED'} {name:<12} {time.monotonic() - begin:5.1f} s", flush=True)
        if not good:
            print(done.stdout.rstrip())
            failed.append(name)
    if failed:
        print(f"make check: {', '.join(failed)} failed")
    return 1 if failed else 0
