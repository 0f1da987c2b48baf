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
LONG_RUNNING = sorted(set(SERVICES) - {"base", "migrate", "demo"})
# The native stack has neither TLS nor monitoring, and keeps the auth app's accounts in SQLite.
ONLY_IN_CONTAINERS = {"accounts", "proxy", "monitoring"}

# What only the file knows: its services, networks and users.
DEFAULTS_OF_THE_FILE = {
    "DB_URI",
    "FLOWAPI_TRUSTED_PROXIES",
    "FLOWAUTH_ADMIN_USERNAME",
    "FLOWAUTH_TRUSTED_PROXIES",
    "FLOWKIT_HOST",
    "FLOWKIT_REPORTS_USER",
}

PACKAGES = ("flowdb", "flowmachine", "flowapi", "flowauth", "flowetl")

# Differences in how the launcher runs, not in how a service behaves.
NATIVE_ONLY = {"PATH", "HOME", "LANG", "TZ", "FLOWKIT_SECRETS", "FLOWKIT_BIND", "PYTHONUNBUFFERED"}
# In containers a service user asks for reports.
NATIVE_ONLY |= {"FLOWAPI_TOKEN_FILE"}
# Temporary files and the health of the flows' runner.
COMPOSE_ONLY = {
    "FLOWKIT_REPORTS_USER",
    "FLOWKIT_REPORTS_PASSWORD_FILE",
    "FLOWKIT_REPORTS_METRICS_PORT",
    "TMPDIR",
    "FLOWKIT_HOST",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "PREFECT_RUNNER_SERVER_ENABLE",
    "PREFECT_RUNNER_SERVER_HOST",
    "PREFECT_SERVER_UI_API_URL",
}
# Every container has its own secrets folder and address; the others are for tests only.
NOT_PASSED = {"FLOWKIT_SECRETS", "FLOWKIT_BIND", "FLOWDB_DATABASE", "FLOWMACHINE_TEST_KINDS"}
NOT_PASSED |= {"FLOWAPI_TOKEN_FILE"}
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


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_a_service_gives_up_a_peer_whose_network_broke_in_four_seconds(name: str) -> None:
    kernel = {
        key.removeprefix("net.ipv4.tcp_keepalive_"): value for key, value in SERVICES[name]["sysctls"].items()
    }
    assert kernel["time"] + kernel["intvl"] * kernel["probes"] == 4


def test_only_the_proxy_and_the_monitoring_are_published() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"proxy", "monitoring"}
    outside = {network for network, options in COMPOSE["networks"].items() if not options.get("internal")}
    reachable = {name for name, service in SERVICES.items() if outside & set(service.get("networks", []))}
    assert reachable == {"proxy", "monitoring"}
    # Nobody but this host sees the pages without password, whatever FLOWKIT_PUBLISH says.
    assert SERVICES["monitoring"]["ports"][0].startswith("127.0.0.1:")
    assert SERVICES["proxy"]["ports"][0].startswith("${FLOWKIT_PUBLISH:-127.0.0.1}:")


def test_the_api_trusts_the_network_of_the_proxy() -> None:
    [configuration] = COMPOSE["networks"]["front"]["ipam"]["config"]
    subnet = configuration["subnet"].partition(":-")[2]
    assert SERVICES["flowapi"]["environment"]["FLOWAPI_TRUSTED_PROXIES"].partition(":-")[2] == subnet
    assert {name for name, service in SERVICES.items() if "front" in service.get("networks", [])} == {
        "proxy",
        "flowapi",
        "flowauth",
    }


def test_each_secret_is_a_file_and_goes_to_who_needs_it() -> None:
    needed = {
        "flowdb": {"FLOWDB_POSTGRES_PASSWORD"},
        "migrate": {"FLOWDB_POSTGRES_PASSWORD", "FLOWMACHINE_FLOWDB_PASSWORD", "FLOWAPI_FLOWDB_PASSWORD"},
        "flowmachine": {"FLOWMACHINE_FLOWDB_PASSWORD", "FLOWMACHINE_KEY"},
        "worker": {"FLOWMACHINE_FLOWDB_PASSWORD"},
        "evict": {"FLOWMACHINE_FLOWDB_PASSWORD"},
        "flowapi": {"FLOWAPI_FLOWDB_PASSWORD", "FLOWMACHINE_KEY", "PUBLIC_JWT_SIGNING_KEY"},
        "flowauth": {
            "PRIVATE_JWT_SIGNING_KEY",
            "FLOWAUTH_FERNET_KEY",
            "SECRET_KEY",
            "FLOWAUTH_ADMIN_PASSWORD",
            "FLOWAUTH_DB_PASSWORD",
        },
        "accounts": {"FLOWAUTH_DB_PASSWORD"},
        "demo": {"FLOWDB_POSTGRES_PASSWORD", "FLOWETL_PSEUDONYM_KEY"},
        "prefect": {"FLOWETL_PREFECT_PASSWORD"},
        "flowetl": {"FLOWDB_POSTGRES_PASSWORD", "FLOWETL_PREFECT_PASSWORD", "FLOWETL_PSEUDONYM_KEY"},
        "reports": {"FLOWETL_PREFECT_PASSWORD", "FLOWKIT_REPORTS_PASSWORD"},
    }
    assert {
        name: set(service["secrets"]) for name, service in SERVICES.items() if "secrets" in service
    } == needed
    assert set(COMPOSE["secrets"]) == set().union(*needed.values())
    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"].endswith(f"/{name}")
    for name, service in SERVICES.items():
        assert not set(service.get("environment", {})) & set(COMPOSE["secrets"]), name


def test_reports_are_made_with_a_client_s_rights_alone() -> None:
    """Keep the maker of pages away from keys, databases and events."""
    service = SERVICES["reports"]
    beside = {
        name for name, other in SERVICES.items() if set(other.get("networks", [])) & set(service["networks"])
    }
    assert beside == {"reports", "flowapi", "flowauth", "prefect", "monitoring"}
    # Prometheus is reached, and none of the services that it watches elsewhere.
    assert {name for name, other in SERVICES.items() if "watching" in other.get("networks", [])} == {
        "reports",
        "flowauth",
        "monitoring",
    }
    assert {each.partition(":/")[2] for each in service["volumes"]} == {
        "var/lib/flowkit/reports",
        "etc/flowkit/reports:ro",
    }
    known = {name for name in settings_given_to(service) if not name.startswith(("PREFECT_", "FLOWKIT_"))}
    assert known == {
        "DO_NOT_TRACK",
        "FLOWAPI_URL",
        "FLOWAUTH_URL",
        "FLOWDB_TIMEZONE",
        "FLOWETL_PREFECT_PASSWORD",
    }


def test_both_routes_know_the_same_settings(tmp_path: Path) -> None:
    native = set(Layout(state=tmp_path, ports=DEFAULT_PORTS).environment()) - NATIVE_ONLY
    compose = {setting for service in SERVICES.values() for setting in service.get("environment", {})}
    on_request = {name for name in compose if name.startswith(PASSED_ON) or name in DATABASE_SETTINGS}
    assert native - compose == set()
    assert compose - native - on_request == COMPOSE_ONLY


def test_both_routes_run_the_same_services(tmp_path: Path) -> None:
    layout = Layout(state=tmp_path, ports=DEFAULT_PORTS)
    without = {service.name.partition("-")[0] for service in services(layout)} | {"flowdb"}
    layout.reports.mkdir()
    (layout.reports / "flood.yml").touch()
    native = {service.name.partition("-")[0] for service in services(layout)} | {"flowdb"}
    assert native == set(LONG_RUNNING) - ONLY_IN_CONTAINERS
    # No process waits where no report is defined.
    assert native - without == {"reports"}


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
            left = settings_table()["flowmachine"] - settings_given_to(service) - NOT_PASSED
            # Only the server opens the port that this secret guards.
            assert left == (set() if name == "flowmachine" else {"FLOWMACHINE_KEY"}), name


def test_every_setting_that_is_passed_is_in_the_table() -> None:
    passed = {setting for service in SERVICES.values() for setting in settings_given_to(service)}
    folders = {"TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}
    assert passed - set().union(*settings_table().values()) == folders


def test_every_variable_of_the_file_is_in_the_table() -> None:
    variables = set(re.findall(r"\$\{([A-Z0-9_]+)", TEXT)) | {"COMPOSE_PROFILES"}
    assert variables - set().union(*settings_table().values()) == set()


def test_a_setting_is_passed_under_its_own_name() -> None:
    values = [item for service in SERVICES.values() for item in service.get("environment", {}).items()]
    for name, value in values:
        assert re.fullmatch(rf"\$\{{{name}:[-?].*\}}|[^$]*", value), (name, value)
        # A default in the file would hide the default of the table.
        if value.startswith("$"):
            assert ":?" in value or value == f"${{{name}:-}}" or name in DEFAULTS_OF_THE_FILE


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
        "FLOWMACHINE_KEY": "q8Fz2mVd0Lk5Rw7X",
        "PUBLIC_JWT_SIGNING_KEY": public_pem(key),
        "PRIVATE_JWT_SIGNING_KEY": private_pem(key),
        "FLOWAUTH_FERNET_KEY": Fernet.generate_key().decode(),
        "SECRET_KEY": "h3Vn8QwzJ5rTb0Ym",
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
    assert writers == {"flowetl", "demo"}


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
    # Both databases have the same folder, each in its own container.
    assert written - set(made.split()) == {"accounts"}
    targets = {each.split(":")[1] for service in SERVICES.values() for each in service.get("volumes", [])}
    assert {target for target in targets if target.startswith("/var/lib/flowkit/")} <= {
        f"/var/lib/flowkit/{folder}" for folder in made.split()
    }


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_service_has_a_health_check_that_asks_the_service_itself(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert {"interval", "timeout", "start_period", "retries"} < set(check)
    program = Path(check["test"][1])
    # A check runs every ten seconds in each container, so it must not start a Python.
    if program.name == "pg_isready":
        assert "127.0.0.1" in check["test"]
    else:
        assert program == Path("/opt/flowkit/health")
        assert (CHECKOUT / "tools/containers/health").read_text().startswith("#!/bin/bash\n")


@pytest.mark.parametrize("package", PACKAGES)
def test_images_end_as_a_numeric_user_and_are_built_from_the_lock(package: str) -> None:
    lines = (CHECKOUT / package / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")][-1] == "USER 10001:10001"
    for part in ("dependencies", "package"):
        assert f"RUN sh /opt/flowkit/install {part} {package}" in lines
    install = (CHECKOUT / "tools" / "containers" / "install").read_text()
    assert install.count("uv export --quiet --frozen --no-dev") == 2
    assert "--require-hashes" in install


def test_the_base_image_depends_on_no_shell_but_the_standard_one() -> None:
    """Check that the base image needs only the standard shell.

    An OCI image has no SHELL, so braces would become part of one folder's name.
    """
    text = (CHECKOUT / "Dockerfile.base").read_text()
    assert not re.search(r"^SHELL", text, re.MULTILINE)
    assert "{" not in re.sub(r"\$\{[^}]*\}", "", text)


def test_a_build_knows_every_member_of_the_workspace_and_copies_what_it_installs() -> None:
    """Check that each image has the sources of its package's parts.

    A stub stands for every other member, so a forgotten source would install an empty package.
    """
    lock = tomllib.loads((CHECKOUT / "uv.lock").read_text())["package"]
    members = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    needs = {
        package["name"]: {each["name"] for each in package.get("dependencies", [])} & set(members)
        for package in lock
        if package["name"] in members
    }
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    for package in PACKAGES:
        wanted = {package} | needs[package]
        wanted |= {each for other in wanted for each in needs[other]}
        text = (CHECKOUT / package / "Dockerfile").read_text()
        assert set(re.findall(r"^COPY (\w+) /src/\1$", text, re.MULTILINE)) == wanted
        for each in wanted:
            assert {f"!{each}/pyproject.toml", f"!{each}/src"} <= set(ignored)


def test_what_the_guide_adds_to_the_file_fits_it() -> None:
    page = (CHECKOUT / "docs" / "operators" / "production.md").read_text()
    [text] = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    added = yaml.safe_load(text)["services"]
    caddyfile = (CHECKOUT / "proxy" / "Caddyfile").read_text()
    # The operator's own proxy reaches the same two services as ours.
    assert set(added) == set(re.findall(r"import backend (\w+):", caddyfile))
    for name, service in added.items():
        address, outer, inner = service["ports"][0].split(":")
        assert address == "127.0.0.1"
        assert outer == inner == re.search(rf"import backend {name}:(\d+)", caddyfile)[1]  # type: ignore[index]
        assert set(service["networks"]) <= set(COMPOSE["networks"])


def test_each_alert_is_on_the_page_and_asks_for_a_metric_of_the_page() -> None:
    page = (CHECKOUT / "docs" / "operators" / "monitoring.md").read_text()
    rules = yaml.safe_load((CHECKOUT / "monitoring" / "rules.yml").read_text())["groups"][0]["rules"]
    alerts = page.partition("## Alerts")[2].partition("## Metrics")[0]
    assert re.findall(r"^\| `(\w+)` \|", alerts, re.MULTILINE) == [rule["alert"] for rule in rules]
    known = set(re.findall(r"`(flow\w+)`", page.partition("## Metrics")[2]))
    dashboard = (CHECKOUT / "monitoring" / "dashboard.json").read_text()
    for text in (*(rule["expr"] for rule in rules), dashboard):
        used = {
            name.removesuffix("_bucket") for name in re.findall(r"\bflow(?:api|auth|etl|machine)_\w+", text)
        }
        assert used <= known


def test_prometheus_asks_the_ports_that_serve_metrics() -> None:
    told = yaml.safe_load((CHECKOUT / "monitoring" / "prometheus.yml").read_text())["scrape_configs"]
    asked = {job["job_name"]: str(job["dns_sd_configs"][0]["port"]) for job in told}
    served = {
        name: service["environment"][setting]
        for name, service in SERVICES.items()
        for setting in service.get("environment", {})
        if setting.endswith("_METRICS_PORT") and name != "demo"
    }
    assert asked == served
    assert {
        name for name in SERVICES if {"metrics", "watching"} & set(SERVICES[name].get("networks", []))
    } == {
        *served,
        "monitoring",
    }
