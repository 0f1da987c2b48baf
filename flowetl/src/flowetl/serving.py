"""Serve the sources: run their schedules until told to stop, despite kills."""

import os
import sys
import threading
import time

import structlog
from prefect import serve
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.schedules import Cron
from prefect.states import Crashed

from flowetl import processes
from flowetl.deployment import Deployment, available_cores
from flowetl.errors import LoadError
from flowetl.flows import flow_name, flow_of
from flowetl.loadmetrics import serve_metrics
from flowetl.repair import watch
from flowetl.silence import Silence, look_at_server
from flowetl.source import has_sources

_log = structlog.get_logger(__name__)

_LOOK_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_AT_WORK = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)


def serve_sources(deployment: Deployment, bind: str = "127.0.0.1", metrics_port: int | None = None) -> None:
    """Register a deployment for each source and run its schedule until SIGTERM.

    Columnar files that the engine finds damaged are rebuilt meanwhile, by a thread: it has nothing to schedule.
    """
    stopping = threading.Event()
    longest = deployment.longest_run_hours * 3600
    with processes.only_server(deployment.rejects):
        serve_metrics(deployment, bind, metrics_port)
        for name, target, options in (
            ("repair", watch, (deployment, stopping)),
            ("hung runs", processes.end_hung_runs, (longest, stopping)),
        ):
            threading.Thread(target=target, args=options, name=name, daemon=True).start()
        wait_for_server()
        threading.Thread(target=begin_again_after_outage, name="outages", daemon=True).start()
        try:
            if has_sources(deployment.sources_folder):
                end_left_runs([flow_name(source) for source in deployment.all_sources()])
                _serve(deployment)
            else:
                _serve_nothing(deployment)
        except LoadError:
            raise
        except Exception as error:
            # Of a refused file its name: without it nobody would find the cure.
            file = error.filename if isinstance(error, OSError) else None
            _begin_again(f"{type(error).__name__}: {file}" if file else type(error).__name__)
        stopping.set()


def begin_again_after_outage() -> None:
    """Begin again once the Prefect server answers after an outage.

    Parts of Prefect's runner give up during an outage, and do not come back: it neither looks for runs nor ends.
    """
    with get_client(sync_client=True) as client:
        url = str(client.api_url).rstrip("/")
    silence = Silence()
    while True:
        time.sleep(_LOOK_SECONDS)
        silence.note(look_at_server(url, _ANSWER_SECONDS), time.monotonic())
        if silence.was_outage:
            _begin_again("outage of the Prefect server")


def _begin_again(cause: str) -> None:
    """Restart this program, without its old threads and ports.

    The next night must not depend on somebody who looks after the process.
    """
    _log.warning("serving is begun again", cause=cause)
    processes.wait_until_gone(processes.end_runs())
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _serve(deployment: Deployment) -> None:
    sources = deployment.all_sources()
    served = [
        RunnerDeployment.from_flow(
            flow_of(source),
            name=source.name,
            schedule=Cron(source.schedule, timezone=str(source.zone(deployment.zone))),
            description=f"Loads {source.cdr_type} from {source.origin}",
            # No limit: its slots outlive those who held them. The lock of a day in the database does not.
            concurrency_limit=None,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for source in sources
    ]
    # A run that waits for its file must not keep the other sources from theirs.
    limit = max(available_cores(), len(sources))
    serve(*served, pause_on_shutdown=False, print_starting_message=False, limit=limit)


def _serve_nothing(deployment: Deployment) -> None:
    """Serve a new installation, and begin again once its first source is there."""
    folder = deployment.sources_folder
    _log.warning("no source yet: a description of one, *.yml, is waited for", folder=str(folder))

    def wait_for_sources() -> None:
        while not has_sources(folder):
            time.sleep(_LOOK_SECONDS)
        _begin_again("the first source")

    threading.Thread(target=wait_for_sources, name="first source", daemon=True).start()
    # The runner answers the health check and stops when it is told to.
    serve(pause_on_shutdown=False, print_starting_message=False)


def end_left_runs(flows: list[str]) -> int:
    """End the runs of flows that Prefect considers alive.

    No process works on them, because this server has just started.
    """
    with get_client(sync_client=True) as client:
        left = _runs_at_work(client, flows)
        for run in left:
            state: State[None] = Crashed(message="its process was killed; the next run does what is missing")
            client.set_flow_run_state(run.id, state, force=True)
            _log.warning("left run ended", run=run.name, was=str(run.state_name))
    return len(left)


def _runs_at_work(client: SyncPrefectClient, names: list[str]) -> list[FlowRun]:
    found: list[FlowRun] = []
    while True:
        page = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=names)),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_AT_WORK)))
            ),
            offset=len(found),
        )
        if not page:
            return found
        found += page


def wait_for_server() -> None:
    """Wait until the Prefect server answers, because it starts more slowly."""
    waited = False
    with get_client(sync_client=True) as client:
        while (fault := client.api_healthcheck()) is not None:
            if not waited:
                _log.warning(
                    "waiting for the Prefect server", url=str(client.api_url), error=type(fault).__name__
                )
            waited = True
            time.sleep(1)
    if waited:
        _log.info("the Prefect server answers")
