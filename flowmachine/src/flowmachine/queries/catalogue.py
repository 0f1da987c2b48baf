"""List all kinds: schemas, scopes, documentation and client code derive from it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import marshmallow as ma

from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.places import Tables
from flowmachine.spec.query import Query, registered
from flowmachine.spec.reading import Parts, Reading, TooDeep, TooManyParts

#: Maximum nesting depth of a submitted spec, counting subsets named by id. Reading a level takes several frames of the
#: interpreter's stack, so three times as many would overflow it.
DEEPEST = 50

#: Maximum number of parts of a submitted spec; a part counts each time that the spec or a subset's id names it. The
#: queries that put the parts together come on top, one for each level.
MOST_PARTS = 5000


@lru_cache(maxsize=1)
def all_kinds() -> Mapping[str, type[Query]]:
    """Return all kinds by name; kinds for direct use only come last."""
    _import_all(Path(__file__).parent, __package__)
    return dict(sorted(registered.items(), key=lambda item: (item[1].direct, item[0])))


def _import_all(folder: Path, package: str) -> None:
    for module in pkgutil.iter_modules([str(folder)]):
        name = f"{package}.{module.name}"
        if name != __name__:
            importlib.import_module(name)
        if module.ispkg:
            _import_all(folder / module.name, name)


@lru_cache(maxsize=1)
def kinds() -> Mapping[str, type[Query]]:
    """Return all published kinds by name, sorted."""
    return {name: cls for name, cls in all_kinds().items() if not cls.direct}


def submittable_kinds() -> list[str]:
    """List the kinds that may be submitted on their own."""
    return [name for name, cls in kinds().items() if issubclass(cls, Aggregate)]


def component_name(kind: str) -> str:
    """Return the kind's name in the published schema."""
    return kinds()[kind].component_name()


def load(
    spec: Any,
    *,
    find_spec: Callable[[str], Any | None] | None = None,
    tables: Tables | None = None,
) -> Aggregate:
    """Read the query of a submitted spec.

    Raises marshmallow.ValidationError with messages by field. ``find_spec`` and ``tables`` are those of
    ``Reading``.
    """
    query = _limited(spec, lambda reading: submittable_kinds(), find_spec, tables)
    assert isinstance(query, Aggregate)
    return query


def load_any(
    spec: Any,
    *,
    find_spec: Callable[[str], Any | None] | None = None,
    tables: Tables | None = None,
) -> Query:
    """Read a spec of any kind, including nested and direct-use kinds; see ``load``."""
    return _reading(find_spec, tables, direct=True).one_of(all_kinds(), spec)


def load_subset(spec: Any, *, tables: Tables | None = None) -> Query:
    """Read the spec of a subset as a submitted query may use it; see ``load``."""
    return _limited(spec, lambda reading: reading.subscriber_level(), None, tables)


def _limited(spec: Any, accepted: Callable[[Reading], Collection[str]], find_spec: Any, tables: Any) -> Query:
    parts = Parts(MOST_PARTS, DEEPEST)
    reading = _reading(find_spec, tables, levels_left=DEEPEST, parts=parts)
    try:
        query = reading.one_of(accepted(reading), spec)
        parts.check()
    except TooDeep:
        problem = f"Queries are nested more than {DEEPEST} deep, subsets named by their ids included."
        raise ma.ValidationError({"_schema": [problem]}) from None
    except TooManyParts:
        problem = f"The spec has more than {MOST_PARTS} parts, each counted as often as it is named."
        raise ma.ValidationError({"_schema": [problem]}) from None
    return query


def _reading(find_spec: Any, tables: Any, **settings: Any) -> Reading:
    return Reading(tables=tables, **settings, **({"find_spec": find_spec} if find_spec else {}))
