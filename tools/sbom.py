"""Write bills of materials in the form of CycloneDX 1.5.

One is of the lock, and one of each image. Standard library only.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bootstrap import uv, uv_environment
from images import Engine
from layout import CHECKOUT, StackError

# Runs in the image, so that the bill has what is there and not what a file asked for.
_LIST = """
import glob, importlib.metadata, json, platform, subprocess
debian = subprocess.run(["dpkg-query", "--show", "--showformat", "${Package}\\t${Version}\\t${Architecture}\\n"],
    capture_output=True, text=True, check=True).stdout.split("\\n")
folders = glob.glob("/opt/*/lib/python3*/site-packages")
python = {(each.name, each.version) for each in importlib.metadata.distributions(path=folders)}
print(json.dumps({"debian": [line.split("\\t") for line in debian if line], "python": sorted(python),
    "release": platform.freedesktop_os_release()["VERSION_CODENAME"]}))
"""


def write_bill_of_lock(folder: Path) -> Path:
    """Write what the lock pins for the services and the client; return the file."""
    file = folder / "flowkit-lock.cdx.json"
    command = [
        uv(),
        "export",
        "--quiet",
        "--frozen",
        "--no-dev",
        "--all-packages",
        "--format",
        "cyclonedx1.5",
    ]
    done = subprocess.run(
        [*command, "--output-file", str(file)], cwd=CHECKOUT, env=uv_environment(), capture_output=True
    )
    if done.returncode != 0:
        raise StackError(f"uv could not write the bill of the lock: {done.stderr.decode()[-500:]}")
    return file


def write_bill_of_image(engine: Engine, image: str, folder: Path) -> Path:
    """Write Debian's and Python's packages in an image; return the file."""
    command = [engine.program, "run", "--rm", "--network=none", "--entrypoint=python3", image, "-c", _LIST]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise StackError(f"{image} cannot be looked into: {done.stderr[-500:]}")
    name, _, version = image.partition(":")
    file = folder / f"{name}-{version}.cdx.json"
    file.write_text(json.dumps(bill(name, version, json.loads(done.stdout)), indent=1) + "\n")
    return file


def bill(name: str, version: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return a bill of a container from the packages that were found in it."""
    components = [
        _component(
            package, held, f"pkg:deb/debian/{package}@{quote(held)}?arch={kind}&distro={found['release']}"
        )
        for package, held, kind in found["debian"]
    ] + [
        _component(package, held, f"pkg:pypi/{package.lower().replace('_', '-')}@{quote(held)}")
        for package, held in found["python"]
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {"type": "container", "name": name, "version": version},
        },
        "components": components,
    }


def _component(name: str, version: str, purl: str) -> dict[str, str]:
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
