"""Write the operator files of the synthetic country: `python -m flowdb.synthetic`."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from flowdb.synthetic import files
from flowdb.synthetic.country import DISTRICTS, country
from flowdb.synthetic.events import World
from flowdb.synthetic.network import build_devices, build_network
from flowdb.synthetic.people import build_people


@dataclass(frozen=True)
class Parameters:
    """Hold the parameters that determine the files' content."""

    subscribers: int
    days: int
    start: date
    seed: int
    timezone: str
    sites: int
    cells: int
    events_per_subscriber_day: float
    disaster_date: date | None

    def written(self) -> dict[str, Any]:
        disaster = self.disaster_date.isoformat() if self.disaster_date else None
        return asdict(self) | {"start": self.start.isoformat(), "disaster_date": disaster}


def build_world(parameters: Parameters) -> World:
    land = country()
    network = build_network(
        land, parameters.sites, parameters.cells, parameters.start, parameters.days, parameters.seed
    )
    devices = build_devices(parameters.seed)
    last = parameters.start + timedelta(days=parameters.days - 1)
    disaster = parameters.disaster_date
    if disaster is not None and not parameters.start <= disaster <= last:
        disaster = None
    people = build_people(land, network, devices, parameters.subscribers, disaster, parameters.seed)
    return World(
        parameters.seed, land, network, devices, people, disaster, parameters.events_per_subscriber_day
    )


def generate(
    parameters: Parameters, output: Path, processes: int = 1, resume: bool = False
) -> Iterator[tuple[date, int]]:
    """Write everything; yields each finished day with its number of rows.

    Raises:
        ValueError: the parameters do not fit each other, or `resume` finds files made with other ones.
    """
    remembered = output / "truth/parameters.json"
    if resume and remembered.exists() and json.loads(remembered.read_text()) != parameters.written():
        raise ValueError(f"resume: {output} holds files made with other parameters, see {remembered}")
    world = build_world(parameters)
    files.write_json(remembered, parameters.written())
    files.write_reference(world, output)
    days = [parameters.start + timedelta(days=number) for number in range(parameters.days)]
    files.write_truth(world, output, days)
    todo = [day for day in days if not (resume and _finished(output, day))]
    if processes == 1:
        for day in todo:
            yield day, files.write_day(world, output, day)
    else:
        # Forked workers share the world's memory without pickling.
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(processes, context, _remember, (world,)) as pool:
            yield from zip(todo, pool.map(partial(_write_day, output), todo), strict=True)
    files.write_expected(world, output, parameters.written(), parameters.start, parameters.days)


_world: World


def _remember(world: World) -> None:
    global _world
    _world = world


def _write_day(output: Path, day: date) -> int:
    return files.write_day(_world, output, day)


def _finished(output: Path, day: date) -> bool:
    """Return whether a day is complete.

    The expectation is written last, so that its presence marks the day as complete.
    """
    return files.expectation_path(output, day).exists() and all(
        path.exists() for path in files.day_paths(output, day).values()
    )


def _at_least(least: int) -> Any:
    def number(value: str) -> int:
        if int(value) < least:
            raise argparse.ArgumentTypeError(f"{value} is too small: at least {least} is required")
        return int(value)

    return number


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise argparse.ArgumentTypeError(f"{name} is not the name of a time zone, such as Asia/Kathmandu")
    return name


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m flowdb.synthetic",
        description="Write the call records, cells and boundaries of a synthetic country, as an operator would hand "
        "them over, with the truth behind them. Equal parameters give equal files, whatever the number of processes.",
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder to write to, made if absent")
    add(
        "--subscribers",
        type=_at_least(100),
        default=10_000,
        metavar="N",
        help="people with a phone (default: %(default)s)",
    )
    add("--days", type=_at_least(1), default=60, metavar="N", help="days of events (default: %(default)s)")
    add(
        "--start",
        type=date.fromisoformat,
        default=date(2016, 1, 1),
        metavar="DATE",
        help="first day (default: %(default)s)",
    )
    add(
        "--seed",
        type=_at_least(0),
        default=12_345,
        metavar="N",
        help="seed of every random choice (default: %(default)s)",
    )
    add(
        "--processes",
        type=_at_least(1),
        default=os.cpu_count() or 1,
        metavar="N",
        help="days made at once (default: %(default)s)",
    )
    add(
        "--timezone",
        type=_zone,
        default="Asia/Kathmandu",
        help="zone whose wall clock the files show; recorded only, it changes no file (default: %(default)s)",
    )
    add(
        "--sites",
        type=_at_least(DISTRICTS),
        metavar="N",
        help="mast sites (default: by subscribers, 300 to 1000)",
    )
    add("--cells", type=_at_least(DISTRICTS), metavar="N", help="cells on them (default: three per site)")
    add(
        "--events-per-subscriber-day",
        type=float,
        default=7.5,
        metavar="X",
        help="mean rows per subscriber and day, all types, both parties' records counted (default: %(default)s)",
    )
    add(
        "--disaster-date",
        type=date.fromisoformat,
        default=date(2016, 2, 10),
        metavar="DATE",
        help="day on which five north-western districts empty; no effect outside the period (default: %(default)s)",
    )
    add(
        "--no-disaster",
        dest="disaster_date",
        action="store_const",
        const=None,
        default=argparse.SUPPRESS,
        help="a quiet period",
    )
    add("--resume", action="store_true", help="keep the days that an interrupted run has finished")
    add("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    if options.sites is None:
        options.sites = min(max(options.subscribers // 25, 300), 1000)
    if options.cells is None:
        options.cells = 3 * options.sites
    if options.cells < options.sites:
        parser.error(
            f"argument --cells: {options.cells} is too few for {options.sites} sites, each has at least one"
        )
    if not options.events_per_subscriber_day > 0:
        parser.error(
            f"argument --events-per-subscriber-day: {options.events_per_subscriber_day} is not above 0"
        )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    parameters = Parameters(**{name: getattr(options, name) for name in Parameters.__dataclass_fields__})
    began, rows = time.monotonic(), 0
    try:
        for number, (day, written) in enumerate(
            generate(parameters, options.output, options.processes, options.resume), start=1
        ):
            rows += written
            if not options.quiet:
                pace = rows / (time.monotonic() - began)
                sys.stderr.write(f"\r{day}  {number} days  {rows:,} rows  {pace:,.0f} rows/s")
                sys.stderr.flush()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not options.quiet:
        sys.stderr.write(f"\nwritten to {options.output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
