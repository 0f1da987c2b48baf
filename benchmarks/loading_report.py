"""Write the part of the page that is about loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "loading.json"


def section() -> str:
    """Return the part of the page; empty if loading was never measured."""
    return text(json.loads(RESULT.read_text())) if RESULT.exists() else ""


def text(report: dict[str, Any]) -> str:
    """Say how fast the loader is, with what a plain COPY of the same files costs."""
    steps = report["steps"]
    plain = steps["plain COPY"]
    lines = [
        "",
        "## Loading",
        "",
        f"Measured on {report['date']} on {report['processors']} processors: days of {report['rows']:,} calls of {report['subscribers']:,} subscribers,",
        "one file of CSV with gzip each, into both stores, with indexes. *All numbers new* is the first day. *Plain COPY* puts the same file as it is",
        "into one table of PostgreSQL, with the same two indexes and no pseudonyms. Days at once are what `backfill` does with one process for each processor.",
        "Processor seconds are those of loader and database together, for a million records: on a machine that others use, they tell more than seconds.",
        "",
        "| Step | Records/s | Processor seconds | Times plain COPY | Loader's peak, MB | Load |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, step in steps.items():
        spent = _spent(step)
        megabytes = step["loader_megabytes"]
        lines.append(
            f"| {name} | {step['rows_per_second']:,} | {spent:.1f} | {spent / _spent(plain):.1f} | "
            f"{'–' if megabytes is None else f'{megabytes:,}'} | {step['load']:g} |"
        )
    return "\n".join(lines) + "\n"


def _spent(step: dict[str, Any]) -> float:
    """Return the processor seconds of a million records."""
    total: float = step["loader_processor_seconds"] + step["database_processor_seconds"]
    return total / step["rows"] * 1e6
