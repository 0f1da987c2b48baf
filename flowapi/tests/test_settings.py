"""Check where settings come from and how their absence is reported."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from pathlib import Path

import pytest

from flowapi.settings import load_settings
from flowapi.testing import TokenBuilder
from flowsettings import SettingError


@pytest.fixture
def environment(tokens: TokenBuilder, tmp_path: Path) -> dict[str, str]:
    return {
        "FLOWKIT_SECRETS": str(tmp_path),
        "FLOWAPI_IDENTIFIER": "test_server",
        "PUBLIC_JWT_SIGNING_KEY": tokens.public_key,
        "FLOWAPI_FLOWDB_PASSWORD": "from the environment",
        "FLOWMACHINE_KEY": hashlib.sha256(b"the engine of a test").hexdigest(),
    }


def test_the_defaults(environment: dict[str, str]) -> None:
    settings = load_settings(environment)
    assert (settings.bind, settings.port, settings.database_port) == ("127.0.0.1", 9090, 9000)
    assert (settings.engine_host, settings.engine_port) == ("localhost", 5555)
    assert settings.max_body == 4 * 1024 * 1024
    assert settings.metrics_port is None
    assert not settings.tls
    assert not settings.cancel_enabled


def test_a_secret_file_goes_before_the_environment(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "FLOWAPI_FLOWDB_PASSWORD").write_text("from the file\n")
    settings = load_settings(environment)
    assert settings.database_password == "from the file"
    assert "from the file" not in repr(settings)


@pytest.mark.parametrize("name", ["FLOWAPI_IDENTIFIER", "PUBLIC_JWT_SIGNING_KEY", "FLOWAPI_FLOWDB_PASSWORD"])
def test_a_missing_required_setting_is_named(environment: dict[str, str], name: str) -> None:
    del environment[name]
    with pytest.raises(SettingError, match=name):
        load_settings(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLOWAPI_PORT", "80a"),
        ("FLOWAPI_PORT", "0"),
        ("FLOWAPI_PORT", "65536"),
        ("FLOWAPI_MAX_BODY", "1"),
        ("FLOWAPI_ENGINE_TIMEOUT", "-1"),
        ("FLOWAPI_ENGINE_TIMEOUT", "0"),
        ("FLOWAPI_LOG_LEVEL", "loud"),
        ("FLOWAPI_TRUSTED_PROXIES", "nowhere"),
        ("PUBLIC_JWT_SIGNING_KEY", "not a key"),
        ("FLOWAPI_CANCEL", "maybe"),
        ("FLOWAPI_REVOCATION_FILE", "/no/such/file"),
    ],
)
def test_an_unusable_value_is_named(environment: dict[str, str], name: str, value: str) -> None:
    environment[name] = value
    with pytest.raises(SettingError, match=name):
        load_settings(environment)


@pytest.mark.parametrize("name", ["PUBLIC_JWT_SIGNING_KEY", "FLOWAPI_CANCEL"])
def test_a_secret_file_that_cannot_be_read_is_named(
    environment: dict[str, str], tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    # No user can read the first byte of a process's memory.
    path.symlink_to("/proc/self/mem")
    told = re.escape(f"{name} cannot be read from {path}: Input/output error.")
    with pytest.raises(SettingError, match=told):
        load_settings(environment)
    path.unlink()
    path.write_bytes(b"\xff")
    told = re.escape(f"{name} cannot be read from {path}: the file is not UTF-8 text.")
    with pytest.raises(SettingError, match=told):
        load_settings(environment)


def test_proxies_are_addresses_or_networks(environment: dict[str, str]) -> None:
    environment["FLOWAPI_TRUSTED_PROXIES"] = "10.0.0.0/8, 192.168.1.1"
    assert load_settings(environment).trusted_proxies == (
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("192.168.1.1/32"),
    )


def test_tls_needs_certificate_and_key(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "cert-flowkit.pem").touch()
    assert not load_settings(environment).tls
    (tmp_path / "key-flowkit.pem").touch()
    assert load_settings(environment).tls
