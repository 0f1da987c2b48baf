"""Let each user have one large specification read at a time.

Reading one takes the engine seconds. Without turns, one user's could keep all other users waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flowapi.errors import ApiError

#: Large specifications of one user that may wait for their turn.
MOST_WAITING = 8
_RETRY_SECONDS = "5"


class _Turn:
    """Hold one user's lock and the number of those who hold it or wait for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.wanted = 0


class Turns:
    """Hold the turns of all users of this process."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    @asynccontextmanager
    async def of(self, user: str) -> AsyncIterator[None]:
        """Wait for the user's turn and hold it.

        Raises
        ------
        ApiError
            429 if too many wait already.
        """
        turn = self._turns.setdefault(user, _Turn())
        if turn.wanted > MOST_WAITING:
            raise ApiError(
                429,
                f"{MOST_WAITING} large specifications of this user wait to be read. Send one after the other.",
                status="Error",
                headers={"Retry-After": _RETRY_SECONDS},
            )
        turn.wanted += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                self._turns.pop(user, None)
