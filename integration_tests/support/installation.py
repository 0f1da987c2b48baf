"""Set up an operator's installation of the compose file by the guide, and use it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import docker
import pytest
from docker.models.containers import Container
from guide import blocks, in_containers
from images import Engine
from layout import CHECKOUT
from services import get_json
from watching import Watched

import flowclient
from flowclient.transport import RequestsTransport

ZONE = "Asia/Kathmandu"
FIRST_DAY, DAYS = date(2016, 1, 1), 3
LAST_DAY = FIRST_DAY + timedelta(days=DAYS - 1)
SUBSCRIBERS = 2_000
#: Stands for ``docker`` in the guide's commands. Where compose cannot wait, look until nothing starts any more.
DOCKER = """#!/bin/bash
[ "$1" = compose ] || exec {docker} "$@"
shift
arguments=() waits=
for each in "$@"; do
    if {cannot_wait} && [ "$each" = --wait ]; then waits=1; else arguments+=("$each"); fi
done
{compose} "${{arguments[@]}}" || exit
while [ "$waits" ] && {docker} ps --filter label={label} --filter health=starting | grep --quiet {stack}; do
    sleep 1
done
"""


@dataclass(frozen=True)
class Site:
    """Hold an operator's installation: its folder, and ways to use what runs there."""

    folder: Path
    engine: Engine
    #: Name of the compose project, and of its volumes and networks.
    stack: str
    #: Tag of the images.
    tag: str
    #: Addresses of the HTTP API and of the auth app.
    api: str
    auth: str
    #: The tree whose compose file and guide are followed.
    tree: Path = CHECKOUT

    def shell(self, commands: str, *, fails: bool = False, limit: float = 600) -> str:
        """Run commands of the guide in the installation's folder; return their output."""
        path = os.pathsep.join(
            [str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        )
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
        )
        assert (done.returncode != 0) == fails, f"{commands}\n{done.stdout[-3000:]}"
        return done.stdout

    def compose(self, arguments: str, **options: Any) -> str:
        """Run one compose command."""
        return self.shell(f"docker compose {arguments}", **options)

    def guide(self, page: str, heading: str) -> str:
        """Return the compose commands under a heading of the guide."""
        return in_containers(page, heading, self.tree)

    def start(self) -> None:
        """Start all services as the guide says and wait until each is well."""
        commands = blocks("production.md", "Start", tree=self.tree)[0].splitlines()
        (command,) = (line for line in commands if " up " in line)
        self.shell(command)
        self.wait_until_well()

    def take_down(self) -> None:
        """Remove the containers and networks, with their volumes."""
        self.compose("down --volumes --remove-orphans --timeout 10")

    def load_geography(self) -> None:
        """Load cells and regions with the guide's command."""
        commands = self.guide("production.md", "Check").splitlines()
        (geography,) = (line for line in commands if "geography" in line)
        self.shell(geography)

    def containers(self, service: str | None = None) -> list[Container]:
        """Return the containers of a service, or of all, but no one-shot commands."""
        labels = [f"com.docker.compose.project={self.stack}"]
        if service:
            labels.append(f"com.docker.compose.service={service}")
        found = docker.from_env().containers.list(all=True, filters={"label": labels})
        return [
            each
            for each in found
            if each.labels.get("com.docker.compose.oneoff", "False") == "False"
            and each.labels["com.docker.compose.service"] not in ("migrate", "demo")
        ]

    def one(self, service: str) -> Container:
        """Return the only container of a service."""
        (container,) = self.containers(service)
        return container

    def ill(self) -> dict[str, str]:
        """Return the containers that are not well, with their state.

        Earlier versions had services without a health check, which only run.
        """
        states = {each.name: health_of(each) for each in self.containers()}
        return {name: state for name, state in states.items() if state not in ("healthy", "running")}

    def wait_until_well(self, seconds: float = 600) -> None:
        """Wait until every service's health check passes."""
        self.until(lambda: not self.ill(), seconds, lambda: f"not well: {self.ill()}\n{self.logs()}")

    @staticmethod
    def until(met: Callable[[], bool], seconds: float, complaint: Callable[[], str]) -> None:
        """Wait for a condition; fail with the complaint when it does not come true."""
        deadline = time.monotonic() + seconds
        while not met():
            if time.monotonic() > deadline:
                pytest.fail(complaint())
            time.sleep(0.5)

    def logs(self) -> str:
        """Return the end of the logs of what is not well."""
        return "\n".join(
            f"==> {each.name}\n{each.logs(tail=20).decode()}"
            for each in self.containers()
            if health_of(each) != "healthy"
        )

    def secret(self, name: str) -> str:
        """Return the text of a secret."""
        return (self.folder / "secrets" / name).read_text().strip()

    def sql(self, statement: str) -> str:
        """Run a statement as FlowDB's superuser; return its rows."""
        ask = "psql --host=127.0.0.1 --port=9000 --username=flowdb --dbname=flowdb --no-align --tuples-only --quiet"
        password = "PGPASSWORD=$(cat /run/secrets/FLOWDB_POSTGRES_PASSWORD)"
        return self.compose(f"exec -T flowdb sh -c '{password} {ask} --command=\"{statement}\"'").strip()

    def session(self) -> str:
        """Sign the administrator in to the auth app; return the session's token."""
        credentials = {"username": "admin", "password": self.secret("FLOWAUTH_ADMIN_PASSWORD")}
        # Hashing the password takes many times as long on a busy machine.
        return str(get_json(f"{self.auth}/api/v1/session", credentials, timeout=60)["access_token"])

    def token(self) -> str:
        """Return a token with every scope, made as an administrator makes it."""
        session, base = self.session(), f"{self.auth}/api/v1"
        if not get_json(f"{base}/servers", token=session):
            description = get_json(f"{self.api}/api/0/spec/openapi.json", timeout=60)
            server = get_json(f"{base}/servers", {"description": description}, token=session)
            role = {
                "server": server["name"],
                "name": "analyst",
                "scopes": server["scopes"],
                "longest_token_life_minutes": 600,
                "users": [user["id"] for user in get_json(f"{base}/users", token=session)],
            }
            get_json(f"{base}/roles", role, token=session)
        wanted = {"name": f"token_{time.monotonic_ns()}", "roles": ["analyst"]}
        return str(get_json(f"{base}/servers/north_operator/tokens", wanted, token=session)["token"])

    def connect(self, token: str | None = None, **options: Any) -> flowclient.Connection:
        """Connect an analyst's client, which trusts the authority of the proxy."""
        if self.api.startswith("https:"):
            options["ssl_certificate"] = str(self.authority)
        with warnings.catch_warnings():
            # Earlier versions had no proxy of their own, and spoke plain HTTP.
            warnings.simplefilter("ignore")
            return flowclient.connect(url=self.api, token=token or self.token(), **options)

    def watch(self, token: str | None = None) -> tuple[flowclient.Connection, Watched]:
        """Connect an analyst's client, and note what comes of each of its requests."""
        watched = Watched(RequestsTransport(str(self.authority)))
        return self.connect(token, transport=watched), watched

    @property
    def authority(self) -> Path:
        """Return the file with the certificate of the proxy's authority."""
        return self.folder / "authority.pem"

    @contextmanager
    def trusted(self) -> Iterator[None]:
        """Fetch the authority's certificate with the guide's command; trust it meanwhile."""
        self.shell(self.guide("production.md", "TLS"))
        before = os.environ.get("SSL_CERT_FILE")
        # Python's own clients read this variable at each request.
        os.environ["SSL_CERT_FILE"] = str(self.authority)
        try:
            yield
        finally:
            os.environ.pop("SSL_CERT_FILE")
            if before is not None:
                os.environ["SSL_CERT_FILE"] = before

    def set_up(self, settings: dict[str, Any]) -> None:
        """Lay the folder out as the guide says; these settings win over the guide's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.folder / "reports", ignore_errors=True)
        (self.folder / "reports").mkdir()
        shutil.copy(self.tree / "docker-compose.yml", self.folder)
        (guides,) = blocks("production.md", "Settings", language="", tree=self.tree)
        given = dict(line.split("=", 1) for line in guides.splitlines())
        ours = {
            "FLOWKIT_VERSION": self.tag,
            "FLOWKIT_STACK": self.stack,
            "COMPOSE_PROJECT_NAME": self.stack,
            "FLOWKIT_PUBLISH": "127.0.0.1",
            "FLOWDB_TIMEZONE": ZONE,
            "FLOWETL_SOURCES": self.folder / "sources",
            "FLOWETL_LANDING": self.folder / "landing",
            "FLOWMACHINE_WORKERS": 2,
            "FLOWMACHINE_THREADS": 1,
            "FLOWKIT_MEMORY_WORKER": "3g",
            "FLOWKIT_MEMORY_DATABASE": "4g",
        }
        lines = [f"{name}={value}\n" for name, value in (given | ours | settings).items()]
        (self.folder / ".env").write_text("".join(lines))
        self._write_programs()

    def _write_programs(self) -> None:
        """Let the guide's commands work, whichever compose there is, and without sudo."""
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        docker_program = shutil.which("docker")
        stand_in = DOCKER.format(
            compose=" ".join(self.engine.compose).replace("docker ", f"{docker_program} ", 1),
            docker=docker_program,
            cannot_wait="false" if len(self.engine.compose) > 1 else "true",
            label=f"com.docker.compose.project={self.stack}",
            stack=self.stack,
        )
        (programs / "docker").write_text(stand_in)
        (programs / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
        for program in programs.iterdir():
            program.chmod(0o755)

    def make_secrets(self) -> None:
        """Make the secrets with the guide's commands."""
        shutil.rmtree(self.folder / "secrets", ignore_errors=True)
        made, keys = blocks("production.md", "Secrets", tree=self.tree)[:2]
        self.shell(made)
        self.shell(re.sub(r"flowkit-flowauth:\S+", f"flowkit-flowauth:{self.tag}", keys))

    def deliver(self) -> None:
        """Deliver files of a small country."""
        for name in ("landing", "sources"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        landing = self.folder / "landing"
        subprocess.run(
            [
                *(sys.executable, "-m", "flowdb.synthetic", "--output", str(landing)),
                *("--subscribers", str(SUBSCRIBERS), "--days", str(DAYS), "--start", FIRST_DAY.isoformat()),
                *("--seed", "12345", "--no-disaster"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            # The generator of the version that loads the files.
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join(
                    str(self.tree / each / "src") for each in ("flowdb", "flowsettings")
                )
            },
        )
        subprocess.run(["chmod", "-R", "a+rX", str(landing)], check=True)

    def describe_sources(self, until_due: timedelta) -> None:
        """Describe the sources, with a nightly load that is due after this time."""
        due = datetime.now(ZoneInfo(ZONE)) + until_due
        for source in (self.tree / "flowetl/src/flowetl/sources/synthetic").glob("*.yml"):
            nightly = f'schedule: "{due.minute} {due.hour} * * *"\nend: {LAST_DAY}\n'
            text, found = re.subn(r"^schedule: .*\n", nightly, source.read_text(), flags=re.MULTILINE)
            assert found == 1
            (self.folder / "sources" / source.name).write_text(text)
            (self.folder / "sources" / source.name).chmod(0o644)


def health_of(container: Container) -> str:
    """Return ``healthy``, or what else the engine says of a container."""
    container.reload()
    state = container.attrs["State"]
    return str(state.get("Health", {}).get("Status") or state["Status"])
