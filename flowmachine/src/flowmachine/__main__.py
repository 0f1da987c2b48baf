"""Command line of the engine."""

from __future__ import annotations

import argparse
import sys

from flowmachine.logs import configure_logs


def main(arguments: list[str] | None = None) -> int:
    """Entry point of ``flowmachine`` and ``python -m flowmachine``."""
    parser = argparse.ArgumentParser(prog="flowmachine", description="The query engine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("server", help="answer requests on the engine's port")
    commands.add_parser("worker", help="compute queued queries; start as many as there are cores to spare")
    chosen = parser.parse_args(arguments)
    configure_logs()
    if chosen.command == "server":
        from flowmachine.server import main as serve

        serve()
    else:
        from flowmachine.worker import main as work

        work()
    return 0


if __name__ == "__main__":
    sys.exit(main())
