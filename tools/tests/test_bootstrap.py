"""Check the set-up on a busy machine."""

from __future__ import annotations

from pathlib import Path

import bootstrap
import pytest

APT_GET = """#!/bin/sh
echo call >>"$CALLS"
if [ "$(wc -l <"$CALLS")" -lt 2 ]; then
    echo "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (unattended-upgr)"
    exit 100
fi
"""


@pytest.mark.slow
def test_apt_is_waited_for_while_another_program_holds_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program, calls = tmp_path / "apt-get", tmp_path / "calls"
    program.write_text(APT_GET)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setattr(bootstrap, "_root_prefix", list)
    bootstrap.install_system_packages(["redis-server"])
    # The refused update, the update and the installation.
    assert calls.read_text() == "call\n" * 3
    assert "Another program is installing packages" in capsys.readouterr().out
