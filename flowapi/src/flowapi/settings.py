"""Read the API's settings."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import Field, PlainValidator

from flowsettings import SettingError
from flowsettings.lookup import Unusable, find, secrets_folder
from flowsettings.service import ServiceSettings
from flowsettings.strength import Secret
from flowsettings.values import (
    LogLevel,
    Networks,
    Port,
    ReadableFile,
    Seconds,
    Switch,
    WebAddress,
    WholeNumber,
    WritableFile,
)

SMALLEST_KEY_BITS = 2048
CERTIFICATES = {"certificate": "cert-flowkit.pem", "certificate_key": "key-flowkit.pem"}
PUBLIC_KEYS = f"PEM blocks, or base64 of them, of RSA public keys of {SMALLEST_KEY_BITS} bits or more"

_PEM_BLOCK = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


def parse_public_keys(value: str) -> tuple[RSAPublicKey, ...]:
    """Parse one or more RSA public keys from PEM blocks or base64 of them.

    Several keys accept tokens signed by the old and by the new key during a replacement.
    """
    content = value.encode()
    if b"-----BEGIN" not in content:
        try:
            content = base64.b64decode("".join(value.split()), validate=True)
        except binascii.Error:
            raise Unusable(PUBLIC_KEYS) from None
    keys = []
    for block in _PEM_BLOCK.findall(content):
        try:
            key = load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            raise Unusable(PUBLIC_KEYS) from None
        if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_KEY_BITS:
            raise Unusable(PUBLIC_KEYS)
        keys.append(key)
    if not keys:
        raise Unusable(PUBLIC_KEYS)
    return tuple(keys)


def _public_keys(value: object) -> object:
    return parse_public_keys(value) if isinstance(value, str) else value


class Settings(ServiceSettings):
    """Hold all settings. Times are in seconds, sizes in bytes."""

    identifier: str = Field(validation_alias="FLOWAPI_IDENTIFIER")
    public_keys: Annotated[tuple[RSAPublicKey, ...], PlainValidator(_public_keys)] = Field(
        validation_alias="PUBLIC_JWT_SIGNING_KEY", repr=False
    )
    engine_host: str = Field("localhost", validation_alias="FLOWMACHINE_HOST")
    engine_port: Port = Field(5555, validation_alias="FLOWMACHINE_PORT")
    engine_key: Secret = Field(validation_alias="FLOWMACHINE_KEY", repr=False)
    database_host: str = Field("localhost", validation_alias="FLOWDB_HOST")
    database_port: Port = Field(9000, validation_alias="FLOWDB_PORT")
    database_user: str = Field("flowapi", validation_alias="FLOWAPI_FLOWDB_USER")
    database_password: str = Field(validation_alias="FLOWAPI_FLOWDB_PASSWORD", repr=False)
    database_name: str = Field("flowdb", validation_alias="FLOWDB_DATABASE")
    bind: str = Field("127.0.0.1", validation_alias="FLOWKIT_BIND")
    port: Port = Field(9090, validation_alias="FLOWAPI_PORT")
    metrics_port: Port | None = Field(None, validation_alias="FLOWAPI_METRICS_PORT")
    log_level: LogLevel = Field("error", validation_alias="FLOWAPI_LOG_LEVEL")
    engine_timeout: Seconds = Field(30.0, validation_alias="FLOWAPI_ENGINE_TIMEOUT")
    run_timeout: Seconds = Field(120.0, validation_alias="FLOWAPI_RUN_TIMEOUT")
    database_pool_size: Annotated[int, PlainValidator(WholeNumber(1, 1000))] = Field(
        20, validation_alias="FLOWAPI_DB_POOL_SIZE"
    )
    database_timeout: Seconds = Field(120.0, validation_alias="FLOWAPI_DB_TIMEOUT")
    max_body: Annotated[int, PlainValidator(WholeNumber(1024))] = Field(
        4 * 1024 * 1024, validation_alias="FLOWAPI_MAX_BODY"
    )
    #: From this many bytes on, a user's specifications are read one after the other.
    large_spec: Annotated[int, PlainValidator(WholeNumber(1024))] = Field(
        256 * 1024, validation_alias="FLOWAPI_LARGE_SPEC"
    )
    rate_runs: Annotated[int, PlainValidator(WholeNumber(1))] = Field(
        3000, validation_alias="FLOWAPI_RATE_RUNS"
    )
    rate_requests: Annotated[int, PlainValidator(WholeNumber(1))] = Field(
        6000, validation_alias="FLOWAPI_RATE_REQUESTS"
    )
    token_issuer: str | None = Field(None, validation_alias="FLOWAPI_TOKEN_ISSUER")
    revocation_file: ReadableFile = Field(None, validation_alias="FLOWAPI_REVOCATION_FILE")
    revocation_url: WebAddress = Field(None, validation_alias="FLOWAPI_REVOCATION_URL")
    revocation_copy: WritableFile = Field(None, validation_alias="FLOWAPI_REVOCATION_COPY")
    auth_app_url: WebAddress = Field(None, validation_alias="FLOWAPI_FLOWAUTH_URL")
    token_use_file: WritableFile = Field(None, validation_alias="FLOWAPI_TOKEN_USE_FILE")
    query_scopes_file: WritableFile = Field(None, validation_alias="FLOWAPI_QUERY_SCOPES_FILE")
    trusted_proxies: Networks = Field((), validation_alias="FLOWAPI_TRUSTED_PROXIES")
    cancel_enabled: Switch = Field(False, validation_alias="FLOWAPI_CANCEL")
    certificate: Path | None = None
    certificate_key: Path | None = None

    @property
    def tls(self) -> bool:
        """Return whether the API itself speaks HTTPS."""
        return self.certificate is not None and self.certificate_key is not None


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read this process's settings.

    Raises flowsettings.SettingError naming the missing or unusable setting.
    """
    given = os.environ if environment is None else environment
    files = {name: secret_file(file, given) for name, file in CERTIFICATES.items()}
    settings = Settings.load(given).model_copy(update=files)
    if settings.revocation_url and settings.revocation_copy is None:
        raise SettingError(
            "FLOWAPI_REVOCATION_COPY: with FLOWAPI_REVOCATION_URL, name a file that keeps the list."
        )
    return settings


def secret_file(name: str, environment: Mapping[str, str]) -> Path | None:
    """Return the path of a secret that is used as a file.

    Raises flowsettings.SettingError if the file cannot be read.
    """
    path = secrets_folder(environment) / name
    find(name, environment)
    return path if path.is_file() else None
