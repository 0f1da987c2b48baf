"""Load by hand and by schedule: ``python -m flowetl``."""

import argparse
import datetime as dt
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg2

from flowetl import __version__, commands
from flowetl.errors import ConfigurationError, LoadError, Unreachable
from flowetl.events import CDR_TYPES
from flowetl.logs import configure_logging
from flowetl.moneysource import MONEY
from flowsettings import SettingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0 means done, 1 a failed load, 2 wrong settings or arguments.
    """
    options = _parser().parse_args(arguments)
    configure_logging()
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except (ConfigurationError, SettingError) as error:
        sys.stderr.write(f"flowetl: {error}\n")
        return commands.USAGE
    except LoadError as error:
        sys.stderr.write(f"flowetl: {error}\n")
        return commands.FAILED
    except psycopg2.OperationalError as error:
        sys.stderr.write(f"flowetl: {Unreachable(error)}\n")
        return commands.FAILED
    except KeyboardInterrupt:
        sys.stderr.write("flowetl: interrupted; days that were not finished are as they were before\n")
        return 130


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date of the form YYYY-MM-DD") from None


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flowetl", description="Load operator data into FlowDB.")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        subparser = subparsers.add_parser(name, help=text, description=text)
        subparser.set_defaults(command=command)
        return subparser

    geography = add("geography", commands.geography, "Load cells, sites, device models and boundaries.")
    geography.add_argument("folder", type=Path, nargs="?", help="default: FLOWETL_LANDING")
    geography.add_argument("--repair", action="store_true", help="make polygons valid that cross themselves")

    money = add(
        "mobile-money",
        commands.mobile_money,
        "Load transactions, their types, subscribers and parties of mobile money; their days are replaced.",
    )
    money.add_argument("--source", required=True, help="whose identifiers, clock and limits hold")
    money.add_argument("folder", type=Path)

    backfill = add(
        "backfill", commands.backfill, "Load many days; those loaded already or dropped are skipped."
    )
    backfill.add_argument("--source", required=True, help="a source's name, or all")
    backfill.add_argument("--start", type=_day, required=True, help="first day")
    backfill.add_argument("--end", type=_day, required=True, help="last day, inclusive")
    backfill.add_argument(
        "--max-parallel", type=_positive, help="days loaded at once; default: one for each core"
    )
    backfill.add_argument(
        "--force", action="store_true", help="load days again that are loaded already or were dropped"
    )

    run = add("run", commands.run, "Load one day, replacing an earlier load of it.")
    run.add_argument("--source", required=True)
    run.add_argument("--date", type=_day, required=True)
    run.add_argument("--wait", action="store_true", help="wait for the file as long as the source says")

    accept = add("accept", commands.accept, "Load one day that was held back, as it is.")
    accept.add_argument("--source", required=True)
    accept.add_argument("--date", type=_day, required=True)
    accept.add_argument("--reason", required=True, help="recorded with the day")

    status = add("status", commands.status, "Show what is loaded and what failed.")
    status.add_argument("--json", action="store_true", help="for scripts")
    status.add_argument("--days", type=_positive, default=14, help="days shown one by one; default: 14")

    absent = add(
        "absent",
        commands.absent,
        "Record that the operator has no file of a day, so that the day is not expected.",
    )
    absent.add_argument("--cdr-type", choices=(*CDR_TYPES, MONEY), required=True)
    absent.add_argument("--date", type=_day, required=True)
    said = absent.add_mutually_exclusive_group(required=True)
    said.add_argument("--reason", help="shown by status")
    said.add_argument("--undo", action="store_true", help="expect the file again")

    drop = add(
        "drop",
        commands.drop,
        "Withdraw one day from both stores. Only run, or backfill --force, loads it again.",
    )
    drop.add_argument("--cdr-type", choices=CDR_TYPES, required=True)
    drop.add_argument("--date", type=_day, required=True)
    drop.add_argument("--reason", required=True, help="recorded in the history")

    report = add(
        "report", commands.report, "Write the state of all loading as one HTML file that opens offline."
    )
    report.add_argument(
        "--output", type=Path, default=Path("loading.html"), help="default: loading.html; - for the output"
    )

    add("opt-out", commands.opt_out, "Remove the records of subscribers who opted out (FLOWETL_OPT_OUT).")

    retain = add("retain", commands.retain, "Drop days that are older than some months from both stores.")
    retain.add_argument("--months", type=_positive, help="default: FLOWETL_RETAIN_MONTHS")
    retain.add_argument("--dry-run", action="store_true", help="only list them")

    qa = add("qa", commands.qa, "Run the quality checks again on loaded days.")
    qa.add_argument("--cdr-type", choices=CDR_TYPES, required=True)
    qa.add_argument("--start", type=_day, required=True)
    qa.add_argument("--end", type=_day, required=True)

    preview = add("preview", commands.preview, "Show how the first records of a file would be loaded.")
    preview.add_argument("--source", required=True)
    preview.add_argument("--date", type=_day, required=True)
    preview.add_argument("--rows", type=_positive, default=10)

    source = subparsers.add_parser("source", help="Look at one source.").add_subparsers(
        required=True, metavar="action"
    )
    check = source.add_parser("check", help="Say what a file would load, without writing anything.")
    check.set_defaults(command=commands.check_source)
    check.add_argument(
        "file",
        type=Path,
        help="an operator's file, or a source description; of the folders of either, the name is enough",
    )
    check.add_argument("--source", help="a source's name; default: the one whose path fits the file")
    check.add_argument("--date", type=_day, help="default: the day that the file's name says")
    check.add_argument("--rows", type=_positive, default=5, help="records shown; default: 5")

    validate = add("validate-config", commands.validate_config, "Check every source file.")
    validate.add_argument("folder", type=Path, nargs="?", help="default: FLOWETL_SOURCES")
    validate.add_argument(
        "--records", action="store_true", help="check the newest file of each, too, as source check does"
    )
    validate.add_argument("--rows", type=_positive, default=5, help="records shown of each; default: 5")
    add("reconcile", commands.reconcile, "Remove orphans of killed loads and report what disagrees.")
    add(
        "repair",
        commands.repair,
        "Rebuild columnar files and tallies that are missing or damaged. Results stay valid. "
        "The serve command does this by itself for files that a query was to read.",
    ).add_argument("--dry-run", action="store_true", help="only list them")
    add(
        "serve",
        commands.serve,
        "Register one deployment for each source with Prefect and run them by schedule.",
    )
    server = add(
        "prefect-server", commands.prefect_server, "Run Prefect's server under the deployment's password."
    )
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--port", type=int, default=4200)
    reports = add(
        "reports",
        commands.reports,
        "serve: make reports when they are due, by Prefect, until told to stop. "
        "Anything else: a command of `python -m flowclient.reports`, such as list, check, preview, run, approve.",
    )
    reports.add_argument("arguments", nargs=argparse.REMAINDER, metavar="command")
    return parser


if __name__ == "__main__":
    sys.exit(main())
