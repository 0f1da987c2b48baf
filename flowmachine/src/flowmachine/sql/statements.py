"""Define statements that SQLAlchemy has no construct for."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement, Executable, Insert, Select


class CreateTableAs(Executable, ClauseElement):
    """Write ``CREATE [UNLOGGED] TABLE schema.name AS select``.

    Names are quoted, values bound. Without a schema the table is temporary, for the transaction only.
    """

    inherit_cache = False

    def __init__(self, schema: str | None, name: str, select: Select[Any], *, unlogged: bool = False) -> None:
        self.schema, self.name, self.select, self.unlogged = schema, name, select, unlogged


@compiles(CreateTableAs, "postgresql")
def _create_table_as(element: CreateTableAs, compiler: Any, **kwargs: Any) -> str:
    quote = compiler.preparer.quote
    unlogged = "UNLOGGED " if element.unlogged else ""
    select = compiler.process(element.select, **kwargs)
    if element.schema is None:
        return f"CREATE TEMPORARY TABLE {quote(element.name)} ON COMMIT DROP AS {select}"
    return f"CREATE {unlogged}TABLE {quote(element.schema)}.{quote(element.name)} AS {select}"


class Analyze(Executable, ClauseElement):
    """Write ``ANALYZE schema.name``."""

    inherit_cache = False

    def __init__(self, schema: str, name: str) -> None:
        self.schema, self.name = schema, name


@compiles(Analyze, "postgresql")
def _analyze(element: Analyze, compiler: Any, **kwargs: Any) -> str:
    return f"ANALYZE {compiler.preparer.quote(element.schema)}.{compiler.preparer.quote(element.name)}"


class Grant(Executable, ClauseElement):
    """Write ``GRANT SELECT ON schema.name TO role``."""

    inherit_cache = False

    def __init__(self, schema: str, name: str, role: str) -> None:
        self.schema, self.name, self.role = schema, name, role


@compiles(Grant, "postgresql")
def _grant(element: Grant, compiler: Any, **kwargs: Any) -> str:
    quote = compiler.preparer.quote
    return f"GRANT SELECT ON {quote(element.schema)}.{quote(element.name)} TO {quote(element.role)}"


class InsertNew(Insert):
    """Write ``INSERT ... ON CONFLICT DO NOTHING``.

    SQLAlchemy's own construct would be compiled again each time.
    """

    inherit_cache = True


@compiles(InsertNew, "postgresql")
def _insert_new(element: InsertNew, compiler: Any, **kwargs: Any) -> str:
    return f"{compiler.visit_insert(element, **kwargs)} ON CONFLICT DO NOTHING"
