"""Run the commands of ``python -m flowetl``.

Each command gets parsed options, writes for people and returns an exit code. Modules are imported when a
command needs them: only ``serve`` needs Prefect, whose import takes seconds.
"""

import argparse
import json
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from flowetl import orchestrator
from flowetl.deployment import Deployment
from flowetl.errors import ConfigurationError, LoadError, NotReady
from flowetl.moneysource import MoneySource, describes_money, read_money_sources
from flowetl.reportcommands import become_command
from flowetl.settings import LoaderSettings, ReportSettings
from flowetl.source import Source, days, read_source, read_sources

if TYPE_CHECKING:
    from flowetl.loading import Loaded
    from flowetl.sampling import Sample

OK, FAILED, USAGE = 0, 1, 2


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _source(deployment: Deployment, name: str) -> Source:
    sources = deployment.sources()
    if name not in sources:
        raise ConfigurationError(f"no source {name!r}; there are: {', '.join(sources)}")
    return sources[name]


def geography(options: argparse.Namespace) -> int:
    """Load cells, sites, device models and boundaries."""
    from flowetl.geography import load_geography

    doubts: list[str] = []
    deployment = Deployment.from_settings()
    folder = options.folder or deployment.landing
    for changes in load_geography(deployment, folder, repair=options.repair, tell=doubts.append):
        _say(
            f"{changes.file}: {changes.records:,} records, {changes.added:,} added, {changes.changed:,} changed, "
            f"{changes.removed:,} removed"
        )
    for doubt in doubts:
        _say(f"note: {doubt}")
    return OK


def mobile_money(options: argparse.Namespace) -> int:
    """Load a delivery of mobile money."""
    from flowetl.mobilemoney import load_mobile_money

    deployment = Deployment.from_settings()
    found = load_mobile_money(deployment, _source(deployment, options.source), options.folder)
    _say(
        f"{found.transactions:,} transactions of {found.first} to {found.last}, {found.parties:,} parties, "
        f"{found.elsewhere:,} parties at no known cell"
    )
    for reason, count in found.refused.most_common():
        _say(f"refused: {reason}: {count:,}")
    return OK


def _money(deployment: Deployment, name: str) -> list[MoneySource]:
    """Return the sources of mobile money of this name; ``all`` names each."""
    return [money for money in deployment.money_sources().values() if name in (money.name, "all")]


def _backfill_money(deployment: Deployment, money: MoneySource, options: argparse.Namespace) -> int:
    from flowetl.moneydays import load_money_day, missing_money_days

    last = min(options.end, money.end) if money.end else options.end
    wanted = (
        list(days(max(options.start, money.start), last))
        if options.force
        else missing_money_days(deployment, money, options.end)
    )
    failures = 0
    for date in (date for date in wanted if date >= options.start):
        try:
            found = load_money_day(deployment, money, date)
        except LoadError as error:
            failures += 1
            _say(f"failed: {money.name} {date}: {error}")
        else:
            _say(f"{money.name} {date}: {found.transactions:,} transactions, {found.parties:,} parties")
    return failures


def backfill(options: argparse.Namespace) -> int:
    """Load many days."""
    from flowetl.backfill import backfill as load_all

    deployment = Deployment.from_settings()
    if options.end < options.start:
        raise ConfigurationError(f"--end {options.end} is before --start {options.start}")
    deployment.pseudonym_key()
    money = _money(deployment, options.source)
    money_failures = sum(_backfill_money(deployment, each, options) for each in money)
    if money and options.source != "all":
        return FAILED if money_failures else OK
    wanted = (
        list(deployment.sources().values())
        if options.source == "all"
        else [_source(deployment, options.source)]
    )
    summary = load_all(
        deployment, wanted, options.start, options.end, max_parallel=options.max_parallel, force=options.force
    )
    rate = summary.rows / summary.seconds if summary.seconds else 0
    _say(
        f"{summary.days:,} days loaded, {summary.skipped:,} already there, {len(summary.failures):,} failed: "
        f"{summary.rows:,} rows, {summary.rejects:,} rejected, {summary.seconds:.1f} s, {rate:,.0f} rows/s"
    )
    if summary.dropped:
        _say(f"{summary.dropped:,} dropped days left alone: run loads one of them again, --force all")
    for failure in summary.failures:
        _say(f"failed: {failure.source} {failure.date}: {failure.cause}")
    return FAILED if summary.failures or money_failures else OK


def run(options: argparse.Namespace) -> int:
    """Load one day."""
    from flowetl.loading import load_day

    deployment = Deployment.from_settings()
    for money in [] if options.source == "all" else _money(deployment, options.source):
        from flowetl.moneydays import load_money_day

        found = load_money_day(deployment, money, options.date, wait=options.wait)
        _say(
            f"{money.name} {options.date}: {found.transactions:,} transactions, {found.parties:,} parties, "
            f"{found.elsewhere:,} parties at no known cell, {found.refused.total():,} records refused"
        )
        return OK
    loaded = load_day(deployment, _source(deployment, options.source), options.date, wait=options.wait)
    _say(
        f"{loaded.source} {loaded.date}: {loaded.rows:,} rows, {loaded.rejects:,} rejected, {loaded.seconds:.1f} s"
    )
    _say_how_it_fits(loaded)
    return OK


def accept(options: argparse.Namespace) -> int:
    """Load one day that was held back."""
    from flowetl.loading import load_day

    deployment = Deployment.from_settings()
    source = _source(deployment, options.source)
    loaded = load_day(deployment, source, options.date, accepted=options.reason)
    _say(f"{loaded.source} {loaded.date}: accepted, {loaded.rows:,} rows, {loaded.rejects:,} rejected")
    _say_how_it_fits(loaded)
    return OK


def _say_how_it_fits(loaded: "Loaded") -> None:
    """Say how a loaded day fits what is known, and what is doubtful about it."""
    if loaded.facts:
        _say("; ".join(loaded.facts))
    for doubt in loaded.notes:
        _say(f"note: {doubt}")


def status(options: argparse.Namespace) -> int:
    """Show what is loaded and what failed."""
    from flowetl.paused import paused_sources
    from flowetl.report import calendar, coverage

    deployment = Deployment.from_settings()
    found = coverage(deployment)
    by_day = calendar(deployment, options.days)
    types = {source.name: source.cdr_type for source in deployment.all_sources()}
    paused = paused_sources(types) or []
    if options.json:
        told = [
            entry
            | {
                "calendar": [day for day in by_day if day["cdr_type"] == entry["cdr_type"]],
                "paused": [name for name in paused if types[name] == entry["cdr_type"]],
            }
            for entry in found
        ]
        _say(json.dumps(told, indent=2, default=str))
        return OK
    shown = {(day["cdr_type"], day["date"]) for day in by_day}
    expected = set(types.values())
    for entry in found:
        if not entry["days"] and not entry["problems"] and entry["cdr_type"] not in expected:
            continue
        span = f"{entry['first']} to {entry['last']}" if entry["days"] else "nothing loaded"
        _say(
            f"{entry['cdr_type']}: {entry['days']:,} days, {span}, {entry['rows']:,} rows, {entry['rejects']:,} rejected"
        )
        for problem in entry["problems"]:
            if (entry["cdr_type"], problem["date"]) in shown:
                continue
            _say(
                f"  {problem['date']} {problem['state']}: {problem['note'] or 'since ' + str(problem['started'])}"
            )
    if by_day:
        _say(f"the last {options.days} days:")
    for day in by_day:
        _say(
            f"  {day['source']} {day['date']} {day['state']}"
            + (f": {day['reason']}" if day["reason"] else "")
        )
    for name in paused:
        _say(
            f"{name}: its schedule is paused, so no night loads it; resume it on Prefect's page of deployments"
        )
    return OK


def absent(options: argparse.Namespace) -> int:
    """Record that the operator has no file of a day, or undo that."""
    from flowetl import records

    with Deployment.from_settings().connect() as connection, connection.cursor() as cursor:
        records.set_absent(cursor, options.cdr_type, options.date, None if options.undo else options.reason)
    _say(f"{options.cdr_type} {options.date}: " + ("expected again" if options.undo else "absent"))
    return OK


def drop(options: argparse.Namespace) -> int:
    """Withdraw one day."""
    from flowetl.withdrawal import drop_day

    drop_day(Deployment.from_settings(), options.cdr_type, options.date, options.reason)
    _say(f"{options.cdr_type} {options.date}: dropped")
    return OK


def report(options: argparse.Namespace) -> int:
    """Write the state of all loading as one HTML file."""
    from flowetl.nightreport import render, write_report

    deployment = Deployment.from_settings()
    if str(options.output) == "-":
        sys.stdout.write(render(deployment))
        return OK
    write_report(deployment, options.output)
    _say(f"{options.output}: open it in a browser")
    return OK


def opt_out(options: argparse.Namespace) -> int:
    """Remove the records of those who opted out from the days that are there."""
    from flowetl.optout import remove

    deployment = Deployment.from_settings()
    if deployment.opt_out is None:
        raise ConfigurationError("FLOWETL_OPT_OUT is not set: it names the file of the numbers, one a line")
    changed = 0
    for day in remove(deployment):
        changed += 1
        _say(f"{day.cdr_type} {day.date}: {day.records:,} records removed")
    _say(f"{changed:,} days changed")
    return OK


def retain(options: argparse.Namespace) -> int:
    """Drop the days that are older than some months."""
    from flowetl import retention

    deployment = Deployment.from_settings()
    months = options.months or deployment.retain_months
    if months is None:
        raise ConfigurationError("--months or FLOWETL_RETAIN_MONTHS says for how long days are kept")
    find = retention.expired if options.dry_run else retention.retain
    days_dropped = list(find(deployment, months))
    for cdr_type, date in days_dropped:
        _say(f"{cdr_type} {date}: " + ("would be dropped" if options.dry_run else "dropped"))
    _say(f"{len(days_dropped):,} days older than {months} months")
    return OK


def qa(options: argparse.Namespace) -> int:
    """Run the quality checks again on loaded days."""
    from psycopg2.sql import Identifier

    from flowetl import quality, records
    from flowetl.partitions import partition_name

    deployment = Deployment.from_settings()
    checks = quality.discover(options.cdr_type, [deployment.sources_folder])
    complete = True
    with deployment.connect() as connection:
        with connection.cursor() as cursor:
            there = records.available_days(cursor, options.cdr_type)
        connection.autocommit = False
        for date in (date for date in days(options.start, options.end) if date in there):
            table = Identifier("events", partition_name(options.cdr_type, date))
            with connection, connection.cursor() as cursor:
                outcomes = quality.ask_database(cursor, table, checks, options.cdr_type, date)
                quality.store(cursor, outcomes, options.cdr_type, date)
            complete = complete and len(outcomes) == len(checks)
            _say(f"{options.cdr_type} {date}: {len(outcomes)} of {len(checks)} checks")
    return OK if complete else FAILED


def preview(options: argparse.Namespace) -> int:
    """Show a file's first records as they would be loaded, with pseudonyms."""
    from flowetl.sampling import preview as map_first

    deployment = Deployment.from_settings()
    rows, rejects = map_first(deployment, _source(deployment, options.source), options.date, options.rows)
    for row in rows:
        _say(json.dumps(row, default=str))
    for line, reason, *_ in islice(rejects, options.rows):
        _say(f"refused: line {line}: {reason}")
    return OK


def check_source(options: argparse.Namespace) -> int:
    """Say what a file, or a source's newest file, would load; write nothing."""
    from flowetl import sampling

    deployment = Deployment.from_settings()
    source, path, date = sampling.find(deployment, options.file, options.source, options.date)
    found = sampling.sample(deployment, source, path, date, options.rows)
    return _tell_sample(found, f"{path.name} as {source.name} ({source.cdr_type}) of {found.date}")


def _tell_sample(found: "Sample", what: str) -> int:
    _say(what)
    for row in found.first:
        _say(json.dumps(row, default=str))
    _say(
        f"{found.records:,} records {'in all' if found.whole else 'in a sample of the whole file'}: {found.rows:,} would be "
        f"loaded, {found.refused.total():,} refused, {found.passed:,} passed over"
    )
    for reason, count in found.refused.most_common():
        _say(f"refused: {reason}: {count:,} ({count / max(found.records, 1):.1%})")
    alike = Counter((reason, hint) for _, reason, hint in found.doubts)
    for line, reason, hint in found.doubts:
        # Of lines that are wrong alike, the first is told.
        if more := alike.pop((reason, hint), 0):
            others = f", and {more - 1} of the next refused lines" if more > 1 else ""
            _say(f"line {line}{others}: {reason}{': ' + hint if hint else ''}")
    for text in found.suspicious:
        _say(f"doubt: {text}")
    for text in found.held:
        _say(f"would be held back: {text}")
    if found.fault:
        _say(f"would not be loaded: {found.fault}")
    return FAILED if found.fault or found.held else OK


def validate_config(options: argparse.Namespace) -> int:
    """Check every source file, so that one fault does not hide others."""
    from flowetl.gates import require_gates

    folder = options.folder or Deployment.from_settings().sources_folder
    faults = 0
    money, described = [], []
    for path in sorted(folder.glob("*.yml")):
        try:
            if describes_money(path):
                money.append(path)
                continue
            source = read_source(path)
            require_gates(source)
        except ConfigurationError as error:
            faults += 1
            _say(f"wrong: {error}")
        else:
            _say(f"good: {path.name}: {source.name} ({source.cdr_type}), {source.schedule}")
            for advice in source.advice:
                _say(f"note: {path.name}: {advice}")
            described.append(path)
    if not faults:
        for found in read_money_sources(folder, read_sources(folder)).values():
            _say(f"good: {found.name} (mobile money of {found.mobile_money}), {found.schedule}")
    elif money:
        _say(f"not looked at yet, because other sources are wrong: {', '.join(path.name for path in money)}")
    results = [_check_records(path, options.rows) for path in described] if options.records else []
    return USAGE if faults else max(results, default=OK)


def _check_records(path: Path, rows: int) -> int:
    """Say what the newest file or day of one source would load."""
    from flowetl import sampling

    deployment = Deployment.from_settings()
    try:
        source, item, date = sampling.find(deployment, path, None, None)
        found = sampling.sample(deployment, source, item, date, rows)
    except NotReady as error:
        _say(f"note: {path.name}: {error}")
        return OK
    except LoadError as error:
        _say(f"would not be loaded: {error}")
        return FAILED
    return _tell_sample(found, f"{item.name} as {source.name} ({source.cdr_type}) of {found.date}")


def reconcile(options: argparse.Namespace) -> int:
    """Remove orphans of killed loads and report what disagrees."""
    from flowetl.withdrawal import reconcile as compare

    drift = compare(Deployment.from_settings())
    for text, entries in (
        ("removed orphan", drift.orphans_removed),
        ("ended interrupted load", drift.interrupted),
        ("columnar file missing, run the command repair", drift.files_missing),
        ("partition missing, load the day again", drift.partitions_missing),
        ("partition without a record, load the day again or drop it", drift.partitions_unrecorded),
        (
            "partition of a name that is none of flowetl's, detach or drop it in the database",
            drift.partitions_unknown,
        ),
    ):
        for entry in entries:
            _say(f"{text}: {entry}")
    if not drift.needs_attention:
        _say("both stores agree with the records")
    return FAILED if drift.needs_attention else OK


def repair(options: argparse.Namespace) -> int:
    """Rebuild columnar files that are missing or damaged."""
    from flowetl.repair import examine
    from flowetl.repair import repair as rebuild

    deployment = Deployment.from_settings()
    if options.dry_run:
        faulty = [(path, fault) for day in examine(deployment) for path, fault in day.faults.items()]
        for path, fault in faulty:
            _say(f"{fault}: {path}")
        if not faulty:
            _say("every columnar file is as it was written")
        return FAILED if faulty else OK
    complete, rebuilt = True, 0
    for day, cause in rebuild(deployment):
        complete, rebuilt = complete and cause is None, rebuilt + (len(day.faults) if cause is None else 0)
        for path in day.faults:
            _say(f"rebuilt: {path}" if cause is None else f"not rebuilt: {path}: {cause}")
    if complete:
        _say(f"every columnar file is as it was written; {rebuilt} were rebuilt")
    return OK if complete else FAILED


def serve(options: argparse.Namespace) -> int:
    """Run the sources by schedule until told to stop."""
    orchestrator.present_password()
    from flowetl.serving import serve_sources

    deployment = Deployment.from_settings()
    settings = LoaderSettings.load()
    serve_sources(deployment, settings.bind, settings.metrics_port)
    return OK


def reports(options: argparse.Namespace) -> int:
    """Serve the reports, or run one of the client's commands for reports."""
    settings = ReportSettings.load()
    if options.arguments != ["serve"]:
        become_command(settings, options.arguments or ["--help"])
    orchestrator.present_password()
    from flowetl.reporting import serve_reports

    serve_reports(settings)
    return OK


def prefect_server(options: argparse.Namespace) -> int:
    """Run Prefect's server, which asks for the deployment's password."""
    orchestrator.become_server(options.host, options.port)
