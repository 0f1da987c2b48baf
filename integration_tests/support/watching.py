"""Note what came of each HTTP exchange of the client, as its user would see it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from flowclient.transport import Reply, RequestsTransport, TransportError

#: Answers with which the API asks to wait and to ask again.
LATER = (429, 503, 504)


@dataclass(frozen=True)
class Exchange:
    """Hold one exchange: what was asked, what came, and after how long."""

    route: str
    #: The status, or why there was none.
    outcome: str
    seconds: float
    #: Whether the answer is one that the documentation names.
    documented: bool
    #: When the request was sent, on the clock of ``time.monotonic``.
    begin: float = 0.0


@dataclass
class Watched:
    """Send requests by the client's own transport, and note each exchange."""

    inner: RequestsTransport
    exchanges: list[Exchange] = field(default_factory=list)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        json: Any,
        timeout: Any,
    ) -> Reply:
        """Send one request and note what came of it."""
        begin = time.monotonic()

        def note(outcome: str, documented: bool) -> None:
            seconds = time.monotonic() - begin
            self.exchanges.append(Exchange(route_of(method, url), outcome, seconds, documented, begin))

        try:
            reply = self.inner.request(method, url, headers, params, json, timeout)
        except TransportError as error:
            note(_short(error), documented=False)
            raise
        polite = reply.status_code < 400 or (reply.status_code in LATER and "Retry-After" in reply.headers)
        note(str(reply.status_code), documented=polite)
        return reply

    def close(self) -> None:
        """Close the transport."""
        self.inner.close()

    def refused(self) -> Counter[str]:
        """Count the answers that were no success."""
        return Counter(each.outcome for each in self.exchanges if not each.outcome.startswith(("2", "3")))

    def slowest_refusal(self, since: float = 0.0) -> float:
        """Return the seconds of the slowest failed request since a time."""
        refused = (
            each for each in self.exchanges if each.begin >= since and not each.outcome.startswith(("2", "3"))
        )
        return max((each.seconds for each in refused), default=0.0)


def route_of(method: str, url: str) -> str:
    """Return method and route of an address, without the query's id."""
    parts = urlsplit(url).path.split("/")
    return f"{method} {parts[3] if len(parts) > 3 else url}"


def _short(error: TransportError) -> str:
    text = str(error)
    for sign, words in (
        ("refused", "connection refused"),
        ("timed out", "no answer"),
        ("reset", "connection reset"),
        ("aborted", "connection lost"),
        ("EOF", "connection lost"),
    ):
        if sign in text:
            return words
    return text[:80]
