"""Check that settings come from secrets, environment, default, in that order.

Refusals have one wording.
"""

from __future__ import annotations

import ipaddress
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, PlainValidator

from flowsettings import SettingError, integer_setting, setting
from flowsettings.service import ServiceSettings
from flowsettings.values import (
    Files,
    Networks,
    OneOf,
    Port,
    ReadableFile,
    Seconds,
    Switch,
    WholeNumber,
    WritableFile,
)


@pytest.fixture(autouse=True)
def secrets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWKIT_SECRETS", str(tmp_path))
    monkeypatch.delenv("COLOUR", raising=False)
    return tmp_path


class Painting(ServiceSettings):
    colour: str = Field(validation_alias="COLOUR")
    size: Annotated[int, PlainValidator(WholeNumber(1, 9))] = Field(3, validation_alias="SIZE")
    shade: Annotated[str, PlainValidator(OneOf(("dark", "light")))] = Field("dark", validation_alias="SHADE")
    port: Port = Field(80, validation_alias="PORT")
    wait: Seconds = Field(1.5, validation_alias="WAIT")
    framed: Switch = Field(False, validation_alias="FRAMED")
    places: Files = Field((), validation_alias="PLACES")
    near: Networks = Field((), validation_alias="NEAR")
    source: ReadableFile = Field(None, validation_alias="SOURCE")
    target: WritableFile = Field(None, validation_alias="TARGET")
    key: Annotated[int, PlainValidator(WholeNumber(1, 9))] = Field(1, validation_alias="KEY", repr=False)


def test_a_file_wins_over_the_environment_and_is_stripped(
    secrets_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLOUR", "red")
    assert setting("COLOUR", "white") == "red"
    (secrets_folder / "COLOUR").write_text(" blue\n")
    assert setting("COLOUR", "white") == "blue"
    assert Painting.load().colour == "blue"


def test_the_default_is_last() -> None:
    assert setting("COLOUR", "white") == "white"
    assert Painting.load({"COLOUR": "red"}).size == 3


def test_a_missing_setting_is_named_with_both_places(secrets_folder: Path) -> None:
    told = re.escape(
        f"COLOUR is not set: give it as the file {secrets_folder / 'COLOUR'} or as an environment variable."
    )
    with pytest.raises(SettingError, match=f"^{told}$"):
        setting("COLOUR")
    with pytest.raises(SettingError, match=f"^{told}$"):
        Painting.load()


def test_an_empty_value_counts_as_absent(secrets_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLOUR", "")
    (secrets_folder / "COLOUR").write_text("\n")
    assert setting("COLOUR", "white") == "white"
    with pytest.raises(SettingError, match="COLOUR is not set"):
        Painting.load()


@pytest.mark.parametrize("read", [lambda: setting("COLOUR", "white"), Painting.load])
def test_an_unreadable_secret_is_an_error_and_not_the_default(secrets_folder: Path, read) -> None:
    path = secrets_folder / "COLOUR"
    path.mkdir()
    with pytest.raises(SettingError, match=re.escape(f"COLOUR cannot be read from {path}: Is a directory.")):
        read()
    path.rmdir()
    path.write_bytes(b"\xff")
    with pytest.raises(
        SettingError, match=re.escape(f"COLOUR cannot be read from {path}: the file is not UTF-8 text.")
    ):
        read()


def test_a_number_that_is_none_is_refused_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLOUR", "red")
    with pytest.raises(SettingError, match=r"^COLOUR is 'red'; it must be a whole number\.$"):
        integer_setting("COLOUR", 1)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("SIZE", "0", "a whole number from 1 to 9"),
        ("SIZE", "10", "a whole number from 1 to 9"),
        ("SIZE", "3.0", "a whole number from 1 to 9"),
        ("SIZE", "\u0663", "a whole number from 1 to 9"),
        ("SHADE", "grey", "one of dark, light"),
        ("PORT", "65536", "a whole number from 1 to 65535"),
        ("WAIT", "0", "a number of seconds above 0"),
        ("WAIT", "-1", "a number of seconds above 0"),
        ("FRAMED", "yes", "one of on, off"),
        ("SOURCE", "/no/such/file", "the path of a file that can be read"),
        ("TARGET", "/no/such/folder/file", "the path of a file in a folder that can be written to"),
    ],
)
def test_a_refusal_names_setting_value_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    told = re.escape(f"{name} is {value!r}; it must be {allowed}.")
    with pytest.raises(SettingError, match=f"^{told}$"):
        Painting.load({"COLOUR": "red", name: value})


def test_networks_that_are_none_are_refused() -> None:
    with pytest.raises(
        SettingError, match="NEAR is 'nowhere'; it must be addresses or networks separated by"
    ):
        Painting.load({"COLOUR": "red", "NEAR": "nowhere"})


def test_the_value_of_a_secret_is_never_shown() -> None:
    told = re.escape("KEY cannot be used: it must be a whole number from 1 to 9.")
    with pytest.raises(SettingError, match=f"^{told}$") as raised:
        Painting.load({"COLOUR": "red", "KEY": "31415"})
    assert raised.value.__cause__ is None
    assert "key" not in repr(Painting(colour="red", key=7))


def test_texts_become_values(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    environment = {
        "COLOUR": "red",
        "SIZE": "9",
        "SHADE": "LIGHT",
        "WAIT": "0.25",
        "FRAMED": "on",
        "PLACES": "/a, /b,",
        "NEAR": "10.0.0.0/8, 192.168.1.1",
        "SOURCE": str(tmp_path / "there"),
        "TARGET": str(tmp_path / "new"),
    }
    assert Painting.load(environment) == Painting(
        colour="red",
        size=9,
        shade="light",
        wait=0.25,
        framed=True,
        places=(Path("/a"), Path("/b")),
        near=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("192.168.1.1/32")),
        source=tmp_path / "there",
        target=tmp_path / "new",
    )


def test_settings_made_by_hand_read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIZE", "9")
    assert Painting(colour="red").size == 3


def test_looking_a_setting_up_does_not_wait_for_pydantic() -> None:
    script = "import sys, flowsettings; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
