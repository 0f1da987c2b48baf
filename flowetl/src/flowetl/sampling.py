"""Preview what a file would load from a sample; write nothing."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import psycopg2
import pyarrow.compute as pc

from flowetl import gates, paths
from flowetl.arrival import Item
from flowetl.databases import TableDay, newest_day
from flowetl.deployment import Deployment
from flowetl.errors import ConfigurationError, LoadError, NotReady
from flowetl.identifiers import shape
from flowetl.keyed import hasher
from flowetl.lines import RawBatch
from flowetl.mapped import made_fields, takes_tac, text_field
from flowetl.readers import place_of, reader_of
from flowetl.rejects import Reject
from flowetl.source import Source, read_source
from flowetl.staging import StagedDay

WHOLE_BLOCKS = 8
"""Blocks of a file that are all looked at; of those behind them one in as many."""
DOUBTS = 20
_FILES_SHOWN = 5


def preview(
    deployment: Deployment, source: Source, date: dt.date, rows: int
) -> tuple[list[dict[str, object]], list[Reject]]:
    """Show how a day's first records would be stored or refused."""
    found = next(iter(place_of(deployment, source, date).look()))
    key = hasher(source, deployment.pseudonym_key())
    with StagedDay(source, date, deployment.zone, key, 1) as day:
        day.add(next(reader_of(found, source).batches()).first(rows))
        return day.first_rows(rows), day.rejects


def find(
    deployment: Deployment, file: Path, name: str | None, date: dt.date | None
) -> tuple[Source, Item, dt.date | None]:
    """The source, the operator's file or table and the day that are meant.

    Raises
    ------
    ConfigurationError
        When no source fits the file, or several do.
    NotReady
        When the file is not there, or a source description is given whose folder is empty.
    """
    file = _there(deployment, file)
    if file.suffix in (".yml", ".yaml"):
        source = read_source(file)
        if source.table is not None:
            date = date or newest_day(source.table, deployment.zone)
            return source, TableDay(source, source.table, date, deployment.zone), date
        newest = max(
            (path for path in deployment.landing.rglob("*") if paths.fits(source.path, path.name)),
            key=lambda path: (_day(source, path) or dt.date.min, path.name),
            default=None,
        )
        if newest is None:
            others = sorted(path.name for path in deployment.landing.rglob("*") if path.is_file())
            there = f"; there are: {', '.join(others[:_FILES_SHOWN])}" if others else ", which is empty"
            raise NotReady(
                f"no file of {source.path} is in the landing folder{there}. Correct path, or name the file"
            )
        return source, newest, date or _day(source, newest)
    sources = deployment.sources()
    if name is not None and name not in sources:
        raise ConfigurationError(f"--source: no source {name!r}; there are: {', '.join(sources)}")
    fitting = (
        [sources[name]]
        if name
        else [one for one in sources.values() if one.path and paths.fits(one.path, file.name)]
    )
    if len(fitting) != 1:
        told = ", ".join(one.name for one in fitting) or "none"
        raise ConfigurationError(f"{file.name} fits the path of {told}: say which is meant with --source")
    return fitting[0], file, date or _day(fitting[0], file)


def _there(deployment: Deployment, file: Path) -> Path:
    """Return a file by its path, or by its name in the folder of sources or files.

    The name of a source description needs no ending.

    Raises
    ------
    NotReady
        When it is in none of them.
    """
    sources, landing = deployment.sources_folder, deployment.landing
    places = (file, sources / file, sources / f"{file}.yml", landing / file)
    for path in places:
        if path.is_file():
            return path
    raise NotReady(f"{file} is not there, neither among the sources ({sources}) nor the files ({landing})")


def _day(source: Source, path: Path) -> dt.date | None:
    return paths.day_of(source.path, path.name)


@dataclass
class Sample:
    """Hold the first records, counts and doubts; no doubt shows a record's values."""

    date: dt.date
    first: list[dict[str, object]] = field(default_factory=list)
    records: int = 0
    rows: int = 0
    passed: int = 0
    whole: bool = True
    refused: Counter[str] = field(default_factory=Counter)
    doubts: list[tuple[int, str, str]] = field(default_factory=list)
    suspicious: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    fault: str = ""


def sample(deployment: Deployment, source: Source, path: Item, date: dt.date | None, shown: int) -> Sample:
    """Map, check and judge a sample of a whole file as a load would.

    Raises
    ------
    DataFault
        When the file cannot be read at all.
    """
    key = hasher(source, deployment.pseudonym_key())
    source.require_clock(deployment.zone)
    if date is None:
        date = _most_frequent_day(deployment, source, path)
    found = Sample(date)
    with StagedDay(source, date, deployment.zone, key, 1) as day:
        reader = reader_of(path, source)
        short = 0
        for place, batch in enumerate(reader.batches()):
            if place >= WHOLE_BLOCKS and place % WHOLE_BLOCKS:
                found.whole = False
                continue
            before = len(day.rejects)
            day.add(batch)
            short += _short_codes(source, batch)
            found.doubts += _doubts(source, batch, day.rejects[before:], DOUBTS - len(found.doubts))
        found.first = day.first_rows(shown)
        found.rows, found.passed, found.refused = day.rows, day.passed, day.refused
        found.records = day.rows + day.refused.total() + day.passed
        found.suspicious = [*reader.notes, *source.advice]
        try:
            day.check(path.name)
        except LoadError as error:
            found.fault = str(error)
        found.suspicious += [*day.notes, *_suspicious(source, day)]
        if short:
            found.suspicious.append(
                f"{short} device codes have 14 digits: without the check digit, a leading zero that a spreadsheet took off "
                "cannot be told"
            )
        held, told = _compared(deployment, source, day)
        found.held, found.suspicious = held, found.suspicious + told
    return found


def _most_frequent_day(deployment: Deployment, source: Source, path: Item) -> dt.date:
    """The day of most of the first records of a file whose name says none."""
    guess = source.start
    by_record = source.model_copy(update={"days": "by_record"})
    key = hasher(source, deployment.pseudonym_key())
    with StagedDay(by_record, guess, deployment.zone, key, 1) as day:
        for batch in islice(reader_of(path, source).batches(), 1):
            day.add(batch)
        days = day.other_days + Counter({guess: day.rows})
        return days.most_common(1)[0][0] if days else guess


def _doubts(
    source: Source, batch: RawBatch, rejects: list[Reject], most: int
) -> Iterator[tuple[int, str, str]]:
    """Yield a block's first refused records: line, reason, form of the unread text."""
    table = made_fields(batch.table, source)
    at = {int(line): row for row, line in enumerate(batch.lines)}
    for line, reason, *_ in rejects[: max(most, 0)]:
        column = reason.partition("_")[2]
        hint = ""
        if reason.startswith("malformed_") and line in at and column in source.mapping:
            name = text_field(column, source.mapping[column])
            text = table.column(name)[at[line]].as_py() if name in table.column_names else None
            hint = f"mapping.{column} read {shape(text)}" if text else ""
            if text and column == "datetime":
                hint += f"; its format is {' or '.join(source.time_patterns)}"
        yield line, reason, hint


def _short_codes(source: Source, batch: RawBatch) -> int:
    """Count a block's device codes that lack one digit."""
    if not takes_tac(source):
        return 0
    codes = made_fields(batch.table, source).column(text_field("imei", source.mapping["imei"]))
    return pc.sum(pc.match_substring_regex(codes, "^[0-9]{14}$")).as_py() or 0


def _suspicious(source: Source, day: StagedDay) -> Iterator[str]:
    if not day.rows:
        return
    if "outgoing" in source.mapping:
        ((ways,),) = day.connection.execute("SELECT count(DISTINCT outgoing) FROM day").fetchall()
        if ways < 2:
            yield "every record goes one way: are incoming calls in another file?"
    for name, count in day.unread.items():
        if count:
            yield f"{name} could not be read in {count} of {day.rows} records and would be empty"
    if day.nobody:
        yield (
            f"msisdn_counterpart is no number in {day.nobody} of {day.rows} records, such as a withheld one or a service, "
            "and would be empty"
        )
    if day.other_days:
        total = day.other_days.total()
        yield f"{total} records are of other days, {min(day.other_days)} to {max(day.other_days)}"


def _compared(deployment: Deployment, source: Source, day: StagedDay) -> tuple[list[str], list[str]]:
    """Return what would hold the day back, and doubts, by the lists loaded."""
    if not day.rows:
        return [], []
    minimum = source.minimum_known_cells
    minimum = deployment.minimum_known_cells if minimum is None else minimum
    try:
        with deployment.connect() as connection, connection.cursor() as cursor:
            verdict = gates.judge_content(cursor, day, minimum)
    except (LoadError, psycopg2.Error):
        verdict = gates.judge_unread(day)
        verdict.told.append(
            "cells, device models and usual rows were not compared: the database does not answer"
        )
    # Of a sample, rows say nothing about those of a day.
    return [text for text in verdict.held if "minimum_share" not in text], verdict.told
