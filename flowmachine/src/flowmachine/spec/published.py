"""What a kind publishes: columns, order and the release rule by which each row is judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flowmachine.settings import Gate
from flowmachine.spec.places import SpatialUnit
from flowsettings.lookup import find


def floor() -> int:
    """The floor in force: FLOWMACHINE_RELEASE_FLOOR, which may raise the limit of 15 but never lower it."""
    return _checked(find(str(Gate.model_fields["floor"].validation_alias)))


@lru_cache(maxsize=4)
def _checked(_text: str | None) -> int:
    # Every poll asks for the floor: the text is checked only when it changes.
    return Gate.load().floor


@dataclass(frozen=True)
class KeepOver:
    """Keep the rows whose ``count`` is over the floor."""

    count: str


@dataclass(frozen=True)
class KeepGroups:
    """Keep all rows of a group, or none: none if any of its rows is not over the floor, or if the group is null."""

    by: tuple[str, ...]
    count: str


@dataclass(frozen=True)
class KeepShares:
    """Keep the rows over the floor, in groups where the withheld rows together are nobody or over the floor as well.

    For rows that are shares of their group, each subscriber in one row: the shares add up to one, so what is withheld of a
    group can be worked out from what is published.
    """

    by: tuple[str, ...]
    count: str


@dataclass(frozen=True)
class AllOrNothing:
    """Keep all rows if each is over the floor, else publish one row of nulls. A column ``count`` that is null never passes."""

    count: str


@dataclass(frozen=True)
class NothingPersonal:
    """For results that are not made from subscribers at all; ``reason`` says why."""

    reason: str


Rule = KeepOver | KeepGroups | KeepShares | AllOrNothing | NothingPersonal


@dataclass(frozen=True)
class Region:
    """Published id columns of a region, from the integer key in ``source``; ``suffix`` is ``_from``, ``_to`` or empty.

    ``known`` leaves out the rows that are at none.
    """

    unit: SpatialUnit
    source: str = "location"
    suffix: str = ""
    known: bool = False

    @property
    def columns(self) -> dict[str, Any]:
        return {f"{name}{self.suffix}": type_ for name, type_ in self.unit.id_columns.items()}


@dataclass(frozen=True)
class Value:
    """A published column taken as it is."""

    name: str
    type: Any

    @property
    def columns(self) -> dict[str, Any]:
        return {self.name: self.type}


def full_order(columns: Iterable[str], first: Sequence[str]) -> tuple[str, ...]:
    """Names to sort by: ``first``, with ``-`` before one for descending, then all other columns, ascending."""
    named = [name.lstrip("-") for name in first]
    return (*first, *(name for name in columns if name not in named))


@dataclass(frozen=True)
class Published:
    """The published form of a result: columns in order, the rule, and the order of rows.

    ``order`` names published columns, ``-`` before one for descending; left empty, all regions' columns ascending.
    """

    parts: tuple[Region | Value, ...]
    rule: Rule
    order: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, Any]:
        """Names and SQLAlchemy types of the published columns."""
        return {name: type_ for part in self.parts for name, type_ in part.columns.items()}

    @property
    def ordering(self) -> tuple[str, ...]:
        """The row order with the default filled in, complete enough to be deterministic."""
        return full_order(self.columns, self.order)
