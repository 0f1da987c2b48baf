"""Run the client's commands for reports, with a client's rights alone.

Their process gets no secret of the loader.
"""

import os
import subprocess
import sys
from typing import NoReturn

from flowetl.settings import ReportSettings

_PASSED_ON = ("PATH", "LANG", "HOME", "SSL_CERTIFICATE_FILE")


def become_command(settings: ReportSettings, arguments: list[str]) -> NoReturn:
    """Replace this process by one of the client's commands."""
    os.execve(sys.executable, _command(*arguments), _environment(settings))


def asked(settings: ReportSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the client's commands to its end."""
    return subprocess.run(
        _command(*arguments),
        env=_environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return a command's last word, which holds no value of an answer."""
    *_, told = (done.stderr + done.stdout).strip().splitlines() or ["it said nothing"]
    return told


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flowclient.reports", *arguments]


def _environment(settings: ReportSettings) -> dict[str, str]:
    given = {
        "FLOWKIT_REPORTS": settings.definitions,
        "FLOWKIT_REPORTS_OUT": settings.out,
        "FLOWAPI_URL": settings.api,
        "FLOWAPI_TOKEN_FILE": settings.token_file,
        "FLOWAUTH_URL": settings.flowauth,
        "FLOWKIT_REPORTS_USER": settings.user,
        "FLOWKIT_REPORTS_PASSWORD_FILE": settings.password_file,
        "TZ": settings.timezone,
    }
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {name: str(value) for name, value in given.items() if value is not None}
