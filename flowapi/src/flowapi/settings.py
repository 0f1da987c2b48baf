"""Settings: each looked up first as a secret file, then as an environment variable."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
SMALLEST_KEY_BITS = 2048

_PEM_BLOCK = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


class SettingError(ValueError):
    """A setting is missing or unusable; the text names it, its value and what is allowed."""


@dataclass(frozen=True)
class Settings:
    """Everything the API needs to know before it starts. Times are in seconds, sizes in bytes."""

    identifier: str
    public_keys: tuple[RSAPublicKey, ...]
    engine_host: str
    engine_port: int
    database_host: str
    database_port: int
    database_user: str
    database_password: str = field(repr=False)
    database_name: str = "flowdb"
    bind: str = "127.0.0.1"
    port: int = 9090
    metrics_port: int | None = None
    log_level: str = "error"
    engine_timeout: float = 30.0
    run_timeout: float = 120.0
    database_pool_size: int = 20
    database_timeout: float = 120.0
    max_body: int = 4 * 1024 * 1024
    token_issuer: str | None = None
    revocation_file: Path | None = None
    token_use_file: Path | None = None
    trusted_proxies: tuple[Network, ...] = ()
    cancel_enabled: bool = False
    certificate: Path | None = None
    certificate_key: Path | None = None

    @property
    def tls(self) -> bool:
        """Whether the API itself speaks HTTPS."""
        return self.certificate is not None and self.certificate_key is not None


class _Source:
    """Looks settings up and converts them, naming the setting in every complaint."""

    def __init__(self, environment: Mapping[str, str], secrets: Path) -> None:
        self._environment = environment
        self._secrets = secrets

    def file(self, name: str) -> Path | None:
        path = self._secrets / name
        try:
            if not path.is_file():
                return None
            path.open("rb").close()
        except OSError as error:
            raise self._unreadable(name, path, error) from None
        return path

    def optional(self, name: str) -> str | None:
        path = self.file(name)
        try:
            value = path.read_text().strip() if path else self._environment.get(name, "").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(name, path, error) from None
        return value or None

    @staticmethod
    def _unreadable(name: str, path: Path | None, error: Exception) -> SettingError:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        return SettingError(f"{name} cannot be read from {path}: {reason}.")

    def text(self, name: str, default: str | None = None) -> str:
        value = self.optional(name) or default
        if value is None:
            raise SettingError(
                f"Required setting {name} is missing: give it as the file {self._secrets / name} "
                f"or as an environment variable."
            )
        return value

    def integer(self, name: str, default: int, *, low: int = 1, high: int = 2**31) -> int:
        value = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,10}", value) or not low <= int(value) <= high:
            raise SettingError(f"{name} is {value!r}; it must be a whole number from {low} to {high}.")
        return int(value)

    def port(self, name: str, default: int) -> int:
        return self.integer(name, default, high=65535)

    def seconds(self, name: str, default: float) -> float:
        value = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) or float(value) == 0:
            raise SettingError(f"{name} is {value!r}; it must be a number of seconds above 0.")
        return float(value)

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default).lower()
        if value not in allowed:
            raise SettingError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
        return value

    def readable_file(self, name: str) -> Path | None:
        value = self.optional(name)
        if value is not None and not os.access(value, os.R_OK):
            raise SettingError(f"{name} is {value!r}; it must be the path of a file that can be read.")
        return Path(value) if value is not None else None

    def writable_file(self, name: str) -> Path | None:
        value = self.optional(name)
        if value is not None and not os.access(Path(value).parent, os.W_OK):
            raise SettingError(f"{name} is {value!r}; its folder must be there and writable.")
        return Path(value) if value is not None else None

    def networks(self, name: str) -> tuple[Network, ...]:
        value = self.optional(name) or ""
        try:
            return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
        except ValueError as error:
            raise SettingError(
                f"{name} is {value!r}; it must be addresses or networks separated by commas ({error})."
            ) from None


def parse_public_keys(value: str, name: str = "PUBLIC_JWT_SIGNING_KEY") -> tuple[RSAPublicKey, ...]:
    """The RSA public keys in ``value``: one or more PEM blocks, as they are or as base64 of them.

    Several keys let tokens signed by the old and by the new key pass while a key is being replaced.
    """
    content = value.encode()
    if b"-----BEGIN" not in content:
        try:
            content = base64.b64decode("".join(value.split()), validate=True)
        except binascii.Error:
            raise SettingError(f"{name} is neither a PEM public key nor base64 of one.") from None
    keys = []
    for block in _PEM_BLOCK.findall(content):
        try:
            key = load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            raise SettingError(f"{name} holds a PEM block that is not a public key.") from None
        if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_KEY_BITS:
            raise SettingError(f"{name} must hold RSA public keys of {SMALLEST_KEY_BITS} bits or more.")
        keys.append(key)
    if not keys:
        raise SettingError(f"{name} holds no PEM public key.")
    return tuple(keys)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of this process.

    Raises
    ------
    SettingError
        A required setting is missing or one has an unusable value.
    """
    environment = os.environ if environment is None else environment
    source = _Source(environment, Path(environment.get("FLOWKIT_SECRETS") or "/run/secrets"))
    return Settings(
        identifier=source.text("FLOWAPI_IDENTIFIER"),
        public_keys=parse_public_keys(source.text("PUBLIC_JWT_SIGNING_KEY")),
        engine_host=source.text("FLOWMACHINE_HOST", "localhost"),
        engine_port=source.port("FLOWMACHINE_PORT", 5555),
        database_host=source.text("FLOWDB_HOST", "localhost"),
        database_port=source.port("FLOWDB_PORT", 9000),
        database_user=source.text("FLOWAPI_FLOWDB_USER", "flowapi"),
        database_password=source.text("FLOWAPI_FLOWDB_PASSWORD"),
        database_name=source.text("FLOWDB_DATABASE", "flowdb"),
        bind=source.text("FLOWKIT_BIND", "127.0.0.1"),
        port=source.port("FLOWAPI_PORT", 9090),
        metrics_port=source.port("FLOWAPI_METRICS_PORT", 1)
        if source.optional("FLOWAPI_METRICS_PORT")
        else None,
        log_level=source.choice("FLOWAPI_LOG_LEVEL", "error", LOG_LEVELS),
        engine_timeout=source.seconds("FLOWAPI_ENGINE_TIMEOUT", 30.0),
        run_timeout=source.seconds("FLOWAPI_RUN_TIMEOUT", 120.0),
        database_pool_size=source.integer("FLOWAPI_DB_POOL_SIZE", 20, high=1000),
        database_timeout=source.seconds("FLOWAPI_DB_TIMEOUT", 120.0),
        max_body=source.integer("FLOWAPI_MAX_BODY", 4 * 1024 * 1024, low=1024),
        token_issuer=source.optional("FLOWAPI_TOKEN_ISSUER"),
        revocation_file=source.readable_file("FLOWAPI_REVOCATION_FILE"),
        token_use_file=source.writable_file("FLOWAPI_TOKEN_USE_FILE"),
        trusted_proxies=source.networks("FLOWAPI_TRUSTED_PROXIES"),
        cancel_enabled=source.choice("FLOWAPI_CANCEL", "off", ("on", "off")) == "on",
        certificate=source.file("cert-flowkit.pem"),
        certificate_key=source.file("key-flowkit.pem"),
    )
