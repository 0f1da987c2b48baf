"""Compare our measures with those of published packages, subscriber by subscriber."""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import os
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from benchmarks.country import START, Country, Size
from benchmarks.engine import forget_results
from benchmarks.hand_written import Files
from benchmarks.measure import Say, machine, rounded
from benchmarks.package_measures import BANDICOOT, MEASURES, SKMOB, Measure
from benchmarks.published import NotAvailable, environment_of
from flowmachine.direct import Session
from flowmachine.logs import QUERY_RUN_LOG, configure_logs
from flowmachine.settings import Computing

#: Small, because bandicoot takes each subscriber by itself.
SIZE = Size(1000, 14, 7500)
TOLERANCE = 1e-6
#: Smaller values are rounding errors around 0, as of a radius of one place.
NOTHING = 1e-6
#: The types that both packages know; ours without others.
_TYPES = ("calls", "sms")
_PEERS = Path(__file__).parent / "peers"
_SCRIPTS = {SKMOB: "ask_scikit_mobility.py", BANDICOOT: "ask_bandicoot.py"}

#: Values by subscriber: a number, or a longitude and a latitude.
Values = Mapping[str, Any]


def measure(repeats: int, say: Say) -> dict[str, Any]:
    """Return the comparison of every measure, and the versions of the packages."""
    configure_logs()
    # Nothing but the comparison is told.
    logging.getLogger(QUERY_RUN_LOG).setLevel(logging.WARNING)
    country = Country(SIZE)
    window = {"start_date": START.isoformat(), "end_date": SIZE.end.isoformat()}
    with country.running():
        # Settings are looked up in this process's environment.
        os.environ |= country.environment()
        ours = _ours(country, window, repeats)
        events = country.folder / "events.csv"
        count = export(country, events)
    say(f"{count:,} calls and texts of {SIZE.subscribers:,} subscribers")
    packages, measures = {}, []
    for package in (SKMOB, BANDICOOT):
        asked = [measure for measure in MEASURES if measure.package == package]
        try:
            found = _asked(package, asked, events, repeats)
        except NotAvailable as error:
            say(f"{package}: {error}")
            packages[package] = {"missing": str(error)}
            continue
        packages[package] = {key: found[key] for key in ("version", "python")}
        for one in asked:
            mine, theirs = ours[one.key], found["answers"][one.key]
            entry = {
                **judged(one, mine["values"], theirs["values"], events),
                "name": one.name,
                "package": package,
                "kind": one.kind,
                "function": one.function,
                "processor_seconds": rounded(mine["processor_seconds"]),
                "package_processor_seconds": rounded(theirs["processor_seconds"]),
            }
            say(f"{one.key}: {told(entry)}")
            measures.append(entry)
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "subscribers": SIZE.subscribers,
        "days": SIZE.days,
        "events": count,
        "repeats": repeats,
        "machine": machine(),
        "packages": packages,
        "measures": measures,
    }


def told(entry: Mapping[str, Any]) -> str:
    """Say how many values are equal, also by the package's definition."""
    text = f"{entry['equal']} of {entry['compared']} equal"
    if "as_defined" in entry:
        text += f", {entry['as_defined']['equal']} by the package's definition"
    return text


def unexplained(entry: Mapping[str, Any]) -> bool:
    """Return whether values differ though the definitions are said to be the same."""
    found = entry.get("as_defined", entry)
    return bool(found["compared"] != found["equal"] or found["only_ours"] or found["only_theirs"])


def judged(measure: Measure, ours: Values, theirs: Values, events: Path) -> dict[str, Any]:
    """Compare two answers, and the package's with what is said to be its definition."""
    found = compare(ours, theirs, measure.scale)
    if measure.package_definition:
        rows = duckdb.execute(
            f"WITH events AS (SELECT * FROM read_csv('{events}', types = {_COLUMNS})) {measure.package_definition}"
        ).fetchall()
        said = {name: value[0] if len(value) == 1 else value for name, *value in rows}
        found["as_defined"] = compare(said, theirs)
    return found


def compare(ours: Values, theirs: Values, scale: float = 1.0) -> dict[str, Any]:
    """Count the subscribers who have equal values, others, or one on one side only.

    Numbers are equal to a relative 1e-6, places to a millimetre. The largest difference is relative; places have none.
    """
    both = sorted(ours.keys() & theirs.keys())
    differences = [_difference(ours[name], theirs[name], scale) for name in both]
    told = [difference for difference in differences if not math.isinf(difference)]
    return {
        "compared": len(both),
        "equal": sum(difference <= TOLERANCE for difference in differences),
        "only_ours": len(ours.keys() - theirs.keys()),
        "only_theirs": len(theirs.keys() - ours.keys()),
        "largest_difference": None if any(map(_is_place, ours.values())) else max(told, default=0.0),
    }


def _difference(ours: Any, theirs: Any, scale: float) -> float:
    if _is_place(ours):
        near = all(abs(own - other) < 1e-8 for own, other in zip(ours, theirs, strict=True))
        return 0.0 if near else math.inf
    own, other = (0.0 if abs(value) < NOTHING else value for value in (ours / scale, theirs))
    return abs(own - other) / max(abs(own), abs(other), NOTHING)


def _is_place(value: Any) -> bool:
    return isinstance(value, (list, tuple))


_COLUMNS = {
    "number": "BIGINT",
    "subscriber": "VARCHAR",
    "time": "TIMESTAMP",
    "type": "VARCHAR",
    "direction": "VARCHAR",
    "counterpart": "VARCHAR",
    "duration": "DOUBLE",
    "place": "VARCHAR",
    "lon": "DOUBLE",
    "lat": "DOUBLE",
}


def export(country: Country, target: Path) -> int:
    """Write the events in the order of subscriber, time and place; return how many."""
    window = (START, country.size.end)
    files = Files((window,), country.columnar, country.cache / "maps")
    events = " UNION ALL BY NAME ".join(
        f"SELECT *, '{word}' AS interaction FROM {files.events(*window, [name])}"
        for name, word in zip(_TYPES, ("call", "text"), strict=True)
    )
    duckdb.execute(
        f"""
        COPY (
            SELECT row_number() OVER (ORDER BY pseudonym, local_time, location, event_id, outgoing) AS number,
                pseudonym AS subscriber, strftime(local_time, '%Y-%m-%d %H:%M:%S') AS time, interaction AS type,
                CASE WHEN outgoing THEN 'out' ELSE 'in' END AS direction, counterpart, duration,
                location AS place, lon, lat
            FROM ({events}) AS events
            JOIN read_parquet('{country.columnar}/subscribers/*.parquet') ON subscriber_key = subscriber
            LEFT JOIN {files.cells("lon_lat", *window)} AS cells
              ON events.cell = cells.cell AND local_time >= valid_from AND local_time < valid_before
            LEFT JOIN {files.regions("lon_lat")} AS regions USING (location)
            ORDER BY number
        ) TO '{target}' (FORMAT csv, HEADER)
        """
    )
    ((count,),) = duckdb.execute(f"SELECT count(*) FROM read_csv('{target}')").fetchall()
    return int(count)


def _ours(country: Country, window: dict[str, str], repeats: int) -> dict[str, dict[str, Any]]:
    computing = Computing(columnar_path=country.columnar, cache_path=country.cache, executor="duckdb")
    found: dict[str, dict[str, Any]] = {}
    with Session(country.database(), computing) as session:
        for one in MEASURES:
            query = one.ours(window)
            best = float("inf")
            # The first run, which is not counted, makes maps and imports.
            for number in range(repeats + 1):
                forget_results(country)
                started = time.process_time()
                rows = session.get_dataframe(query)
                if number:
                    best = min(best, time.process_time() - started)
            found[one.key] = {"values": _values(rows), "processor_seconds": best}
    return found


def _values(rows: pd.DataFrame) -> Values:
    if "lon" in rows:
        points = zip(*(rows[name] for name in ("subscriber", "lon", "lat")), strict=True)
        return {str(subscriber): [lon, lat] for subscriber, lon, lat in points}
    return {
        str(name): float(value)
        for name, value in zip(rows["subscriber"], rows.iloc[:, -1], strict=True)
        if pd.notna(value)
    }


def _asked(package: str, measures: Iterable[Measure], events: Path, repeats: int) -> dict[str, Any]:
    """Return a package's answers, computed in an environment of its own."""
    python = environment_of(package, _PEERS / f"{package}.txt") / "bin" / "python"
    asked, answers = (events.with_name(f"{package}-{word}.json") for word in ("asked", "answers"))
    questions = {one.key: {"function": one.function, "arguments": dict(one.arguments)} for one in measures}
    asked.write_text(json.dumps({"measures": questions, "repeats": repeats}))
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), str(_PEERS / _SCRIPTS[package]), *map(str, (events, asked, answers))],
        env=inherited,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotAvailable(f"{package} failed: {done.stderr.strip()[-1000:]}")
    found: dict[str, Any] = json.loads(answers.read_text())
    return found
