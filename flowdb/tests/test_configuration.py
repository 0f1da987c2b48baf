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


def test_the_log_is_kept_where_a_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWDB_ARCHIVE", raising=False)
    assert "archive_mode" not in server_settings()
    monkeypatch.setenv("FLOWDB_ARCHIVE", "/srv/archive")
    kept = server_settings()
    assert (kept["archive_mode"], kept["wal_level"]) == ("on", "replica")
    assert '"/srv/archive/%f"' in kept["archive_command"]
    assert "'" not in kept["archive_command"]


@pytest.mark.parametrize("folder", ["archive", "/srv/a'b", "/srv/a b", "/srv/$(id)", "/srv/%p"])
def test_a_folder_that_a_shell_would_read_is_refused(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWDB_ARCHIVE", folder)
    with pytest.raises(ValueError, match="FLOWDB_ARCHIVE is"):
        server_settings()


@pytest.mark.parametrize("before", [None, b"log", b"other"])
def test_a_file_of_the_log_is_kept_once_and_whole(
    before: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the command as PostgreSQL does.

    Another file under the same name is never overwritten.
    """
    monkeypatch.setenv("FLOWDB_ARCHIVE", str(tmp_path))
    (tmp_path / "given").write_bytes(b"log")
    if before is not None:
        (tmp_path / "0001").write_bytes(before)
    command = (
        server_settings()["archive_command"].replace("%p", str(tmp_path / "given")).replace("%f", "0001")
    )
    done = subprocess.run(["sh", "-c", command])
    assert (done.returncode == 0) == (before != b"other")
    assert (tmp_path / "0001").read_bytes() == (before or b"log")


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
