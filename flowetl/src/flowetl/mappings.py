"""Describe lists and boundaries that are named otherwise than ours."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, field_validator, model_validator

from flowetl.errors import ConfigurationError
from flowetl.expressions import Strict
from flowetl.faults import faults_of


class Joined(Strict):
    """One column of several of the file, put together with a text between."""

    join: tuple[str, ...] = Field(min_length=2)
    with_: str = Field(default="-", alias="with", max_length=8)


def _shorthand(given: Any) -> Any:
    return given if isinstance(given, dict) else str(given)


class TableMapping(Strict):
    """Map each of our columns to columns of a list's ``file``.

    ``fields`` name the columns of a file without header. ``only`` chooses lines by the texts of columns. ``dates``
    are strptime patterns, tried in order. Columns of the file that are not named are passed over.
    """

    file: str
    fields: tuple[str, ...] = ()
    only: dict[str, tuple[Annotated[str, BeforeValidator(_shorthand)], ...]] = Field(default={})
    columns: dict[str, Annotated[str | Joined, BeforeValidator(_shorthand)]]
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str = "utf-8-sig"
    dates: tuple[str, ...] = ("%Y-%m-%d",)

    @field_validator("dates", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError:
            raise ValueError(f"{encoding!r} is not an encoding, such as utf-8 or latin-1") from None
        return encoding


class BoundaryMapping(Strict):
    """Map a level to a file; property names that are not given are detected."""

    file: str
    layer: str | None = None
    pcod: str | None = None
    name: str | None = None
    parent: str | None = None

    @model_validator(mode="after")
    def _both(self) -> "BoundaryMapping":
        if (self.pcod is None) != (self.name is None):
            raise ValueError("pcod and name are given both or neither")
        return self


def read_table_mapping(path: Path) -> TableMapping:
    """The mapping of ``cells.yml``, ``sites.yml`` or ``tacs.yml``.

    Raises
    ------
    ConfigurationError
        Naming every wrong key, with the value and what is allowed.
    """
    return _read(path, TableMapping)


def read_boundary_mappings(path: Path) -> dict[int, BoundaryMapping]:
    """Read the mappings of ``boundaries.yml`` by level.

    Raises
    ------
    ConfigurationError
        Naming every wrong key, with the value and what is allowed.
    """
    levels = {f"admin{level}": level for level in range(4)}
    given = _read(path, dict[str, BoundaryMapping])
    for name in given:
        if name not in levels:
            raise ConfigurationError(f"{path.name}: {name!r} is no level; allowed: {', '.join(levels)}")
    return {levels[name]: mapping for name, mapping in given.items()}


def _read(path: Path, kind: Any) -> Any:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        # A ValueError is a date that does not exist, or a byte that is no text.
        raise ConfigurationError(f"{path.name}: cannot be read as YAML: {error}") from error
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        raise ConfigurationError(f"{path.name}: {faults_of(error, kind, 'file')}") from error
