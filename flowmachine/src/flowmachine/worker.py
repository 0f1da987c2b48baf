"""Run a worker: plan and compute queries, renew leases, stop when told to.

A worker has one job at a time. A second thread renews the lease, hears of cancellations and wakes the first
thread. It owns a separate connection, so that a long statement never delays a renewal.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import duckdb
import psycopg2
import sqlalchemy as sa

from flowmachine import metrics, stopping
from flowmachine.data import DataState, read_data_state, report_damage
from flowmachine.executors import make_executors
from flowmachine.failures import DamagedFiles, DataChanged, describe, may_pass
from flowmachine.jobs import planning, recovery, table, working
from flowmachine.jobs.specs import query_of
from flowmachine.jobs.table import Key
from flowmachine.ledger import packing
from flowmachine.logs import about, audit_log, debug_log
from flowmachine.plan import make_plan
from flowmachine.settings import DUCKDB, LEASE, TIME_LIMIT, Computing, Database, Settings
from flowmachine.spec.aggregate import Aggregate
from flowmachine.spec.published import floor
from flowmachine.spec.query import NotBuildable, Query
from flowmachine.spec.subsets import SubscriberSet
from flowmachine.sql import samples
from flowmachine.standing import StandingParts
from flowmachine.stores import TABLES
from flowmachine.stores.base import Executor, Stored


class Worker:
    """Compute jobs until ``stop`` is called."""

    def __init__(
        self,
        database: Database,
        computing: Computing,
        *,
        lease: int = LEASE,
        time_limit: int = TIME_LIMIT,
    ) -> None:
        self._host = socket.gethostname()
        self.name = f"{self._host}-{os.getpid()}"
        self._lease = timedelta(seconds=lease)
        self._time_limit = time_limit
        self._computing = computing
        computing.cache_path.mkdir(parents=True, exist_ok=True)
        self._engine = database.engine("flowmachine-worker", pool_size=3, durable=False)
        self.executors: Mapping[str, Executor] = make_executors(computing)
        self._standing = StandingParts(computing.standing)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        #: Ends the lease keeper's wait for notices.
        self._bell, self._bell_rope = socket.socketpair()
        self._current: Key | None = None
        self._working: Any = None
        #: Held while a statement is cancelled and between jobs, so that no later statement is hit instead.
        self._cancels = threading.Lock()
        self._cancelling = False
        self._overdue = False
        self._started = 0.0
        self._log = debug_log().bind(submodule="worker", worker=self.name)
        self._audit = audit_log().bind(submodule="worker", worker=self.name)

    def stop(self) -> None:
        """Stop after returning the current job; callable from a signal handler."""
        self._stop_keeping()
        self._wake.set()
        self.interrupt()

    def run(self) -> None:
        """Work until stopped.

        A lost database is waited for; jobs of that time go to the first worker.
        """
        keeper = threading.Thread(target=self._keep, name="lease keeper", daemon=True)
        keeper.start()
        pause = 0.1
        while not self._stopping.is_set():
            try:
                busy = self.work_one(go_on=True) or self._offer_standing()
                pause = 0.1
            except sa.exc.SQLAlchemyError as error:
                if self._stopping.is_set():
                    break  # Stopping cancelled a statement between two jobs.
                # A broken connection raises many kinds of errors, and a worker survives all of them.
                self._log.error("database lost", error=describe(error), retry_in=pause)
                self._stopping.wait(pause)
                pause = min(pause * 2, 5.0)
                continue
            if not busy:
                self._wake.wait(self._lease.total_seconds() / 2)
                self._wake.clear()
        keeper.join(timeout=self._lease.total_seconds())
        self.close()

    def close(self) -> None:
        """Return the connections; the worker is unusable afterwards."""
        self._engine.dispose()
        self._bell.close()
        self._bell_rope.close()

    def work_until_done(self, key: Key) -> sa.RowMapping:
        """Work until a job is done; return its row.

        Other waiting jobs may be done on the way.
        """
        self._stopping.clear()
        keeper = threading.Thread(target=self._keep, name="lease keeper", daemon=True)
        keeper.start()
        try:
            while True:
                with self._engine.connect() as connection:
                    row = table.find(connection, key)
                assert row is not None
                if row["state"] not in ("queued", "executing"):
                    return row
                if not self.work_one():
                    self._wake.wait(1.0)
                    self._wake.clear()
        finally:
            self._stop_keeping()
            keeper.join(timeout=self._lease.total_seconds())
            self._bell.recv(1)

    def run_until_idle(self) -> None:
        """Do all jobs that are ready, then return; for direct use and for tests."""
        while self.work_one(go_on=True):
            pass

    def work_one(self, *, go_on: bool = False) -> bool:
        """Plan or compute a job; return whether there was any.

        A planned job's ready part may be computed at once. With ``go_on`` further ready jobs are computed,
        each claimed in the transaction that completes the one before.
        """
        with self._engine.connect() as connection, self._interruptible(connection):
            data = None
            with connection.begin():
                unplanned = planning.next_unplanned(connection)
                if unplanned is not None:
                    data = self._plan(connection, unplanned)
                # Plan all jobs before computing, because only planned jobs get a fair share.
                others = unplanned is not None and unplanned["unplanned"] > 1
                claimed = None if others else self._claim(connection)
                if unplanned is not None:
                    working.wake_others(connection, claimed)
            busy = unplanned is not None or claimed is not None
            while claimed is not None:
                claimed, data = self._compute_claimed(connection, claimed, data, go_on=go_on)
        return busy

    def _offer_standing(self) -> bool:
        """Queue a part that is to be stored for every day; return whether one was missing."""
        if not self._computing.standing:
            return False
        with self._engine.begin() as connection:
            data = read_data_state(connection)
            return self._standing.offer(connection, data, self.executors, self._computing.choice)

    @contextmanager
    def _interruptible(self, connection: sa.Connection) -> Iterator[None]:
        """Let ``interrupt`` cancel whatever statement runs on this connection."""
        self._working = connection.connection.driver_connection
        try:
            yield
        finally:
            with self._cancels:
                self._working = None

    def _plan(self, connection: sa.Connection, job: sa.RowMapping) -> DataState | None:
        """Plan a job; return the data state planned with, or None after a failure."""
        key = Key(job["query_id"], job["store"])
        try:
            with about(job), connection.begin_nested():
                data = read_data_state(connection)
                make_plan(connection, job, data, self.executors, self._computing.choice)
                return data
        except Exception as error:
            if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
                raise
            if may_pass(error) or self._stopping.is_set():
                # The planning is rolled back, and the job still waits to be planned.
                self._log.info("planning again", query_id=key.query_id, error=describe(error))
                return None
            self._log.error("planning failed", query_id=key.query_id, error=describe(error))
            table.trigger(connection, key, "execute", worker=self.name)
            working.fail(connection, key, self.name, type(error).__name__, describe(error))
            return None

    def _compute_claimed(
        self, connection: sa.Connection, job: sa.RowMapping, data: DataState | None, *, go_on: bool
    ) -> tuple[sa.RowMapping | None, DataState | None]:
        """Compute a job; return the next claimed job, if any, and its data state.

        ``data`` is a data state read just before, or None.
        """
        key = _key(job)
        with self._cancels:
            self._cancelling = self._overdue = False
            self._started, self._current = time.monotonic(), key
        with about(job):
            try:
                return self._compute(connection, key, job, data, go_on)
            except working.LostLease:
                self._log.error("lease lost", store=key.store)
            except Exception as error:
                self._record_failure(key, error)
            finally:
                with self._cancels:
                    self._current = None
        return None, None

    def _compute(
        self, connection: sa.Connection, key: Key, job: sa.RowMapping, data: DataState | None, go_on: bool
    ) -> tuple[sa.RowMapping | None, DataState]:
        started = time.monotonic()
        query, executor = query_of(job), self._executor_of(job)
        with connection.begin():
            # A state that was outdated meanwhile is noticed at the end.
            data = data or read_data_state(connection)
            fingerprints = data.fingerprints(query)
            self._check_inputs(connection, query, executor, data, fingerprints)
            executor.share(working.sharers(job))
            # Read the floor before computing: if the floor is raised meanwhile, the result counts as judged
            # by the lower floor.
            judged_by = floor() if key.store == table.RELEASED else None
            with self._computed(connection, key, query, executor, data, fingerprints) as stored:
                after = self._check_unchanged(connection, query, data, fingerprints)
                if stored.rows == 0 and key.store != table.RELEASED:
                    self._check_sample(connection, query, executor, data)
                milliseconds = (time.monotonic() - started) * 1000
                freed = working.complete(
                    connection,
                    key,
                    self.name,
                    stored=stored,
                    milliseconds=milliseconds,
                    fingerprint=fingerprints[query.query_id],
                    cells_version=data.cells_version,
                    read=data.inputs(query),
                    judged_by=judged_by,
                )
            # After the result's file is in place, because the next job may read it.
            following = None
            if go_on and (freed or working.others_are_ready(job)):
                following = self._claim(connection, only_planned=True)
            if freed:
                working.wake_others(connection, following)
        metrics.computed(query.kind, executor.name, milliseconds / 1000, stored.bytes)
        self._audit.info(
            "computed",
            kind=query.kind,
            store=key.store,
            executor=executor.name,
            rows=stored.rows,
            bytes=stored.bytes,
            seconds=round(milliseconds / 1000, 4),
        )
        return following, after

    def _claim(self, connection: sa.Connection, *, only_planned: bool = False) -> sa.RowMapping | None:
        if self._stopping.is_set():
            return None
        return working.claim(connection, self.name, self._lease, only_planned=only_planned)

    @staticmethod
    def _computed(
        connection: sa.Connection,
        key: Key,
        query: Query,
        executor: Executor,
        data: DataState,
        fingerprints: Mapping[str, str],
    ) -> AbstractContextManager[Stored]:
        if key.store == table.RELEASED:
            assert isinstance(query, Aggregate)
            return nullcontext(executor.release(query, data, connection))
        if isinstance(query, SubscriberSet):
            return packing.storing(query, fingerprints[query.query_id], executor, data, connection)
        return executor.storing(query, data, connection)

    @staticmethod
    def _check_inputs(
        connection: sa.Connection,
        query: Query,
        executor: Executor,
        data: DataState,
        fingerprints: Mapping[str, str],
    ) -> None:
        """Refuse inputs that vanished, broke or changed since the job was planned."""
        if damaged := executor.damaged(data.inputs(query), data):
            raise DamagedFiles(damaged)
        if executor.store == TABLES and not recovery.is_intact(connection):
            raise DataChanged
        fresh = {child.query_id: fingerprints[child.query_id] for child in query.children}
        if fresh and table.stored_ids(connection, fresh, executor.store) != fresh.keys():
            raise DataChanged

    @staticmethod
    def _check_unchanged(
        connection: sa.Connection, query: Query, before: DataState, fingerprints: Mapping[str, str]
    ) -> DataState:
        """Return the present data state; raises DataChanged if the query's inputs changed."""
        after = read_data_state(connection)
        if after is not before and after.fingerprints(query) != fingerprints:
            raise DataChanged
        return after

    @staticmethod
    def _check_sample(connection: sa.Connection, query: Query, executor: Executor, data: DataState) -> None:
        """Refuse a sample that is empty because it would leave out too few."""

        def read(statement: sa.Select[Any]) -> tuple[Any, ...]:
            return next(executor.frame(statement, connection).itertuples(index=False, name=None))

        if reason := samples.refusal(query, executor.sources(data, connection), read):
            raise NotBuildable(reason)

    def _executor_of(self, job: sa.RowMapping) -> Executor:
        """Return the executor of a job, or of its store if this worker has no cluster."""
        name = job["executor"]
        return self.executors[name if name in self.executors else DUCKDB]

    def _record_failure(self, key: Key, error: Exception) -> None:
        """Record the outcome of a failed job on another connection.

        The connection that computed the job may be broken.
        """
        with self._engine.begin() as connection:
            if isinstance(error, DamagedFiles):
                report_damage(connection, error.days)
            if lost := recovery.forget_lost(connection):
                self._log.error("the database emptied its intermediate results", results=lost)
            if self._cancelling:
                working.cancelled(connection, key, self.name)
            elif self._overdue:
                reason = (
                    f"It took longer than the {self._time_limit:g} seconds that one part of a query may take."
                )
                working.fail(connection, key, self.name, "TimeLimit", reason)
            elif self._stopping.is_set():
                working.give_back(connection, key, self.name, replan=False)
            elif self._unreadable(connection, key):
                self._log.error("day files are damaged or gone; the database computes instead")
                recovery.replan_above(connection, key, self.name)
            elif self._input_gone(connection, key, error):
                self._log.info("an input is gone; planning anew", error=describe(error))
                working.give_back(connection, key, self.name, replan=True)
            else:
                self._log.error("failed", error=describe(error))
                metrics.failed(type(error).__name__)
                working.fail(connection, key, self.name, type(error).__name__, describe(error))

    def _unreadable(self, connection: sa.Connection, key: Key) -> bool:
        """Return whether a part can never succeed in its store.

        A released result is planned again for any store that can compute it.
        """
        job = table.find(connection, key)
        if job is None or key.store == table.RELEASED or self._computing.executor != "auto":
            return False
        data = read_data_state(connection)
        return not self._executor_of(job).can_read(query_of(job), data)

    def _input_gone(self, connection: sa.Connection, key: Key, error: Exception) -> bool:
        """Return whether a job failed because an input vanished or changed.

        A new plan may then succeed.
        """
        job = table.find(connection, key)
        if job is None or job["attempts"] >= recovery.ATTEMPTS:
            return False
        # A file is also missing when its day was loaded again between reading the manifest and the file.
        if isinstance(error, (DataChanged, DamagedFiles, duckdb.IOException)):
            return True
        if may_pass(error):
            return True
        executor = self._executor_of(job)
        query = query_of(job)
        return not executor.can_read(query, read_data_state(connection)) or any(
            not executor.stored_exists(child, connection) for child in query.children
        )

    def _recover(self, connection: sa.Connection) -> None:
        """Repair all users' jobs: those of dead workers and those waiting in vain."""
        for key in recovery.requeue_expired(connection):
            self._log.error("lease expired", query_id=key.query_id, store=key.store)
        for key in recovery.replan_stuck(connection):
            self._log.error("waited in vain; planning anew", query_id=key.query_id, store=key.store)

    def interrupt(self) -> None:
        """Stop the running statements, if any; callable from another thread."""
        with self._cancels:
            self._interrupt()

    def _interrupt(self) -> None:
        for executor in self.executors.values():
            executor.interrupt()
        if self._working is not None and not self._working.closed:
            self._working.cancel()

    def give_up(self) -> None:
        """Return the present job to the queue; its result is refused from then on."""
        key = self._current
        if key is not None:
            with self._engine.begin() as connection:
                working.give_back(connection, key, self.name, replan=False)

    def _keep(self) -> None:
        """Renew leases and listen for as long as the worker runs."""
        while not self._stopping.is_set():
            try:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    try:
                        self._listen(connection)
                    finally:
                        # In the pool the connection would go on listening and pile up unread notices.
                        connection.invalidate()
            except (sa.exc.SQLAlchemyError, psycopg2.Error, OSError, ValueError) as error:
                self._log.error("not listening", error=describe(error))
                self._stopping.wait(1.0)

    def _listen(self, connection: sa.Connection) -> None:
        raw = connection.connection.driver_connection
        assert raw is not None
        cursor = raw.cursor()
        for channel in (table.WORK_CHANNEL, table.CANCEL_CHANNEL):
            cursor.execute(f"LISTEN {channel}")
        self._wake.set()
        renew_every = self._lease.total_seconds() / 4
        due = 0.0
        illness = None
        while not self._stopping.is_set():
            if time.monotonic() >= due:
                due = time.monotonic() + renew_every
                self._renew(connection)
                self._recover(connection)
                illness = self._computing.unusable_folder()
                working.see(connection, self.name, illness)
            # At each turn, because leases may last for hours.
            if illness is None:
                metrics.alive()
            with self._cancels:
                if self._current is not None and time.monotonic() - self._started > self._time_limit:
                    self._overdue = True
                    self._interrupt()
            # Notices also arrive with the reply to a statement; then nothing is left to read.
            if not raw.notifies and raw in select.select([raw, self._bell], [], [], min(1.0, renew_every))[0]:
                raw.poll()
            channels = {notice.channel for notice in raw.notifies}
            raw.notifies.clear()
            if table.WORK_CHANNEL in channels:
                self._wake.set()
            if table.CANCEL_CHANNEL in channels:
                self._renew(connection)

    def _renew(self, connection: sa.Connection) -> None:
        """Renew the job being computed; other jobs of this worker's name may expire."""
        key = self._current
        if key is not None and working.renew(connection, key, self.name, self._lease):
            with self._cancels:
                if self._current == key:
                    self._cancelling = True
                    self._interrupt()

    def _stop_keeping(self) -> None:
        """End the lease keeper without waiting for another notice."""
        self._stopping.set()
        self._bell_rope.send(b"!")


def _key(job: sa.RowMapping) -> Key:
    return Key(job["query_id"], job["store"])


def main(settings: Settings) -> None:
    """Run one worker until SIGTERM or SIGINT."""
    metrics.serve(settings.bind, settings.metrics_port, folder=settings.cache_path)
    worker = Worker(settings, settings, lease=settings.lease, time_limit=settings.time_limit)
    stopping.on_signal(worker.stop, worker.interrupt, worker.give_up)
    # Long-lived objects stay: keep the garbage collector from scanning them repeatedly.
    gc.freeze()
    worker.run()
