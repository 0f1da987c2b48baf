"""Check that server settings follow available memory and processors."""

import subprocess
import sys
from pathlib import Path

import pytest

from flowdb import configuration
from flowdb.configuration import OVERRIDES, available_memory, available_processors, server_settings

GIGABYTE = 1024**3


@pytest.mark.parametrize(
    ("memory", "processors", "expected"),
    [
        (
            2 * GIGABYTE,
            1,
            {
                "shared_buffers": "512MB",
                "effective_cache_size": "1536MB",
                "work_mem": "16MB",
                "maintenance_work_mem": "128MB",
                "max_parallel_workers_per_gather": "1",
                "max_worker_processes": "8",
            },
        ),
        (
            32 * GIGABYTE,
            16,
            {
                "shared_buffers": "8192MB",
                "effective_cache_size": "24576MB",
                "work_mem": "64MB",
                "maintenance_work_mem": "1024MB",
                "max_parallel_workers_per_gather": "8",
                "max_worker_processes": "16",
            },
        ),
        (512 * GIGABYTE, 64, {"shared_buffers": "16384MB"}),
    ],
)
def test_sizes_follow_the_machine(memory: int, processors: int, expected: dict[str, str]) -> None:
    settings = server_settings(memory, processors)
    assert {name: settings[name] for name in expected} == expected


def test_jit_is_off_and_many_partitions_can_be_locked() -> None:
    settings = server_settings()
    assert settings["jit"] == "off"
    assert int(settings["max_locks_per_transaction"]) >= 2000
    assert settings["password_encryption"] == "scram-sha-256"


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in OVERRIDES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("variable", OVERRIDES)
def test_a_variable_wins_over_the_rule(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = "csvlog" if variable == "FLOWDB_LOG_DEST" else "77"
    monkeypatch.setenv(variable, value)
    assert server_settings()[OVERRIDES[variable]] == value


def test_files_are_written_for_the_structured_logs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_settings()["logging_collector"] == "off"
    monkeypatch.setenv("FLOWDB_LOG_DEST", "jsonlog")
    assert server_settings()["logging_collector"] == "on"
    monkeypatch.setenv("FLOWDB_LOG_DEST", "syslog")
    with pytest.raises(
        ValueError, match="FLOWDB_LOG_DEST is 'syslog'; it must be one of stderr, jsonlog, csvlog"
    ):
        server_settings()


@pytest.fixture
def control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(configuration, "_CGROUP", tmp_path)
    return tmp_path


def test_a_containers_limits_win_when_they_are_lower(control_group: Path) -> None:
    machine, processors = available_memory(), available_processors()
    (control_group / "memory.max").write_text("max\n")
    (control_group / "cpu.max").write_text("max 100000\n")
    assert (available_memory(), available_processors()) == (machine, processors)
    (control_group / "memory.max").write_text("1073741824\n")
    (control_group / "cpu.max").write_text("50000 100000\n")
    assert (available_memory(), available_processors()) == (GIGABYTE, 1)
    (control_group / "memory.max").write_text(f"{machine * 2}\n")
    (control_group / "cpu.max").write_text(f"{(processors + 1) * 100000} 100000\n")
    assert (available_memory(), available_processors()) == (machine, processors)


def test_the_launcher_can_load_it_without_any_package() -> None:
    code = "import runpy, sys; module = runpy.run_path(sys.argv[1]); print(module['server_settings']()['shared_buffers'])"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, configuration.__file__],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("MB")
