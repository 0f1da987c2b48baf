"""Run the demonstration: load a synthetic country and map where people went.

``make demo`` starts the stack and then this program. Finished stages are skipped. All output goes to
``demo/out``. The token exists only in this process and in the notebook's.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import nbformat
from bootstrap import chromium
from browser import make_token
from layout import CHECKOUT, DEMO, DEMO_FIRST_DAY, Layout, demo_size
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import flowclient
from flowclient.pages import collect_crisis, render
from flowclient.pages.page import csv_of
from flowclient.reports.notebooks import PrivateKernel, as_html

FIRST_DAY = DEMO_FIRST_DAY
EVENT = date(2016, 2, 10)
EVENT_NAME = {"en": "Flood, north-west", "fr": "Inondation, nord-ouest", "es": "Inundación, noroeste"}
SEED = 12_345
CDR_TYPES = ("calls", "sms", "mds", "topups")
# Counts up to this number are never shown; see docs/decisions.
FLOOR = 15


class Stages:
    """Print each stage and record its duration."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str, text: str) -> Iterator[None]:
        print(f"\n== {text}", flush=True)
        begin = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begin, 1)
        print(f"   {self.seconds[name]} s", flush=True)


def main() -> int:
    options = _options()
    layout = Layout.from_environment()
    options.out.mkdir(parents=True, exist_ok=True)
    stages = Stages()
    begin = time.monotonic()
    last_day = FIRST_DAY + timedelta(days=options.days - 1)

    with stages.stage(
        "generate", f"Synthetic country: {options.subscribers:,} subscribers, {options.days} days"
    ):
        if generated(layout.landing, options.subscribers, options.days):
            print("   already there")
        else:
            generate(layout, options.subscribers, options.days)
    with stages.stage("load", f"Loading {FIRST_DAY} to {last_day} into both stores"):
        if loaded(layout, options.days):
            print("   already loaded")
        else:
            _run(layout, "flowetl", "geography", str(layout.landing))
            _run(
                layout,
                "flowetl",
                "backfill",
                "--source",
                "all",
                "--start",
                f"{FIRST_DAY}",
                "--end",
                f"{last_day}",
            )
    with stages.stage("token", "A browser signs in to the auth app and makes a token"):
        token = make_token(
            layout.url("FLOWAUTH_PORT"),
            DEMO["user"],
            DEMO["password"],
            DEMO["server"],
            options.out / "screenshots",
            chromium(),
        )
    with stages.stage("notebook", "The analyst's notebook asks where people went"):
        truth = layout.landing / "truth" / "displacement_by_day.csv"
        # A country that an earlier version made has no such file.
        known = truth if truth.exists() else None
        run_notebook(layout.url("FLOWAPI_PORT"), token, options.out, truth=known)
    with stages.stage("page", "A page for people who decide, in three languages"):
        make_pages(layout.url("FLOWAPI_PORT"), token, options.out)
    summary = compare_with_truth(layout.landing, options.out)
    summary["hatched"] = emptied_on(options.out / "crisis.en.html")
    # The page's periods are others, but it must not call a district emptied that is not.
    summary["matches_truth"] &= set(summary["hatched"]) <= set(summary["truth"])
    summary |= {
        "subscribers": options.subscribers,
        "days": options.days,
        "rows": {kind: count["rows"] for kind, count in coverage(layout).items()},
        "seconds": {**stages.seconds, "total": round(time.monotonic() - begin, 1)},
    }
    (options.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    report(summary, layout, options.out)
    return 0 if summary["matches_truth"] else 1


def generated(landing: Path, subscribers: int, days: int) -> bool:
    """Return whether the operator's files of exactly this country are complete."""
    try:
        parameters = json.loads((landing / "truth" / "parameters.json").read_text())
    except (OSError, ValueError):
        return False
    wanted = {"subscribers": subscribers, "days": days, "seed": SEED, "start": FIRST_DAY.isoformat()}
    # The list of expectations is written last.
    return wanted.items() <= parameters.items() and (landing / "truth" / "expected.json").exists()


def generate(layout: Layout, subscribers: int, days: int) -> None:
    """Write the operator's files, one process per core."""
    _run(
        layout,
        "flowdb.synthetic",
        *("--output", str(layout.landing)),
        *("--subscribers", str(subscribers)),
        *("--days", str(days)),
        *("--start", FIRST_DAY.isoformat()),
        *("--seed", str(SEED)),
        *("--processes", str(os.cpu_count() or 1)),
    )


def coverage(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return what flowetl says is loaded, by event type."""
    done = subprocess.run(
        [sys.executable, "-m", "flowetl", "status", "--json"],
        env=layout.environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {entry["cdr_type"]: entry for entry in json.loads(done.stdout)}


def loaded(layout: Layout, days: int) -> bool:
    """Return whether every day of every event type is loaded."""
    found = coverage(layout)
    return all(found.get(kind, {}).get("days", 0) >= days for kind in CDR_TYPES)


def run_notebook(
    api_url: str, token: str, out: Path, parameters: str | None = None, truth: Path | None = None
) -> None:
    """Execute the notebook and save it as a self-contained page.

    ``parameters`` is Python that takes the place of the notebook's own parameter cell. ``truth`` is the file
    of who is away and back by day, where the country is synthetic.
    """
    notebook = nbformat.read(CHECKOUT / "demo" / "notebook.ipynb", as_version=4)
    if parameters is not None:
        [cell] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
        cell.source = parameters
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {"FLOWAPI_URL": api_url, "FLOWAPI_TOKEN": token, "FLOWKIT_DEMO_OUT": str(out.resolve())}
    if truth is not None:
        environment["FLOWKIT_DEMO_TRUTH"] = str(truth)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        kernel_manager_class=PrivateKernel,
        timeout=600,
        resources={"metadata": {"path": str(CHECKOUT / "demo")}},
        on_cell_start=lambda cell, cell_index: _announce(cell),
    )
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        sys.exit(f"The notebook failed:\n{str(error)[-3000:]}")
    (out / "notebook.html").write_text(as_html(notebook))


def make_pages(api_url: str, token: str, out: Path) -> None:
    """Write the crisis page in each language, for the fortnight after the disaster."""
    with warnings.catch_warnings():
        # The demonstration's server listens on this machine only.
        warnings.filterwarnings("ignore", message="Communications with this server are NOT SECURE")
        connection = flowclient.connect(url=api_url, token=token)
    data = collect_crisis(
        connection=connection, event=EVENT, until=EVENT + timedelta(days=14), title=EVENT_NAME
    )
    for language in EVENT_NAME:
        render(data, language).save(out / f"crisis.{language}.html")


def _announce(cell: Any) -> None:
    first = cell.source.splitlines()[0] if cell.source else ""
    if cell.cell_type == "markdown" and first.startswith("#"):
        print(f"   {first.lstrip('# ')}", flush=True)


def compare_with_truth(landing: Path, out: Path) -> dict[str, Any]:
    """Compare the districts that visibly emptied with the generator's truth."""
    expected = json.loads((landing / "truth" / "expected.json").read_text())
    truth = sorted(expected["disaster_districts"])
    with (out / "result.csv").open() as file:
        rows = list(csv.DictReader(file))
    before = {row["pcod"]: int(row["value_before"]) for row in rows if row["value_before"]}
    after = {row["pcod"]: int(row["value_after"]) for row in rows if row["value_after"]}
    # A withheld count is at most 15. A district counts as emptied if more than half have left even then.
    emptied = sorted(code for code, count in before.items() if code not in after and count / 2 > FLOOR)
    both = before.keys() & after.keys()
    visible = [code for code in truth if code in before and before[code] / 2 > FLOOR]
    return {
        "districts": len(rows),
        "districts_before": len(before),
        "districts_after": len(after),
        "rising": sum(after[code] > before[code] for code in both),
        "emptied": emptied,
        "truth": truth,
        "matches_truth": emptied == visible and bool(emptied),
    }


def emptied_on(page: Path) -> list[str]:
    """Return the districts that a crisis page hatches and calls emptied."""
    rows = csv.DictReader(io.StringIO(csv_of(page.read_text())))
    return sorted(row["pcod"] for row in rows if int(row["fell_by_more_than_percent"] or 0) >= 50)


def report(summary: dict[str, Any], layout: Layout, out: Path) -> None:
    """Print the findings and where the output is."""
    verdict = "the same as" if summary["matches_truth"] else "NOT the same as"
    print(
        f"\nEmptied districts: {', '.join(summary['emptied']) or 'none'}"
        f"\n   {verdict} the truth of the synthetic country: {', '.join(summary['truth'])}"
        f"\nDemonstration took {summary['seconds']['total']} s."
        f"\n\n   {out / 'crisis.en.html'} (and .fr, .es)\n   {out / 'map.png'}\n   {out / 'result.csv'}\n   {out / 'notebook.html'}"
        f"\n   {out / 'screenshots'}\n   {out / 'summary.json'}"
        f"\n\nThe stack is still up: HTTP API {layout.url('FLOWAPI_PORT')}, auth app {layout.url('FLOWAUTH_PORT')} "
        f"(user {DEMO['user']}, password {DEMO['password']}), loading {layout.url('PREFECT_PORT')}."
        "\n`make token` prints a token, `make down` stops the stack."
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    subscribers, days = demo_size()
    parser.set_defaults(subscribers=subscribers, days=days)
    parser.add_argument("--out", type=Path, default=CHECKOUT / "demo" / "out")
    return parser.parse_args()


def _run(layout: Layout, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", *arguments], stdin=subprocess.DEVNULL, **layout.as_service())
    if done.returncode != 0:
        sys.exit(f"`python -m {' '.join(arguments)}` failed; its message is above.")


if __name__ == "__main__":
    sys.exit(main())
