"""Ask as a service user, whose tokens are minted when they are needed.

Without one, the token in the file ``FLOWAPI_TOKEN_FILE`` is used.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from flowclient.authentication import get_token, temporary_token
from flowclient.errors import FlowclientConnectionError
from flowclient.reports.definition import Definition

TOKEN_FILE = "FLOWAPI_TOKEN_FILE"
#: Minutes beyond a run's own limit.
_MARGIN = 5
#: Minutes of a token with which the server is looked at again and again, where the role allows as much.
_LOOKING = 720
_ALMOST_OVER = 600


@dataclass(frozen=True)
class ServiceUser:
    """Hold the address of the authentication app, and the user's name and password."""

    url: str
    name: str
    password: str
    certificate: str | bool = True

    @classmethod
    def of_settings(cls) -> ServiceUser:
        """Read the settings.

        Raises
        ------
        ValueError
            If one is missing or the file cannot be read.
        """
        names = ("FLOWAUTH_URL", "FLOWKIT_REPORTS_USER", "FLOWKIT_REPORTS_PASSWORD_FILE")
        values = [os.environ.get(name) for name in names]
        for name, value in zip(names, values, strict=True):
            if not value:
                raise ValueError(f"{name} is not set, and a definition names a role.")
        url, user, file = map(str, values)
        try:
            password = Path(file).read_text().strip()
        except OSError as error:
            raise ValueError(f"{names[2]} = '{file}': the file cannot be read ({error.strerror}).") from None
        return cls(url, user, password, os.environ.get("SSL_CERTIFICATE_FILE") or True)

    def _arguments(self) -> dict[str, Any]:
        return {
            "flowauth_url": self.url,
            "username": self.name,
            "password": self.password,
            "ssl_certificate": self.certificate,
        }

    def token_for(self, definition: Definition) -> contextlib.AbstractContextManager[str]:
        """Provide a token of the definition's role for one run."""
        assert definition.server is not None
        assert definition.role is not None
        return temporary_token(
            server=definition.server,
            role=definition.role,
            nickname=f"report_{definition.name.replace('-', '_')}",
            lifetime=definition.limits.minutes + _MARGIN,
            **self._arguments(),
        )

    def token_for_looking(self, definition: Definition) -> str:
        """Return a token of the definition's role for some hours.

        The role may allow less.
        """
        wanted: dict[str, Any] = {
            "server": definition.server,
            "roles": [definition.role],
            "nickname": "reports_due",
        }
        try:
            return get_token(lifetime=_LOOKING, **wanted, **self._arguments())
        except FlowclientConnectionError as error:
            if error.status_code != 400:
                raise
            return get_token(**wanted, **self._arguments())


@contextlib.contextmanager
def run_as(definition: Definition) -> Iterator[None]:
    """Let the settings name a token for one run of the definition, if it has a role.

    Raises
    ------
    FlowclientConnectionError
        If the authentication app cannot be reached or refuses.
    ValueError
        If a setting is missing.
    """
    if definition.role is None:
        yield
        return
    with (
        ServiceUser.of_settings().token_for(definition) as token,
        tempfile.TemporaryDirectory(prefix="report-token-") as folder,
        _named(_written(Path(folder) / "token", token)),
    ):
        yield


@contextlib.contextmanager
def look_as(definitions: Iterable[Definition]) -> Iterator[None]:
    """Let the settings name a token to look at the server with.

    Without a role in any definition nothing changes. The token is kept for the next look. Raises as :func:`run_as`.
    """
    with_role = next((one for one in definitions if one.role is not None), None)
    if with_role is None:
        yield
        return
    file = _private_folder() / f"{with_role.server}.{with_role.role}"
    if not _is_good(file):
        _written(file, ServiceUser.of_settings().token_for_looking(with_role))
    with _named(file):
        yield


def _private_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"flowkit-reports-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise ValueError(f"{folder} belongs to another user.")
    return folder


def _is_good(file: Path) -> bool:
    try:
        claims = jwt.decode(file.read_text(), options={"verify_signature": False})
    except (OSError, jwt.PyJWTError):
        return False
    return float(claims.get("exp", 0)) > time.time() + _ALMOST_OVER


def _written(file: Path, token: str) -> Path:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(token)
    os.replace(fresh, file)
    return file


@contextlib.contextmanager
def _named(file: Path) -> Iterator[None]:
    before = os.environ.get(TOKEN_FILE)
    os.environ[TOKEN_FILE] = str(file)
    try:
        yield
    finally:
        if before is None:
            del os.environ[TOKEN_FILE]
        else:
            os.environ[TOKEN_FILE] = before
