"""List the subsets that may be used where only listed ones are allowed."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from pathlib import Path
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from flowmachine.data import NamedTables
from flowmachine.queries.catalogue import load_subset
from flowmachine.settings import Limits, Settings
from flowmachine.spec.limits import check_subset
from flowmachine.spec.query import NotBuildable
from flowmachine.tables import approved_subsets, audit


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    """Run a command and return the exit code."""
    engine = settings.engine("flowmachine-subsets", pool_size=1)
    try:
        with engine.begin() as connection:
            if chosen.subsets_command == "list":
                lines = listed(connection)
            elif chosen.subsets_command == "add":
                spec = json.loads(Path(chosen.file).read_text())
                lines = [f"{add(connection, spec, chosen.note, settings)} may be used"]
            else:
                removed = remove(connection, chosen.query_id)
                lines = [
                    f"{chosen.query_id} {'may not be used any more' if removed else 'was not in the list'}"
                ]
        sys.stdout.writelines(f"{line}\n" for line in lines)
    except (OSError, json.JSONDecodeError, ma.ValidationError, NotBuildable) as error:
        sys.stderr.write(f"flowmachine: {error}\n")
        return 1
    finally:
        engine.dispose()
    return 0


def is_approved(connection: sa.Connection, query_id: str) -> bool:
    """Return whether a subset is in the list."""
    found = sa.exists().where(approved_subsets.c.query_id == query_id)
    return bool(connection.execute(sa.select(found)).scalar_one())


def listed(connection: sa.Connection) -> list[str]:
    """Describe each subset in one line, the oldest first."""
    found = sa.select(approved_subsets).order_by(approved_subsets.c.at, approved_subsets.c.query_id)
    return [
        f"{row.query_id}  {row.at:%Y-%m-%d %H:%M:%S}  {row.note or row.spec['query_kind']}"
        for row in connection.execute(found)
    ]


def add(connection: sa.Connection, spec: Any, note: str, limits: Limits) -> str:
    """Approve a subset and return its id; the audit trail has the spec.

    Raises marshmallow.ValidationError or NotBuildable where no submitted query could use it.
    """
    query = load_subset(spec, tables=NamedTables(connection))
    check_subset(query, limits)
    row = {"query_id": query.query_id, "spec": query.spec(), "note": note}
    connection.execute(insert(approved_subsets).values(row).on_conflict_do_nothing())
    _note(connection, "approve_subset", query.query_id, {"spec": query.spec(), "note": note})
    return query.query_id


def remove(connection: sa.Connection, query_id: str) -> bool:
    """Take a subset out of the list; return whether it was there."""
    gone = sa.delete(approved_subsets).where(approved_subsets.c.query_id == query_id)
    removed = connection.execute(gone).rowcount == 1
    if removed:
        _note(connection, "remove_subset", query_id, {})
    return removed


def _note(connection: sa.Connection, action: str, query_id: str, params: dict[str, Any]) -> None:
    connection.execute(
        sa.insert(audit).values(
            request_id=f"subsets by {getpass.getuser()}",
            action=action,
            query_id=query_id,
            params=params,
            status="success",
            message="",
            seconds=0.0,
        )
    )
