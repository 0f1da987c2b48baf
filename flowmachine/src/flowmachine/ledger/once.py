"""Build statements once.

To build a statement and to find it among those compiled takes a worker longer than PostgreSQL takes to answer, so
statements are kept. What differs between two uses is bound by name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement

from flowmachine.spec.published import texts_of_settings

Arguments = ParamSpec("Arguments")
Statement = TypeVar("Statement")


def built_once(build: Callable[Arguments, Statement]) -> Callable[Arguments, Statement]:
    """Keep what a function builds, for each argument and setting of the gate."""

    @lru_cache(maxsize=64)
    def built(_settings: Hashable, *arguments: Any, **named: Any) -> Statement:
        return build(*arguments, **named)

    kept: Any = built

    @wraps(build)
    def found(*arguments: Arguments.args, **named: Arguments.kwargs) -> Statement:
        statement: Statement = kept(texts_of_settings(), *arguments, **named)
        return statement

    return found


def bound(name: str, type_: sa.types.TypeEngine[Any] | None = None) -> ColumnElement[Any]:
    """Return a value that is given when a statement runs, by default an integer."""
    return sa.bindparam(name, type_=type_ or sa.Integer())


def any_of(name: str, type_: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
    """Return any of a list of values that is given when a statement runs."""
    return sa.any_(listed(name, type_))


def listed(name: str, type_: sa.types.TypeEngine[Any]) -> ColumnElement[Any]:
    """Return an array that is given when a statement runs."""
    array: sa.ARRAY[Any] = sa.ARRAY(type_)
    return sa.cast(sa.bindparam(name, type_=array), array)
