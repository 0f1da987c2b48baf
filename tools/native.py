"""Start, watch and stop the native stack.

Standard library only; services run in the environment.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import account
from cluster import ClusterError, port_is_free
from layout import DEMO, PRIVATE, PYTHON, Layout, StackError
from services import (
    Refused,
    Service,
    cluster,
    database_definition,
    database_health,
    get_json,
    services,
)

# A service that dies again and again is told at once; on a busy machine one that is well may take minutes.
START_LIMIT = 600.0
LOG_LINES = 20
# Exit code of `flowauth demo-data` where people have accounts.
OTHER_USERS = 3
# Entries of a stack in its state folder, which also holds tools and the tests' cluster.
OWN_ENTRIES = (
    *(
        "cache",
        "columnar",
        "home",
        "landing",
        "logs",
        "pages",
        "prefect",
        "rejects",
        "reports",
        "run",
        "secrets",
    ),
    *("endpoints.json", "flowauth.sqlite*", "postgres.log", "revoked-tokens"),
)


class Native:
    """Manage one stack, running or not."""

    def __init__(self, layout: Layout, say: Callable[[str], None] | None = None) -> None:
        self.layout = layout
        self.say = say or (lambda text: print(text, flush=True))
        self._child: subprocess.Popen[bytes] | None = None

    # -- start and stop ---------------------------------------------------------------------------------------

    def up(self) -> None:
        """Start every service that is not running and wait until all are healthy.

        Raises
        ------
        StackError
            A port is taken, or a service does not become healthy; the text has the end of its log.
        """
        if self.supervisor() and not self.ill():
            self.say("The stack is up.")
        else:
            self._start()
        self._load_demo_identities()
        self._write_private(self.layout.endpoints_file, json.dumps(self.layout.endpoints(), indent=2) + "\n")

    def _start(self) -> None:
        account.make()
        vars(self.layout).pop("runs_as", None)
        self._make_folders()
        self._tell_of_root()
        self._make_secrets()
        if not self.supervisor():
            self._check_ports()
            self._start_database()
        self._hand_over()
        self._one_shot("migrate", "flowdb", "migrate")
        self._one_shot("flowauth", "flowauth", "init-db")
        self._write_plan([database_definition(self.layout), *self._definitions()])
        self._signal_supervisor(signal.SIGHUP)
        for service in services(self.layout):
            self._wait_until_well(service.name, lambda service=service: self._health(service))  # type: ignore[misc]

    def down(self) -> None:
        """Stop every service in reverse order; the data stay."""
        process = self.supervisor()
        if process:
            os.kill(process, signal.SIGTERM)
            self._wait_until(lambda: not self.supervisor(), 120, "The supervisor does not stop.")
        if self._child:
            self._child.wait()
        cluster(self.layout).stop()

    def restart(self, name: str | None) -> None:
        """Kill one service, or all but the database; the supervisor restarts them."""
        running = self.processes()
        names = [name] if name else [service.name for service in services(self.layout)]
        for each in names:
            if each not in running or not running[each]["pid"]:
                raise StackError(f"{each!r} does not run; running: {', '.join(running) or 'nothing'}.")
            os.kill(running[each]["pid"], signal.SIGTERM)
            before = running[each]["pid"]
            self._wait_until(
                lambda each=each, before=before: self.processes()[each]["pid"] not in (None, before),  # type: ignore[misc]
                60,
                f"{each} does not come back.",
            )

    def reset(self) -> None:
        """Stop the stack and delete its database, columnar files, keys and logs."""
        self.down()
        cluster(self.layout).destroy()
        for pattern in OWN_ENTRIES:
            for entry in self.layout.state.glob(pattern):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def serve_reports(self, definitions: Path) -> None:
        """Start the process that makes reports, with a new token.

        Where there are no definitions, it makes those of the given folder.
        """
        self.up()
        if not any(self.layout.reports.glob("*.yml")):
            for path in definitions.glob("*.yml"):
                shutil.copyfile(path, self.layout.reports / path.name)
        self._write_private(self.layout.report_token, self.token())
        self._start()

    # -- what is there ----------------------------------------------------------------------------------------

    def supervisor(self) -> int | None:
        """Return the process id of the running supervisor."""
        try:
            process = int(json.loads(self.layout.status_file.read_text())["supervisor"])
            command = Path(f"/proc/{process}/cmdline").read_bytes()
        except (OSError, ValueError, KeyError):
            return None
        return process if str(self.layout.plan_file).encode() in command else None

    def processes(self) -> dict[str, dict[str, Any]]:
        """Return the supervisor's report on each service."""
        if not self.supervisor():
            return {}
        try:
            report: dict[str, dict[str, Any]] = json.loads(self.layout.status_file.read_text())["services"]
        except (OSError, ValueError):
            return {}
        return report

    def ill(self) -> dict[str, str]:
        """Return the reason for each unhealthy service."""
        reasons = {"postgres": self._database_health()}
        reasons |= {service.name: self._health(service) for service in services(self.layout)}
        return {name: reason for name, reason in reasons.items() if reason}

    def status(self) -> bool:
        """Print a table of the services; return whether all are healthy."""
        ill = self.ill()
        running = self.processes()
        names = ["postgres", *[service.name for service in services(self.layout)]]
        for name in names:
            process = running.get(name, {})
            mark = f"ILL   {ill[name]}" if name in ill else "well"
            line = (
                f"{name:<14} {process.get('pid') or '-':>8}  restarts {process.get('restarts', 0):>3}  {mark}"
            )
            self.say(line)
        return not ill

    def token(self, name: str | None = None) -> str:
        """Return a new token of the demo user with every role, from flowauth's API."""
        base = f"{self.layout.url('FLOWAUTH_PORT')}/api/v1"
        credentials = {"username": DEMO["user"], "password": DEMO["password"]}
        try:
            session = get_json(f"{base}/session", credentials)["access_token"]
            servers = get_json(f"{base}/servers", token=session)
            roles = [
                role["name"]
                for server in servers
                if server["name"] == DEMO["server"]
                for role in server["roles"]
            ]
            if not roles:
                raise StackError(
                    f"{DEMO['user']} has no role on a server {DEMO['server']} in the auth app: `make up` brings "
                    "both back, unless the auth app has users of yours: then register the server there."
                )
            wanted = {"name": name or f"make_token_{time.strftime('%Y%m%d_%H%M%S')}", "roles": roles}
            reply = get_json(f"{base}/servers/{DEMO['server']}/tokens", wanted, token=session)
        except Refused as error:
            raise StackError(f"flowauth refused: {error}") from None
        except OSError as error:
            raise StackError(f"flowauth does not answer ({error}); `make up` starts it.") from None
        return str(reply["token"])

    def log_tail(self, name: str, lines: int = LOG_LINES) -> str:
        """Return the end of a service's log."""
        path = self.layout.logs / f"{name}.log"
        if not path.exists():
            return f"{path} does not exist."
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    # -- steps ------------------------------------------------------------------------------------------------

    def _definitions(self) -> list[dict[str, Any]]:
        return [service.definition(self.layout) for service in services(self.layout)]

    def _make_folders(self) -> None:
        layout = self.layout
        layout.state.mkdir(parents=True, exist_ok=True)
        # PostgreSQL runs as a separate user and needs to enter the folder.
        layout.state.chmod(0o711)
        for folder in layout.private_folders:
            folder.mkdir(exist_ok=True)
        # The API starts first and does not start without the list.
        with suppress(FileExistsError):
            layout.revoked_tokens.touch(exist_ok=False)
        for path in layout.open_to_others():
            account.close_to_others(path)
        self._hand_over()

    def _hand_over(self) -> None:
        """Give the services' user the files of the services, also those of earlier starts."""
        layout, chosen = self.layout, self.layout.runs_as.account
        if chosen is None:
            return
        # The services make files here, and can neither rename nor delete those of the launcher.
        os.chown(layout.state, -1, chosen.group)
        layout.state.chmod(0o1771)
        try:
            for folder in layout.service_folders:
                chosen.own_all(folder, of_root=folder != layout.secrets)
        except OSError as error:
            raise StackError(f"{folder} is no folder of the services ({error.strerror}).") from None
        for path in layout.service_files:
            chosen.own(path)

    def _tell_of_root(self) -> None:
        chosen = self.layout.runs_as
        if chosen.reason is None:
            return
        if os.environ.get(account.SETTING):
            raise StackError(f"{account.SETTING}: {chosen.reason}.")
        self.say(f"The services run as root, because {chosen.reason}.")

    def _make_secrets(self) -> None:
        folder = self.layout.secrets
        makers = {
            "FLOWMACHINE_FLOWDB_PASSWORD": lambda: secrets.token_urlsafe(24),
            "FLOWAPI_FLOWDB_PASSWORD": lambda: secrets.token_urlsafe(24),
            "FLOWETL_PREFECT_PASSWORD": lambda: secrets.token_urlsafe(24),
            "FLOWMACHINE_KEY": lambda: secrets.token_hex(32),
            "FLOWETL_PSEUDONYM_KEY": lambda: secrets.token_hex(32),
            "FLOWAUTH_FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "SECRET_KEY": lambda: secrets.token_urlsafe(48),
        }
        for name, make in makers.items():
            if not (folder / name).exists():
                self._write_private(folder / name, make())
        if not (folder / "PRIVATE_JWT_SIGNING_KEY").exists():
            self._one_shot("flowauth", "flowauth", "generate-signing-keys", str(folder))
            account.close_to_others(folder / "PUBLIC_JWT_SIGNING_KEY")

    def _check_ports(self) -> None:
        taken = [
            f"port {port} is taken by another program; set {name} to a free one"
            for name, port in self.layout.ports.items()
            if not port_is_free(port)
        ]
        if taken:
            raise StackError("; ".join(taken) + ".")

    def _start_database(self) -> None:
        # A supervisor that was killed may have left the server running.
        cluster(self.layout).stop()
        try:
            cluster(self.layout).prepare(self.layout.database_settings())
        except ClusterError as error:
            raise StackError(str(error)) from None
        self._write_plan([database_definition(self.layout)])
        with open(self.layout.logs / "supervisor.log", "ab", opener=_privately) as log:
            self._child = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("supervisor.py")), str(self.layout.plan_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
                umask=PRIVATE,
            )
        self._wait_until(
            lambda: bool(self.supervisor()), 20, "The supervisor does not start; see supervisor.log."
        )
        self._wait_until_well("postgres", self._database_health)

    def _load_demo_identities(self) -> None:
        """Load the demo server with the running engine's scopes, unless up to date."""
        description = get_json(f"{self.layout.url('FLOWAPI_PORT')}/api/0/spec/openapi.json", timeout=60)
        path = self.layout.state / "run" / "openapi.json"
        text = json.dumps(description, sort_keys=True)
        if path.exists() and path.read_text() == text and self._demo_roles():
            return
        # Here the command can read it, and nobody else of the machine.
        draft = self.layout.home / "openapi.json"
        self._write_private(draft, text)
        demo_data = ("flowauth", "demo-data", "--api-description", str(draft))
        if self._one_shot("flowauth", *demo_data, allowed=(OTHER_USERS,)) == OTHER_USERS:
            self.say(
                f"The auth app has users of yours, so {DEMO['server']} and its roles were left as they are. If scopes are "
                f"missing, upload {self.layout.url('FLOWAPI_PORT')}/api/0/spec/openapi.json on the server's page."
            )
            return
        self._write_private(path, text)
        draft.unlink()

    def _demo_roles(self) -> list[str]:
        """Return the demo user's roles on its server; empty if roles or server are gone."""
        base = f"{self.layout.url('FLOWAUTH_PORT')}/api/v1"
        credentials = {"username": DEMO["user"], "password": DEMO["password"]}
        try:
            session = get_json(f"{base}/session", credentials)["access_token"]
            servers = get_json(f"{base}/servers", token=session)
        except Refused:
            return []
        return [
            role["name"] for server in servers if server["name"] == DEMO["server"] for role in server["roles"]
        ]

    def _one_shot(self, label: str, *arguments: str, allowed: tuple[int, ...] = ()) -> int:
        """Run a part's command to its end.

        Returns the exit code, which is 0 or among the allowed codes.
        """
        done = subprocess.run(
            [str(PYTHON), "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            **self.layout.as_service(),
        )
        with open(self.layout.logs / f"{label}.log", "a", opener=_privately) as log:
            log.write(done.stdout)
        if done.returncode not in (0, *allowed):
            raise StackError(f"`python -m {' '.join(arguments)}` failed:\n{done.stdout[-3000:].rstrip()}")
        return done.returncode

    def _database_health(self) -> str | None:
        if not self.processes().get("postgres", {}).get("pid"):
            return "is not running"
        return database_health(self.layout)

    def _health(self, service: Service) -> str | None:
        process = self.processes().get(service.name, {})
        if not process.get("pid"):
            return "is not running"
        # A service that dies at once looks alive between two restarts.
        if time.time() - process["since"] < 1.0:
            return "has only just started"
        return service.health(self.layout)

    def _wait_until_well(self, name: str, health: Callable[[], str | None]) -> None:
        begin = time.monotonic()
        earlier = self.processes().get(name, {}).get("restarts", 0)
        while reason := health():
            waited = time.monotonic() - begin
            crashes = self.processes().get(name, {}).get("restarts", 0) - earlier
            if waited > START_LIMIT or crashes >= 3:
                raise StackError(f"{name} {reason}. The end of its log:\n{self.log_tail(name)}")
            time.sleep(0.2)
        self.say(f"{name:<14} ready after {time.monotonic() - begin:4.1f} s")

    def _wait_until(self, condition: Callable[[], bool], seconds: float, complaint: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise StackError(complaint)
            time.sleep(0.1)

    def _signal_supervisor(self, number: signal.Signals) -> None:
        process = self.supervisor()
        if not process:
            raise StackError(f"The supervisor has stopped:\n{self.log_tail('supervisor')}")
        os.kill(process, number)

    def _write_plan(self, definitions: list[dict[str, Any]]) -> None:
        self._write_private(self.layout.plan_file, json.dumps({"services": definitions}, indent=1))

    def _write_private(self, path: Path, text: str) -> None:
        draft = f".{path.name}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        # The services can write to some folders, and must not lead the launcher elsewhere by a link.
        with account.opened(path.parent, os.O_DIRECTORY) as folder:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)
            with os.fdopen(os.open(draft, flags, 0o600, dir_fd=folder), "w") as file:
                chosen = self.layout.runs_as.account
                if chosen and path.parent in self.layout.service_folders:
                    os.fchown(file.fileno(), chosen.user, chosen.group)
                file.write(text)
            os.replace(draft, path.name, src_dir_fd=folder, dst_dir_fd=folder)


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
