"""Kill loader, Prefect and database at one moment, at every step of a load."""

import datetime as dt
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest
from cluster import Cluster, free_port

from flowdb.deployment import API_ROLE, ENGINE_ROLE, SUPERUSER, Deployment, Login
from flowdb.testing import FAST_AND_UNSAFE, Database
from flowetl.withdrawal import Drift, reconcile

from . import test_flows
from .conftest import Operator, operator_of
from .test_crash import FAULTS, checksum
from .test_flows import Server, scheduled_every_five_seconds, wait_for, write
from .test_flows import prefect as prefect_of

prefect = prefect_of

SOAK = bool(os.environ.get("FLOWKIT_SOAK_MINUTES"))
STEPS = FAULTS if SOAK else FAULTS[8:9]
"""Each takes as long as three programs need to start: all of them only where there is time."""
EVERY = "* * * * *" if SOAK else "* * * * * */15"
"""When a run begins. Runs that nobody could do while all were dead are late, and are done first: the longer a test takes,
the fewer it must have."""

#: Python runs a module of this name at each start. A scheduled run stops at a step, and tells its file.
STOPS = """
    import os, signal
    from importlib import import_module
    from pathlib import Path

    step = Path(os.environ["STEP"])
    if os.environ.get("PREFECT__FLOW_RUN_ID") and step.exists():
        parts = step.read_text().split(".")
        owner = import_module(".".join(parts[:2]))
        for name in parts[2:-1]:
            owner = getattr(owner, name)

        def stopped(*arguments, **options):
            step.with_suffix(".reached").touch()
            signal.pause()

        setattr(owner, parts[-1], stopped)
"""


class Killable:
    """A database server of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder, free_port())
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it as a child, which can be waited for when it was killed."""
        self.cluster.prepare(FAST_AND_UNSAFE)
        user, group = self.cluster.owner() or (None, None)
        groups = None if user is None else []
        with self.cluster.log.open("a") as log:
            self._process = subprocess.Popen(
                self.cluster.command(),
                user=user,
                group=group,
                extra_groups=groups,
                umask=0o077,
                cwd="/",
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """Kill every process of the server, as when the machine loses power."""
        assert self._process is not None
        for process in descendants(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._process.wait(30)


def children(process: int) -> list[int]:
    """Return a process's children; none once it is gone."""
    with suppress(FileNotFoundError):
        return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))
    return []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Killable]:
    found = Killable(tmp_path / "cluster")
    found.start()
    yield found
    found.kill()
    found.cluster.destroy()


@pytest.fixture
def operator(server: Killable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    login, engine, api = (
        Login(role, server.cluster.password()) for role in (SUPERUSER, ENGINE_ROLE, API_ROLE)
    )
    database = Database(Deployment("127.0.0.1", server.cluster.port, login, engine, api))
    settings = {
        "FLOWDB_HOST": "127.0.0.1",
        "FLOWDB_PORT": str(server.cluster.port),
        "FLOWDB_DATABASE": database.name,
        "FLOWDB_TIMEZONE": "UTC",
        "FLOWDB_POSTGRES_PASSWORD": login.password,
        "FLOWMACHINE_FLOWDB_PASSWORD": "8f14e45fceea167a5a36dedd4bea2543",
        "FLOWAPI_FLOWDB_PASSWORD": "c9f0f895fb98ab9159f51fd0297e236d",
    }
    found = operator_of(database, settings, tmp_path, monkeypatch)
    wait_for(lambda: answers(server), "a database", server.cluster.log)
    subprocess.run([sys.executable, "-m", "flowdb", "migrate"], env=found.environment, check=True)
    return found


@pytest.mark.timeout(7200)
def test_a_schedule_goes_on_whatever_is_killed_at_whatever_step(
    operator: Operator, server: Killable, prefect: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three programs start again for each step, which takes long on a machine that is busy with other work.
    monkeypatch.setattr(test_flows, "DEADLINE_SECONDS", 600)
    seldom = {"timeout: 5, poll": "timeout: 0, poll", '"* * * * * */5"': f'"{EVERY}"'}
    before, yesterday = scheduled_every_five_seconds(operator, **seldom)
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(STOPS))
    step = tmp_path / "step"
    operator.environment |= {"PYTHONPATH": str(tmp_path), "STEP": str(step)}
    log = tmp_path / "serve.log"
    first = before - dt.timedelta(days=4)

    for fault in STEPS:
        # The day of the step, and one that waits behind it.
        write(operator, first)
        step.write_text(fault)
        # Both start at once: the loader waits for the server.
        prefect.begin()
        with log.open("a") as output:
            loader = subprocess.Popen(
                [sys.executable, "-m", "flowetl", "serve"],
                env=operator.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_for(step.with_suffix(".reached").exists, f"a run at {fault}", log)
        finally:
            kill_all(loader, prefect, server)
        step.with_suffix(".reached").unlink()
        step.unlink()

        server.start()
        wait_for(lambda: answers(server), "a database that has recovered", log)
        committed = fault.endswith("_remove_other_versions")
        assert (operator.rows("SELECT cdr_date FROM etl.available_dates") == [(first,)]) is committed, fault
        assert not reconcile(operator.deployment).needs_attention
        assert reconcile(operator.deployment) == Drift()

    prefect.start()
    with log.open("a") as output:
        loader = subprocess.Popen(
            [sys.executable, "-m", "flowetl", "serve"],
            env=operator.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        write(operator, yesterday)
        wait_for(lambda: yesterday in loaded(operator), "a load after everything", log)
        wait_for(lambda: first in loaded(operator), "the day of the kills", log)
        loader.send_signal(signal.SIGTERM)
        assert loader.wait(60) == 0
    finally:
        loader.kill()
        loader.wait()
    partition, ((*columnar,), _), days = checksum(operator)
    assert len(columnar) == 1
    assert partition[0][0]
    assert days == [("calls", first), ("calls", yesterday)]
    assert (
        operator.value("SELECT count(*) FROM etl.loads WHERE state IN ('waiting', 'loading', 'checking')")
        == 0
    )
    assert operator.alice.msisdn not in log.read_text()


def kill_all(loader: subprocess.Popen[bytes], prefect: Server, server: Killable) -> None:
    """Kill all three: first the loader's runs, which would live longer than it."""
    # A run that it started meanwhile would be missed, and go on with the next server.
    os.kill(loader.pid, signal.SIGSTOP)
    for process in descendants(loader.pid):
        os.kill(process, signal.SIGKILL)
    server.kill()
    prefect.kill()
    loader.wait(30)


def descendants(process: int) -> list[int]:
    found = [process]
    for child in children(process):
        found += descendants(child)
    return found


def answers(server: Killable) -> bool:
    try:
        psycopg2.connect(
            host="127.0.0.1",
            port=server.cluster.port,
            dbname="postgres",
            user=SUPERUSER,
            password=server.cluster.password(),
        ).close()
    except psycopg2.OperationalError:
        return False
    return True


def loaded(operator: Operator) -> set[dt.date]:
    return {date for (date,) in operator.rows("SELECT cdr_date FROM etl.available_dates")}
