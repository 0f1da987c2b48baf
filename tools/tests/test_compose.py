"""The compose file says what the design says of containers, and agrees with the native stack's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from layout import CHECKOUT, DEFAULT_PORTS, Layout

COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LONG_RUNNING = sorted(set(SERVICES) - {"base", "migrate"})

# Where the two differ: how the launcher runs, not how a service behaves.
NATIVE_ONLY = {"PATH", "HOME", "LANG", "TZ", "FLOWKIT_SECRETS", "FLOWKIT_BIND", "PYTHONUNBUFFERED"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nothing_runs_as_root(name: str) -> None:
    user, group = SERVICES[name]["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_a_service_may_write_only_where_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_only_the_api_and_the_auth_app_are_published() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"flowapi", "flowauth"}
    outside = {network for network, options in COMPOSE["networks"].items() if not options.get("internal")}
    reachable = {name for name, service in SERVICES.items() if outside & set(service.get("networks", []))}
    assert reachable == {"flowapi", "flowauth"}


def test_each_secret_is_a_file_and_goes_to_who_needs_it() -> None:
    needed = {
        "flowdb": {"FLOWDB_POSTGRES_PASSWORD"},
        "migrate": {"FLOWDB_POSTGRES_PASSWORD", "FLOWMACHINE_FLOWDB_PASSWORD", "FLOWAPI_FLOWDB_PASSWORD"},
        "flowmachine": {"FLOWMACHINE_FLOWDB_PASSWORD"},
        "worker": {"FLOWMACHINE_FLOWDB_PASSWORD"},
        "flowapi": {"FLOWAPI_FLOWDB_PASSWORD", "PUBLIC_JWT_SIGNING_KEY"},
        "flowauth": {
            "PRIVATE_JWT_SIGNING_KEY",
            "FLOWAUTH_FERNET_KEY",
            "SECRET_KEY",
            "FLOWAUTH_ADMIN_PASSWORD",
        },
        "flowetl": {"FLOWDB_POSTGRES_PASSWORD", "FLOWETL_PSEUDONYM_KEY"},
    }
    assert {
        name: set(service["secrets"]) for name, service in SERVICES.items() if "secrets" in service
    } == needed
    assert set(COMPOSE["secrets"]) == set().union(*needed.values())
    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"].endswith(f"/{name}")
    for name, service in SERVICES.items():
        assert not set(service.get("environment", {})) & set(COMPOSE["secrets"]), name


def test_both_routes_know_the_same_settings(tmp_path: Path) -> None:
    native = set(Layout(state=tmp_path, ports=DEFAULT_PORTS).environment()) - NATIVE_ONLY
    compose = {setting for service in SERVICES.values() for setting in service.get("environment", {})}
    optional = {
        "FLOWMACHINE_MEMORY_LIMIT",
        "FLOWMACHINE_THREADS",
        "FLOWMACHINE_RELEASE_FLOOR",
        "FLOWAUTH_ADMIN_USERNAME",
        "FLOWETL_REJECTS",
    }
    assert compose - native == optional
    assert native - compose == set()


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_service_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    if name == "worker":
        assert service["healthcheck"] == {"disable": True}
        return
    package = service["image"].removeprefix("flowkit-").removesuffix(":latest")
    assert "HEALTHCHECK" in (CHECKOUT / package / "Dockerfile").read_text()


@pytest.mark.parametrize("package", ["flowdb", "flowmachine", "flowapi", "flowauth", "flowetl"])
def test_images_end_as_a_numeric_user_and_are_built_from_the_lock(package: str) -> None:
    lines = (CHECKOUT / package / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")][-1] == "USER 10001:10001"
    assert any("uv sync --frozen" in line for line in lines)
