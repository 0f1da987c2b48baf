"""Read the auth app's settings."""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import Field, PlainValidator
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from flowsettings import SettingError
from flowsettings.lookup import Unusable
from flowsettings.service import ServiceSettings
from flowsettings.strength import Secret, check_random, check_secret
from flowsettings.values import Files, LogLevel, Port, Switch, WebAddress, WholeNumber, WritableFile


@dataclass(frozen=True)
class PasswordHashing:
    """Hold the cost of one argon2id hash: passes, memory in KiB and lanes."""

    time_cost: int = 3
    memory_cost: int = 65536
    parallelism: int = 2


def load_private_key(value: object) -> RSAPrivateKey:
    """Return the RSA private key of a text: PEM, or base64 of PEM."""
    if isinstance(value, RSAPrivateKey):
        return value
    pem = str(value).encode()
    try:
        if not pem.lstrip().startswith(b"-----BEGIN"):
            pem = base64.b64decode(pem, validate=False)
        key = serialization.load_pem_private_key(pem, password=None)
    except (binascii.Error, ValueError, TypeError):
        # The cause may quote the key material, so it is not chained.
        raise Unusable("an RSA private key in PEM without a passphrase, or base64 of one") from None
    if not isinstance(key, RSAPrivateKey):
        raise Unusable("an RSA private key, not one of another algorithm")
    return key


def _fernet(value: object) -> MultiFernet:
    if isinstance(value, MultiFernet):
        return value
    try:
        keys = str(value).replace(",", " ").split()
        ciphers = [Fernet(key) for key in keys]
    except ValueError:
        raise Unusable(
            "a Fernet key, as `python -m flowauth generate-fernet-key` prints one, or several in lines of their own"
        ) from None
    for key in keys:
        check_random(base64.urlsafe_b64decode(key))
    return MultiFernet(ciphers)


def _database(value: object) -> str:
    try:
        if value:
            make_url(str(value))
    except ArgumentError:
        raise Unusable("the address of a database, such as sqlite:////var/lib/flowauth.sqlite") from None
    return str(value)


def _between(low: int, high: int) -> PlainValidator:
    return PlainValidator(WholeNumber(low, high))


def _database_password(value: object) -> str:
    """Return the database's password; it may be left out where ``DB_URI`` has it."""
    return check_secret(value) if str(value) else ""


class Settings(ServiceSettings):
    """Hold all settings, checked once at the start."""

    private_key: Annotated[RSAPrivateKey, PlainValidator(load_private_key)] = Field(
        validation_alias="PRIVATE_JWT_SIGNING_KEY", repr=False
    )
    #: The first key encrypts; every key decrypts.
    fernet: Annotated[MultiFernet, PlainValidator(_fernet)] = Field(
        validation_alias="FLOWAUTH_FERNET_KEY", repr=False
    )
    secret_key: Secret = Field(validation_alias="SECRET_KEY", repr=False)
    #: May leave the user's password out, or contain ``{}`` for it; see `database_uri`.
    db_uri: Annotated[str, PlainValidator(_database)] = Field("", validation_alias="DB_URI", repr=False)
    db_password: Annotated[str, PlainValidator(_database_password)] = Field(
        "", validation_alias="FLOWAUTH_DB_PASSWORD", repr=False
    )
    bind: str = Field("127.0.0.1", validation_alias="FLOWKIT_BIND")
    port: Annotated[int, _between(0, 65535)] = Field(9091, validation_alias="FLOWAUTH_PORT")
    metrics_port: Port | None = Field(None, validation_alias="FLOWAUTH_METRICS_PORT")
    log_level: LogLevel = Field("info", validation_alias="FLOWAUTH_LOG_LEVEL")
    two_factor_issuer: str = Field("FlowAuth", validation_alias="FLOWAUTH_TWO_FACTOR_ISSUER")
    two_factor_window: Annotated[int, _between(0, 10)] = Field(0, validation_alias="TWO_FACTOR_VALID_WINDOW")
    trusted_proxies: Annotated[int, _between(0, 10)] = Field(0, validation_alias="FLOWAUTH_TRUSTED_PROXIES")
    revocation_file: WritableFile = Field(None, validation_alias="FLOWAUTH_REVOCATION_FILE")
    token_use_files: Files = Field((), validation_alias="FLOWAUTH_TOKEN_USE_FILES")
    query_scopes_files: Files = Field((), validation_alias="FLOWAUTH_QUERY_SCOPES_FILES")
    #: A token's text can be read once, and is forgotten then.
    show_tokens_once: Switch = Field(False, validation_alias="FLOWAUTH_SHOW_TOKENS_ONCE")
    #: Users who sign in to pages have to set up a second factor.
    require_two_factor: Switch = Field(False, validation_alias="FLOWAUTH_REQUIRE_TWO_FACTOR")
    #: Claim ``iss`` of new tokens.
    token_issuer: str | None = Field(None, validation_alias="FLOWAUTH_TOKEN_ISSUER")
    #: Folder of the published reports, as the maker of reports writes it.
    reports: Path | None = Field(None, validation_alias="FLOWAUTH_REPORTS")
    argon2_time_cost: Annotated[int, _between(1, 100)] = Field(
        3, validation_alias="FLOWAUTH_ARGON2_TIME_COST"
    )
    argon2_memory_kib: Annotated[int, _between(8, 4194304)] = Field(
        65536, validation_alias="FLOWAUTH_ARGON2_MEMORY_KIB"
    )
    argon2_parallelism: Annotated[int, _between(1, 64)] = Field(
        2, validation_alias="FLOWAUTH_ARGON2_PARALLELISM"
    )
    oidc_issuer: WebAddress = Field(None, validation_alias="FLOWAUTH_OIDC_ISSUER")
    oidc_client_id: str = Field("flowauth", validation_alias="FLOWAUTH_OIDC_CLIENT_ID")
    oidc_client_secret: str = Field("", validation_alias="FLOWAUTH_OIDC_CLIENT_SECRET", repr=False)
    oidc_name: str = Field("Single sign-on", validation_alias="FLOWAUTH_OIDC_NAME")
    #: Create an account without roles for an identity that is not connected.
    oidc_create: Switch = Field(False, validation_alias="FLOWAUTH_OIDC_CREATE")
    admin_username: str | None = Field(None, validation_alias="FLOWAUTH_ADMIN_USERNAME")
    admin_password: str | None = Field(None, validation_alias="FLOWAUTH_ADMIN_PASSWORD", repr=False)

    @property
    def database_uri(self) -> str:
        """Return the address of the app's database with its password."""
        url = make_url((self.db_uri or default_database_uri()).replace("{}", self.db_password))
        if url.username and url.password is None and self.db_password:
            url = url.set(password=self.db_password)
        return url.render_as_string(hide_password=False)

    @property
    def hashing(self) -> PasswordHashing:
        """Return the cost of a password's hash."""
        return PasswordHashing(self.argon2_time_cost, self.argon2_memory_kib, self.argon2_parallelism)


def default_database_uri() -> str:
    """Return an SQLite file in a private temporary folder, for trials only."""
    folder = Path(tempfile.gettempdir()) / f"flowauth-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise SettingError(f"DB_URI is not set and {folder} belongs to another user: set DB_URI.")
    return f"sqlite:///{folder / 'flowauth.sqlite'}"
