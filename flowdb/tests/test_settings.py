"""Check that a deployment is made from its settings.

flowsettings tests how settings are found.
"""

from pathlib import Path

import pytest

from flowdb.deployment import Deployment
from flowsettings import SettingError


@pytest.fixture(autouse=True)
def secrets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWKIT_SECRETS", str(tmp_path))
    return tmp_path


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOWDB_POSTGRES_PASSWORD", "FLOWMACHINE_FLOWDB_PASSWORD", "FLOWAPI_FLOWDB_PASSWORD"):
        monkeypatch.setenv(name, f"a secret of {name}")
    for name in ("FLOWMACHINE_FLOWDB_USER", "FLOWAPI_FLOWDB_USER", "FLOWDB_PORT", "FLOWDB_TIMEZONE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("passwords")
def test_a_deployment_has_the_documented_defaults() -> None:
    deployment = Deployment.from_settings()
    assert (deployment.host, deployment.port, deployment.database) == ("localhost", 9000, "flowdb")
    assert [login.user for login in deployment.logins] == ["flowdb", "flowmachine", "flowapi"]
    assert deployment.timezone == "UTC"


@pytest.mark.usefixtures("passwords")
def test_a_deployment_never_shows_a_password() -> None:
    deployment = Deployment.from_settings()
    assert "a secret of" not in f"{deployment!r} {deployment} {deployment.url()}"


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "FLOWDB_TIMEZONE",
            "Mars/Olympus",
            "FLOWDB_TIMEZONE is 'Mars/Olympus'; it must be an IANA time zone",
        ),
        ("FLOWDB_PORT", "0", "FLOWDB_PORT is '0'; it must be a whole number from 1 to 65535"),
        ("FLOWAPI_FLOWDB_USER", "flowdb", "three different users"),
        ("FLOWAPI_FLOWDB_USER", "flowmachine", "three different users"),
        ("FLOWMACHINE_FLOWDB_USER", "flowapi", "three different users"),
    ],
)
def test_an_unusable_deployment_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=message):
        Deployment.from_settings()


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    "name", ["FLOWDB_POSTGRES_PASSWORD", "FLOWMACHINE_FLOWDB_PASSWORD", "FLOWAPI_FLOWDB_PASSWORD"]
)
@pytest.mark.parametrize("weak", ["flowmachine", "foofoofoofoofoofoo", "abcdefghijklmnopqrstuvwx"])
def test_a_weak_password_is_given_to_no_role(monkeypatch: pytest.MonkeyPatch, name: str, weak: str) -> None:
    monkeypatch.setenv(name, weak)
    with pytest.raises(SettingError, match=f"^{name} cannot be used: it must be ") as refused:
        Deployment.from_settings()
    assert weak not in str(refused.value)


@pytest.mark.usefixtures("passwords")
def test_the_two_literal_roles_cannot_be_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWMACHINE_FLOWDB_USER", "flowapi")
    monkeypatch.setenv("FLOWAPI_FLOWDB_USER", "flowmachine")
    with pytest.raises(SettingError, match="do not swap them"):
        Deployment.from_settings()
