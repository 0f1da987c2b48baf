"""Break containers as machines and networks fail, and heal them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import docker
from docker.models.containers import Container
from operating import crash

WAYS = ("kill", "stop", "pause", "cut", "slow")

Heal = Callable[[], None]


def breaking(way: str, container: Container) -> Heal:
    """Break a container and return what heals it."""
    if way == "kill":
        crash(container)
        return lambda: None
    if way == "stop":
        container.stop(timeout=30)
        return container.start
    if way == "pause":
        container.pause()
        return container.unpause
    container.reload()
    if way == "slow":
        return slow_down(container)
    return cut_off(container)


def cut_off(container: Container) -> Heal:
    """Take a container out of its networks; return what brings it back."""
    networks = container.attrs["NetworkSettings"]["Networks"]
    client = docker.from_env()
    for name in networks:
        client.networks.get(name).disconnect(container)

    def connect() -> None:
        for name, endpoint in networks.items():
            client.networks.get(name).connect(container, aliases=endpoint["Aliases"])

    return connect


def slow_down(container: Container) -> Heal:
    """Let a container send 8 kB a second on each network; return what undoes it."""
    # In the container's network, with this machine's program: the container has neither the right nor the program.
    inside = ["nsenter", "--net", "--target", str(container.attrs["State"]["Pid"])]
    told = subprocess.run([*inside, "ip", "-json", "link"], check=True, capture_output=True).stdout
    # A network that was left and joined again has another number.
    links = [link["ifname"] for link in json.loads(told) if link["ifname"] != "lo"]

    def control(action: str, *arguments: str) -> None:
        for link in links:
            subprocess.run([*inside, "tc", "qdisc", action, "dev", link, "root", *arguments], check=True)

    control("add", "tbf", "rate", "64kbit", "burst", "4kb", "latency", "5s")
    return lambda: control("del")
