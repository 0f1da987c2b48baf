"""``python -m flowdb migrate`` brings the database up to date; ``python -m flowdb check`` says whether it is fit for use."""

from __future__ import annotations

import argparse
import sys

import psycopg2
import sqlalchemy.exc

from flowdb.check import failures
from flowdb.deployment import Deployment
from flowdb.migrate import MigrationError, migrate
from flowdb.settings import SettingError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it succeeded, 1 with the reasons on standard error when not."""
    parser = argparse.ArgumentParser(prog="python -m flowdb", description=__doc__)
    parser.add_argument("command", choices=["migrate", "check"])
    command = parser.parse_args(arguments).command
    try:
        deployment = Deployment.from_settings()
        if command == "migrate":
            revision = migrate(deployment)
            return _report(f"Database {deployment.database} is at revision {revision}.")
        reasons = failures(deployment)
    except (
        MigrationError,
        SettingError,
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
