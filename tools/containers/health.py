"""Health of a service inside its container: `http URL` or `zmq ADDRESS`; exit code 0 when it answers well."""

from __future__ import annotations

import sys
import urllib.request


def http(url: str) -> bool:
    """Whether the address answers with success."""
    with urllib.request.urlopen(url, timeout=4) as reply:
        return 200 <= int(reply.status) < 300


def zmq(address: str) -> bool:
    """Whether the engine answers a ping."""
    import zmq as library

    with library.Context() as context, context.socket(library.REQ) as socket:
        socket.setsockopt(library.LINGER, 0)
        socket.setsockopt(library.RCVTIMEO, 4000)
        socket.connect(address)
        socket.send_json({"request_id": "health", "action": "ping"})
        reply = socket.recv_json()
    return isinstance(reply, dict) and reply.get("status") == "success"


if __name__ == "__main__":
    kind, target = sys.argv[1:]
    sys.exit(0 if {"http": http, "zmq": zmq}[kind](target) else 1)
