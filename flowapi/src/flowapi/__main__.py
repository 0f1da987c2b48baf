"""Serve the HTTP API: ``python -m flowapi``."""

from __future__ import annotations

import argparse
import asyncio
import sys

from flowapi import __version__
from flowsettings import SettingError


def main(arguments: list[str] | None = None) -> None:
    """Read the settings and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="flowapi", description="Serve the HTTP API.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args(arguments)
    # Imported late, so that `--help` and `--version` answer at once.
    from flowapi.app import create_app
    from flowapi.fetched import NoList
    from flowapi.logs import Logs
    from flowapi.server import serve
    from flowapi.services import services_of
    from flowapi.settings import load_settings

    try:
        settings = load_settings()
    except SettingError as error:
        sys.exit(f"flowapi: {error}")
    logs = Logs(settings.log_level)
    logs.adopt_libraries()
    try:
        app = create_app(settings, logs)
    except NoList as error:
        sys.exit(f"flowapi: {error}")
    asyncio.run(serve(app, settings, services_of(app)))


if __name__ == "__main__":
    main()
