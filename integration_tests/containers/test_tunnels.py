"""Open the guide's tunnels to a container that stands in for the server.

The program comes from the internet, so only ``make containers ARGS=--long`` runs this.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import docker
import pytest
from cluster import free_port
from guide import blocks
from images import TEST_STACK, Engine, make_debian

if TYPE_CHECKING:
    from installation import Site

SOCKET = "/var/run/docker.sock"
#: What the machine of the guide's name `server` runs: it is this host, seen through its own network.
SERVE = """
export DEBIAN_FRONTEND=noninteractive
update-ca-certificates >/dev/null && apt-get update -q && apt-get install -qy --no-install-recommends openssh-server
mkdir -p /run/sshd && install -d -m 700 /root/.ssh && install -m 600 /keys/mine.pub /root/.ssh/authorized_keys
exec /usr/sbin/sshd -D -e -p {port} -o ListenAddress=127.0.0.1 -o PermitRootLogin=prohibit-password
"""
CONFIG = """
Host server
  HostName 127.0.0.1
  Port {port}
  User root
  IdentityFile {key}
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  ExitOnForwardFailure yes
"""

pytestmark = pytest.mark.skipif(
    os.environ.get("WITH_CONTAINERS") != "long", reason="installs from the internet: ARGS=--long"
)


@pytest.fixture(scope="module")
def server(site: Site, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Provide the guide's `server`, with this host's engine and network."""
    folder, port = tmp_path_factory.mktemp("keys"), free_port()
    key = folder / "mine"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (folder / "config").write_text(CONFIG.format(port=port, key=key))
    authorities = "/usr/local/share/ca-certificates"
    container = docker.from_env().containers.run(
        make_debian(engine),
        ["bash", "-ec", SERVE.format(port=port)],
        name=f"{TEST_STACK}-ssh",
        labels={"com.docker.compose.project": f"{TEST_STACK}-ssh"},
        network_mode="host",
        detach=True,
        volumes={
            str(folder): {"bind": "/keys", "mode": "ro"},
            authorities: {"bind": authorities, "mode": "ro"},
            SOCKET: {"bind": SOCKET, "mode": "rw"},
            str(shutil.which("docker")): {"bind": "/usr/local/bin/docker", "mode": "ro"},
        },
    )
    stand_in = site.folder / "bin" / "ssh"
    stand_in.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder / "config"} "$@"\n')
    stand_in.chmod(0o755)
    try:
        site.until(
            lambda: b"Server listening" in container.logs(),
            300,
            lambda: str(container.logs(tail=20).decode()),
        )
        yield
    finally:
        stand_in.unlink()
        container.remove(force=True)


@contextmanager
def tunnel(site: Site, page: str, heading: str, mine: int, theirs: int) -> Iterator[str]:
    """Run the guide's command that opens a tunnel; yield the near end's address."""
    (command,) = (each for each in blocks(page, heading, tree=site.tree) if "ssh -L" in each)
    port = free_port()
    command = command.replace("flowkit_", f"{site.stack}_").replace(f"-L {mine}:", f"-L {port}:")
    command = re.sub(rf":{mine} server$", f":{theirs} server", command.strip())
    path = os.pathsep.join([str(site.folder / "bin"), os.environ["PATH"]])
    # The guide's command also opens a shell, which ends with its input.
    opened = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", command],
        env={**os.environ, "PATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://localhost:{port}"
    try:
        site.until(lambda: _answers(address), 60, lambda: f"no tunnel: {command}")
        yield address
    finally:
        assert opened.stdin is not None
        opened.stdin.close()
        opened.wait(30)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10):
            return True
    except OSError:
        return False


def test_the_tunnel_to_prefect_shows_its_pages_and_asks_for_the_password(site: Site, server: None) -> None:
    with tunnel(site, "production.md", "Reports", 4200, 4200) as address:
        with urllib.request.urlopen(f"{address}/api/health", timeout=10) as reply:
            assert reply.read() == b"true"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{address}/api/admin/version", timeout=10)


def test_the_tunnel_to_the_monitoring_shows_its_pages(site: Site, server: None) -> None:
    (published,) = site.one("monitoring").ports["9090/tcp"]
    with (
        tunnel(site, "monitoring.md", "Monitoring", 9190, int(published["HostPort"])) as address,
        urllib.request.urlopen(f"{address}/-/healthy", timeout=10) as reply,
    ):
        assert b"Healthy" in reply.read()
