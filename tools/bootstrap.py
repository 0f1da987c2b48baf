"""Prepare a bare Debian or Ubuntu machine.

Installs system packages, uv and the locked Python environment. Standard library only; returns quickly when
everything is installed.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from layout import CHECKOUT, PYTHON, VENV, StackError

TOOLS = CHECKOUT / ".flowkit" / "tools"
STAMP = VENV / "flowkit-stamp"
UV_AT_LEAST = (0, 8)
# Newest first. The distribution's own Python comes before others on the path, which may come and go.
PYTHONS = ("3.13", "3.12", "3.11")
# A machine that updates itself holds apt's locks for minutes.
APT_LOCK_SECONDS = 600
APT_LOCKED = (
    "Could not get lock",
    "Unable to lock",
    "Unable to acquire the dpkg frontend lock",
    "frontend lock was locked",
)
APT_INTERRUPTED = ("dpkg was interrupted", "Unmet dependencies", "unmet dependencies")

#: The group for tests of the Spark executor is large, and neither the demonstration nor the stack needs it.
WITHOUT_CLUSTER = ("--no-group", "cluster")


def bootstrap(*, echo: bool = True, cluster: bool = True) -> None:
    """Install whatever is missing.

    ``cluster`` adds what tests of the Spark executor need.
    Raises StackError with the exact command when a person has to act.
    """
    ready = synchronised(cluster=cluster)
    if not ready:
        finish_interrupted_packages()
    install_system_packages(missing_system_packages())
    if ready:
        if echo:
            print("Everything is installed.", flush=True)
        return
    discard_half_made_environment()
    uv = find_uv() or install_uv()
    print("Installing the locked Python packages ...", flush=True)
    environment = uv_environment()
    done = subprocess.run(
        [uv, "sync", "--frozen", "--all-packages", "--all-groups", *([] if cluster else WITHOUT_CLUSTER)],
        cwd=CHECKOUT,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise StackError(
            "uv could not install the packages of uv.lock; its message is above. "
            "Package downloads need the internet or a mirror (UV_DEFAULT_INDEX) once."
        )
    STAMP.write_text(fingerprint(cluster=cluster))
    print("Everything is installed.", flush=True)


def missing_system_packages() -> list[str]:
    """List the Debian packages that the stack needs and this machine lacks."""
    missing = []
    if not shutil.which("git"):
        missing.append("git")
    if not shutil.which("make"):
        missing.append("make")
    if not shutil.which("curl"):
        missing.append("curl")
    if not _has_module("ensurepip"):
        missing.append("python3-venv")
    if not _chromium():
        missing.append("chromium")
    # The browser's dependencies are linked against this library, but no package installs it.
    if not glob.glob("/usr/lib/*/libatomic.so.1"):
        missing.append("libatomic1")
    if not glob.glob("/usr/share/fonts/**/DejaVuSans.ttf", recursive=True):
        missing.append("fonts-dejavu-core")
    servers = {
        int(match.group(1))
        for path in glob.glob("/usr/lib/postgresql/*/bin/initdb")
        if (match := re.match(r"/usr/lib/postgresql/(\d+)/", path)) and int(match.group(1)) >= 15
    }
    with_postgis = {
        version
        for version in servers
        if os.path.exists(f"/usr/share/postgresql/{version}/extension/postgis.control")
    }
    # The private cluster uses the newest server found, so that server must have PostGIS.
    if not servers or max(servers) not in with_postgis:
        missing += _postgres_packages(max(servers) if servers else None)
    return missing


def install_for_benchmarks() -> None:
    """Install Redis for the published engine; without Redis, skip that engine.

    None of our parts needs Redis.
    """
    try:
        install_system_packages([] if shutil.which("redis-server") else ["redis-server"])
    except StackError as error:
        print(f"The published engine will not be measured. {error}", flush=True)


def install_system_packages(packages: list[str]) -> None:
    """Install by apt as root, or print the command to type.

    Root includes sudo without a password.
    """
    if not packages:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    prefix = _root_prefix()
    if prefix is None or not shutil.which("apt-get"):
        raise StackError(
            "These system packages are missing: "
            + " ".join(packages)
            + f"\nInstall them and try again:\n    sudo apt-get update && sudo {' '.join(command)}"
        )
    print(f"Installing system packages: {' '.join(packages)} ...", flush=True)
    for step in (["apt-get", "update", "-q"], command):
        code, text = _as_root(prefix, step)
        if code != 0 and any(sign in text for sign in APT_INTERRUPTED):
            _repair_packages(prefix)
            code, text = _as_root(prefix, step)
        if code != 0:
            raise StackError(f"`{' '.join(step)}` failed:\n{text[-3000:]}")


def finish_interrupted_packages() -> None:
    """Configure system packages that an interrupted installation left unfinished."""
    prefix = _root_prefix()
    if prefix is None or not shutil.which("dpkg"):
        return
    audit = subprocess.run(["dpkg", "--audit"], capture_output=True, text=True)
    if audit.stdout.strip():
        print("Finishing an installation of system packages that was interrupted ...", flush=True)
        _repair_packages(prefix)


def _repair_packages(prefix: list[str]) -> None:
    # Unrelated packages may stay broken; apt names a package that blocks the installation.
    for step in (["dpkg", "--configure", "-a"], ["apt-get", "install", "-y", "--fix-broken"]):
        code, text = _as_root(prefix, step)
        if code != 0:
            print(f"`{' '.join(step)}` failed:\n{text[-1000:]}", flush=True)


def _as_root(prefix: list[str], command: list[str]) -> tuple[int, str]:
    """Run apt or dpkg as root; return exit code and output.

    Waits while another program holds their locks.
    """
    settings = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    if command[0] == "apt-get":
        command = ["apt-get", "-o", f"DPkg::Lock::Timeout={APT_LOCK_SECONDS}", *command[1:]]
    if prefix:
        prefix = [*prefix, *(f"{name}={value}" for name, value in settings.items())]
    deadline = time.monotonic() + APT_LOCK_SECONDS
    told = False
    while True:
        done = subprocess.run(
            [*prefix, *command],
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # apt's own timeout covers neither the lock of the package lists nor direct calls of dpkg.
        locked = done.returncode != 0 and any(sign in done.stdout for sign in APT_LOCKED)
        if not locked or time.monotonic() > deadline:
            return done.returncode, done.stdout
        if not told:
            print(
                f"Another program is installing packages; waiting up to {APT_LOCK_SECONDS} s for it ...",
                flush=True,
            )
            told = True
        time.sleep(2)


def fingerprint(*, cluster: bool) -> str:
    """Return a hash that changes whenever the environment must be rebuilt."""
    digest = hashlib.sha256(b"cluster" if cluster else b"")
    for path in [
        CHECKOUT / "uv.lock",
        *sorted(CHECKOUT.glob("*/pyproject.toml")),
        CHECKOUT / "pyproject.toml",
    ]:
        digest.update(path.read_bytes())
    digest.update(str(CHECKOUT).encode())
    return digest.hexdigest()


def synchronised(*, cluster: bool) -> bool:
    """Return whether the virtual environment matches uv.lock; more in it does no harm."""
    enough = {fingerprint(cluster=more) for more in (True, cluster)}
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() in enough


def discard_half_made_environment() -> None:
    """Delete an unfinished environment, and mark the present one as unfinished."""
    if VENV.exists() and not (PYTHON.exists() and STAMP.exists()):
        shutil.rmtree(VENV)
    STAMP.unlink(missing_ok=True)


def find_uv() -> str | None:
    """Find a new enough uv: on the path, or installed for this checkout."""
    for candidate in (shutil.which("uv"), str(TOOLS / "bin" / "uv")):
        if candidate and os.path.exists(candidate):
            try:
                answer = subprocess.run([candidate, "--version"], capture_output=True, text=True)
            except OSError:  # An interrupted installation leaves a file that is not executable.
                continue
            found = re.search(r"(\d+)\.(\d+)", answer.stdout)
            if answer.returncode == 0 and found and (int(found[1]), int(found[2])) >= UV_AT_LEAST:
                return candidate
    return None


def install_uv() -> str:
    """Install uv by pip into a separate small environment; return its path."""
    print("Installing uv ...", flush=True)
    subprocess.run([find_python(), "-m", "venv", "--clear", str(TOOLS)], check=True)
    wanted = f"uv>={UV_AT_LEAST[0]}.{UV_AT_LEAST[1]}"
    done = subprocess.run([str(TOOLS / "bin" / "python"), "-m", "pip", "install", "-q", wanted])
    if done.returncode != 0:
        raise StackError("pip could not install uv; its message is above.")
    return str(TOOLS / "bin" / "uv")


def find_python() -> str:
    """Find the newest supported Python, the distribution's first; return its path."""
    candidates = [f"/usr/bin/python{version}" for version in PYTHONS]
    candidates += [path for version in PYTHONS if (path := shutil.which(f"python{version}"))]
    for candidate in [*candidates, sys.executable]:
        if not candidate or not os.path.exists(candidate):
            continue
        probe = "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"
        answer = subprocess.run([candidate, "-c", probe], capture_output=True, text=True)
        if answer.returncode == 0 and answer.stdout.strip() in PYTHONS:
            return candidate
    raise StackError(
        f"Python {PYTHONS[-1]} to {PYTHONS[0]} is needed: `apt-get install python3 python3-venv` "
        "on Debian 12 or 13, or Ubuntu 24.04."
    )


def uv_environment() -> dict[str, str]:
    """Return the environment for uv.

    uv must not download interpreters, and trusts the system's certificates.
    """
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_PYTHON": find_python()}
    environment.setdefault("UV_HTTP_TIMEOUT", "300")
    environment.setdefault("UV_SYSTEM_CERTS", "true")
    environment.pop("VIRTUAL_ENV", None)
    return environment


def _has_module(name: str) -> bool:
    try:
        python = find_python()
    except StackError:
        return False
    return subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode == 0


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _postgres_packages(version: int | None) -> list[str]:
    """Name the packages of PostGIS for the installed server.

    Without a server, name the distribution's server and its PostGIS.
    """
    if version is None:
        return ["postgresql", "postgresql-postgis", "postgresql-postgis-scripts"]
    return [
        f"postgresql-{version}",
        f"postgresql-{version}-postgis-3",
        f"postgresql-{version}-postgis-3-scripts",
    ]


def _root_prefix() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n", "env"]
    return None


def uv() -> str:
    """Return the path of uv; install uv if missing."""
    return find_uv() or install_uv()


def chromium() -> Path:
    """Return the browser that the demo and the browser tests drive."""
    found = _chromium()
    if not found:
        raise StackError("No chromium on the path: apt-get install chromium")
    return Path(found)
