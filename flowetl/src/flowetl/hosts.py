"""Run Prefect's server for requests that name this host: ``-m flowetl.hosts``.

A page of a stranger can give its own name the address of this machine, and then counts as the server's own page in
the browser. Such a request names the stranger's host.
"""

import os
import runpy
import sys
from typing import Any
from urllib.parse import urlsplit


def known_hosts() -> list[str]:
    """Return the names that a request may have: this machine's, and those of settings."""
    origins = os.environ.get("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "").split(",")
    addresses = (os.environ.get("PREFECT_API_URL", ""), *origins)
    named = (urlsplit(address.strip()).hostname for address in addresses)
    return sorted({"127.0.0.1", "localhost", *filter(None, named)})


def main() -> None:
    """Run Prefect's command line with the server's other hosts refused."""
    from fastapi.middleware.trustedhost import TrustedHostMiddleware
    from prefect.server.api import server

    make = server.create_app

    def create_app(*arguments: Any, **more: Any) -> Any:
        app = make(*arguments, **more)
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=known_hosts(), www_redirect=False)
        return app

    # Prefect has no setting for hosts; its command looks this function up when it starts the server.
    server.create_app = create_app
    sys.argv[0] = "prefect"
    runpy.run_module("prefect", run_name="__main__")


if __name__ == "__main__":
    main()
