"""Define what a kind publishes: columns, order and release rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flowmachine.settings import Gate
from flowmachine.spec.places import SpatialUnit
from flowsettings.lookup import find


def floor() -> int:
    """Return the release floor in force.

    FLOWMACHINE_RELEASE_FLOOR may raise the limit of 15 but never lower it.
    """
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
    """Keep all rows of a group or none.

    A group is dropped if any of its rows is not over the floor, or if the group is null.
    """

    by: tuple[str, ...]
    count: str


@dataclass(frozen=True)
class KeepShares:
    """Keep rows over the floor where their group's withheld rest is safe.

    The withheld rows of a group must together have no subscriber or more than the floor. This is for rows
    that are shares of their group, each subscriber in one row. Shares add up to one, so the withheld rest can
    be computed from published rows.
    """

    by: tuple[str, ...]
    count: str


@dataclass(frozen=True)
class AllOrNothing:
    """Keep all rows if each is over the floor, else publish one row of nulls.

    A null ``count`` never passes.
    """

    count: str


@dataclass(frozen=True)
class NothingPersonal:
    """Mark results that are not made from subscribers; ``reason`` says why."""

    reason: str


Rule = KeepOver | KeepGroups | KeepShares | AllOrNothing | NothingPersonal


@dataclass(frozen=True)
class Region:
    """Publish the id columns of a region from the integer key in ``source``.

    ``suffix`` is ``_from``, ``_to`` or empty. ``known`` leaves out rows without a region.
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
    """Publish a column unchanged."""

    name: str
    type: Any

    @property
    def columns(self) -> dict[str, Any]:
        return {self.name: self.type}


def full_order(columns: Iterable[str], first: Sequence[str]) -> tuple[str, ...]:
    """Return names to sort by: ``first``, then all other columns, ascending.

    ``-`` before a name means descending.
    """
    named = [name.lstrip("-") for name in first]
    return (*first, *(name for name in columns if name not in named))


@dataclass(frozen=True)
class Published:
    """Describe a published result: columns in order, the rule, the order of rows.

    ``order`` names published columns, with ``-`` for descending. An empty order means all regions' columns,
    ascending.
    """

    parts: tuple[Region | Value, ...]
    rule: Rule
    order: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, Any]:
        """Return names and SQLAlchemy types of the published columns."""
        return {name: type_ for part in self.parts for name, type_ in part.columns.items()}

    @property
    def ordering(self) -> tuple[str, ...]:
        """Return the row order with defaults filled in, so that it is deterministic."""
        return full_order(self.columns, self.order)
