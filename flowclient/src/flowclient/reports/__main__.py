"""Run the commands for reports; ``make`` is what ``run`` starts."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import flowclient
from flowclient.reports.asking import ReportError, connection
from flowclient.reports.definition import Definition, DefinitionError, read_definition
from flowclient.reports.due import due
from flowclient.reports.examining import examined, questions
from flowclient.reports.making import current_loads, looking_for, make, preview, rights_of, run
from flowclient.reports.shelf import Shelf


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its status.

    0 is good, 1 a failure, 2 a wrong definition or argument.
    """
    options = _parser().parse_args(arguments)
    # Whether the server is asked over TLS is decided by its address, once, by the operator who set it.
    warnings.filterwarnings("ignore", message="Communications with this server are NOT SECURE")
    try:
        status: int = options.command(options)
    except ReportError as error:
        _say(f"{error.reason}: {error}")
        return 1
    except (DefinitionError, LookupError, ValueError) as error:
        _say(str(error))
        return 2
    return status


def _list(options: argparse.Namespace) -> int:
    told = {definition.name: _told(definition) for definition in _definitions(options)}
    if options.json:
        _say(json.dumps(told, indent=1))
    else:
        for name, one in told.items():
            failed = "; ".join(f"{period}: {reason}" for period, reason in one["failures"].items())
            held = ", ".join(one["held"])
            waits = f"; waits for approval: {held}" if held else ""
            coming = f"; next: {one['next']}" if one["next"] else ""
            _say(
                f"{name}: last good {one['last_good'] or 'none yet'}{coming}; failures: {failed or 'none'}{waits}"
            )
    return 1 if any(one["failures"] for one in told.values()) else 0


def _told(definition: Definition) -> dict[str, Any]:
    """Return the last good version, the period after it, and failures."""
    periods = Shelf(definition, _out()).contents()
    good = next((period for period in periods if period["versions"]), None)
    return {
        "last_good": f"{good['period']} {good['versions'][0]['version']}" if good else None,
        "next": definition.period_of(definition.end_of(good["period"])) if good else None,
        "failures": {each["period"]: each["failure"]["reason"] for each in periods if each["failure"]},
        "held": [each["period"] for each in periods if each["held"]],
        "periods": periods,
    }


def _check(options: argparse.Namespace) -> int:
    status = 0
    for definition in _definitions(options):
        with rights_of(definition):
            faults, remarks = examined(definition, _connection(), _out_or_none())
        _say(f"{definition.name}: {'; '.join([*(faults or ['ready']), *remarks])}")
        status = max(status, 1 if faults else 0)
    return status


def _run(options: argparse.Namespace) -> int:
    path = _folder() / f"{options.name}.yml"
    definition = read_definition(path)
    period = options.period or _last_period(definition)
    placed = run(definition, path.resolve(), period, _out())
    _say(f"{definition.name} {period}: {placed or 'nothing new'}")
    return 0


def _preview(options: argparse.Namespace) -> int:
    path = _folder() / f"{options.name}.yml"
    definition = read_definition(path)
    period = options.period or _last_period(definition)
    with rights_of(definition):
        explained = [query.explain() for query in questions(definition, period, _connection())]
    if definition.notebook is None:
        stored = sum(each["stored"] == each["parts"] for each in explained)
        forecasts = [each["forecast_seconds"] for each in explained]
        seconds = "an unknown time" if None in forecasts else f"about {sum(forecasts):.0f} s of computing"
        _say(f"{len(explained)} questions, {stored} of them stored; {seconds}.")
    else:
        _say("What a notebook asks is not known before it runs.")
    _say("The answers enter the ledger: later answers are judged against them, as after `run`.")
    into = Path(tempfile.mkdtemp(prefix=f"{definition.name}-{period}-"))
    preview(definition, path.resolve(), period, into)
    _say(f"Nothing is published. Pages: {into}")
    return 0


def _due(options: argparse.Namespace) -> int:
    definitions = _definitions(options)
    # Without definitions it is not known with whose rights to look.
    found = _owing(definitions) if definitions else []
    if options.json:
        _say(json.dumps(found))
    else:
        for each in found:
            _say(f"{each['report']} {each['period']}")
    return 0


def _owing(definitions: list[Definition]) -> list[dict[str, str]]:
    """Return the periods that ought to be made now."""
    with looking_for(definitions):
        loads, now = current_loads(), datetime.datetime.now().astimezone()
    return [
        {"report": definition.name, "period": period}
        for definition in definitions
        for period in due(definition, loads, Shelf(definition, _out()), now)
    ]


def _approve(options: argparse.Namespace) -> int:
    definition = read_definition(_folder() / f"{options.name}.yml")
    definition.end_of(options.period)
    version = Shelf(definition, _out()).approve(options.period)
    _say(f"{definition.name} {options.period}: published {version}")
    return 0


def _make(options: argparse.Namespace) -> int:
    parts = json.loads(options.parts.read_text())
    make(read_definition(options.path), options.period, options.into, parts)
    return 0


def _prune(options: argparse.Namespace) -> int:
    for definition in _definitions(options):
        for folder in Shelf(definition, _out()).prune():
            _say(f"removed {definition.name} {folder.parent.name}/{folder.name}")
    return 0


def _last_period(definition: Definition) -> str:
    """Return the period of the last day with data of calls and text messages."""
    with looking_for([definition]):
        days = flowclient.get_available_dates(connection=_connection(), event_types=["calls", "sms"])
    both = set.intersection(*map(set, days.values())) if days else set()
    if not both:
        raise ReportError("refused", "The server has no day with data.")
    return definition.period_of(datetime.date.fromisoformat(max(both)))


def _definitions(options: argparse.Namespace) -> list[Definition]:
    if options.name:
        return [read_definition(_folder() / f"{options.name}.yml")]
    return [read_definition(path) for path in sorted(_folder().glob("*.yml"))]


def _connection() -> flowclient.Connection:
    _setting("FLOWAPI_URL")
    _setting("FLOWAPI_TOKEN_FILE")
    return connection()


def _setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ValueError(f"{name} is not set.")
    return value


def _folder() -> Path:
    return Path(_setting("FLOWKIT_REPORTS"))


def _out() -> Path:
    return Path(_setting("FLOWKIT_REPORTS_OUT"))


def _out_or_none() -> Path | None:
    value = os.environ.get("FLOWKIT_REPORTS_OUT")
    return Path(value) if value else None


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flowclient.reports", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def add(name: str, command: object, text: str, *, name_required: bool = False) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        if name_required:
            added.add_argument("name")
        elif name != "make":
            added.add_argument("name", nargs="?")
        return added

    listing = add("list", _list, "Show each report's last good version and failures; exit 1 if one failed.")
    listing.add_argument("--json", action="store_true")
    add("check", _check, "Check definitions and what the token may ask; run nothing.")
    running = add("run", _run, "Make, verify and publish a report now.", name_required=True)
    running.add_argument(
        "--period", help="such as 2016-02-14, 2016-W06 or 2016-02; by default the last with data"
    )
    previewing = add(
        "preview",
        _preview,
        "Say what a report would ask, then make its pages in a folder without publishing them.",
        name_required=True,
    )
    previewing.add_argument("--period", help="as for run")
    owing = add("due", _due, "List the periods that ought to be made now, the oldest first.")
    owing.add_argument("--json", action="store_true")
    approving = add("approve", _approve, "Publish the version that is held.", name_required=True)
    approving.add_argument("period")
    add("prune", _prune, "Remove versions and periods beyond what the definitions keep.")
    making = add("make", _make, "Used by run: make pages into a folder.")
    making.add_argument("path", type=Path)
    making.add_argument("period")
    making.add_argument("into", type=Path)
    making.add_argument("parts", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
