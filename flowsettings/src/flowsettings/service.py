"""Define the base of each service's settings class."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from flowsettings.lookup import find, missing, refusal


class FilesThenEnvironment(PydanticBaseSettingsSource):
    """Read secret files and the environment by the names in ``validation_alias``."""

    def __init__(self, settings_cls: type[BaseSettings], environment: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._environment = environment

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = str(field.validation_alias or field_name)
        return find(name, self._environment), name, False

    def __call__(self) -> dict[str, Any]:
        found = (self.get_field_value(field, name) for name, field in self.settings_cls.model_fields.items())
        return {name: value for value, name, _ in found if value is not None}


class ServiceSettings(BaseSettings):
    """Hold settings that are read once, checked and never changed.

    Each field names its setting in ``validation_alias``; a field of a secret has ``repr=False``. `load` reads secret files and
    the environment. The constructor takes the fields by their own names and reads nothing.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings; ``environment`` replaces the process's own.

        Raises
        ------
        SettingError
            Naming the first setting that is missing or unusable.
        """
        given = os.environ if environment is None else environment
        try:
            return cls(**FilesThenEnvironment(cls, given)())
        except ValidationError as error:
            raise cls._refusal(error, given) from None

    @classmethod
    def _refusal(cls, error: ValidationError, environment: Mapping[str, str]) -> Exception:
        fault = error.errors()[0]
        name = str(fault["loc"][0])
        if fault["type"] == "missing":
            return missing(name, environment)
        secret = not next(
            (field.repr for field in cls.model_fields.values() if field.validation_alias == name), True
        )
        allowed = fault.get("ctx", {}).get("error", fault["msg"])
        return refusal(name, fault["input"], allowed, secret=secret)
