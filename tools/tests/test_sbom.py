"""Check the bills of materials."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import sbom
from layout import CHECKOUT


def test_the_bill_of_the_lock_has_what_the_lock_pins(tmp_path: Path) -> None:
    told = json.loads(sbom.write_bill_of_lock(tmp_path).read_text())
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.5")
    pinned = {
        (package["name"], package["version"])
        for package in tomllib.loads((CHECKOUT / "uv.lock").read_text())["package"]
        if "registry" in package["source"]
    }
    named = {(each["name"], each["version"]) for each in told["components"] if "purl" in each}
    assert len(named) > 100
    assert {each for each in named if each[0] in ("sqlalchemy", "duckdb", "pyjwt")} <= pinned
    # Tools of engineers are in no image.
    assert not {"pytest", "mypy"} & {name for name, _ in named}


def test_a_bill_of_an_image_names_each_package_once_with_its_address() -> None:
    found = {
        "debian": [["libssl3", "3.0.17-1~deb12u2", "amd64"], ["adduser", "1:3.134", "all"]],
        "python": [["typing_extensions", "4.15.0"]],
        "release": "bookworm",
    }
    told = sbom.bill("flowkit-flowapi", "1.2.3", found)
    assert [each["purl"] for each in told["components"]] == [
        "pkg:deb/debian/libssl3@3.0.17-1~deb12u2?arch=amd64&distro=bookworm",
        "pkg:deb/debian/adduser@1%3A3.134?arch=all&distro=bookworm",
        "pkg:pypi/typing-extensions@4.15.0",
    ]
    assert told["metadata"]["component"] == {
        "type": "container",
        "name": "flowkit-flowapi",
        "version": "1.2.3",
    }
