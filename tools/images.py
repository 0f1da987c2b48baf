"""Find a container engine and build the images of the compose file.

Standard library only.
"""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from layout import CHECKOUT, StackError

#: Tag of the images of a checkout. Releases have their version instead.
TAG = "checkout"
#: The images of the compose file.
NAMES = tuple(
    f"flowkit-{part}"
    for part in ("base", "flowdb", "flowmachine", "flowapi", "flowauth", "flowetl", "proxy", "monitoring")
)
#: Name of the tests' compose project and stack.
TEST_STACK = "flowkit-test"
#: The same of the test that upgrades an earlier version.
UPGRADED_STACK = "flowkit-upgraded"
#: The same of the test with small disks.
SMALL_STACK = "flowkit-small"
#: Label of the bare machines on which the tests follow the README.
NEWCOMER = "flowkit-newcomer"
TESTS_OWN = (TEST_STACK, UPGRADED_STACK, SMALL_STACK, NEWCOMER)
# Settings that the compose file requires before a build, although no image depends on them.
PLACEHOLDERS = {
    "FLOWDB_TIMEZONE": "UTC",
    "FLOWAPI_IDENTIFIER": "build",
    "FLOWETL_SOURCES": "/srv/flowkit/sources",
    "FLOWETL_LANDING": "/srv/flowkit/landing",
}


@dataclass(frozen=True)
class Engine:
    """Hold the commands of a container engine that answers, and of its compose."""

    program: str
    compose: tuple[str, ...]

    def has(self, image: str) -> bool:
        """Return whether the engine has an image of this name."""
        return not _fails([self.program, "image", "inspect", image])


def find_engine() -> Engine | None:
    """Return the engine that answers, with compose, or None.

    ``FLOWKIT_COMPOSE`` names another compose command, as to test with an older one.
    """
    if _fails(["docker", "info"]):
        return None
    given = os.environ.get("FLOWKIT_COMPOSE")
    commands = [shlex.split(given)] if given else [["docker", "compose"], ["docker-compose"]]
    for command in commands:
        if not _fails([*command, "version"]):
            return Engine("docker", tuple(command))
    return None


def what_is_missing() -> str:
    """Say why there is no engine, and the cure."""
    if not shutil.which("docker"):
        return "no container engine: apt-get install docker.io docker-compose"
    if _fails(["docker", "info"]):
        return "`docker info` fails: start the engine, or allow this user to reach it"
    return "Docker answers, but compose is missing: apt-get install docker-compose"


def build(engine: Engine, tag: str, tree: Path = CHECKOUT) -> None:
    """Build the base and all images of a tree with the tag; raises StackError."""
    environment = {
        **PLACEHOLDERS,
        "FLOWKIT_BUILD_AUTHORITY": base64.b64encode(authorities()).decode(),
        **os.environ,
    }
    environment |= {"FLOWKIT_VERSION": tag, "COMPOSE_PROFILES": "proxy,monitoring"}
    # The engine's own builder needs no further program, unlike its successor.
    environment.setdefault("DOCKER_BUILDKIT", "0")
    for step in (["--profile", "build", "build", "base"], ["build", "--parallel"]):
        command = [*engine.compose, *step]
        if subprocess.run(command, cwd=tree, env=environment).returncode != 0:
            raise StackError(f"`{' '.join(command)}` failed; its message is above.")


def make_debian(engine: Engine, release: str = "bookworm") -> str:
    """Return the name of Debian's image; make it from packages unless it exists.

    ``tools/base-image`` needs no registry.
    """
    name = f"flowkit-debian:{release}"
    make = [str(CHECKOUT / "tools" / "base-image"), name, release]
    if not engine.has(name) and subprocess.run(make).returncode != 0:
        raise StackError("tools/base-image failed; its message is above.")
    return name


def take_down(engine: Engine, project: str) -> None:
    """Remove a project's containers, networks and volumes, whatever state they are in."""
    chosen = ["--quiet", "--filter", f"label=com.docker.compose.project={project}"]
    for kind, listing, removing in (
        ("container", ["ls", "--all"], ["rm", "--force", "--volumes"]),
        ("network", ["ls"], ["rm"]),
        ("volume", ["ls"], ["rm", "--force"]),
    ):
        command = [engine.program, kind]
        found = subprocess.run([*command, *listing, *chosen], capture_output=True, text=True)
        if names := found.stdout.split():
            subprocess.run([*command, *removing, *names], capture_output=True)


def authorities() -> bytes:
    """Return the certificates that this machine's administrator added."""
    files = sorted(Path("/usr/local/share/ca-certificates").glob("*.crt"))
    return b"\n".join(file.read_bytes() for file in files)


def _fails(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != 0
