"""Check that all settings are refused alike and that the page lists them all."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from layout import CHECKOUT

import flowapi.settings
import flowauth.settings
import flowetl.settings
import flowmachine.settings
from flowauth.signing import new_key, private_pem, public_pem
from flowdb.configuration import ARCHIVE, OVERRIDES, server_settings
from flowdb.deployment_settings import CacheSettings, DeploymentSettings
from flowsettings import SettingError
from flowsettings.service import ServiceSettings

CLASSES: dict[str, tuple[type[ServiceSettings], ...]] = {
    "flowdb": (DeploymentSettings, CacheSettings),
    "flowmachine": (flowmachine.settings.ServerSettings,),
    "flowapi": (flowapi.settings.Settings,),
    "flowauth": (flowauth.settings.Settings,),
    "flowetl": (
        flowetl.settings.LoaderSettings,
        flowetl.settings.OrchestratorSettings,
        flowetl.settings.PseudonymSettings,
        flowetl.settings.ReportSettings,
    ),
}

# Read by Prefect.
FOREIGN = re.compile(r"PREFECT_\w+|DO_NOT_TRACK")

# Any text will do for a host, a path, a name or a password.
FREE = (str, str | None, Path, Path | None)

# So it will for files that need not be there yet.
LISTS = {"FLOWAUTH_TOKEN_USE_FILES", "FLOWAUTH_QUERY_SCOPES_FILES"}

WRONG = "no such value"

FIELDS = [
    pytest.param(settings, name, id=f"{package}-{field.validation_alias}")
    for package, classes in CLASSES.items()
    for settings in classes
    for name, field in settings.model_fields.items()
    if field.validation_alias is not None
]


@pytest.fixture(scope="module")
def required() -> dict[str, str]:
    """Return the settings that services require."""
    key = new_key(2048)
    return {
        "FLOWKIT_SECRETS": "/no/such/folder",
        "FLOWAPI_IDENTIFIER": "server",
        "FLOWAPI_FLOWDB_PASSWORD": "j7Xc3NpH5kWd1QyF",
        "FLOWAUTH_FERNET_KEY": "n0Jk3WtB9sVqYx1LZ4hRm7uPEcGdF5aTo2iSy8KbQwM=",
        "FLOWAPI_TOKEN_FILE": "/token",
        "FLOWDB_COLUMNAR_PATH": "/columnar",
        "FLOWDB_POSTGRES_PASSWORD": "w4Lq9ZxT2mVb8RsK",
        "FLOWETL_LANDING": "/landing",
        "FLOWETL_PREFECT_PASSWORD": "t6Kx1ZbW9uNq4DsG",
        "FLOWETL_PSEUDONYM_KEY": "05405135639dac4945ee8ce31a67c8ff45b1cc9abf553f2a173b6378acfe0ac9",
        "FLOWETL_SOURCES": "/sources",
        "FLOWKIT_REPORTS": "/reports",
        "FLOWKIT_REPORTS_OUT": "/pages",
        "FLOWMACHINE_CACHE_PATH": "/cache",
        "FLOWMACHINE_FLOWDB_PASSWORD": "e6Bt0GvS8nZa4MuJ",
        "FLOWMACHINE_KEY": "q8Fz2mVd0Lk5Rw7X",
        "PRIVATE_JWT_SIGNING_KEY": private_pem(key),
        "PUBLIC_JWT_SIGNING_KEY": public_pem(key),
        "SECRET_KEY": "h3Vn8QwzJ5rTb0Ym",
    }


def refused(read: Callable[[], Any]) -> str:
    with pytest.raises((SettingError, ValueError)) as raised:
        read()
    return str(raised.value)


@pytest.mark.parametrize(("settings", "field"), FIELDS)
def test_a_wrong_value_is_refused_in_the_words_of_all(
    settings: type[ServiceSettings], field: str, required: dict[str, str]
) -> None:
    info = settings.model_fields[field]
    name = str(info.validation_alias)
    wrong = "/no/such/folder/file" if name.endswith(("_FILE", "_COPY")) else WRONG
    given = required | {name: wrong}
    if name in LISTS:
        assert getattr(settings.load(given), field) == (Path(wrong),)
    elif info.metadata or info.annotation not in FREE:
        told = "cannot be used: it" if not info.repr else f"is {wrong!r}; it"
        assert re.fullmatch(rf"{name} {told} must be [^\n]+[^\n.]\.", refused(lambda: settings.load(given)))
        assert info.repr or wrong not in refused(lambda: settings.load(given))
    else:
        assert getattr(settings.load(given), field) in (wrong, Path(wrong))


@pytest.mark.parametrize(("settings", "field"), FIELDS)
def test_a_file_goes_before_the_environment(
    settings: type[ServiceSettings], field: str, required: dict[str, str], tmp_path: Path
) -> None:
    info = settings.model_fields[field]
    name = str(info.validation_alias)
    (tmp_path / name).write_text("")
    given = required | {"FLOWKIT_SECRETS": str(tmp_path)}
    settings.load(given)
    (tmp_path / name).write_bytes(b"\xff")
    told = f"{name} cannot be read from {tmp_path / name}: the file is not UTF-8 text."
    assert refused(lambda: settings.load(given | {name: WRONG})) == told


@pytest.mark.parametrize(("settings", "field"), FIELDS)
def test_a_required_setting_is_told_in_the_words_of_all(
    settings: type[ServiceSettings], field: str, required: dict[str, str]
) -> None:
    info = settings.model_fields[field]
    name = str(info.validation_alias)
    absent = required | {name: ""}
    if info.is_required():
        told = f"{name} is not set: give it as the file /no/such/folder/{name} or as an environment variable."
        assert refused(lambda: settings.load(absent)) == told
    else:
        settings.load(absent)


@pytest.mark.parametrize("name", [*OVERRIDES, ARCHIVE])
def test_a_wrong_setting_of_postgresql_is_refused_in_the_words_of_all(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in OVERRIDES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, WRONG)
    assert re.fullmatch(rf"{name} is '{WRONG}'; it must be [^\n]+\.", refused(server_settings))


@pytest.mark.parametrize("package", CLASSES)
def test_the_page_and_the_classes_have_the_same_settings(package: str) -> None:
    page = (CHECKOUT / "docs" / "operators" / "settings.md").read_text()
    section = page.partition(f"\n## {package}\n")[2].partition("\n## ")[0]
    listed, anywhere = (
        set(re.findall(r"`([A-Z0-9_]+)`", " ".join(re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE))))
        for text in (section, page)
    )
    fields = [field for cls in CLASSES[package] for field in cls.model_fields.values()]
    known = {str(field.validation_alias) for field in fields if field.validation_alias is not None}
    # The engine's host is listed with its port; only the API connects to it.
    own = {name for name in listed if not FOREIGN.fullmatch(name)} - {"FLOWMACHINE_HOST"}
    assert own - known - {*OVERRIDES, ARCHIVE} == set()
    # Services share settings, which are listed once.
    assert known - anywhere == set()
    assert len(listed) > 3
