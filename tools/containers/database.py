"""Start the database's container: create the cluster, then become PostgreSQL.

The cluster is created on first start only. The superuser's password is that of the secret at each start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cluster import SUPERUSER, Cluster, ClusterError

from flowdb.configuration import server_settings


def main() -> None:
    """Replace this process with the server, so that signals reach the server."""
    server = Cluster(
        state=Path("/var/lib/flowkit/database"),
        port=int(os.environ.get("FLOWDB_PORT", "9000")),
        listen="*",
        secrets=Path(os.environ.get("FLOWKIT_SECRETS", "/run/secrets")),
    )
    try:
        server.prepare(server_settings())
        server.set_password(SUPERUSER, server.password())
    except (ClusterError, ValueError) as error:
        sys.exit(f"flowdb: {error}")
    command = server.command()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
