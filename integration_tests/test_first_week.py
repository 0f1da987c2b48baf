"""Follow the page of the first week word by word, with an operator's new files."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import deliveries
import guide
import pytest
from cluster import free_port
from layout import CHECKOUT, DEFAULT_PORTS, PYTHON, Layout
from native import Native

PAGE = "first-week.md"
FIRST = date(2024, 3, 1)


@dataclass(frozen=True)
class Stranger:
    """Do what the page says, on a stack of their own."""

    layout: Layout
    folder: Path

    def does(self, heading: str) -> str:
        """Run the blocks under a heading as one script; return what it prints."""
        shell, python = (guide.blocks(PAGE, heading, language) for language in ("bash", "python"))
        assert shell
        code = "".join(shell)
        if python:
            code = code.rstrip("\n") + f" - <<'PYTHON'\n{''.join(python)}PYTHON\n"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.own(code)],
            cwd=CHECKOUT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{code}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def own(self, code: str) -> str:
        """Return code of the page with the stranger's own folders and port."""
        for pages, own in (
            ("/srv/flowkit", self.folder),
            (".flowkit/", f"{self.layout.state}/"),
            ("localhost:9090", f"127.0.0.1:{self.layout.ports['FLOWAPI_PORT']}"),
            (".venv/bin/python", PYTHON),
            ("first-map.png", self.folder / "first-map.png"),
        ):
            code = code.replace(pages, str(own))
        return code

    def environment(self) -> dict[str, str]:
        given = {
            name: value for name, value in os.environ.items() if not name.startswith(("FLOW", "PREFECT"))
        }
        ports = {name: str(port) for name, port in self.layout.ports.items()}
        return given | ports | {"FLOWKIT_STATE": str(self.layout.state), "MPLBACKEND": "Agg"}


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    ports: set[int] = set()
    while len(ports) < len(DEFAULT_PORTS):
        ports.add(free_port())
    layout = Layout(tmp_path / "state", dict(zip(DEFAULT_PORTS, ports, strict=True)))
    yield Stranger(layout, tmp_path / "own")
    Native(layout, say=lambda _text: None).reset()


@pytest.mark.timeout(1200)
def test_from_a_sample_of_files_to_the_first_map(stranger: Stranger) -> None:
    # The page's first block starts the stack, which makes the landing folder; the second describes the cells.
    stranger.layout.landing.mkdir(parents=True)
    deliver(stranger.layout.landing)
    said = stranger.does("Day 1: a sample, and where people are")
    assert "gadm41_NPL_2.json.zip: 6 records, 6 added, 0 changed, 0 removed" in said
    assert "429.csv.gz: 6 records, 6 added, 0 changed, 0 removed" in said
    assert re.findall("^note: (.*)$", said, re.MULTILINE) == [
        "429.csv.gz: 1 lines name a cell again, as another kind of radio: that of most samples was used"
    ]

    said = stranger.does("Day 2: describe the source")
    assert "good: calls.yml: calls (calls), 0 2 * * *" in said
    assert "1,440 records in all: 1,440 would be loaded, 0 refused, 0 passed over" in said
    # Withheld callers, and the numbers of services.
    assert re.findall("^doubt: (.*)$", said, re.MULTILINE) == [
        "msisdn_counterpart is no number in 14 of 1440 records, such as a withheld one or a service, and would be empty"
    ]

    said = stranger.does("Day 3: the first days")
    assert "calls 2024-03-01: 1,440 rows, 0 rejected" in said
    assert "calls: 1 days, 2024-03-01 to 2024-03-01, 1,440 rows, 0 rejected" in said

    said = stranger.does("Day 4: judge, then load the rest")
    assert "2 days loaded, 1 already there, 0 failed" in said
    assert "<html" in (stranger.layout.state / "loading.html").read_text()

    said = stranger.does("Day 5: the first map")
    codes = sorted(deliveries.district_code(*district) for district in deliveries.districts())
    assert sorted(re.findall(r"(NPL\.\S+) +(\d+)", said)) == [
        (code, str(deliveries.PEOPLE_PER_DISTRICT)) for code in codes
    ]
    assert (stranger.folder / "first-map.png").stat().st_size > 1000


def deliver(landing: Path) -> None:
    """Put the downloads and three days of calls where they arrive."""
    deliveries.write_gadm(landing)
    (landing / "429.csv.gz").write_bytes(deliveries.towers(header=False))
    for day in (FIRST + timedelta(number) for number in range(3)):
        (landing / f"cdr_{day:%Y%m%d}.csv").write_text(deliveries.calls(day))
