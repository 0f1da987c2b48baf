"""Settings: a file in the secrets folder first, then an environment variable."""

from __future__ import annotations

import os
from pathlib import Path


class SettingError(RuntimeError):
    """A setting is missing or unusable; the text names it."""


def setting(name: str, default: str | None = None) -> str:
    """The value of ``name``: file ``$FLOWKIT_SECRETS/<name>`` (stripped), then the environment, then ``default``.

    An empty value counts as absent, so that a compose file can pass a variable through without setting it.

    Raises
    ------
    SettingError
        If there is neither a value nor a default, or the file cannot be read.
    """
    folder = Path(os.environ.get("FLOWKIT_SECRETS") or "/run/secrets")
    value = _secret(folder / name) or os.environ.get(name, "").strip() or default
    if value is None:
        raise SettingError(
            f"{name} is not set: give it as the file {folder / name} or as an environment variable."
        )
    return value


def integer_setting(name: str, default: int | None = None) -> int:
    """As `setting`, for a whole number; raises SettingError with the value when it is not one."""
    text = setting(name, None if default is None else str(default))
    try:
        return int(text)
    except ValueError:
        raise SettingError(f"{name} must be a whole number, not {text!r}.") from None


def _secret(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SettingError(f"{path.name} cannot be read from {path}: {error.strerror}.") from None
