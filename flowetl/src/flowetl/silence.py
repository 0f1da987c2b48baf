"""Tell a server that is gone from one that is slow."""

import http.client
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Look = Literal["answers", "slow", "gone"]

GONE_SECONDS = 20.0
"""A restart that is faster hurts no part of Prefect."""
SLOW_SECONDS = 300.0
"""Parts of Prefect try again for longer than this, while a server that is slow accepts connections."""


def look_at_server(url: str, timeout: float) -> Look:
    """Return whether a server answers its health check, without any retry.

    The kernel accepts connections for a process that is busy or stopped, and refuses them for one that has ended. A
    connection that times out may be either, so that it counts as slow.
    """
    there = urlsplit(url)
    try:
        socket.create_connection((there.hostname or "localhost", there.port or 80), timeout).close()
    except TimeoutError:
        return "slow"
    except OSError:
        return "gone"
    try:
        urllib.request.urlopen(f"{url}/health", timeout=timeout).close()
    except urllib.error.HTTPError as error:
        return "slow" if error.code >= http.client.INTERNAL_SERVER_ERROR else "answers"
    except (OSError, http.client.HTTPException):
        return "slow"
    return "answers"


@dataclass
class Silence:
    """Judge the time between two answers of a server: an outage, or nothing.

    ``was_outage`` holds from the first answer after an outage until the next look.
    """

    was_outage: bool = False
    _began: float | None = None
    _gone: bool = False

    def note(self, look: Look, now: float) -> None:
        """Take the result of a look at a time in seconds."""
        self.was_outage = False
        if look != "answers":
            self._began = now if self._began is None else self._began
            self._gone |= look == "gone"
            return
        if self._began is not None:
            self.was_outage = now - self._began > (GONE_SECONDS if self._gone else SLOW_SECONDS)
        self._began, self._gone = None, False
