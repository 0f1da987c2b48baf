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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        # Links and sockets cannot be opened, and a file may be gone: all these need no owner.
        with suppress(OSError), opened(path) as handle:
            self._own(handle)

    def own_all(self, folder: Path, *, of_root: bool = True) -> None:
        """Give the user a folder with all that is in it, by default what belongs to root."""
        with opened(folder, os.O_DIRECTORY) as top:
            for _, _, files, handle in os.fwalk(".", dir_fd=top):
                self._own(handle, of_root=of_root)
                for name in files:
                    with suppress(OSError), opened(name, within=handle) as file:
                        self._own(file, of_root=of_root)

    def _own(self, handle: int, *, of_root: bool = False) -> None:
        found = os.fstat(handle)
        # A second name of a file may be a file elsewhere.
        whole = stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
        if whole and (not of_root or found.st_uid == 0):
            os.fchown(handle, self.user, self.group)


def close_to_others(path: Path) -> None:
    """Take other users' rights to a file or a folder, but not to a link's target."""
    with suppress(OSError), opened(path) as handle:
        os.fchmod(handle, stat.S_IMODE(os.fstat(handle).st_mode) & ~0o077)


@contextmanager
def opened(path: Path | str, flags: int = 0, *, within: int | None = None) -> Iterator[int]:
    """Open what has this name, so that no link takes its place before the change.

    The services own their folders and can put links in their place. A link of the launcher's own is followed: it
    may lead to a larger disk. Raises OSError for other links.
    """
    own = within is None and os.path.islink(path) and os.lstat(path).st_uid == os.geteuid()
    flags |= os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if own else os.O_NOFOLLOW)
    handle = os.open(path, flags, dir_fd=within)
    try:
        yield handle
    finally:
        os.close(handle)


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
    # Not of what a link leads to: the services can put one here.
    owner = folder.lstat().st_uid if folder.exists() else 0
    return None if os.environ.get(SETTING) or owner == 0 else pwd.getpwuid(owner)


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
