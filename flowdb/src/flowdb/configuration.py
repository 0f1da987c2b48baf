"""Compute PostgreSQL settings for the memory and processors of this process.

Standard library only: the launcher loads this file by path before anything is installed.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

#: Names the folder that keeps the log of all changes.
ARCHIVE = "FLOWDB_ARCHIVE"
OVERRIDES = {
    "SHARED_BUFFERS_SIZE": "shared_buffers",
    "EFFECTIVE_CACHE_SIZE": "effective_cache_size",
    "MAX_CPUS": "max_worker_processes",
    "MAX_WORKERS": "max_parallel_workers",
    "MAX_WORKERS_PER_GATHER": "max_parallel_workers_per_gather",
    "MAX_LOCKS_PER_TRANSACTION": "max_locks_per_transaction",
    "STATS_TARGET": "default_statistics_target",
    "FLOWDB_LOG_DEST": "log_destination",
}
LOG_DESTINATIONS = ("stderr", "jsonlog", "csvlog")

# What each may be, in words and as a pattern.
_SIZE = "a whole number of pages, or a size such as 16GB", re.compile(r"[0-9]+ *(kB|MB|GB|TB)?")
_NUMBER = "a whole number", re.compile(r"[0-9]+")
_DESTINATION = f"one of {', '.join(LOG_DESTINATIONS)}", re.compile("|".join(LOG_DESTINATIONS))
_ALLOWED = {
    "SHARED_BUFFERS_SIZE": _SIZE,
    "EFFECTIVE_CACHE_SIZE": _SIZE,
    "FLOWDB_LOG_DEST": _DESTINATION,
}

# Keeps a finished file of the log under its name only when it is whole; the same file may come twice after a crash.
_KEEP = (
    'if test -f "{to}"; then cmp --quiet "%p" "{to}"; '
    'else cp "%p" "{to}.part" && sync "{to}.part" && mv "{to}.part" "{to}"; fi'
)

_GIGABYTE = 1024**3
_CGROUP = Path("/sys/fs/cgroup")


def server_settings(memory: int | None = None, processors: int | None = None) -> dict[str, str]:
    """Return settings for ``postgresql.conf`` by name.

    ``memory`` (bytes) and ``processors`` default to the control group's limits, else the machine's. An
    environment variable of `OVERRIDES` wins over the computed value; ``FLOWDB_ARCHIVE`` names a folder that keeps the
    log for a restore to a point in time. ``jit`` is off because compiling costs
    more than it saves on partitioned tables, where every statement has many small plans.

    Raises
    ------
    ValueError
        Naming the first variable that is not what it may be.
    """
    memory = memory or available_memory()
    processors = processors or available_processors()
    parallel = max(1, math.ceil(processors / 2))
    shared_buffers = min(memory // 4, 16 * _GIGABYTE)
    settings = {
        "shared_buffers": _megabytes(shared_buffers),
        "effective_cache_size": _megabytes(memory * 3 // 4),
        "work_mem": _megabytes(min(64 * 1024**2, memory // 128)),
        "maintenance_work_mem": _megabytes(min(_GIGABYTE, memory // 16)),
        "max_worker_processes": str(max(8, processors)),
        "max_parallel_workers": str(max(parallel, processors - 1)),
        "max_parallel_workers_per_gather": str(parallel),
        "max_parallel_maintenance_workers": str(parallel),
        # Each statement locks every partition and index that it plans over; days have few indexes here.
        "max_locks_per_transaction": "4096",
        "max_connections": "200",
        "password_encryption": "scram-sha-256",
        "jit": "off",
        # Statistics on thousands of common pseudonyms cost planning time and add no information.
        "default_statistics_target": "500",
        "enable_partitionwise_aggregate": "on",
        "geqo_effort": "10",
        # On solid-state storage, random pages cost little more than sequential pages.
        "effective_io_concurrency": "100",
        "random_page_cost": "1.5",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "wal_buffers": "16MB",
        "min_wal_size": "1GB",
        "max_wal_size": "12GB",
        "wal_compression": "on",
        "checkpoint_timeout": "30min",
        "checkpoint_completion_target": "0.9",
        "deadlock_timeout": "10s",
        "tcp_keepalives_idle": "600",
        "shared_preload_libraries": "pg_stat_statements",
        "pg_stat_statements.track": "all",
        # Statements hold pseudonyms, so the log keeps their shape and duration without values.
        "log_destination": "stderr",
        "log_min_duration_statement": "250ms",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_checkpoints": "on",
        "log_connections": "on",
        "log_disconnections": "on",
        "log_lock_waits": "on",
        "log_temp_files": "0",
    }
    settings |= _archiving(os.environ.get(ARCHIVE, "").strip())
    settings |= {OVERRIDES[variable]: value for variable, value in _overrides()}
    # The supervisor collects standard error; PostgreSQL writes structured formats to files only.
    settings["logging_collector"] = "off" if settings["log_destination"] == "stderr" else "on"
    return settings


def _archiving(folder: str) -> dict[str, str]:
    """Return what keeps the log of all changes in a folder; nothing without one."""
    if not folder:
        return {}
    if not re.fullmatch(r"/[A-Za-z0-9_./-]+", folder):
        raise ValueError(
            f"{ARCHIVE} is {folder!r}; it must be the full path of a folder, of letters, digits and _./-."
        )
    return {
        "wal_level": "replica",
        "max_wal_senders": "4",
        "archive_mode": "on",
        "archive_command": _KEEP.format(to=f"{folder}/%f"),
        # What a lost disk costs at most.
        "archive_timeout": "60s",
    }


def _overrides() -> Iterator[tuple[str, str]]:
    for variable in OVERRIDES:
        if value := os.environ.get(variable, "").strip():
            allowed, pattern = _ALLOWED.get(variable, _NUMBER)
            if not pattern.fullmatch(value):
                # In the words of flowsettings, which the launcher cannot import.
                raise ValueError(f"{variable} is {value!r}; it must be {allowed}.")
            yield variable, value


def machine_memory() -> int:
    """Return the machine's bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_memory() -> int:
    """Return bytes of memory: the smaller of control group limit and machine size."""
    limit = _first_number(_CGROUP / "memory.max", _CGROUP / "memory" / "memory.limit_in_bytes")
    return machine_memory() if limit is None else min(machine_memory(), limit)


def available_processors() -> int:
    """Return whole processors, at least one: control group quota or affinity."""
    usable = len(os.sched_getaffinity(0))
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return usable
    if quota == "max":
        return usable
    return max(1, min(usable, int(quota) // int(period)))


def _first_number(*files: Path) -> int | None:
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None
    return None


def _megabytes(size: int) -> str:
    return f"{max(1, size // 1024**2)}MB"
