"""Manage the database from the command line.

Commands migrate the database, check it and list the tables that specs may name.
"""

from __future__ import annotations

import argparse
import sys

import psycopg2
import sqlalchemy.exc

from flowdb import __version__
from flowdb.check import failures
from flowdb.deployment import Deployment
from flowdb.migrate import MigrationError, migrate
from flowdb.unit_tables import UnitTableError, change_unit_tables
from flowsettings import SettingError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status.

    A command that fails returns 1 and writes the reasons to standard error.
    """
    parser = argparse.ArgumentParser(prog="python -m flowdb", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="create what is absent and bring the database up to date")
    commands.add_parser("check", help="say whether the database is fit for use")
    tables = commands.add_parser(
        "unit-tables", help="list the tables that queries may name to place cells, after changing the list"
    )
    tables.add_argument("--allow", action="append", default=[], metavar="SCHEMA.TABLE")
    tables.add_argument("--forbid", action="append", default=[], metavar="SCHEMA.TABLE")
    given = parser.parse_args(arguments)
    try:
        deployment = Deployment.from_settings()
        if given.command == "migrate":
            revision = migrate(deployment)
            return _report(f"Database {deployment.database} is at revision {revision}.")
        if given.command == "unit-tables":
            allowed = change_unit_tables(deployment, given.allow, given.forbid)
            return _report("\n".join(f"{name} ({', '.join(columns)})" for name, columns in allowed.items()))
        reasons = failures(deployment)
    except (
        MigrationError,
        SettingError,
        UnitTableError,
        psycopg2.Error,
        sqlalchemy.exc.DBAPIError,
    ) as error:
        return _report(str(error).strip(), failed=True)
    if reasons:
        return _report("\n".join(reasons), failed=True)
    return _report(f"Database {deployment.database} passes every check.")


def _report(message: str, failed: bool = False) -> int:
    stream = sys.stderr if failed else sys.stdout
    stream.write(message + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
