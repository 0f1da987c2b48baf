"""Fetch the auth app's signed list of revoked tokens and keep the last one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from flowapi.logs import Logs
from flowapi.tokens import LEEWAY_SECONDS

FETCH_EVERY_SECONDS = 3.0
FETCH_TIMEOUT_SECONDS = 10.0
LARGEST_LIST = 32 * 1024 * 1024
#: A list of this type is never a token, nor a token a list.
LIST_TYPE = "revoked-tokens+jwt"


class NoList(Exception):
    """Report that a list can be neither fetched nor read, or must not be used."""


@dataclass(frozen=True)
class SignedList:
    """Hold one verified list.

    ``signed`` is when it was signed, in seconds since 1970.
    """

    text: str = field(repr=False)
    signed: int
    token_ids: frozenset[str] = field(repr=False)


def verified(text: str, keys: Sequence[RSAPublicKey]) -> SignedList:
    """Return the list in a signed text.

    Raises
    ------
    NoList
        The text is no list, or none of the keys has signed it.
    """
    reason = "no key"
    for key in keys:
        try:
            whole = jwt.decode_complete(
                text,
                key,
                algorithms=["RS256"],
                leeway=LEEWAY_SECONDS,
                options={"require": ["iat"], "verify_aud": False},
            )
        except (jwt.InvalidTokenError, RecursionError) as error:
            reason = str(error)
            continue
        ids = whole["payload"].get("revoked")
        if whole["header"].get("typ") != LIST_TYPE or not isinstance(ids, list):
            raise NoList(f"It is not of type {LIST_TYPE}.")
        return SignedList(text, int(whole["payload"]["iat"]), frozenset(str(one) for one in ids))
    raise NoList(f"It is not signed with a key of PUBLIC_JWT_SIGNING_KEY: {reason}.")


class FetchedTokens:
    """Hold the ids of the list at ``url``, fetched every few seconds.

    While the list cannot be fetched, the last list stays in force. ``copy`` holds it over restarts.

    Raises
    ------
    NoList
        At the start the list can be neither fetched nor read from ``copy``.
    """

    def __init__(
        self,
        url: str,
        copy: Path,
        keys: Sequence[RSAPublicKey],
        logs: Logs,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._copy = copy
        self._keys = keys
        self._logs = logs
        self._clock = clock
        self._fetcher: asyncio.Task[None] | None = None
        self._is_away = False
        self._held: SignedList | None = None
        with contextlib.suppress(OSError, UnicodeDecodeError, NoList):
            self._held = verified(copy.read_text(), keys)
        self.fetch()
        if self._held is None:
            raise NoList(
                f"FLOWAPI_REVOCATION_URL: no list from {url}, and none in {copy}. Start the auth app."
            )

    def __contains__(self, token_id: object) -> bool:
        return self._held is not None and token_id in self._held.token_ids

    @property
    def age_seconds(self) -> int:
        """Return the seconds since the auth app signed the list."""
        return max(0, int(self._clock()) - self._held.signed) if self._held else 0

    async def open(self) -> None:
        """Start fetching."""
        self._fetcher = asyncio.create_task(self._keep_fetching())

    async def close(self) -> None:
        """Stop fetching."""
        if self._fetcher is not None:
            self._fetcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._fetcher

    async def _keep_fetching(self) -> None:
        while True:
            await asyncio.sleep(FETCH_EVERY_SECONDS)
            await asyncio.to_thread(self.fetch)

    def fetch(self) -> None:
        """Fetch the list once; keep the held list if that fails."""
        try:
            self._take(verified(self._download(), self._keys))
        except (OSError, HTTPException, ValueError, NoList) as error:
            if not self._is_away:
                reason = str(error) if isinstance(error, NoList) else type(error).__name__
                self._logs.debug.error(
                    "revoked tokens not fetched", error=reason, age_seconds=self.age_seconds
                )
            self._is_away = True
        else:
            self._is_away = False

    def _download(self) -> str:
        with urllib.request.urlopen(self._url, timeout=FETCH_TIMEOUT_SECONDS) as reply:
            content: bytes = reply.read(LARGEST_LIST + 1)
        if len(content) > LARGEST_LIST:
            raise NoList(f"It is larger than {LARGEST_LIST} bytes.")
        return content.decode("ascii")

    def _take(self, fetched: SignedList) -> None:
        held = self._held
        if held is not None and fetched.signed < held.signed:
            # Somebody on the way may send an old list again.
            raise NoList("It is older than the list in force.")
        self._held = fetched
        if held is None or held.token_ids != fetched.token_ids or not self._copy.exists():
            self._keep(fetched.text)

    def _keep(self, text: str) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._copy.parent, prefix=f".{self._copy.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            Path(name).replace(self._copy)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
