"""Quality checks: SQL files that each describe a day by one number. They never stop a load."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import structlog
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from psycopg2.extensions import cursor as Cursor
from psycopg2.sql import Composable

from flowetl.events import COLUMNS, HAS_COUNTERPARTS, CdrType
from flowetl.partitions import partition_name

PACKAGED = Path(__file__).parent
_TEMPLATES = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Check:
    """One check: the name its outcome is stored under, and the file with its SELECT."""

    name: str
    path: Path


def discover(cdr_type: CdrType, folders: Iterable[Path] = ()) -> list[Check]:
    """The checks that apply to an event type, sorted by path.

    Folders are searched in order and the packaged one last; an earlier file hides a later one of the same relative
    path. A file counts when it is in a folder ``qa_checks`` (every type) or in ``qa_checks/.../<type>``.
    """
    found: dict[Path, Path] = {}
    for folder in (*folders, PACKAGED):
        for path in folder.rglob("*.sql"):
            found.setdefault(path.relative_to(folder), path)
    checks = []
    for relative, path in sorted(found.items()):
        if "qa_checks" not in relative.parts:
            continue
        if relative.parent.name == "qa_checks":
            checks.append(Check(path.stem, path))
        elif relative.parent.name == cdr_type:
            checks.append(Check(f"{path.stem}.{cdr_type}", path))
    return checks


def run(cursor: Cursor, checks: Iterable[Check], cdr_type: CdrType, date: dt.date, table: Composable) -> int:
    """Run checks on a day's table and store their outcomes; returns how many gave one.

    A check that fails loses its own outcome only, so each runs in a savepoint of the caller's transaction.
    """
    variables = _variables(cdr_type, date, table.as_string(cursor))
    stored = 0
    for check in checks:
        cursor.execute("SAVEPOINT quality_check")
        try:
            select = _TEMPLATES.from_string(check.path.read_text(encoding="utf-8")).render(variables)
            cursor.execute(f"SELECT (\n{select.strip().rstrip(';')}\n)::text")
            cursor.execute(
                "INSERT INTO etl.post_etl_queries (cdr_date, cdr_type, type_of_query_or_check, outcome, timestamp) "
                "VALUES (%s, %s, %s, %s, clock_timestamp())",
                (date, cdr_type, check.name, *(cursor.fetchone() or (None,))),
            )
            stored += 1
        except (psycopg2.Error, TemplateError, ValueError) as error:
            # The text of a database error can quote the row it failed on, so only its class is logged.
            cursor.execute("ROLLBACK TO SAVEPOINT quality_check")
            _log.warning(
                "quality check failed",
                check=check.name,
                cdr_type=cdr_type,
                date=str(date),
                error=type(error).__name__,
            )
    return stored


def _variables(cdr_type: CdrType, date: dt.date, table: str) -> dict[str, str]:
    tomorrow = date + dt.timedelta(days=1)
    identity = [column.name for column in COLUMNS[cdr_type] if column.name != "id"]
    parties = f"SELECT msisdn FROM {table}"
    if cdr_type in HAS_COUNTERPARTS:
        parties += f" UNION SELECT msisdn_counterpart FROM {table} WHERE msisdn_counterpart IS NOT NULL"
    return {
        "final_table": table,
        "table_name": partition_name(cdr_type, date),
        "parent_table": f"events.{cdr_type}",
        "cdr_type": cdr_type,
        "ds": date.isoformat(),
        "ds_nodash": f"{date:%Y%m%d}",
        "tomorrow_ds": tomorrow.isoformat(),
        "tomorrow_ds_nodash": f"{tomorrow:%Y%m%d}",
        "compared_columns": ", ".join(identity),
        "parties": parties,
    }
