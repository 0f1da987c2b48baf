"""Run the commands about the ledger: list and forget what is compared."""

from __future__ import annotations

import argparse
import getpass
import sys
from dataclasses import asdict, dataclass
from datetime import date

import sqlalchemy as sa

from flowmachine.ledger import packing, twins
from flowmachine.ledger.recording import NOT_COMPARED
from flowmachine.settings import Settings
from flowmachine.tables import (
    audit,
    ledger_inputs,
    ledger_margins,
    ledger_results,
    ledger_rows,
    ledger_subsets,
    ledger_sums,
    ledger_totals,
)

_NUMBERS: sa.ARRAY[int] = sa.ARRAY(sa.Integer)


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    """Run a command and return the exit code."""
    engine = settings.engine("flowmachine-ledger", pool_size=1)
    try:
        with engine.begin() as connection:
            if chosen.ledger_command == "list":
                for line in listed(connection):
                    _say(line)
            else:
                pruned = prune(connection, chosen.before)
                _say(
                    f"{pruned.releases} releases with {pruned.rows} rows and {pruned.subsets} subsets forgotten"
                )
    finally:
        engine.dispose()
    return 0


def listed(connection: sa.Connection) -> list[str]:
    """Describe each release in one line, the oldest first."""
    counts = (
        sa.select(
            ledger_rows.c.release,
            sa.func.count().label("rows"),
            sa.func.count(ledger_rows.c.repeats).label("repeated"),
        )
        .group_by(ledger_rows.c.release)
        .subquery("counts")
    )
    found = sa.select(
        ledger_results,
        sa.func.coalesce(counts.c.rows, 0).label("rows"),
        sa.func.coalesce(counts.c.repeated, 0).label("repeated"),
    ).outerjoin(counts, counts.c.release == ledger_results.c.release)
    return [
        f"{row.release:>8}  {row.at:%Y-%m-%d %H:%M:%S}  {row.query_id}  {row.kind:32}"
        f"  {row.rows:>8} rows, {row.repeated} of them repeat an earlier answer"
        for row in connection.execute(found.order_by(ledger_results.c.release))
    ]


@dataclass(frozen=True)
class Pruned:
    """Count what was forgotten."""

    releases: int
    rows: int
    subsets: int


def prune(connection: sa.Connection, before: date) -> Pruned:
    """Forget the releases and the subsets of the days before.

    New answers and subsets are no longer compared with them. A release stays as long as a later one repeats a row of
    it, and a subset in use as long as a later one is replaced by it: the later answer would be another one when it is
    made again. The audit trail records the pruning.
    """
    # What a worker compares with is not forgotten before the worker's answer is written.
    packing.lock(connection)
    twins.lock(connection)
    is_old, repeating = ledger_results.c.at < before, ledger_results.alias("repeating")
    repeated = (
        sa.select(ledger_rows.c.repeats)
        .join(repeating, repeating.c.release == ledger_rows.c.release)
        .where(
            repeating.c.at >= before, ledger_rows.c.repeats.is_not(None), ledger_rows.c.size != NOT_COMPARED
        )
    )
    # Looked up once, because each deletion changes what is found.
    found = sa.select(ledger_results.c.release).where(is_old, ledger_results.c.release.not_in(repeated))
    old = sa.any_(sa.cast(sa.literal(list(connection.execute(found).scalars()), _NUMBERS), _NUMBERS))
    for table in (ledger_totals, ledger_sums, ledger_margins):
        connection.execute(sa.delete(table).where(table.c.release == old))
    connection.execute(sa.delete(ledger_inputs).where(ledger_inputs.c.at < before))
    # What stood for a later histogram is forgotten, so that one is compared again; it is a release of one row.
    stood_for = sa.and_(ledger_rows.c.size == NOT_COMPARED, ledger_rows.c.repeats == old)
    connection.execute(sa.update(ledger_rows).where(stood_for).values(size=1, repeats=None))
    rows = connection.execute(sa.delete(ledger_rows).where(ledger_rows.c.release == old)).rowcount
    releases = connection.execute(sa.delete(ledger_results).where(ledger_results.c.release == old)).rowcount
    is_old, later = ledger_subsets.c.at < before, ledger_subsets.alias("later")
    replaced = sa.delete(ledger_subsets).where(is_old, ledger_subsets.c.used.is_not(None))
    needed = sa.exists().where(later.c.used == ledger_subsets.c.subset)
    subsets = sum(
        connection.execute(statement).rowcount
        for statement in (replaced, sa.delete(ledger_subsets).where(is_old, ~needed))
    )
    pruned = Pruned(releases, rows, subsets)
    connection.execute(
        sa.insert(audit).values(
            request_id=f"ledger prune by {getpass.getuser()}",
            action="prune_ledger",
            params={"before": before.isoformat(), **asdict(pruned)},
            status="success",
            message=f"{releases} releases and {subsets} subsets before {before} are compared with nothing any more.",
            seconds=0.0,
        )
    )
    return pruned


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
