"""Run the commands about stored results.

Their output is for people, one result a line.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Collection, Mapping
from datetime import timedelta

import sqlalchemy as sa

from flowmachine import cache, metrics
from flowmachine.data import read_data_state
from flowmachine.executors import make_stores
from flowmachine.logs import debug_log
from flowmachine.settings import Settings
from flowmachine.standing import StandingParts
from flowmachine.stores.base import Executor


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    """Run a command and return the exit code."""
    engine = settings.engine("flowmachine-cache", pool_size=2)
    executors = make_stores(settings)
    try:
        _run(chosen, settings, engine, executors)
    except RuntimeError as error:
        _say(str(error))
        return 1
    finally:
        engine.dispose()
    return 0


def _run(
    chosen: argparse.Namespace, settings: Settings, engine: sa.Engine, executors: Mapping[str, Executor]
) -> None:
    command = chosen.cache_command
    if command == "list":
        with engine.connect() as connection:
            for entry in cache.entries(connection):
                _say(_line(entry))
    elif command == "size":
        with engine.connect() as connection:
            _say(f"{cache.size(connection)} bytes stored, limit {cache.size_limit(connection)}")
    elif command == "standing":
        with engine.connect() as connection:
            shares = StandingParts(settings.standing).shares(connection, read_data_state(connection))
        for share in shares:
            _say(f"{share.stored} of {share.days} days, {share.bytes} bytes  {json.dumps(share.spec)}")
        if not shares:
            _say("FLOWMACHINE_STANDING lists nothing.")
    elif command == "shrink":
        protected = None if chosen.protected is None else timedelta(seconds=chosen.protected)
        verb = "would drop" if chosen.dry_run else "dropped"
        for entry in cache.shrink(
            engine,
            executors,
            limit=chosen.limit,
            protected=protected,
            dry_run=chosen.dry_run,
            standing=_standing(settings, engine),
        ):
            _say(f"{verb} {_line(entry)}")
    elif command == "reset":
        _say(f"{cache.reset(engine, executors)} results dropped")
    elif command == "invalidate":
        dropped = cache.invalidate(engine, executors, chosen.query_id, cascade=not chosen.no_cascade)
        for key in dropped:
            _say(f"dropped {key.query_id} ({key.store})")
        if not dropped:
            _say(f"nothing is stored for {chosen.query_id}")
    elif command == "orphans":
        for name in cache.drop_orphans(engine, executors) + cache.tidy(engine, executors):
            _say(f"removed {name}")
    elif command == "evict":
        _evict(settings, engine, executors)


def _evict(settings: Settings, engine: sa.Engine, executors: Mapping[str, Executor]) -> None:
    """Prune at once and then periodically until told to stop.

    A failure is logged and retried at the next turn.
    """
    every, timeout = settings.pruning_frequency, settings.pruning_timeout
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if every < 0:
        _say("FLOWMACHINE_CACHE_PRUNING_FREQUENCY is negative: nothing is ever pruned.")
        # A service that ended would be restarted repeatedly.
        stopping.wait()
    log = debug_log().bind(submodule="evict")
    # Idle for most of the day, so that only its absence is a sign.
    metrics.serve(
        settings.bind, settings.metrics_port, folder=settings.cache_path, longest_silence=float("inf")
    )
    while not stopping.is_set():
        try:
            deadline = time.monotonic() + timeout
            for entry in cache.shrink(engine, executors, standing=_standing(settings, engine)):
                log.info("dropped", query_id=entry.key.query_id, kind=entry.kind, bytes=entry.bytes)
                if time.monotonic() > deadline:
                    log.error("pruning took too long; the rest waits for the next turn", seconds=timeout)
                    break
            for name in cache.drop_orphans(engine, executors):
                log.info("removed an orphan", name=name)
            for name in cache.tidy(engine, executors):
                log.info("removed what is out of use", name=name)
        except Exception as error:
            log.error("pruning failed", error=type(error).__name__)
        else:
            metrics.alive()
        stopping.wait(max(every, 1))


def _standing(settings: Settings, engine: sa.Engine) -> Collection[str]:
    """Return the ids of results that are never dropped for their size."""
    if not settings.standing:
        return ()
    with engine.connect() as connection:
        return StandingParts(settings.standing).ids(read_data_state(connection))


def _line(entry: cache.Entry) -> str:
    used = "never" if entry.last_accessed is None else f"{entry.last_accessed:%Y-%m-%d %H:%M:%S}"
    return (
        f"{entry.key.query_id}  {entry.key.store:8}  {entry.kind:32}  {entry.bytes:>12} bytes"
        f"  {entry.milliseconds:>10.0f} ms  score {entry.score:>8.2f}  used {entry.access_count} times, last {used}"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
