"""Check a service inside its container; exit with 0 when healthy.

Arguments: `http URL`, `api ADDRESS`, `zmq ADDRESS` or `beats URL SECONDS`.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path


def http(url: str, context: ssl.SSLContext | None = None) -> bool:
    """Return whether the address answers with success."""
    with urllib.request.urlopen(url, timeout=4, context=context) as reply:
        return 200 <= int(reply.status) < 300


def api(address: str) -> bool:
    """Return whether the API answers, over HTTPS when it has a certificate."""
    if not (Path(os.environ.get("FLOWKIT_SECRETS") or "/run/secrets") / "cert-flowkit.pem").exists():
        return http(f"http://{address}")
    # The certificate carries the public name, and this request uses the loopback interface.
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    return http(f"https://{address}", unverified)


def zmq(address: str) -> bool:
    """Return whether the engine answers a ping."""
    import zmq as library

    from flowsettings import channel

    with library.Context() as context, context.socket(library.REQ) as socket:
        channel.connect(socket, (Path("/run/secrets") / "FLOWMACHINE_KEY").read_text().strip())
        socket.setsockopt(library.LINGER, 0)
        socket.setsockopt(library.RCVTIMEO, 4000)
        socket.connect(address)
        socket.send_json({"request_id": "health", "action": "ping"})
        reply = socket.recv_json()
    return isinstance(reply, dict) and reply.get("status") == "success"


def beats(url: str, seconds: str) -> bool:
    """Return whether a process of the engine, by its metrics, worked this lately."""
    with urllib.request.urlopen(url, timeout=4) as reply:
        text = reply.read().decode()
    found = re.search(r"^flowmachine_heartbeat_seconds (\S+)$", text, re.MULTILINE)
    return found is not None and float(found[1]) > time.time() - float(seconds)


if __name__ == "__main__":
    kind, *target = sys.argv[1:]
    checks: dict[str, Callable[..., bool]] = {
        "http": http,
        "api": api,
        "zmq": zmq,
        "beats": beats,
    }
    sys.exit(0 if checks[kind](*target) else 1)
