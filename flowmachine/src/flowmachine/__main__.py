"""Run the engine's commands."""

from __future__ import annotations

import argparse
import sys

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
    from flowmachine.settings import Settings

    settings = Settings.load()
    configure_logs(settings.log_level)
    if chosen.command == "server":
        from flowmachine.server.server import main as serve

        serve(settings)
        return 0
    if chosen.command == "worker":
        from flowmachine.worker import main as work

        work(settings)
        return 0
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
    return parser


if __name__ == "__main__":
    sys.exit(main())
