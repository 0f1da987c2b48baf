"""Run the demonstration on the small stack with browser and notebook."""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from crisis_world import crisis
from layout import CHECKOUT, DEMO

from flowclient.pages import render

if TYPE_CHECKING:
    from conftest import Stack

DEMO_FOLDER = CHECKOUT / "demo"

# Both periods lie within the seven quiet days of the test country.
PARAMETERS = """
BEFORE = {"start_date": "2016-01-01", "end_date": "2016-01-04"}
AFTER = {"start_date": "2016-01-04", "end_date": "2016-01-08"}
UNIT = "admin3"
"""


# The demonstration drives a browser and a kernel and holds the token, so give it a process.
SCRIPT = """
import os, sys
from pathlib import Path
import run
from bootstrap import chromium
out = Path(sys.argv[3])
token = run.make_token(sys.argv[1], *os.environ["DEMO_USER"].split(), out / "screenshots", chromium())
run.run_notebook(sys.argv[2], token, out, os.environ["DEMO_PARAMETERS"])
print(token)
"""


@dataclass(frozen=True)
class Outcome:
    folder: Path
    token: str


@pytest.fixture(scope="module")
def outcome(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("out")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(DEMO_FOLDER), str(CHECKOUT / "tools")]),
        "DEMO_USER": f"{DEMO['user']} {DEMO['password']} {DEMO['server']}",
        "DEMO_PARAMETERS": PARAMETERS,
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, stack.auth, stack.api, str(folder)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Outcome(folder, done.stdout.splitlines()[-1])


@pytest.fixture
def out(outcome: Outcome) -> Path:
    return outcome.folder


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DEMO_FOLDER))
        specification = importlib.util.spec_from_file_location("flowkit_demo", DEMO_FOLDER / "run.py")
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module


def test_the_browser_leaves_a_picture_of_each_step(out: Path) -> None:
    pictures = sorted(path.name for path in (out / "screenshots").iterdir())
    assert pictures == ["1-sign-in.png", "2-server.png", "3-new-token.png", "4-tokens.png"]


def test_values_are_whole_numbers_above_fifteen_and_the_change_is_right(out: Path) -> None:
    with (out / "result.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["pcod", "value_before", "value_after", "percent_change"]
    for row in rows:
        given = [int(row[name]) for name in ("value_before", "value_after") if row[name]]
        assert given
        assert min(given) > 15
        if len(given) == 2:
            before, after = given
            assert float(row["percent_change"]) == pytest.approx(100 * (after / before - 1), abs=1e-9)
        else:
            # A withheld value is not zero, so no change can be computed.
            assert row["percent_change"] == ""
    assert any(row["percent_change"] for row in rows)


def test_the_map_is_a_picture(out: Path) -> None:
    assert (out / "map.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_holds_no_token_and_calls_nobody(outcome: Outcome) -> None:
    page = (outcome.folder / "notebook.html").read_text()
    assert outcome.token not in page
    assert not re.findall(r"""(?:src|href)=["']https?://""", page)
    assert not re.findall(r"""(?:import|require)\s*\(?["']https?://""", page)


def test_the_progress_bars_reach_their_total(out: Path) -> None:
    page = (out / "notebook.html").read_text()
    bars = re.findall(r"Parts run: 100%[^\n]*?(\d+)/(\d+)", page)
    assert bars
    assert all(done == total for done, total in bars)


def test_the_truth_is_compared_by_what_can_be_seen(demo: ModuleType, tmp_path: Path) -> None:
    """Compare with the truth by visible counts only.

    A district that lost more than half counts as emptied. A district that fell below the limit by chance does
    not.
    """
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "expected.json").write_text('{"disaster_districts": ["A", "B"]}')
    header = "pcod,value_before,value_after,percent_change\n"
    (tmp_path / "result.csv").write_text(header + "A,200,,\nB,90,,\nC,17,,\nD,40,50,25.0\n")
    summary = demo.compare_with_truth(tmp_path, tmp_path)
    assert summary["emptied"] == ["A", "B"]
    assert summary["matches_truth"]
    (tmp_path / "result.csv").write_text(header + "A,200,,\nB,90,88,-2.2\nD,40,50,25.0\n")
    assert not demo.compare_with_truth(tmp_path, tmp_path)["matches_truth"]


def test_the_page_s_emptied_districts_are_read(demo: ModuleType, tmp_path: Path) -> None:
    page = render(crisis()).save(tmp_path / "crisis.en.html")
    assert demo.emptied_on(page) == ["X.1", "X.2"]
