"""Define the native stack's folders, ports, secrets and environment.

Standard library only.
"""

from __future__ import annotations

import json
import os
import runpy
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import account

CHECKOUT = Path(__file__).resolve().parent.parent
VENV = CHECKOUT / ".venv"
SOURCES = CHECKOUT / "flowetl" / "src" / "flowetl" / "sources" / "synthetic"
PYTHON = VENV / "bin" / "python"

DEFAULT_PORTS = {
    "FLOWDB_PORT": 9000,
    "FLOWMACHINE_PORT": 5555,
    "FLOWAPI_PORT": 9090,
    "FLOWAUTH_PORT": 9091,
    "PREFECT_PORT": 4200,
}

# The demonstration's identities are public on purpose: the native stack listens on the loopback interface
# only. Production uses the compose file with other names.
DEMO = {
    "server": "TEST_SERVER",
    "user": "TEST_USER",
    "password": "DUMMY_PASSWORD",
    "admin_user": "TEST_ADMIN",
    "admin_password": "DUMMY_PASSWORD",
}


# The umask of all services: their files are for their own user.
PRIVATE = 0o077

# Prefixes of settings that are passed on to services; the launcher's own values win.
PASSED_ON = ("FLOWMACHINE_", "FLOWAPI_", "FLOWAUTH_", "FLOWETL_", "TWO_FACTOR_")
DATABASE_SETTINGS = (
    "CACHE_SIZE",
    "CACHE_HALF_LIFE",
    "CACHE_PROTECTED_PERIOD",
    "SHARED_BUFFERS_SIZE",
    "EFFECTIVE_CACHE_SIZE",
    "MAX_CPUS",
    "MAX_WORKERS",
    "MAX_WORKERS_PER_GATHER",
    "MAX_LOCKS_PER_TRANSACTION",
    "STATS_TARGET",
    "FLOWDB_LOG_DEST",
    "FLOWDB_ARCHIVE",
)


# The demonstration's country begins on this day, and its notebook asks about 27 January to 23 February 2016.
DEMO_FIRST_DAY = date(2016, 1, 1)
DEMO_LEAST_DAYS = 54
# With fewer subscribers, no district would exceed the release floor.
DEMO_LEAST_SUBSCRIBERS = 1_000


class StackError(RuntimeError):
    """Report a problem that the user can fix: what failed and what to do."""


def default_state() -> Path:
    """Return the state folder: ``FLOWKIT_STATE`` or ``.flowkit`` in the checkout."""
    return Path(os.environ.get("FLOWKIT_STATE") or CHECKOUT / ".flowkit").resolve()


@dataclass(frozen=True)
class Layout:
    """Describe one native stack: its state folder, its ports and derived paths."""

    state: Path
    ports: dict[str, int]
    workers: int = 2
    extra: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls) -> Layout:
        """Read settings from the environment, or what a started stack recorded."""
        state = default_state()
        recorded = _recorded(state / "endpoints.json")
        known = _recorded_ports(recorded)
        ports = {
            name: _integer(name, os.environ.get(name) or known.get(name, default))
            for name, default in DEFAULT_PORTS.items()
        }
        workers = _integer("FLOWMACHINE_WORKERS", os.environ.get("FLOWMACHINE_WORKERS") or 2)
        return cls(state=state, ports=ports, workers=workers, extra=_remembered(recorded))

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def landing(self) -> Path:
        return self.state / "landing"

    @property
    def columnar(self) -> Path:
        return self.state / "columnar"

    @property
    def reports(self) -> Path:
        """Return the folder of the definitions of reports."""
        return self.state / "reports"

    @property
    def pages(self) -> Path:
        """Return the folder of the versions of reports."""
        return self.state / "pages"

    @property
    def report_token(self) -> Path:
        """Return the file of the token with which reports ask."""
        return self.secrets / "FLOWAPI_TOKEN"

    @property
    def revoked_tokens(self) -> Path:
        """Return the list that the auth app writes and the API reads."""
        return self.state / "revoked-tokens"

    @property
    def token_use(self) -> Path:
        """Return the file of tokens' last uses: the API writes it, the auth app reads it."""
        return self.state / "token-use"

    @property
    def query_scopes(self) -> Path:
        """Return the file of queries' scopes: the API writes it, the auth app reads it."""
        return self.state / "query-scopes"

    @property
    def plan_file(self) -> Path:
        """Return the file that tells the supervisor what to run."""
        return self.state / "run" / "plan.json"

    @property
    def status_file(self) -> Path:
        """Return the file in which the supervisor reports."""
        return self.state / "run" / "status.json"

    @property
    def endpoints_file(self) -> Path:
        return self.state / "endpoints.json"

    @property
    def prefect_password(self) -> Path:
        """Return the file of the password of Prefect's server, whose user is ``flowetl``."""
        return self.secrets / "FLOWETL_PREFECT_PASSWORD"

    @property
    def home(self) -> Path:
        """Return the home folder of the services where they run as a user of their own."""
        return self.state / "home"

    @property
    def scratch(self) -> Path:
        """Return the folder of the services' temporary files.

        In ``/tmp`` another user may own a folder of the same name: Prefect's runner has a fixed one.
        """
        return self.state / "scratch"

    @property
    def modules(self) -> Path:
        """Return the folder of the services' compiled modules, which no reset deletes."""
        return self.state / "modules"

    @property
    def service_folders(self) -> tuple[Path, ...]:
        """Return the private folders that services write to."""
        more = (self.state / name for name in ("cache", "prefect", "rejects"))
        own = (self.home, self.modules, self.scratch)
        return (self.secrets, self.landing, self.columnar, *more, self.reports, self.pages, *own)

    @property
    def private_folders(self) -> tuple[Path, ...]:
        """Return the folders that only the stack's own users may enter.

        The supervisor obeys its plan and opens the logs, so these are the launcher's.
        """
        return (self.plan_file.parent, self.logs, *self.service_folders)

    @property
    def service_files(self) -> list[Path]:
        """Return the files of services that are in no folder of theirs."""
        lists = (self.revoked_tokens, self.token_use, self.query_scopes)
        return [path for path in (*lists, *self.state.glob("flowauth.sqlite*")) if path.exists()]

    @cached_property
    def runs_as(self) -> account.Choice:
        """Return the user of the services, or why it is the launcher's."""
        return account.choose(self.state, PYTHON)

    def belonging_to_root(self) -> list[Path]:
        """Return entries of services that another user cannot use, by their folder."""
        if self.runs_as.account is None:
            return []
        found = [path for path in (*self.service_folders, *self.service_files) if path.exists()]
        found += self.secrets.glob("*")
        return [path for path in found if path.stat().st_uid != self.runs_as.account.user]

    def open_to_others(self) -> list[Path]:
        """Return private folders and files that another user of the machine can use.

        Lists of ids open nothing; the two services that exchange them may run as two users.
        """
        shared = {self.revoked_tokens, self.token_use, self.query_scopes}
        files = [path for path in self.state.glob("*") if path.is_file() and path not in shared]
        found = [path for path in (*self.private_folders, *files) if path.exists()]
        return [path for path in found if path.stat().st_mode & PRIVATE]

    def url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"

    def endpoints(self) -> dict[str, Any]:
        """Return the addresses and files for scripts.

        Secrets are given only by the path of their file.
        """
        return {
            "flowapi": {"url": self.url("FLOWAPI_PORT")},
            "flowauth": {"url": self.url("FLOWAUTH_PORT")},
            "prefect": {"url": self.url("PREFECT_PORT"), "password_file": str(self.prefect_password)},
            "flowmachine": {
                "host": "127.0.0.1",
                "port": self.ports["FLOWMACHINE_PORT"],
                "key_file": str(self.secrets / "FLOWMACHINE_KEY"),
            },
            "flowdb": {
                "host": "127.0.0.1",
                "port": self.ports["FLOWDB_PORT"],
                "database": "flowdb",
                "password_files": {
                    "flowdb": str(self.secrets / "FLOWDB_POSTGRES_PASSWORD"),
                    "flowmachine": str(self.secrets / "FLOWMACHINE_FLOWDB_PASSWORD"),
                    "flowapi": str(self.secrets / "FLOWAPI_FLOWDB_PASSWORD"),
                },
            },
            "flowetl": {
                "sources": self.environment()["FLOWETL_SOURCES"],
                "landing": str(self.landing),
                "timezone": self.environment()["FLOWDB_TIMEZONE"],
            },
            "columnar": {"path": str(self.columnar)},
            "demo": DEMO,
        }

    def environment(self) -> dict[str, str]:
        """Return every service's settings, except secrets, which are read from files."""
        settings = {
            "FLOWKIT_SECRETS": str(self.secrets),
            "FLOWKIT_BIND": "127.0.0.1",
            "FLOWDB_HOST": "127.0.0.1",
            "FLOWDB_PORT": str(self.ports["FLOWDB_PORT"]),
            "FLOWDB_TIMEZONE": os.environ.get("FLOWDB_TIMEZONE") or "UTC",
            "FLOWDB_COLUMNAR_PATH": str(self.columnar),
            "FLOWMACHINE_HOST": "127.0.0.1",
            "FLOWMACHINE_PORT": str(self.ports["FLOWMACHINE_PORT"]),
            "FLOWMACHINE_FLOWDB_USER": "flowmachine",
            "FLOWMACHINE_CACHE_PATH": str(self.state / "cache"),
            "FLOWMACHINE_EXECUTOR": os.environ.get("FLOWMACHINE_EXECUTOR", "auto"),
            "FLOWAPI_PORT": str(self.ports["FLOWAPI_PORT"]),
            "FLOWAPI_URL": self.url("FLOWAPI_PORT"),
            "FLOWAPI_TOKEN_FILE": str(self.report_token),
            "FLOWAPI_IDENTIFIER": DEMO["server"],
            "FLOWAPI_FLOWDB_USER": "flowapi",
            "FLOWAPI_FLOWAUTH_URL": self.url("FLOWAUTH_PORT"),
            "FLOWAPI_REVOCATION_FILE": str(self.revoked_tokens),
            "FLOWAPI_TOKEN_USE_FILE": str(self.token_use),
            "FLOWAPI_QUERY_SCOPES_FILE": str(self.query_scopes),
            "FLOWAUTH_PORT": str(self.ports["FLOWAUTH_PORT"]),
            "FLOWAUTH_REVOCATION_FILE": str(self.revoked_tokens),
            "FLOWAUTH_TOKEN_USE_FILES": str(self.token_use),
            "FLOWAUTH_QUERY_SCOPES_FILES": str(self.query_scopes),
            "FLOWAUTH_REPORTS": str(self.pages),
            "DB_URI": f"sqlite:///{self.state / 'flowauth.sqlite'}",
            "PREFECT_API_URL": f"{self.url('PREFECT_PORT')}/api",
            "PREFECT_HOME": str(self.state / "prefect"),
            # The server writes its pages; by default beside its modules, which are the launcher's.
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(self.state / "prefect" / "pages"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(
                f"http://{host}:{self.ports['PREFECT_PORT']}" for host in ("127.0.0.1", "localhost")
            ),
            # The newer pages query a tracking service despite the analytics setting, and advertise.
            "PREFECT_SERVER_UI_V2_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "DO_NOT_TRACK": "1",
            "FLOWETL_SOURCES": str(Path(os.environ.get("FLOWETL_SOURCES") or SOURCES).resolve()),
            "FLOWETL_LANDING": str(self.landing),
            "FLOWKIT_REPORTS": str(self.reports),
            "FLOWKIT_REPORTS_OUT": str(self.pages),
            "PYTHONUNBUFFERED": "1",
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "TZ", *DATABASE_SETTINGS) or name.startswith(PASSED_ON)
        }
        return {**inherited, **settings, **self.extra}

    def service_environment(self) -> dict[str, str]:
        """Return the settings of a program that runs as the services' user.

        Never for root: the user can write to these folders.
        """
        settings = self.environment() | {"TMPDIR": str(self.scratch)}
        if self.runs_as.account is None:
            return settings
        # Modules are compiled once for this user, who cannot write beside them.
        return settings | {"HOME": str(self.home), "PYTHONPYCACHEPREFIX": str(self.modules)}

    def as_service(self) -> dict[str, Any]:
        """Return what ``subprocess`` needs to run a program as the services do."""
        chosen = self.runs_as.account
        return {"env": self.service_environment(), "umask": PRIVATE, **(chosen.options() if chosen else {})}

    def database_settings(self) -> dict[str, str]:
        """Return PostgreSQL's settings for half of this machine's memory.

        The machine does other work too.
        """
        rules = runpy.run_path(str(CHECKOUT / "flowdb" / "src" / "flowdb" / "configuration.py"))
        try:
            settings: dict[str, str] = rules["server_settings"](memory=rules["available_memory"]() // 2)
        except ValueError as error:
            raise StackError(str(error)) from None
        return settings


def demo_size() -> tuple[int, int]:
    """Return the demonstration's number of subscribers and days.

    They come from ``FLOWKIT_DEMO_SUBSCRIBERS`` and ``FLOWKIT_DEMO_DAYS``.

    Raises
    ------
    StackError
        One of them is too small for the notebook's question.
    """
    sizes = []
    for name, default, least in (
        ("FLOWKIT_DEMO_SUBSCRIBERS", 10_000, DEMO_LEAST_SUBSCRIBERS),
        ("FLOWKIT_DEMO_DAYS", 60, DEMO_LEAST_DAYS),
    ):
        value = _integer(name, os.environ.get(name) or default)
        if value < least:
            raise StackError(
                f"{name} is {value}; it must be {least} or more: the demonstration compares the homes of the two "
                "weeks before and after the disaster of 10 February 2016, in a country that begins on 1 January."
            )
        sizes.append(value)
    return sizes[0], sizes[1]


def _integer(name: str, value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise StackError(f"{name} is {value!r}; it must be a whole number.") from None


#: Settings of a started stack that a later command has without naming them, and where they are recorded.
REMEMBERED = {"FLOWETL_SOURCES": "sources", "FLOWDB_TIMEZONE": "timezone"}


def _recorded(endpoints: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(endpoints.read_text())
    except (OSError, ValueError):
        return {}
    return known


def _remembered(known: dict[str, Any]) -> dict[str, str]:
    loading = known.get("flowetl", {})
    return {
        name: loading[key] for name, key in REMEMBERED.items() if key in loading and not os.environ.get(name)
    }


def _recorded_ports(known: dict[str, Any]) -> dict[str, int]:
    if not known:
        return {}
    return {
        "FLOWDB_PORT": known["flowdb"]["port"],
        "FLOWMACHINE_PORT": known["flowmachine"]["port"],
        "FLOWAPI_PORT": int(known["flowapi"]["url"].rsplit(":", 1)[1]),
        "FLOWAUTH_PORT": int(known["flowauth"]["url"].rsplit(":", 1)[1]),
        "PREFECT_PORT": int(known["prefect"]["url"].rsplit(":", 1)[1]),
    }
