"""Run a second container engine on a machine without any network."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

_NEW_NETWORK = 0x40000000


@contextmanager
def engine_without_network(folder: Path) -> Iterator[None]:
    """Start an engine without images, and enter its network, which leads nowhere.

    This thread and the programs that it starts reach that engine alone, and nothing outside.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Only the name of a socket in a short folder fits into an address.
    state = Path("/run/flowkit-isolated")
    settings = {
        "data-root": str(folder),
        "exec-root": str(state),
        "pidfile": str(state / "pid"),
        "hosts": [f"unix://{state}/socket"],
        "storage-driver": docker.from_env().info()["Driver"],
    }
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(mode=0o700)
    (state / "settings.json").write_text(json.dumps(settings))
    with (folder.parent / "engine.txt").open("w") as log:
        daemon = subprocess.Popen(
            [
                "unshare",
                "--net",
                "sh",
                "-c",
                f"ip link set lo up && exec dockerd --config-file {state}/settings.json",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    before = os.environ.get("DOCKER_HOST")
    try:
        deadline = time.monotonic() + 120
        os.environ["DOCKER_HOST"] = settings["hosts"][0]
        while subprocess.run(["docker", "info"], capture_output=True).returncode != 0:
            assert daemon.poll() is None, (folder.parent / "engine.txt").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.5)
        with _in_network_of(daemon.pid):
            yield
    finally:
        os.environ.pop("DOCKER_HOST")
        if before is not None:
            os.environ["DOCKER_HOST"] = before
        daemon.terminate()
        daemon.wait(120)
        shutil.rmtree(folder)
        shutil.rmtree(state)


@contextmanager
def _in_network_of(process: int) -> Iterator[None]:
    """Put this thread into the network of a process, and back."""
    library = ctypes.CDLL(None, use_errno=True)
    with (
        open("/proc/thread-self/ns/net") as ours,
        open(f"/proc/{process}/ns/net") as theirs,
    ):
        if library.setns(theirs.fileno(), _NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            library.setns(ours.fileno(), _NEW_NETWORK)
