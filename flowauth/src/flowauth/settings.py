"""Settings: a secret file of the setting's name first, then the environment.

The folder of secret files is named by ``FLOWKIT_SECRETS`` and is ``/run/secrets`` by default.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


class SettingError(RuntimeError):
    """A required setting is missing or a setting's value cannot be used; the text names it."""


@dataclass(frozen=True)
class PasswordHashing:
    """Cost of one argon2id hash: passes, memory in KiB and lanes."""

    time_cost: int = 3
    memory_cost: int = 65536
    parallelism: int = 2


@dataclass(frozen=True)
class Settings:
    """Everything the app is told from outside, checked once at the start."""

    private_key: RSAPrivateKey
    #: Its first key encrypts, each decrypts.
    fernet: MultiFernet
    secret_key: str
    database_uri: str
    bind: str = "127.0.0.1"
    port: int = 9091
    log_level: str = "info"
    two_factor_issuer: str = "FlowAuth"
    two_factor_window: int = 0
    trusted_proxies: int = 0
    revocation_file: Path | None = None
    token_use_files: tuple[Path, ...] = ()
    hashing: PasswordHashing = PasswordHashing()
    admin_username: str | None = None
    admin_password: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read every setting.

        Raises
        ------
        SettingError
            Naming the first setting that is missing or unusable.
        """
        source = _Source(os.environ if environment is None else environment)
        uri = source.text("DB_URI", "") or default_database_uri()
        return cls(
            private_key=load_private_key(source.required("PRIVATE_JWT_SIGNING_KEY")),
            fernet=_fernet(source.required("FLOWAUTH_FERNET_KEY")),
            secret_key=source.required("SECRET_KEY"),
            database_uri=uri.replace("{}", source.text("FLOWAUTH_DB_PASSWORD", "")),
            bind=source.text("FLOWKIT_BIND", "127.0.0.1"),
            port=source.number("FLOWAUTH_PORT", 9091, 0, 65535),
            log_level=source.text("FLOWAUTH_LOG_LEVEL", "info").lower(),
            two_factor_issuer=source.text("FLOWAUTH_TWO_FACTOR_ISSUER", "FlowAuth"),
            two_factor_window=source.number("TWO_FACTOR_VALID_WINDOW", 0, 0, 10),
            trusted_proxies=source.number("FLOWAUTH_TRUSTED_PROXIES", 0, 0, 10),
            revocation_file=source.writable_file("FLOWAUTH_REVOCATION_FILE"),
            token_use_files=source.files("FLOWAUTH_TOKEN_USE_FILES"),
            hashing=PasswordHashing(
                time_cost=source.number("FLOWAUTH_ARGON2_TIME_COST", 3, 1, 100),
                memory_cost=source.number("FLOWAUTH_ARGON2_MEMORY_KIB", 65536, 8, 4194304),
                parallelism=source.number("FLOWAUTH_ARGON2_PARALLELISM", 2, 1, 64),
            ),
            admin_username=source.text("FLOWAUTH_ADMIN_USERNAME", "") or None,
            admin_password=source.text("FLOWAUTH_ADMIN_PASSWORD", "") or None,
        )


class _Source:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.folder = Path(environment.get("FLOWKIT_SECRETS") or "/run/secrets")

    def text(self, name: str, default: str) -> str:
        """An empty value counts as absent, so that a compose file can pass a variable through without setting it."""
        file = self.folder / name
        try:
            secret = file.read_text().strip()
        except (FileNotFoundError, NotADirectoryError):
            secret = ""
        except OSError as error:
            raise SettingError(f"{name} cannot be read from {file}: {error.strerror}.") from None
        return secret or self.environment.get(name, "").strip() or default

    def required(self, name: str) -> str:
        value = self.text(name, "")
        if not value:
            raise SettingError(
                f"{name} is not set: give it as a file {self.folder / name} or in the environment."
            )
        return value

    def writable_file(self, name: str) -> Path | None:
        text = self.text(name, "")
        if text and not os.access(Path(text).parent, os.W_OK):
            raise SettingError(f"{name} is '{text}': its folder cannot be written to.")
        return Path(text) if text else None

    def files(self, name: str) -> tuple[Path, ...]:
        """Paths with commas between them; the files need not be there yet."""
        return tuple(Path(part.strip()) for part in self.text(name, "").split(",") if part.strip())

    def number(self, name: str, default: int, low: int, high: int) -> int:
        text = self.text(name, str(default))
        if not text.lstrip("-").isdecimal() or not low <= int(text) <= high:
            raise SettingError(f"{name} is '{text}': it must be a whole number from {low} to {high}.")
        return int(text)


def load_private_key(text: str) -> RSAPrivateKey:
    """The RSA private key in PEM, or in base64 of the PEM."""
    pem = text.encode()
    if not pem.lstrip().startswith(b"-----BEGIN"):
        try:
            pem = base64.b64decode(pem, validate=False)
        except binascii.Error:
            raise SettingError("PRIVATE_JWT_SIGNING_KEY is neither PEM nor base64 of PEM.") from None
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        # The cause may quote the key material, so it is not chained.
        raise SettingError(
            "PRIVATE_JWT_SIGNING_KEY is not a private key in PEM without a passphrase."
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise SettingError("PRIVATE_JWT_SIGNING_KEY is not an RSA key.")
    return key


def _fernet(text: str) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in text.replace(",", " ").split()])
    except ValueError:
        raise SettingError(
            "FLOWAUTH_FERNET_KEY is not a Fernet key, or several in lines of their own: `python -m flowauth "
            "generate-fernet-key` prints one."
        ) from None


def default_database_uri() -> str:
    """An SQLite file in a folder of ours, unreadable to others, in the temporary directory: for trials only."""
    folder = Path(tempfile.gettempdir()) / f"flowauth-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise SettingError(f"DB_URI is not set and {folder} belongs to somebody else: set DB_URI.")
    return f"sqlite:///{folder / 'flowauth.sqlite'}"
