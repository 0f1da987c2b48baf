"""Run `make release`: build wheels in dist/ and, with an engine, images.

Bills of materials of the lock and of the images lie beside the wheels.

Standard library only.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tomllib

import images
import sbom
from bootstrap import uv, uv_environment
from layout import CHECKOUT, StackError

DIST = CHECKOUT / "dist"
CHANGES = CHECKOUT / "CHANGELOG.md"


def workspace_version() -> str:
    """Return the one version number of all parts, from the workspace's pyproject.toml."""
    return str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])


def release() -> None:
    """Build wheels and images.

    Raises StackError with the cure when the checkout is not fit for a release.
    """
    version = workspace_version()
    refuse_unfit(version, tags_of_head(), uncommitted(), CHANGES.read_text())
    build_wheels(version)
    sbom.write_bill_of_lock(DIST)
    build_images(version)


def refuse_unfit(version: str, tags: list[str], changed: list[str], changes: str) -> None:
    """Raise StackError unless commit, tag, changelog and version agree."""
    tag = f"v{version}"
    if changed:
        raise StackError(f"Commit or stash first, a release is built from a commit: {', '.join(changed[:5])}")
    if tag not in tags:
        raise StackError(
            f"This commit has no tag {tag}: `git tag {tag}`, or raise the version in pyproject.toml."
        )
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE):
        raise StackError(
            f"CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD`: rename `## [Unreleased]`."
        )


def tags_of_head() -> list[str]:
    return _git("tag", "--points-at", "HEAD").split()


def uncommitted() -> list[str]:
    return [line[3:] for line in _git("status", "--porcelain").splitlines()]


def build_wheels(version: str) -> None:
    """Write the wheels of version ``version`` and their checksums into an empty dist/."""
    shutil.rmtree(DIST, ignore_errors=True)
    command = [uv(), "build", "--all-packages", "--wheel", "--quiet", "--out-dir", str(DIST)]
    if subprocess.run(command, cwd=CHECKOUT, env=uv_environment()).returncode != 0:
        raise StackError("uv could not build the wheels; its message is above.")
    wheels = sorted(DIST.glob("*.whl"))
    strange = [wheel.name for wheel in wheels if f"-{version}-" not in wheel.name]
    if strange:
        raise StackError(f"These wheels are not of version {version}: {', '.join(strange)}")
    lines = [f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}\n" for wheel in wheels]
    (DIST / "SHA256SUMS").write_text("".join(lines))
    print(f"{len(wheels)} wheels and SHA256SUMS are in {DIST}.", flush=True)


def build_images(version: str) -> None:
    """Build the images with the tag ``version``, or report that no engine answers."""
    engine = images.find_engine()
    if engine is None:
        print(f"No images: {images.what_is_missing()}.", flush=True)
        return
    images.build(engine, version)
    for name in images.NAMES:
        sbom.write_bill_of_image(engine, f"{name}:{version}", DIST)
    print(f"The images have the tag {version}; *.cdx.json in {DIST} say what is in them.", flush=True)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True)
    if done.returncode != 0:
        raise StackError(f"`git {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout
