"""Find the value of one setting and report its absence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

TIME_ZONE = "an IANA time zone, such as UTC or Asia/Kathmandu"


class SettingError(RuntimeError):
    """Report a missing or unusable setting: its name and what is allowed."""


class Unusable(ValueError):
    """Report what a setting must be, such as ``a whole number``."""


def refusal(name: str, value: object, allowed: object, *, secret: bool = False) -> SettingError:
    """Return the error for an unusable value; a secret's value is never shown."""
    if secret:
        return SettingError(f"{name} cannot be used: it must be {allowed}.")
    return SettingError(f"{name} is {value!r}; it must be {allowed}.")


def secrets_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of secret files: ``FLOWKIT_SECRETS`` or ``/run/secrets``."""
    return Path(environment.get("FLOWKIT_SECRETS") or "/run/secrets")


def find(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Return the stripped value of ``name`` from its secret file or the environment.

    An empty value counts as absent, so that a compose file can pass a variable through without setting it.

    Raises
    ------
    SettingError
        If the file is there and cannot be read.
    """
    given = os.environ if environment is None else environment
    path = secrets_folder(given) / name
    try:
        content = path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        content = ""
    except OSError as error:
        raise SettingError(f"{name} cannot be read from {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingError(f"{name} cannot be read from {path}: the file is not UTF-8 text.") from None
    return content or given.get(name, "").strip() or None


def missing(name: str, environment: Mapping[str, str] | None = None) -> SettingError:
    """Return the error for a missing setting without default."""
    folder = secrets_folder(os.environ if environment is None else environment)
    return SettingError(
        f"{name} is not set: give it as the file {folder / name} or as an environment variable."
    )


def setting(name: str, default: str | None = None) -> str:
    """Return the value of ``name`` or ``default``; SettingError if neither exists."""
    value = find(name) or default
    if value is None:
        raise missing(name)
    return value


def integer_setting(name: str, default: int | None = None) -> int:
    """Return the setting ``name`` as a whole number; otherwise raise SettingError."""
    text = setting(name, None if default is None else str(default))
    try:
        return int(text)
    except ValueError:
        raise refusal(name, text, "a whole number") from None
