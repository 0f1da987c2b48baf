"""Make reports when they are due: a Prefect flow over the client's commands."""

import fcntl
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog
from prefect import flow, serve, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.futures import wait
from prefect.schedules import Interval
from prefect.task_runners import ThreadPoolTaskRunner

from flowetl import processes, serving
from flowetl.errors import LoadError
from flowetl.logs import configure_logging
from flowetl.reportcommands import asked, last_line
from flowetl.reportmetrics import serve_metrics
from flowetl.reportsignal import DEPLOYMENT, FLOW
from flowetl.settings import ReportSettings

_log = structlog.get_logger(__name__)

LOOK = timedelta(minutes=5)
#: Reports that are made at the same time. Periods of one report are made one after the other.
AT_ONCE = 2


#: Its class is one of task runners, but not of those that the decorator declares.
_TASKS: Any = ThreadPoolTaskRunner(max_workers=AT_ONCE)


class ReportsFailed(LoadError):
    """Report which reports failed; the others were made."""


def serve_reports(settings: ReportSettings) -> None:
    """Look for due reports every five minutes, and make them, until SIGTERM.

    Raises
    ------
    ConfigurationError
        When another process makes the reports of this folder.
    """
    with processes.only_server(settings.out):
        serve_metrics(settings.bind, settings.metrics_port, settings.out)
        serving.wait_for_server()
        threading.Thread(target=serving.begin_again_after_outage, name="outages", daemon=True).start()
        serving.end_left_runs([FLOW])
        threading.Thread(target=_look_at_once, name="first look", daemon=True).start()
        deployment = RunnerDeployment.from_flow(
            make_due_reports,
            name=DEPLOYMENT,
            schedule=Interval(LOOK),
            description="Makes the reports whose days have come",
            concurrency_limit=None,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        serve(deployment, pause_on_shutdown=False, print_starting_message=False, limit=AT_ONCE)


def _look_at_once() -> None:
    """Ask for a first run, because the schedule begins five minutes after the start."""
    with get_client(sync_client=True) as client:
        while True:
            try:
                deployment = client.read_deployment_by_name(f"{FLOW}/{DEPLOYMENT}")
                break
            except ObjectNotFound:
                time.sleep(1)
        client.create_flow_run_from_deployment(deployment.id)


@flow(name=FLOW, persist_result=False, task_runner=_TASKS)
def make_due_reports() -> list[str]:
    """Make what is due, the oldest period first; return what was made.

    Raises
    ------
    ReportsFailed
        When reports failed, after all others were made.
    """
    processes.end_with_server()
    configure_logging()
    settings = ReportSettings.load()
    with _alone(settings) as alone:
        if not alone:
            _log.info("an earlier look is still at work")
            return []
        periods: dict[str, list[str]] = {}
        looked = asked(settings, "due", "--json")
        if looked.returncode:
            raise ReportsFailed(last_line(looked))
        for each in json.loads(looked.stdout):
            periods.setdefault(each["report"], []).append(each["period"])
        futures = [make_report.submit(settings, name, due) for name, due in periods.items()]
        wait(futures)
    results = [future.result(raise_on_failure=False) for future in futures]
    failures = [str(result) for result in results if isinstance(result, Exception)]
    if failures:
        raise ReportsFailed("; ".join(failures))
    return [f"{name} {period}" for name, due in periods.items() for period in due]


@task(name="report", task_run_name="report-{name}", persist_result=False, cache_policy=NO_CACHE)
def make_report(settings: ReportSettings, name: str, periods: list[str]) -> None:
    """Make periods of one report.

    Raises
    ------
    ReportsFailed
        With each period that failed and the reason, after all others were made.
    """
    failures = []
    for period in periods:
        done = asked(settings, "run", name, "--period", period)
        told = last_line(done)
        if done.returncode:
            failures.append(f"{name} {period}: {told}")
            _log.error("report not made", report=name, period=period, reason=told)
        else:
            _log.info("report made", report=name, period=period, outcome=told)
    if failures:
        raise ReportsFailed("; ".join(failures))


@contextmanager
def _alone(settings: ReportSettings) -> Iterator[bool]:
    """Yield whether no other look is at work; the lock ends with its process."""
    settings.out.mkdir(parents=True, exist_ok=True)
    with (settings.out / ".due.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
