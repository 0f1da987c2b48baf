"""Check the effects of the engine's settings; the tools' tests cover all settings."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from flowmachine.settings import Settings
from flowmachine.spec.published import differences, margins_judged, subset_radius, twin_share
from flowsettings import SettingError

GIVEN = {
    "FLOWKIT_SECRETS": "/no/such/folder",
    "FLOWDB_COLUMNAR_PATH": "/columnar",
    "FLOWMACHINE_CACHE_PATH": "/cache",
    "FLOWMACHINE_FLOWDB_PASSWORD": "very secret",
}


def test_an_unknown_log_level_is_logged_and_means_error() -> None:
    program = "from flowmachine.logs import configure_logs; configure_logs('loud')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    line = json.loads(done.stderr)
    assert (line["event"], line["level"], line["level_used"]) == ("unknown log level", "error", "ERROR")
    told = "FLOWMACHINE_LOG_LEVEL is 'loud'; it must be one of debug, info, warning, error, critical."
    assert line["reason"] == told


@pytest.mark.parametrize("limit", ["8GB", "512MB", "1.5 GiB", "8g", "none", "-1"])
def test_memory_is_what_duckdb_reads(limit: str) -> None:
    assert Settings.load(GIVEN | {"FLOWMACHINE_MEMORY_LIMIT": limit}).memory_limit == limit


@pytest.mark.parametrize("limit", ["80%", "512", "GB", "much"])
def test_memory_that_duckdb_does_not_read_is_refused(limit: str) -> None:
    with pytest.raises(SettingError, match=f"FLOWMACHINE_MEMORY_LIMIT is '{limit}'; it must be an amount"):
        Settings.load(GIVEN | {"FLOWMACHINE_MEMORY_LIMIT": limit})


def test_answers_are_judged_together_unless_a_setting_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert differences() == "on"
    for word in ("report", "off", "on"):
        monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", word)
        assert differences() == word
    monkeypatch.setenv("FLOWMACHINE_DIFFERENCES", "never")
    with pytest.raises(
        SettingError, match="FLOWMACHINE_DIFFERENCES is 'never'; it must be one of on, report, off"
    ):
        differences()


def test_sums_of_rows_are_judged_unless_a_setting_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests of the whole stack, which may run before in this process, set it.
    monkeypatch.delenv("FLOWMACHINE_MARGINS", raising=False)
    assert margins_judged() == "on"
    for word in ("report", "off", "on"):
        monkeypatch.setenv("FLOWMACHINE_MARGINS", word)
        assert margins_judged() == word
    monkeypatch.setenv("FLOWMACHINE_MARGINS", "never")
    with pytest.raises(
        SettingError, match="FLOWMACHINE_MARGINS is 'never'; it must be one of on, report, off"
    ):
        margins_judged()


def test_a_password_is_never_shown() -> None:
    assert "very secret" not in repr(Settings.load(GIVEN))


@pytest.mark.parametrize(
    ("share", "name", "default"),
    [
        (subset_radius, "FLOWMACHINE_SUBSET_RADIUS", 0.01),
        (twin_share, "FLOWMACHINE_TWIN_SHARE", 0.0025),
    ],
    ids=["subset_radius", "twin_share"],
)
def test_subsets_and_twins_differ_by_a_share(
    share: Callable[[], float], name: str, default: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert share() == default
    for text in ("0", "0.05", ".5"):
        monkeypatch.setenv(name, text)
        assert share() == float(text)
    for text in ("0.51", "1", "1%", "-0.1"):
        monkeypatch.setenv(name, text)
        with pytest.raises(SettingError, match=f"{name} is '{text}'; it must be a share"):
            share()
