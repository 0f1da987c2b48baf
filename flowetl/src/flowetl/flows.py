"""Load by schedule: a thin Prefect flow for each source over ``loading``."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog
from prefect import Flow, Task, flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import flow_run
from prefect.states import State
from prefect.tasks import exponential_backoff

from flowetl import hooks, quality, records
from flowetl.backfill import Missing, missing_days
from flowetl.deployment import Deployment
from flowetl.errors import Busy, Changed, LoadError, UnexpectedFault, Unreachable
from flowetl.loading import load_day
from flowetl.logs import configure_logging
from flowetl.moneydays import load_money_day, missing_money_days
from flowetl.moneysource import MoneySource
from flowetl.nightreport import write_report
from flowetl.partitions import analyse_parent
from flowetl.processes import end_with_server
from flowetl.readers import place_of
from flowetl.report import calendar
from flowetl.reportsignal import wake
from flowetl.retention import retain
from flowetl.source import Source

_log = structlog.get_logger(__name__)

Result = TypeVar("Result")

QUALITY_DAYS = 7
"""Days whose quality checks the page of a run shows; the report has those of all."""
FIRST_RETRY_SECONDS = 30
RETRIES = 3


def run_as_task(name: str, step: Callable[[], Result]) -> Result:
    """Run a step as a Prefect task.

    Its result stays in memory, because neither a day nor a connection may reach a disk.
    """
    return task(name=name, persist_result=False, cache_policy=NO_CACHE)(step)()


async def _may_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Return whether a failure may pass within minutes and deserves a retry.

    Faults of the data do not, and neither does a missing file. Its wait has already lasted as long as the
    source says, and a longer wait would delay the source's next day.
    """
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, Changed | Busy | Unreachable) or (
        isinstance(error, UnexpectedFault) and error.transient
    )


_TRIED_AGAIN: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(FIRST_RETRY_SECONDS),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _may_pass,
    "persist_result": False,
    "cache_policy": NO_CACHE,
}


@task(name="find_missing_days", **_TRIED_AGAIN)
def find_missing_days(source_name: str, until: dt.date) -> Missing:
    """Find the days that a scheduled run may load; retry while the database restarts."""
    deployment = Deployment.from_settings()
    source = deployment.sources()[source_name]
    return missing_days(deployment, source, source.start, until)


@task(name="load_day", task_run_name="{source_name} {date}", **_TRIED_AGAIN)
def load_one_day(source_name: str, date: dt.date, wait: bool) -> int:
    """Load one day of a source; return its rows."""
    deployment = Deployment.from_settings()
    source = deployment.sources()[source_name]
    return load_day(deployment, source, date, wait=wait, run_step=run_as_task).rows


def load_missing(source_name: str, date: dt.date | None) -> int:
    """Load one day, or every missing day up to yesterday; return the rows loaded.

    Dropped days are skipped. Yesterday's file is waited for. An older day is loaded only after its file has
    arrived.

    Raises
    ------
    LoadError
        When days failed, after all others were loaded.
    """
    deployment = Deployment.from_settings()
    source = deployment.sources()[source_name]
    yesterday = _yesterday(deployment)
    wanted, dropped = Missing([date], []) if date else find_missing_days(source_name, yesterday)
    if dropped:
        _log.info("dropped days left alone", source=source_name, days=len(dropped))
    rows, failures = 0, []
    for day in sorted(wanted):
        wait = day in (date, yesterday)
        if not wait and not place_of(deployment, source, day).there():
            continue
        if date is None and _at_work(deployment, source, day):
            _log.info("another run is at work on the day", source=source_name, date=str(day))
            continue
        try:
            rows += load_one_day(source_name, day, wait)
        except LoadError as error:
            failures.append(f"{day}: {error}")
            hooks.tell(deployment.hook, source, day, error)
    if deployment.retain_months is not None:
        for cdr_type, expired in retain(deployment, deployment.retain_months):
            _log.info("expired day dropped", cdr_type=cdr_type, date=str(expired))
    _show(deployment, source, wanted)
    write_report(deployment, deployment.report)
    if rows:
        with deployment.connect() as connection, connection.cursor() as cursor:
            analyse_parent(cursor, source.cdr_type)
    if failures:
        raise LoadError("; ".join(failures))
    return rows


@task(name="load_money_day", task_run_name="{name} {date}", **_TRIED_AGAIN)
def load_one_money_day(name: str, date: dt.date, wait: bool) -> int:
    """Load one day of mobile money; return its transactions."""
    deployment = Deployment.from_settings()
    return load_money_day(deployment, deployment.money_sources()[name], date, wait=wait).transactions


def load_missing_money(name: str, date: dt.date | None) -> int:
    """Do as ``load_missing`` for mobile money; return the transactions loaded."""
    deployment = Deployment.from_settings()
    money = deployment.money_sources()[name]
    yesterday = _yesterday(deployment)
    wanted = [date] if date else missing_money_days(deployment, money, yesterday)
    transactions, failures = 0, []
    for day in wanted:
        wait = day in (date, yesterday)
        if not wait and not place_of(deployment, money, day).there():
            continue
        try:
            transactions += load_one_money_day(name, day, wait)
        except LoadError as error:
            failures.append(f"{day}: {error}")
            hooks.tell(deployment.hook, money, day, error)
    _show(deployment, money, wanted)
    write_report(deployment, deployment.report)
    if failures:
        raise LoadError("; ".join(failures))
    return transactions


def _show(deployment: Deployment, source: Source | MoneySource, wanted: Sequence[dt.date]) -> None:
    """Show the days' outcomes on the run's page."""
    if not wanted:
        return
    shown = (dt.datetime.now(deployment.zone).date() - min(wanted)).days
    rows = [
        {
            key: str(day[key]) if day[key] is not None else ""
            for key in ("date", "state", "rows", "rejects", "reason")
        }
        for day in calendar(deployment, shown)
        if day["source"] == source.name and day["date"] in set(wanted)
    ]
    # Keys of artifacts may have small letters, digits and dashes.
    key = flow_name(source).replace("_", "-")
    create_table_artifact(rows, key=key, description=f"Days of {source.name}")
    loaded = sorted(
        day
        for day in set(wanted)
        if any(row["date"] == str(day) and row["state"] == "loaded" for row in rows)
    )
    with deployment.connect() as connection, connection.cursor() as cursor:
        outcomes = quality.outcomes(cursor, source.cdr_type, loaded[-QUALITY_DAYS:])
    if outcomes:
        create_table_artifact(outcomes, key=f"{key}-quality", description=f"Quality checks of {source.name}")


def _at_work(deployment: Deployment, source: Source, day: dt.date) -> bool:
    """Return whether another run works on a day; this run has other days to load."""
    with deployment.connect() as connection, connection.cursor() as cursor:
        return records.is_held(cursor, source.cdr_type, day)


def _yesterday(deployment: Deployment) -> dt.date:
    """Return the last day that is over on the deployment's clock."""
    return dt.datetime.now(deployment.zone).date() - dt.timedelta(days=1)


def flow_name(source: Source | MoneySource) -> str:
    """Return the name of a source's flow."""
    return f"load-{source.name}"


def _function_name(source: Source | MoneySource) -> str:
    return "load_" + source.name.replace("-", "_")


def flow_of(source: Source | MoneySource) -> Flow[..., int]:
    """Build the flow ``load-<source>``.

    Its parameter ``date`` loads that day again; otherwise missing days are loaded.
    """
    name = source.name
    load_all = load_missing_money if isinstance(source, MoneySource) else load_missing

    def load(date: dt.date | None = None) -> int:
        try:
            return load_all(name, date)
        finally:
            # Also after failures: the other days are loaded.
            wake()

    load.__name__ = load.__qualname__ = _function_name(source)

    def named() -> str:
        date = flow_run.parameters.get("date")
        return f"{name} {date or _yesterday(Deployment.from_settings())}"

    return flow(name=flow_name(source), flow_run_name=named, persist_result=False)(load)


def __getattr__(name: str) -> Flow[..., int]:
    """Return ``load_<source>``; a scheduled run looks its flow up here by name."""
    if name.startswith("load_"):
        configure_logging()
        end_with_server()
        for source in Deployment.from_settings().all_sources():
            if _function_name(source) == name:
                return flow_of(source)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
