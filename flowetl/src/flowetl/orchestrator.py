"""Reach Prefect's server, and start it, only with the deployment's password.

An open server runs commands for all who can reach it, as the loader: any page in a browser on the same machine is
enough. Prefect reads no secret files, so that the password is put into the environment here.
"""

import os
import sys
from typing import NoReturn

from flowetl.errors import ConfigurationError
from flowetl.settings import OrchestratorSettings
from flowsettings import SettingError


def present_password() -> None:
    """Let this process and its runs into Prefect's server.

    Prefect reads the password when it is imported.

    Raises
    ------
    ConfigurationError
        When the password is missing or too short.
    """
    os.environ["PREFECT_API_AUTH_STRING"] = credentials()


def become_server(host: str, port: int) -> NoReturn:
    """Replace this process by Prefect's server, which asks for the password.

    It answers requests only that name a known host.

    Raises
    ------
    ConfigurationError
        When the password is missing or too short.
    """
    os.environ["PREFECT_SERVER_API_AUTH_STRING"] = credentials()
    command = ("-m", "flowetl.hosts", "server", "start", "--host", host, "--port", str(port))
    os.execv(sys.executable, [sys.executable, *command])


def credentials() -> str:
    """Return user and password of Prefect's server.

    Raises ConfigurationError without a password.
    """
    try:
        return f"flowetl:{OrchestratorSettings.load().password}"
    except SettingError as error:
        raise ConfigurationError(str(error)) from error
