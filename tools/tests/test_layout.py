"""Test ports, folders and secrets of the native stack."""

from __future__ import annotations

import ast
import json
import re
import socket
import stat
import sys
from datetime import date
from pathlib import Path

import layout
import pytest
import stack
from cluster import Cluster, ClusterError, free_port
from layout import DEFAULT_PORTS, REMEMBERED, Layout, StackError
from native import Native

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*DEFAULT_PORTS, *REMEMBERED, "FLOWMACHINE_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLOWKIT_STATE", str(tmp_path))
    return tmp_path


def test_defaults(state: Path) -> None:
    found = Layout.from_environment()
    assert found.state == state
    assert found.ports == DEFAULT_PORTS
    assert found.endpoints()["flowapi"]["url"] == "http://127.0.0.1:9090"


def test_a_stack_started_on_other_ports_is_found_without_naming_them(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWAPI_PORT", "19090")
    started = Layout.from_environment()
    started.endpoints_file.write_text(json.dumps(started.endpoints()))
    monkeypatch.delenv("FLOWAPI_PORT")
    assert Layout.from_environment().ports["FLOWAPI_PORT"] == 19090


def test_later_commands_have_the_sources_and_the_zone_that_a_stack_was_started_with(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(state)
    monkeypatch.setenv("FLOWETL_SOURCES", "mine")
    monkeypatch.setenv("FLOWDB_TIMEZONE", "Asia/Kathmandu")
    started = Layout.from_environment()
    started.endpoints_file.write_text(json.dumps(started.endpoints()))
    monkeypatch.delenv("FLOWETL_SOURCES")
    monkeypatch.delenv("FLOWDB_TIMEZONE")
    found = Layout.from_environment().environment()
    assert (found["FLOWETL_SOURCES"], found["FLOWDB_TIMEZONE"]) == (str(state / "mine"), "Asia/Kathmandu")
    monkeypatch.setenv("FLOWETL_SOURCES", "others")
    assert Layout.from_environment().environment()["FLOWETL_SOURCES"] == str(state / "others")


def test_a_port_that_is_no_number_is_named(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWAUTH_PORT", "web")
    with pytest.raises(StackError, match=r"FLOWAUTH_PORT is 'web'"):
        Layout.from_environment()


def test_a_taken_port_is_reported_by_its_setting(state: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = {name: free_port() for name in DEFAULT_PORTS} | {"FLOWAUTH_PORT": taken}
        with pytest.raises(StackError, match=f"port {taken} is taken by another program; set FLOWAUTH_PORT"):
            Native(Layout(state=state, ports=ports)).up()


def test_secrets_are_made_once_and_only_the_owner_reads_them(state: Path) -> None:
    stack = Native(Layout.from_environment())
    stack._make_folders()
    stack._make_secrets()
    folder = stack.layout.secrets
    before = {path.name: path.read_text() for path in folder.iterdir()}
    stack._make_secrets()
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert "PRIVATE_JWT_SIGNING_KEY" in before


def test_a_password_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "FLOWDB_POSTGRES_PASSWORD"
    file.mkdir()
    with pytest.raises(ClusterError, match=f"FLOWDB_POSTGRES_PASSWORD cannot be read from {file}: Is a dir"):
        Cluster(tmp_path / "state", 0, secrets=tmp_path).password()


def test_no_secret_is_in_the_environment_or_the_endpoints(state: Path) -> None:
    stack = Native(Layout.from_environment())
    stack._make_folders()
    stack._make_secrets()
    secrets = [path.read_text().strip() for path in stack.layout.secrets.iterdir()]
    public = json.dumps(stack.layout.endpoints()) + json.dumps(stack.layout.environment())
    assert not [secret for secret in secrets if secret in public]


def test_everything_runs_on_the_standard_library_alone() -> None:
    files = list(Path(layout.__file__).parent.glob("*.py"))
    imported = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    assert imported <= set(sys.stdlib_module_names) | {path.stem for path in files}


def test_the_demonstration_s_country_reaches_the_days_that_its_notebook_asks_about() -> None:
    notebook = json.loads((layout.CHECKOUT / "demo" / "notebook.ipynb").read_text())
    [cell] = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    # An end date is exclusive.
    ends = [
        date.fromisoformat(found) for found in re.findall(r'"end_date": "([0-9-]+)"', "".join(cell["source"]))
    ]
    assert (max(ends) - layout.DEMO_FIRST_DAY).days == layout.DEMO_LEAST_DAYS


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("FLOWKIT_DEMO_DAYS", "20", "54"),
        ("FLOWKIT_DEMO_DAYS", "53", "54"),
        ("FLOWKIT_DEMO_SUBSCRIBERS", "999", "1000"),
    ],
)
def test_a_country_that_is_too_small_for_the_notebook_is_refused_before_anything_is_installed(
    name: str, value: str, least: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stack, "bootstrap", pytest.fail)
    monkeypatch.setenv(name, value)
    assert stack.main(["demo"]) == 1
    assert f"{name} is {value}; it must be {least} or more" in capsys.readouterr().err


def test_what_others_can_use_is_told_and_closed_by_the_next_start(state: Path) -> None:
    found = Layout.from_environment()
    for folder in (found.secrets, found.logs):
        folder.mkdir(mode=0o755)
    (state / "flowauth.sqlite").touch(mode=0o640)
    (state / "tools").mkdir()
    assert found.open_to_others() == [found.logs, found.secrets, state / "flowauth.sqlite"]
    Native(found)._make_folders()
    assert found.open_to_others() == []
    assert stat.S_IMODE((state / "flowauth.sqlite").stat().st_mode) == 0o600
