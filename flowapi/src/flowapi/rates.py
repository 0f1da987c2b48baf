"""Limit how many requests a token makes in a minute.

Each process counts by itself and forgets everything when it ends. A token may save up one minute's requests, so that
a notebook's bursts pass.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from flowapi.errors import ApiError

REMEMBERED = 10_000


class Rate:
    """Count requests by token; allow ``per_minute`` on average and at once.

    ``now`` returns seconds of a clock that never goes back.
    """

    def __init__(self, what: str, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._per_minute = per_minute
        self._now = now
        #: Requests left, and the time of that count. The first entry was used least recently.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def count(self, token_id: str) -> None:
        """Count one request of a token.

        Raises
        ------
        ApiError
            429 with the seconds until the next request is allowed.
        """
        now = self._now()
        left, since = self._left.get(token_id, (float(self._per_minute), now))
        left = min(left + (now - since) * self._per_minute / 60, self._per_minute)
        allowed = left >= 1
        self._left[token_id] = (left - allowed, now)
        self._left.move_to_end(token_id)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        if not allowed:
            wait = max(1, math.ceil((1 - left) * 60 / self._per_minute))
            raise ApiError(
                429,
                f"This token makes more than the {self._per_minute} {self._what} a minute allowed. Wait {wait} s.",
                status="Error",
                headers={"Retry-After": str(wait)},
            )


class Rates:
    """Count runs and other requests apart, and polls not at all."""

    def __init__(self, runs: int, requests: int) -> None:
        run = Rate("runs and explanations", runs)
        self._of_endpoint: dict[str, Rate | None] = {
            "query.run_query": run,
            "query.explain_query": run,
            "query.poll_query": None,
        }
        self._of_others = Rate("requests", requests)

    def count(self, endpoint: str, token_id: str) -> None:
        """Count a request to an endpoint; raises ApiError as `Rate.count`."""
        rate = self._of_endpoint.get(endpoint, self._of_others)
        if rate is not None:
            rate.count(token_id)
