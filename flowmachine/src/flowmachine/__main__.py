"""Run the engine's commands."""

from __future__ import annotations

import argparse
import sys
from datetime import date

from flowmachine import __version__
from flowsettings import SettingError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 1 with a sentence for an unusable setting."""
    chosen = _parser().parse_args(arguments)
    try:
        return _run(chosen)
    except SettingError as error:
        sys.stderr.write(f"flowmachine: {error}\n")
        return 1


def _run(chosen: argparse.Namespace) -> int:
    # Imported where needed: each process loads only what it uses, and `--help` waits for nothing.
    from flowmachine.logs import configure_logs
    from flowmachine.settings import ServerSettings, Settings

    if chosen.command == "server":
        from flowmachine.server.server import main as serve

        serving = ServerSettings.load()
        configure_logs(serving.log_level)
        serve(serving)
        return 0
    settings = Settings.load()
    configure_logs(settings.log_level)
    if chosen.command == "worker":
        from flowmachine.worker import main as work

        work(settings)
        return 0
    if chosen.command == "ledger":
        from flowmachine.ledger.commands import run as run_ledger

        return run_ledger(chosen, settings)
    if chosen.command == "subsets":
        from flowmachine.approved import run as run_subsets

        return run_subsets(chosen, settings)
    from flowmachine.cache_commands import run

    return run(chosen, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flowmachine", description="The query engine.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("server", help="answer requests on the engine's port")
    commands.add_parser("worker", help="compute queued queries; start one for each spare core")
    cache = commands.add_parser("cache", help="inspect stored results and keep them within their size")
    actions = cache.add_subparsers(dest="cache_command", required=True)
    actions.add_parser("list", help="stored results in the order of eviction")
    actions.add_parser("size", help="bytes stored, and the limit")
    actions.add_parser(
        "standing", help="parts kept of every loaded day (FLOWMACHINE_STANDING): days and bytes"
    )
    shrink = actions.add_parser("shrink", help="drop results until the rest fits the limit")
    shrink.add_argument("--limit", type=int, metavar="BYTES", help="default: the configured cache size")
    shrink.add_argument(
        "--protected",
        type=int,
        metavar="SECONDS",
        help="spare results used within these seconds; negative: none",
    )
    shrink.add_argument("--dry-run", action="store_true", help="say what would be dropped, drop nothing")
    actions.add_parser("reset", help="drop every result and forget every query; refused while a query runs")
    invalidate = actions.add_parser("invalidate", help="drop a query's results and their dependents")
    invalidate.add_argument("query_id")
    invalidate.add_argument("--no-cascade", action="store_true", help="keep the dependents")
    actions.add_parser("orphans", help="remove results without record, and records without result")
    actions.add_parser(
        "evict", help="shrink and remove orphans every FLOWMACHINE_CACHE_PRUNING_FREQUENCY seconds"
    )
    ledger = commands.add_parser("ledger", help="inspect the releases that new answers are compared with")
    actions = ledger.add_subparsers(dest="ledger_command", required=True)
    actions.add_parser("list", help="each release with its rows, the oldest first")
    prune = actions.add_parser("prune", help="forget old releases and subsets; written to the audit trail")
    prune.add_argument("--before", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    subsets = commands.add_parser("subsets", help="list the subsets that FLOWMACHINE_SUBSETS=listed allows")
    actions = subsets.add_subparsers(dest="subsets_command", required=True)
    actions.add_parser("list", help="each subset with its note, the oldest first")
    add = actions.add_parser("add", help="allow a subset; written to the audit trail")
    add.add_argument("file", help="JSON of the subset's specification")
    add.add_argument("--note", default="", help="what the subset is for")
    actions.add_parser("remove", help="allow a subset no more; written to the audit trail").add_argument(
        "query_id"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
