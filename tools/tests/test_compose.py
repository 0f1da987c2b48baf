"""Check the compose file against the design and the native stack's settings."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from layout import CHECKOUT, DATABASE_SETTINGS, DEFAULT_PORTS, PASSED_ON, Layout
from services import services

from flowapi.settings import load_settings
from flowauth.settings import Settings
from flowauth.signing import new_key, private_pem, public_pem
from flowdb.configuration import server_settings
from flowmachine.settings import Settings as EngineSettings

TEXT = (CHECKOUT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LONG_RUNNING = sorted(set(SERVICES) - {"base", "migrate"})

PACKAGES = ("flowdb", "flowmachine", "flowapi", "flowauth", "flowetl")

# Differences in how the launcher runs, not in how a service behaves.
NATIVE_ONLY = {"PATH", "HOME", "LANG", "TZ", "FLOWKIT_SECRETS", "FLOWKIT_BIND", "PYTHONUNBUFFERED"}
# Temporary files, Prefect's pages on a read-only file system and the health of the flows' runner.
COMPOSE_ONLY = {
    "TMPDIR",
    "PREFECT_RUNNER_SERVER_ENABLE",
    "PREFECT_SERVER_UI_API_URL",
    "PREFECT_SERVER_UI_STATIC_DIRECTORY",
}
# Every container has its own secrets folder and address; the others are for tests only.
NOT_PASSED = {"FLOWKIT_SECRETS", "FLOWKIT_BIND", "FLOWDB_DATABASE", "FLOWMACHINE_TEST_KINDS"}
# Made of the password by the loader.
NOT_PASSED |= {"PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"}


def package_of(service: dict[str, Any]) -> str:
    return str(service["image"]).removeprefix("flowkit-").partition(":")[0]


def settings_given_to(service: dict[str, Any]) -> set[str]:
    return set(service.get("environment", {})) | set(service.get("secrets", []))


def settings_table() -> dict[str, set[str]]:
    """Return the names in the first column of each section of the settings page."""
    page = (CHECKOUT / "docs" / "operators" / "settings.md").read_text()
    sections = {}
    for section in page.split("\n## ")[1:]:
        cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
        sections[section.partition("\n")[0]] = set(re.findall(r"`([A-Z0-9_]+)`", " ".join(cells)))
    return sections


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
        "evict": {"FLOWMACHINE_FLOWDB_PASSWORD"},
        "flowapi": {"FLOWAPI_FLOWDB_PASSWORD", "PUBLIC_JWT_SIGNING_KEY"},
        "flowauth": {
            "PRIVATE_JWT_SIGNING_KEY",
            "FLOWAUTH_FERNET_KEY",
            "SECRET_KEY",
            "FLOWAUTH_ADMIN_PASSWORD",
            "FLOWAUTH_DB_PASSWORD",
        },
        "prefect": {"FLOWETL_PREFECT_PASSWORD"},
        "flowetl": {"FLOWDB_POSTGRES_PASSWORD", "FLOWETL_PREFECT_PASSWORD", "FLOWETL_PSEUDONYM_KEY"},
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
    on_request = {name for name in compose if name.startswith(PASSED_ON) or name in DATABASE_SETTINGS}
    assert native - compose == set()
    assert compose - native - on_request == COMPOSE_ONLY


def test_both_routes_run_the_same_services(tmp_path: Path) -> None:
    native = services(Layout(state=tmp_path, ports=DEFAULT_PORTS))
    assert {service.name.partition("-")[0] for service in native} | {"flowdb"} == set(LONG_RUNNING)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_setting_in_the_table_reaches_a_service_of_its_package(package: str) -> None:
    given = [settings_given_to(service) for service in SERVICES.values() if package_of(service) == package]
    assert settings_table()[package] - set().union(*given) - NOT_PASSED == set()


def test_every_service_of_the_engine_has_all_of_its_settings() -> None:
    """Check that all of the engine's services get all of its settings.

    A floor that only the server knew would not hold where the rows are cut.
    """
    for name, service in SERVICES.items():
        if package_of(service) == "flowmachine":
            assert settings_table()["flowmachine"] - settings_given_to(service) - NOT_PASSED == set(), name


def test_every_setting_that_is_passed_is_in_the_table() -> None:
    passed = {setting for service in SERVICES.values() for setting in settings_given_to(service)}
    assert passed - set().union(*settings_table().values()) == {"TMPDIR"}


def test_a_setting_is_passed_under_its_own_name() -> None:
    values = [item for service in SERVICES.values() for item in service.get("environment", {}).items()]
    for name, value in values:
        assert re.fullmatch(rf"\$\{{{name}:[-?].*\}}|[^$]*", value), (name, value)
        # A default in the file would hide the default of the table.
        if value.startswith("$"):
            assert ":?" in value or value == f"${{{name}:-}}" or name in ("DB_URI", "FLOWAUTH_ADMIN_USERNAME")


def left_out(name: str) -> dict[str, str]:
    """Return the empty values that a service gets for settings absent from ``.env``."""
    return {
        setting: ""
        for setting, value in SERVICES[name]["environment"].items()
        if value == f"${{{setting}:-}}"
    }


def test_what_is_left_out_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key(2048)
    given = {
        "FLOWKIT_SECRETS": str(tmp_path),
        "FLOWAPI_IDENTIFIER": "server",
        "FLOWAPI_FLOWDB_PASSWORD": "password",
        "PUBLIC_JWT_SIGNING_KEY": public_pem(key),
        "PRIVATE_JWT_SIGNING_KEY": private_pem(key),
        "FLOWAUTH_FERNET_KEY": Fernet.generate_key().decode(),
        "SECRET_KEY": "secret",
        "DB_URI": "sqlite://",
    }
    assert load_settings(given | left_out("flowapi")) == load_settings(given)

    auth, empty = (Settings.load(each) for each in (given, given | left_out("flowauth")))
    # Two readings of one key are two objects.
    keys = {"private_key": auth.private_key, "fernet": auth.fernet}
    assert empty.model_copy(update=keys) == auth

    engine = {"FLOWDB_COLUMNAR_PATH": "/columnar", "FLOWMACHINE_CACHE_PATH": "/cache"}
    for name, value in (given | engine | {"FLOWMACHINE_FLOWDB_PASSWORD": "password"}).items():
        monkeypatch.setenv(name, value)
    for name in left_out("flowdb") | left_out("worker"):
        monkeypatch.delenv(name, raising=False)
    absent = server_settings(), EngineSettings.load()
    for name, value in (left_out("flowdb") | left_out("worker")).items():
        monkeypatch.setenv(name, value)
    assert (server_settings(), EngineSettings.load()) == absent


def test_only_the_engine_s_workers_and_its_cleaner_have_the_folder_of_results() -> None:
    mounts = {name: service.get("volumes", []) for name, service in SERVICES.items()}
    assert {name for name, volumes in mounts.items() if any("cache:" in each for each in volumes)} == {
        "worker",
        "evict",
    }
    writers = {
        name
        for name, volumes in mounts.items()
        if any(each.startswith("columnar:") and not each.endswith(":ro") for each in volumes)
    }
    assert writers == {"flowetl"}


def test_all_images_are_of_one_version_that_the_operator_names() -> None:
    for service in SERVICES.values():
        assert service["image"].partition(":")[2].startswith("${FLOWKIT_VERSION")
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert f"FLOWKIT_VERSION={version}\n" in (CHECKOUT / "docs/operators/production.md").read_text()


def test_every_folder_that_a_service_writes_is_made_in_the_base_image_for_its_user() -> None:
    """Check that the base image creates every written folder for its user.

    A volume takes the owner of the image's folder in its place. Without such a folder, root would own the
    volume.
    """
    [made] = re.findall(r"for folder in ([a-z ]+); do", (CHECKOUT / "Dockerfile.base").read_text())
    volumes = [each for service in SERVICES.values() for each in service.get("volumes", [])]
    written = {each.split(":")[0] for each in volumes if not each.startswith("$")}
    assert written - set(made.split()) == {"database"}  # flowdb's Dockerfile makes it


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_service_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    if name in ("worker", "evict"):
        assert service["healthcheck"] == {"disable": True}
    elif "healthcheck" not in service:
        assert "HEALTHCHECK" in (CHECKOUT / package_of(service) / "Dockerfile").read_text()


def test_a_health_check_asks_the_service_itself() -> None:
    checks = [
        str(service["healthcheck"].get("test", ""))
        for service in SERVICES.values()
        if "healthcheck" in service
    ]
    checks += [(CHECKOUT / package / "Dockerfile").read_text() for package in PACKAGES]
    addresses = [
        address
        for check in checks
        for address in re.findall(r"(?:http://|tcp://|\"api\", \")([^:/]+)", check)
    ]
    assert len(addresses) >= 4
    assert set(addresses) == {"127.0.0.1"}


@pytest.mark.parametrize("package", PACKAGES)
def test_images_end_as_a_numeric_user_and_are_built_from_the_lock(package: str) -> None:
    lines = (CHECKOUT / package / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")][-1] == "USER 10001:10001"
    assert any("uv sync --frozen" in line for line in lines)


def test_the_base_image_depends_on_no_shell_but_the_standard_one() -> None:
    """Check that the base image needs only the standard shell.

    An OCI image has no SHELL, so braces would become part of one folder's name.
    """
    text = (CHECKOUT / "Dockerfile.base").read_text()
    assert not re.search(r"^SHELL", text, re.MULTILINE)
    assert "{" not in re.sub(r"\$\{[^}]*\}", "", text)


def test_the_base_image_knows_every_member_of_the_workspace() -> None:
    """Check that the base image has every workspace member's pyproject.toml.

    Without these files uv cannot read the workspace, and no image is built.
    """
    text = (CHECKOUT / "Dockerfile.base").read_text()
    members = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    assert re.findall(r"^COPY .* (\w+)/pyproject.toml", text, re.MULTILINE) == members
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    for member in members:
        assert {f"!{member}/pyproject.toml", f"!{member}/src"} <= set(ignored)


def test_what_the_guide_adds_to_the_file_fits_it() -> None:
    page = (CHECKOUT / "docs" / "operators" / "production.md").read_text()
    [text] = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    added = yaml.safe_load(text)
    assert set(added["services"]) <= set(SERVICES)
    for service in added["services"].values():
        assert set(service["secrets"]) == set(added["secrets"])
    for name, secret in added["secrets"].items():
        assert Path(secret["file"]).parent == Path(COMPOSE["secrets"]["SECRET_KEY"]["file"]).parent
        assert secret["file"].endswith(f"/{name}")
