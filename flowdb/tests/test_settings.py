"""Settings come from the secrets folder, then the environment, then the default."""

from pathlib import Path

import pytest

from flowdb.deployment import Deployment
from flowdb.settings import SettingError, integer_setting, setting


@pytest.fixture(autouse=True)
def secrets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWKIT_SECRETS", str(tmp_path))
    monkeypatch.delenv("COLOUR", raising=False)
    return tmp_path


def test_a_file_wins_over_the_environment_and_is_stripped(
    secrets_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLOUR", "red")
    assert setting("COLOUR", "white") == "red"
    (secrets_folder / "COLOUR").write_text(" blue\n")
    assert setting("COLOUR", "white") == "blue"


def test_the_default_is_last() -> None:
    assert setting("COLOUR", "white") == "white"


def test_a_missing_setting_is_named_with_both_places(secrets_folder: Path) -> None:
    with pytest.raises(SettingError, match="COLOUR is not set") as raised:
        setting("COLOUR")
    assert str(secrets_folder / "COLOUR") in str(raised.value)


def test_an_empty_value_counts_as_absent(secrets_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLOUR", "")
    (secrets_folder / "COLOUR").write_text("\n")
    assert setting("COLOUR", "white") == "white"


def test_an_unreadable_secret_is_an_error_and_not_the_default(secrets_folder: Path) -> None:
    (secrets_folder / "COLOUR").mkdir()
    with pytest.raises(SettingError, match="COLOUR cannot be read"):
        setting("COLOUR", "white")


def test_a_number_that_is_none_is_refused_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLOUR", "red")
    with pytest.raises(SettingError, match="COLOUR must be a whole number, not 'red'"):
        integer_setting("COLOUR", 1)


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOWDB_POSTGRES_PASSWORD", "FLOWMACHINE_FLOWDB_PASSWORD", "FLOWAPI_FLOWDB_PASSWORD"):
        monkeypatch.setenv(name, f"secret of {name}")
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
    assert "secret of" not in f"{deployment!r} {deployment} {deployment.url()}"


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FLOWDB_TIMEZONE", "Mars/Olympus", "FLOWDB_TIMEZONE is 'Mars/Olympus'"),
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
def test_the_two_literal_roles_cannot_be_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWMACHINE_FLOWDB_USER", "flowapi")
    monkeypatch.setenv("FLOWAPI_FLOWDB_USER", "flowmachine")
    with pytest.raises(SettingError, match="cannot be swapped"):
        Deployment.from_settings()
