"""Run a private PostgreSQL cluster per state folder.

The distribution's own cluster is never touched. Standard library only, so that this runs before anything is
installed. PostgreSQL refuses to run as root. As root, every server program runs as the user ``postgres`` that
Debian's package creates.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

SUPERUSER = "flowdb"
LOOPBACK = "127.0.0.1"


class ClusterError(RuntimeError):
    """Report that the cluster failed to be created, started or stopped, and the cure."""


def binaries() -> Path:
    """Return the folder of the newest PostgreSQL installed, 15 or later.

    The folder holds ``initdb`` and ``pg_ctl``.
    """
    found = [
        (int(folder.name), folder / "bin")
        for folder in Path("/usr/lib/postgresql").glob("[0-9]*")
        if (folder / "bin" / "initdb").exists() and int(folder.name) >= 15
    ]
    if not found:
        raise ClusterError("PostgreSQL 15 or later is not installed; `make doctor` says how to get it.")
    return max(found)[1]


def free_port() -> int:
    """Return a free TCP port on the loopback interface."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Return whether a server could bind the port on the loopback interface now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Cluster:
    """Manage one PostgreSQL cluster under ``state`` on TCP ``port``.

    ``listen`` is the address to listen on. On any address except the loopback interface, only hosts of
    directly attached networks may log in, by password. ``secrets`` is the folder of the superuser's password,
    by default ``<state>/secrets``.
    """

    state: Path
    port: int
    listen: str = LOOPBACK
    secrets: Path | None = None

    @property
    def password_file(self) -> Path:
        """Return the file (0600) with the superuser's password."""
        return (self.secrets or self.state / "secrets") / "FLOWDB_POSTGRES_PASSWORD"

    @property
    def socket_folder(self) -> Path:
        # A socket path is limited to 107 bytes, and a checkout may lie anywhere.
        digest = hashlib.sha256(str(self.state.resolve()).encode()).hexdigest()[:10]
        return Path("/tmp") / f"flowkit-{digest}"

    @property
    def data(self) -> Path:
        """Return the data directory.

        The directory is inside the state folder if user ``postgres`` can reach it, else under /var/lib.
        """
        if os.geteuid() != 0 or _reachable_by_others(self.state):
            return self.state / "postgres"
        digest = hashlib.sha256(str(self.state.resolve()).encode()).hexdigest()[:10]
        return Path("/var/lib/flowkit") / digest / "postgres"

    @property
    def log(self) -> Path:
        return self.data.parent / "postgres.log"

    def running(self) -> bool:
        """Return whether this cluster's server is running."""
        if not (self.data / "PG_VERSION").exists():
            return False
        return self._server("pg_ctl", "status", "-D", str(self.data), check=False).returncode == 0

    def running_port(self) -> int | None:
        """Return the running server's port, or None."""
        if not self.running():
            return None
        return int((self.data / "postmaster.pid").read_text().splitlines()[3])

    def start(self, settings: dict[str, str]) -> None:
        """Create the cluster if missing, start it and wait for connections."""
        if self.running():
            return
        self.prepare(settings)
        started = self._server(
            "pg_ctl", "start", "-w", "-t", "120", "-D", str(self.data), "-l", str(self.log), check=False
        )
        if started.returncode != 0:
            tail = "\n".join(self.log.read_text().splitlines()[-15:])
            raise ClusterError(f"PostgreSQL did not start. The end of {self.log}:\n{tail}")

    def prepare(self, settings: dict[str, str]) -> None:
        """Create the cluster if missing and write its configuration.

        The cluster must not be running.
        """
        if not port_is_free(self.port):
            raise ClusterError(
                f"Port {self.port} is taken by another program; set FLOWDB_PORT to a free one and try again."
            )
        self.socket_folder.mkdir(mode=0o755, exist_ok=True)
        self._own(self.socket_folder)
        if not (self.data / "PG_VERSION").exists():
            self._create()
        lines = [f"{name} = '{value}'" for name, value in sorted(settings.items())]
        lines += [
            f"port = {self.port}",
            f"listen_addresses = '{self.listen}'",
            f"unix_socket_directories = '{self.socket_folder}'",
        ]
        configuration = self.data / "flowkit.conf"
        configuration.write_text("\n".join(lines) + "\n")
        self._own(configuration)
        self.log.touch(mode=0o600)
        self._own(self.log)

    def command(self) -> list[str]:
        """Return the command that runs the prepared cluster in the foreground."""
        return [str(binaries() / "postgres"), "-D", str(self.data)]

    def set_password(self, role: str, password: str, *more: str) -> None:
        """Set a role's password while the server is down, then run more statements.

        Nobody else can connect meanwhile, and the statement with the password reaches no log.
        """
        quoted = "'" + password.replace("'", "''") + "'"
        create = f"IF to_regrole('{role}') IS NULL THEN CREATE ROLE {role} LOGIN; END IF;"
        statements = [f"DO $$BEGIN {create} END$$;", f"ALTER ROLE {role} PASSWORD {quoted};", *more]
        user, group = self.owner() or (None, None)
        program, *options = self.command()
        done = subprocess.run(
            [program, "--single", *options, "-c", "log_min_messages=error", "postgres"],
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            cwd="/",
            input="\n".join(statements) + "\n",
            capture_output=True,
            text=True,
        )
        if done.returncode != 0 or "ERROR" in done.stderr:
            told = [line for line in done.stderr.splitlines() if "STATEMENT" not in line]
            raise ClusterError(f"PostgreSQL did not take the password of {role}: {' '.join(told)[-500:]}")

    def owner(self) -> tuple[int, int] | None:
        """Return user and group that must run the command; None for our own."""
        if os.geteuid() != 0:
            return None
        account = pwd.getpwnam("postgres")
        return account.pw_uid, account.pw_gid

    def stop(self, mode: str = "fast") -> None:
        """Stop the server if it runs; ``mode`` is pg_ctl's: smart, fast or immediate."""
        if self.running():
            self._server("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.data))

    def destroy(self) -> None:
        """Stop the server and delete the cluster with all data."""
        self.stop("immediate")
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.socket_folder, ignore_errors=True)

    def password(self) -> str:
        """Return the superuser's password, made on first use and kept in a private file."""
        if not self.password_file.exists():
            self.password_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(24))
        try:
            return self.password_file.read_text().strip()
        except OSError as error:
            raise ClusterError(
                f"FLOWDB_POSTGRES_PASSWORD cannot be read from {self.password_file}: {error.strerror}."
            ) from None

    def _create(self) -> None:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700, exist_ok=True)
        self._own(self.data)
        # initdb reads the password from a file, which must belong to user postgres when we are root.
        handover = self.socket_folder / "initial-password"
        handover.write_text(self.password())
        handover.chmod(0o600)
        self._own(handover)
        try:
            self._server(
                "initdb",
                "-D",
                str(self.data),
                "-U",
                SUPERUSER,
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                # With locale C the server compares bytes, which is many times faster and halves the time to
                # index text.
                "--lc-collate=C",
                "--auth=scram-sha-256",
                f"--pwfile={handover}",
                "--no-sync",
            )
        finally:
            handover.unlink()
        if self.listen != LOOPBACK:
            access = self.data / "pg_hba.conf"
            access.write_text(access.read_text() + "host all all samenet scram-sha-256\n")
            self._own(access)
        main = self.data / "postgresql.conf"
        main.write_text(main.read_text() + "\ninclude 'flowkit.conf'\n")
        self._own(main)

    def _server(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        user, group = self.owner() or (None, None)
        # pg_ctl passes its output streams to the server, so a pipe would never close: use a file.
        output = self.socket_folder / f"{program}-{os.getpid()}.out"
        output.parent.mkdir(mode=0o755, exist_ok=True)
        try:
            with output.open("w+") as stream:
                done = subprocess.run(
                    [str(binaries() / program), *arguments],
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    cwd="/",
                    env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                    user=user,
                    group=group,
                    extra_groups=None if user is None else [],
                    umask=0o077,
                )
                stream.seek(0)
                text = stream.read()
        finally:
            output.unlink(missing_ok=True)
        if check and done.returncode != 0:
            raise ClusterError(f"{program} failed:\n{text}")
        return subprocess.CompletedProcess(done.args, done.returncode, text, "")

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(path, account.pw_uid, account.pw_gid)


def _reachable_by_others(folder: Path) -> bool:
    return all(
        parent.stat().st_mode & 0o001 for parent in [folder, *folder.resolve().parents] if parent.exists()
    )
