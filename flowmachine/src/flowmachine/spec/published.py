"""Define what a kind publishes: columns, order and release rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from flowmachine.settings import Gate
from flowmachine.spec.places import SpatialUnit
from flowsettings.lookup import find

#: Scope that a query needs if a published value may be a single subscriber's own.
EXTREMES = "extremes"

#: Settings that processes look up again each time.
_ASKED_ANEW = ("floor", "differences", "margins", "subset_radius", "twin_share", "near_inputs")


def floor() -> int:
    """Return the release floor in force.

    FLOWMACHINE_RELEASE_FLOOR may raise the limit of 15 but never lower it.
    """
    return _gate(*texts_of_settings()).floor


def differences() -> str:
    """Return whether answers are judged together: ``on``, ``report`` or ``off``."""
    return _gate(*texts_of_settings()).differences


def margins_judged() -> str:
    """Return whether sums of rows are judged, too: ``on``, ``report`` or ``off``."""
    return _gate(*texts_of_settings()).margins


def subset_radius() -> float:
    """Return the share of subscribers by which two subsets have to differ."""
    return _gate(*texts_of_settings()).subset_radius


def twin_share() -> float:
    """Return the share of subscribers by which two results may differ as twins."""
    return _gate(*texts_of_settings()).twin_share


def near_inputs() -> int:
    """Return how many nearly equal locations somebody may join to others in a day."""
    return _gate(*texts_of_settings()).near_inputs


def texts_of_settings() -> tuple[str | None, ...]:
    """Return the texts of all settings of the gate: equal texts mean equal settings."""
    return tuple(find(str(Gate.model_fields[name].validation_alias)) for name in _ASKED_ANEW)


@lru_cache(maxsize=4)
def _gate(*_texts: str | None) -> Gate:
    # Every poll asks for the floor: the texts are checked only when they change.
    return Gate.load()


@dataclass(frozen=True)
class KeepOver:
    """Keep the rows whose ``count`` is over the floor.

    Each count of ``beside`` must be nobody or over the floor: what is published tells it, too.
    """

    count: str
    beside: tuple[str, ...] = ()


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
    be computed from published rows. Each count of ``beside`` must be nobody or over the floor, as in
    ``KeepOver``.
    """

    by: tuple[str, ...]
    count: str
    beside: tuple[str, ...] = ()


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


class Measure(Value):
    """Publish a further number beside ``value``, or in its place.

    It is no part of the row's key, and a row that repeats an earlier answer has the earlier row's number.
    """


class Reference(Value):
    """Publish a number of another group, judged as an answer of its own.

    It is no part of the row's key, and rows that repeat an earlier answer keep their own; see
    ``Aggregate.judged_apart``.
    """


@dataclass(frozen=True)
class Difference:
    """Publish the first of two published columns less the second."""

    name: str
    of: tuple[str, str]

    @property
    def columns(self) -> dict[str, Any]:
        return {self.name: sa.Double()}


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

    parts: tuple[Region | Value | Difference, ...]
    rule: Rule
    order: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, Any]:
        """Return names and SQLAlchemy types of the published columns."""
        return {name: type_ for part in self.parts for name, type_ in part.columns.items()}

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the columns that say what a row is about, in order."""
        told = (part for part in self.parts if not isinstance(part, Measure | Reference | Difference))
        return tuple(name for part in told for name in part.columns if name != "value")

    @property
    def measures(self) -> tuple[str, ...]:
        """Return the columns that a row has from the row that it repeats, in order."""
        measured = (part for part in self.parts if isinstance(part, Measure) or "value" in part.columns)
        return tuple(name for part in measured for name in part.columns)

    @property
    def ordering(self) -> tuple[str, ...]:
        """Return the row order with defaults filled in, so that it is deterministic."""
        return full_order(self.columns, self.order)
