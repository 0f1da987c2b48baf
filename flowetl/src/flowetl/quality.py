"""Run quality checks: SQL files that each describe a day by one number.

Checks never stop a load.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

import duckdb
import psycopg2
import pyarrow as pa
import structlog
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values
from psycopg2.sql import Composable

from flowetl.events import COLUMNS, HAS_COUNTERPARTS, CdrType
from flowetl.partitions import partition_name

PACKAGED = Path(__file__).parent
#: Outcome of the number of refused records; with a reason behind it, of those refused for it.
REJECTED = "count_rejected_rows"
_OF_EQUAL_ROWS = ("count_duplicated", "count_duplicates")
_TEMPLATES = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Check:
    """Name a check's outcome and the file with its SELECT."""

    name: str
    path: Path

    @cached_property
    def packaged(self) -> bool:
        """Return whether the check is built in; PostgreSQL and DuckDB both run its SQL."""
        return self.path.is_relative_to(PACKAGED)


def _files(folder: Path) -> dict[Path, Path]:
    """Return a folder's SQL files by their relative path."""
    return {path.relative_to(folder): path for path in folder.rglob("*.sql")}


@cache
def _packaged_files() -> dict[Path, Path]:
    return _files(PACKAGED)


def outcomes(cursor: Cursor, cdr_type: str, dates: Sequence[dt.date]) -> list[dict[str, str]]:
    """Return one record for each check, with the outcome of each day."""
    cursor.execute(
        "SELECT type_of_query_or_check, cdr_date, outcome FROM etl.deduped_post_etl_queries "
        "WHERE cdr_type = %s AND cdr_date = ANY (%s) AND outcome IS NOT NULL ORDER BY 1",
        (cdr_type, list(dates)),
    )
    found: dict[str, dict[str, str]] = {}
    for name, date, outcome in cursor.fetchall():
        record = found.setdefault(name, {"check": name} | {str(day): "" for day in dates})
        record[str(date)] = outcome
    return list(found.values())


def discover(cdr_type: CdrType, folders: Sequence[Path] = ()) -> list[Check]:
    """List the checks that apply to an event type, sorted by path.

    Folders are searched in order, the packaged folder last. An earlier file replaces a later file of the same
    relative path. A file counts when it is in a folder ``qa_checks`` (every type) or in
    ``qa_checks/.../<type>``.
    """
    found = dict(_packaged_files())
    for folder in reversed(folders):
        found |= _files(folder)
    checks = []
    for relative, path in sorted(found.items()):
        if "qa_checks" not in relative.parts:
            continue
        if relative.parent.name == "qa_checks":
            checks.append(Check(path.stem, path))
        elif relative.parent.name == cdr_type:
            checks.append(Check(f"{path.stem}.{cdr_type}", path))
    return checks


Variables = dict[str, str | bool]
"""What the template of a check may use."""

Outcomes = dict[str, str | None]
"""What checks found, as text, by the name it is stored under."""


def describe_day(
    day: duckdb.DuckDBPyConnection,
    checks: Iterable[Check],
    cdr_type: CdrType,
    date: dt.date,
    valid_cells: Sequence[str],
    distinct: Mapping[str, int],
) -> Outcomes:
    """Run packaged checks on the table ``day`` of a connection.

    Its identifiers are keys: checks count and compare them but never show one. ``distinct`` says how many there are of
    each kind of identifier, ``valid_cells`` are the ids of ``quality.valid_cells``.
    """
    # The checks are written for PostgreSQL: they read infrastructure.cells, and times with a zone.
    day.execute("CREATE SCHEMA infrastructure")
    cells = pa.table({"id": pa.array(valid_cells, pa.string())})
    day.register("valid_cells", cells)
    day.execute(
        "CREATE TABLE infrastructure.cells AS SELECT id, true AS geom_point, "
        "NULL::DATE AS date_of_first_service, NULL::DATE AS date_of_last_service FROM valid_cells"
    )
    day.execute(
        "CREATE VIEW described AS SELECT * REPLACE (make_timestamptz(epoch_us(datetime)) AS datetime) FROM day"
    )
    # Equal rows have equal hashes. Grouping these costs a fifth of grouping rows, and of most days leaves no row.
    compared = _variables(cdr_type, date, "day")["compared_columns"]
    day.execute(
        f"CREATE TABLE repeated AS SELECT * FROM day WHERE hash({compared}) IN "  # noqa: S608 - names of columns
        f"(SELECT hash({compared}) FROM day GROUP BY ALL HAVING count(*) > 1)"
    )
    known: Outcomes = {f"count_{identifier}s": str(count) for identifier, count in distinct.items()}
    found: Outcomes = {}
    asked: dict[str, list[Check]] = {"described": [], "repeated": []}
    for check in checks:
        if check.name in known:
            found[check.name] = known[check.name]
        else:
            asked["repeated" if check.name in _OF_EQUAL_ROWS else "described"].append(check)
    for table, several in asked.items():
        found |= describe(day, table, several, cdr_type, date)
    return found


def describe(
    day: duckdb.DuckDBPyConnection, table: str, checks: Iterable[Check], cdr_type: CdrType, date: dt.date
) -> Outcomes:
    """Run checks on a staged day.

    This is many times faster than on the day's partition and gives the same outcomes.
    """
    variables = _variables(cdr_type, date, table)
    selects = _selects(checks, variables)
    together = ", ".join(f"(\n{select}\n)" for select in selects.values())
    try:
        # Use one statement, because planning costs more than counting, and equal checks share the answer.
        found = day.execute(f"SELECT {together}").fetchone() if selects else None
        return dict(zip(selects, map(_told, found or ()), strict=True))
    except duckdb.Error:

        def ask(select: str) -> str | None:
            (outcome,) = day.execute(f"SELECT (\n{select}\n)").fetchone() or (None,)
            return _told(outcome)

        return _outcomes(selects, variables, ask)


def _told(outcome: object) -> str | None:
    if isinstance(outcome, float):
        return repr(outcome).removesuffix(".0")
    return None if outcome is None else str(outcome)


def ask_database(
    cursor: Cursor, table: Composable, checks: Iterable[Check], cdr_type: CdrType, date: dt.date
) -> Outcomes:
    """Run checks on a day's partition, each in a savepoint."""

    def ask(select: str) -> str | None:
        cursor.execute("SAVEPOINT quality_check")
        try:
            cursor.execute(f"SELECT (\n{select}\n)::text")
        except psycopg2.Error:
            cursor.execute("ROLLBACK TO SAVEPOINT quality_check")
            raise
        (outcome,) = cursor.fetchone() or (None,)
        return outcome

    variables = _variables(cdr_type, date, table.as_string(cursor))
    return _outcomes(_selects(checks, variables), variables, ask)


@lru_cache(maxsize=256)
def _template(text: str) -> Template:
    return _TEMPLATES.from_string(text)


def _selects(checks: Iterable[Check], variables: Variables) -> dict[str, str]:
    """Return the checks' statements by name, without those that cannot be made."""
    selects = {}
    for check in checks:
        try:
            text = check.path.read_text(encoding="utf-8")
            selects[check.name] = _template(text).render(variables).strip().rstrip(";")
        except (TemplateError, UnicodeDecodeError) as error:
            _warn(check.name, variables, error)
    return selects


def _outcomes(selects: dict[str, str], variables: Variables, ask: Callable[[str], str | None]) -> Outcomes:
    """Collect outcomes; a failing check loses only its own outcome."""
    found: Outcomes = {}
    for name, select in selects.items():
        try:
            found[name] = ask(select)
        except (psycopg2.Error, duckdb.Error) as error:
            _warn(name, variables, error)
    return found


def _warn(check: str, variables: Variables, error: Exception) -> None:
    # A database error's text can quote the row, so log only its class.
    _log.warning(
        "quality check failed",
        check=check,
        cdr_type=variables["cdr_type"],
        date=variables["ds"],
        error=type(error).__name__,
    )


def valid_cells(cursor: Cursor, date: dt.date) -> list[str]:
    """List the ids of cell versions with a position in service on a day.

    An id occurs once for each version.
    """
    cursor.execute(
        "SELECT id FROM infrastructure.cells WHERE geom_point IS NOT NULL "
        "AND coalesce(date_of_first_service, '-infinity') <= %(date)s "
        "AND coalesce(date_of_last_service, 'infinity') >= %(date)s",
        {"date": date},
    )
    return [identifier for (identifier,) in cursor.fetchall()]


def store(cursor: Cursor, outcomes: Outcomes, cdr_type: CdrType, date: dt.date) -> None:
    """Append outcomes to ``etl.post_etl_queries``.

    Users see the newest outcome of a day and check.
    """
    execute_values(
        cursor,
        "INSERT INTO etl.post_etl_queries (cdr_date, cdr_type, type_of_query_or_check, outcome, timestamp) VALUES %s",
        [(date, cdr_type, name, outcome) for name, outcome in outcomes.items()],
        template="(%s, %s, %s, %s, clock_timestamp())",
    )


def store_rejects(cursor: Cursor, refused: Mapping[str, int], cdr_type: CdrType, date: dt.date) -> None:
    """Append the number of a day's refused records, and that of each reason.

    A reason of an earlier load that this one does not have becomes 0.
    """
    cursor.execute(
        "SELECT DISTINCT type_of_query_or_check FROM etl.post_etl_queries "
        "WHERE cdr_type = %s AND cdr_date = %s AND starts_with(type_of_query_or_check, %s)",
        (cdr_type, date, f"{REJECTED}_"),
    )
    outcomes: Outcomes = {name: "0" for (name,) in cursor.fetchall()}
    outcomes |= {f"{REJECTED}_{reason}": str(count) for reason, count in refused.items()}
    outcomes[REJECTED] = str(sum(refused.values()))
    store(cursor, outcomes, cdr_type, date)


def _variables(cdr_type: CdrType, date: dt.date, table: str) -> Variables:
    tomorrow = date + dt.timedelta(days=1)
    identity = [column.name for column in COLUMNS[cdr_type] if column.name != "id"]
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
        "has_counterparts": cdr_type in HAS_COUNTERPARTS,
    }
