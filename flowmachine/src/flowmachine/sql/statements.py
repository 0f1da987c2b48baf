"""Data definition that SQLAlchemy has no construct for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement, Executable, Select


class CreateTableAs(Executable, ClauseElement):
    """``CREATE [UNLOGGED] TABLE schema.name AS select``; names are quoted, values bound."""

    inherit_cache = False

    def __init__(self, schema: str, name: str, select: Select[Any], *, unlogged: bool = False) -> None:
        self.schema, self.name, self.select, self.unlogged = schema, name, select, unlogged


@compiles(CreateTableAs, "postgresql")
def _create_table_as(element: CreateTableAs, compiler: Any, **kwargs: Any) -> str:
    quote = compiler.preparer.quote
    unlogged = "UNLOGGED " if element.unlogged else ""
    select = compiler.process(element.select, **kwargs)
    return f"CREATE {unlogged}TABLE {quote(element.schema)}.{quote(element.name)} AS {select}"


class Analyze(Executable, ClauseElement):
    """``ANALYZE schema.name``."""

    inherit_cache = False

    def __init__(self, schema: str, name: str) -> None:
        self.schema, self.name = schema, name


@compiles(Analyze, "postgresql")
def _analyze(element: Analyze, compiler: Any, **kwargs: Any) -> str:
    return f"ANALYZE {compiler.preparer.quote(element.schema)}.{compiler.preparer.quote(element.name)}"


class Grant(Executable, ClauseElement):
    """``GRANT SELECT ON schema.name TO role``."""

    inherit_cache = False

    def __init__(self, schema: str, name: str, role: str) -> None:
        self.schema, self.name, self.role = schema, name, role


@compiles(Grant, "postgresql")
def _grant(element: Grant, compiler: Any, **kwargs: Any) -> str:
    quote = compiler.preparer.quote
    return f"GRANT SELECT ON {quote(element.schema)}.{quote(element.name)} TO {quote(element.role)}"


class Notify(Executable, ClauseElement):
    """``NOTIFY channel [, payload]``: wakes those who LISTEN, when the transaction commits."""

    inherit_cache = False

    def __init__(self, channel: str, payload: str | None = None) -> None:
        self.channel, self.payload = channel, payload


@compiles(Notify, "postgresql")
def _notify(element: Notify, compiler: Any, **kwargs: Any) -> str:
    notify = f"NOTIFY {compiler.preparer.quote(element.channel)}"
    if element.payload is None:
        return notify
    payload = compiler.render_literal_value(element.payload, String())
    return f"{notify}, {payload}"
