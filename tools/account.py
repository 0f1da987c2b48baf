"""Choose the user of the native stack's services, and give this user their files.

As root, services run as a system user who is made where there is none. A page, a file of the operator or a notebook
that takes over a service then has no more than the service. The launcher and the supervisor stay root, so the
supervisor's plan and its logs are in folders that the user cannot change. Standard library only.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

#: Name of the setting, and the user where it is not set; ``root`` keeps root.
SETTING = "FLOWKIT_USER"
DEFAULT = "flowkit"


@dataclass(frozen=True)
class Account:
    """Hold the numbers of a user and of the user's group."""

    name: str
    user: int
    group: int

    def options(self) -> dict[str, object]:
        """Return what ``subprocess`` needs to run a program as this user."""
        return {"user": self.user, "group": self.group, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give the user a file or a folder, and never what a link leads to."""
        found = path.lstat()
        # A second name of a file may be a file elsewhere.
        if stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
            os.chown(path, self.user, self.group, follow_symlinks=False)

    def own_all(self, folder: Path) -> None:
        """Give the user a folder with all that is in it and belongs to root."""
        for path, _, files in os.walk(folder):
            for name in (path, *(os.path.join(path, file) for file in files)):
                if os.lstat(name).st_uid == 0:
                    self.own(Path(name))


@dataclass(frozen=True)
class Choice:
    """Hold the user of the services, or why it is the user of the launcher.

    ``reason`` is None where the launcher is not root, or where root is wanted.
    """

    account: Account | None
    reason: str | None = None


def choose(state: Path, python: Path) -> Choice:
    """Return who runs the services of a state folder.

    Only an account that is there counts; ``make`` makes the usual one. A later command without the setting has the
    user to whom the secrets belong.
    """
    name = wanted()
    if name is None:
        return Choice(None)
    try:
        found = _owner(state / "secrets") or pwd.getpwnam(name)
    except KeyError:
        return Choice(None, f"there is no user {name}")
    name = found.pw_name
    account = Account(name, found.pw_uid, found.pw_gid)
    existing = next(folder for folder in (state, *state.parents) if folder.exists())
    if not _can_work(account, existing, python):
        return Choice(None, f"user {name} cannot reach {existing} or {python}")
    return Choice(account)


def wanted() -> str | None:
    """Return the name of the user that services shall run as; None for our own."""
    name = os.environ.get(SETTING) or DEFAULT
    return None if os.geteuid() != 0 or name == "root" else name


def make() -> None:
    """Make the usual user where there is none and another can be had."""
    name = wanted()
    if name != DEFAULT or shutil.which("useradd") is None:
        return
    try:
        pwd.getpwnam(name)
    except KeyError:
        shell = ("--shell", "/usr/sbin/nologin", "--home-dir", "/nonexistent", "--no-create-home")
        subprocess.run(["useradd", "--system", "--user-group", *shell, name], capture_output=True)


def _owner(folder: Path) -> pwd.struct_passwd | None:
    """Return the user of a folder where none is asked for; None where it is root."""
    if os.environ.get(SETTING) or not folder.exists() or folder.stat().st_uid == 0:
        return None
    return pwd.getpwuid(folder.stat().st_uid)


@lru_cache(maxsize=8)
def _can_work(account: Account, state: Path, python: Path) -> bool:
    """Return whether a user can enter the state folder and run the parts."""
    program = "import os, sys, flowetl, flowmachine; os.stat(os.path.join(sys.argv[1], '.'))"
    try:
        done = subprocess.run(
            [str(python), "-c", program, str(state)],
            cwd="/",
            env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            user=account.user,
            group=account.group,
            extra_groups=[],
        )
    except OSError:
        return False
    return done.returncode == 0
