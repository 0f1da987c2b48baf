"""Check what each container may do, see and reach."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import docker
import pytest
from docker.models.containers import Container

if TYPE_CHECKING:
    from installation import Site

NETWORKS = {
    "flowdb": {"database"},
    "flowmachine": {"database", "engine", "metrics"},
    "worker": {"database", "metrics"},
    "evict": {"database", "metrics"},
    "flowapi": {"database", "engine", "front", "metrics", "asking"},
    "flowauth": {"accounts", "front", "asking", "watching"},
    "accounts": {"accounts"},
    "prefect": {"loading", "reporting"},
    "flowetl": {"database", "loading", "metrics"},
    "reports": {"asking", "reporting", "watching"},
    "proxy": {"front", "outside"},
    "monitoring": {"metrics", "watching", "outside"},
}
SERVICES = tuple(NETWORKS)
# Says which of the other services' ports a container can open.
LISTENING = {
    "flowdb": 9000,
    "accounts": 9000,
    "flowmachine": 5555,
    "flowapi": 9090,
    "flowauth": 9091,
    "prefect": 4200,
    "proxy": 8443,
    "monitoring": 9090,
}
REACH = f"""
import socket
from concurrent.futures import ThreadPoolExecutor

def reach(service, port):
    try:
        socket.create_connection((service, port), timeout=3).close()
    except OSError:
        return ""
    return service

# An unknown name costs seconds, so all are tried at once.
with ThreadPoolExecutor(20) as pool:
    print(*pool.map(reach, *zip(*{LISTENING}.items())))
"""


def run(container: Container, *command: str) -> str:
    code, output = container.exec_run(list(command))
    assert code == 0, output.decode()
    return str(output.decode())


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_confined(site: Site, service: str) -> None:
    for container in site.containers(service):
        config, host = container.attrs["Config"], container.attrs["HostConfig"]
        assert config["User"] == "10001:10001"
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert not host["Privileged"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert 0 < host["MemoryReservation"] < host["Memory"] <= 4 * 2**30
        assert host["PidsLimit"] == 512


@pytest.mark.parametrize("service", SERVICES)
def test_the_limits_hold_inside(site: Site, service: str) -> None:
    container = site.containers(service)[0]
    status = run(container, "cat", "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {"10001"}
    assert {int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert fields["NoNewPrivs"] == "1"
    for folder in ("/opt/flowkit", "/opt/venv", "/etc", "/"):
        code, _ = container.exec_run(["touch", f"{folder}/probe"])
        assert code != 0, folder


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_in_the_networks_as_drawn(site: Site, service: str) -> None:
    for container in site.containers(service):
        found = {
            name.removeprefix(f"{site.stack}_") for name in container.attrs["NetworkSettings"]["Networks"]
        }
        assert found == NETWORKS[service]


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_reaches_only_its_neighbours(site: Site, service: str) -> None:
    neighbours = {each for each in LISTENING if NETWORKS[each] & NETWORKS[service]}
    assert set(run(site.containers(service)[0], "python3", "-c", REACH).split()) == neighbours


def test_only_the_proxy_and_the_monitoring_are_published_on_the_loopback_interface(site: Site) -> None:
    published: dict[str, Any] = {}
    for container in site.containers():
        for port, bindings in container.attrs["NetworkSettings"]["Ports"].items():
            if bindings:
                service = container.labels["com.docker.compose.service"]
                published[service, port] = {each["HostIp"] for each in bindings}
    assert published == {("proxy", "8443/tcp"): {"127.0.0.1"}, ("monitoring", "9090/tcp"): {"127.0.0.1"}}


def test_no_secret_is_in_an_image_an_environment_or_a_log(site: Site) -> None:
    names = [path.name for path in (site.folder / "secrets").iterdir()]
    # A key has several lines; each is as secret as the whole.
    secret = {
        line
        for name in names
        if name != "PUBLIC_JWT_SIGNING_KEY"
        for line in site.secret(name).splitlines()
        if len(line) >= 16 and not line.startswith("-----")
    }
    assert len(secret) > len(names)
    client = docker.from_env()
    seen = {f"inspect {each.name}": json.dumps(each.attrs) for each in site.containers()}
    seen |= {f"log of {each.name}": each.logs().decode() for each in site.containers()}
    for image in client.images.list():
        if any(tag.endswith(f":{site.tag}") for tag in image.tags):
            seen[f"history of {image.tags[0]}"] = json.dumps(image.history())
            seen[f"inspect {image.tags[0]}"] = json.dumps(image.attrs)
    assert {place for place, text in seen.items() if any(line in text for line in secret)} == set()
