"""Start the database of the auth app.

Create the cluster, set the password, then become PostgreSQL. The app owns the database ``postgres`` and is no superuser.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cluster import Cluster, ClusterError

SECRET = "FLOWAUTH_DB_PASSWORD"
SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "50",
    "password_encryption": "scram-sha-256",
    "logging_collector": "off",
}


def main() -> None:
    """Replace this process with the server, so that signals reach the server."""
    server = Cluster(state=Path("/var/lib/flowkit/database"), port=9000, listen="*")
    try:
        password = (Path("/run/secrets") / SECRET).read_text().strip()
        if not password:
            raise ClusterError(f"{SECRET} is empty; make a password and start again.")
        server.prepare(SETTINGS)
        server.set_password("flowauth", password, "ALTER DATABASE postgres OWNER TO flowauth;")
    except (ClusterError, OSError) as error:
        sys.exit(f"accounts: {error}")
    command = server.command()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
