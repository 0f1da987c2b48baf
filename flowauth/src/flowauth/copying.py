"""Copy the app's database to another, as from SQLite to PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, func, insert, select

from flowauth.database import is_current, migrate
from flowauth.errors import Refusal
from flowauth.models import AuditAnchor, AuditEvent, AuditHead, Base, User

_BATCH = 1000


def copy_database(source: Engine, target: Engine) -> int:
    """Copy all rows in one transaction and return how many; the source stays as it is.

    The target gets the newest schema. Refuses a target that has users or audited events, and a source of
    another schema, which its own app has to migrate first.
    """
    if not is_current(source):
        raise Refusal("The database to copy has another schema: start this version of the app with it once.")
    migrate(target)
    with source.execution_options(reading=True).connect() as old, target.begin() as new:
        for kind in (User, AuditEvent):
            if new.scalar(select(func.count()).select_from(kind)):
                raise Refusal("The database of DB_URI is in use already: it has users or audited events.")
        # The migrations make the first rows of these.
        for made in (AuditHead, AuditAnchor):
            new.execute(delete(made))
        return sum(_copy_table(table.name, old, new) for table in Base.metadata.sorted_tables)


def _copy_table(name: str, old: Connection, new: Connection) -> int:
    table = Base.metadata.tables[name]
    copied = 0
    for rows in old.execute(select(table)).mappings().partitions(_BATCH):
        new.execute(insert(table), [dict(row) for row in rows])
        copied += len(rows)
    if copied and new.dialect.name == "postgresql" and "id" in table.c:
        # Explicit ids do not move the sequence that gives the next one; a table without sequence has NULL.
        sequence = func.pg_get_serial_sequence(f'"{name}"', "id")
        new.execute(select(func.setval(sequence, select(func.max(table.c.id)).scalar_subquery())))
    return copied
