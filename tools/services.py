"""Define the native stack's services: commands and health checks.

Standard library only.
"""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import Cluster, binaries
from layout import PYTHON, Layout

# A health check returns None for a healthy service, else the reason.
Health = Callable[[Layout], "str | None"]


@dataclass(frozen=True)
class Service:
    """Describe a process.

    ``port`` names the setting of the bound port; ``health`` returns None or a reason.
    """

    name: str
    arguments: tuple[str, ...]
    health: Health
    port: str | None = None

    def definition(self, layout: Layout) -> dict[str, Any]:
        """Return the service's entry in the supervisor's plan."""
        runs_as = layout.runs_as.account
        return {
            "name": self.name,
            "command": [str(PYTHON), "-m", *self.arguments],
            "environment": layout.service_environment(),
            "log": str(layout.logs / f"{self.name}.log"),
            "user": (runs_as.user, runs_as.group) if runs_as else None,
        }


def cluster(layout: Layout) -> Cluster:
    """Return the stack's private PostgreSQL cluster."""
    return Cluster(layout.state, layout.ports["FLOWDB_PORT"])


def database_definition(layout: Layout) -> dict[str, Any]:
    """Return the supervisor's entry for PostgreSQL.

    PostgreSQL may not run as root and takes SIGINT for a fast, clean stop.
    """
    server = cluster(layout)
    return {
        "name": "postgres",
        "command": server.command(),
        "environment": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        "log": str(layout.logs / "postgres.log"),
        "user": server.owner(),
        "stop_signal": "SIGINT",
    }


def services(layout: Layout) -> list[Service]:
    """Return all services except the database, in starting order."""
    prefect_server = (
        "flowetl",
        "prefect-server",
        "--host",
        "127.0.0.1",
        "--port",
        str(layout.ports["PREFECT_PORT"]),
    )
    return [
        Service("flowmachine", ("flowmachine", "server"), _flowmachine, port="FLOWMACHINE_PORT"),
        *[
            Service(f"worker-{number}", ("flowmachine", "worker"), _alive)
            for number in range(1, layout.workers + 1)
        ],
        Service("evict", ("flowmachine", "cache", "evict"), _alive),
        Service(
            "flowapi", ("flowapi",), _answers("FLOWAPI_PORT", "/api/0/health/ready"), port="FLOWAPI_PORT"
        ),
        Service(
            "flowauth",
            ("flowauth", "serve"),
            _answers("FLOWAUTH_PORT", "/health/ready"),
            port="FLOWAUTH_PORT",
        ),
        Service("prefect", prefect_server, _answers("PREFECT_PORT", "/api/health"), port="PREFECT_PORT"),
        Service("flowetl", ("flowetl", "serve"), _deployments),
        *[
            Service("reports", ("flowetl", "reports", "serve"), _alive)
            for _ in _definitions_of_reports(layout)
        ],
    ]


def _definitions_of_reports(layout: Layout) -> list[Path]:
    """Return a definition of a report; without any, no process waits for days."""
    return sorted(layout.reports.glob("*.yml"))[:1]


def database_health(layout: Layout) -> str | None:
    """Return None when PostgreSQL accepts connections, else the reason."""
    program = [
        str(binaries() / "pg_isready"),
        "-q",
        "-h",
        "127.0.0.1",
        "-p",
        str(layout.ports["FLOWDB_PORT"]),
    ]
    return None if subprocess.run(program).returncode == 0 else "does not accept connections"


class Refused(OSError):
    """Report that a service answered with an error: its status ``code`` and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"status {code}: {text}")
        self.code = code


def get_json(
    url: str,
    body: object = None,
    token: str | None = None,
    timeout: float = 10,
    *,
    account: tuple[str, str] | None = None,
) -> Any:
    """Return the JSON reply of a GET, or of a POST when there is a body.

    ``account`` is a user and a password.

    Raises
    ------
    Refused
        The reply is an error. Any other OSError: there was no reply.
    """
    request = urllib.request.Request(url)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    if account is not None:
        request.add_header("Authorization", f"Basic {base64.b64encode(':'.join(account).encode()).decode()}")
    # The stack is on the loopback interface, so ignore the environment's proxies.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as reply:
            return json.loads(reply.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(error.code, error.read(300).decode(errors="replace")) from None


def _answers(port: str, path: str) -> Health:
    def health(layout: Layout) -> str | None:
        try:
            get_json(layout.url(port) + path)
        except Refused as error:
            return f"{path} answers {error}"
        except (OSError, ValueError) as error:
            return f"{path} does not answer ({error})"
        return None

    return health


def _deployments(layout: Layout) -> str | None:
    try:
        account = ("flowetl", layout.prefect_password.read_text())
        found = get_json(f"{layout.url('PREFECT_PORT')}/api/deployments/filter", {}, account=account)
    except (OSError, ValueError) as error:
        return f"the Prefect server does not answer ({error})"
    # A new installation has no source yet; the service waits for one.
    expected = any(Path(layout.environment()["FLOWETL_SOURCES"]).glob("*.yml"))
    return None if found or not expected else "no deployment is registered yet"


def _flowmachine(layout: Layout) -> str | None:
    # The wire protocol needs pyzmq, which only the environment's Python has.
    probe = """
import json, sys, zmq
from flowsettings import channel
with zmq.Context() as context, context.socket(zmq.REQ) as socket:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVTIMEO, 3000)
    channel.connect(socket, open(sys.argv[2]).read().strip())
    socket.connect(sys.argv[1])
    socket.send_json({"request_id": "health", "action": "ping"})
    sys.exit(0 if socket.recv_json()["status"] == "success" else 1)
"""
    address = f"tcp://127.0.0.1:{layout.ports['FLOWMACHINE_PORT']}"
    key = str(layout.secrets / "FLOWMACHINE_KEY")
    done = subprocess.run([str(PYTHON), "-c", probe, address, key], capture_output=True, text=True)
    return None if done.returncode == 0 else "does not answer a ping"


def _alive(_layout: Layout) -> str | None:
    # Workers and the process of reports have no port to probe. The caller checks that every process has been running for a while.
    return None
