"""Publish this server's description, built from the engine's schemas and cached."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from flowapi.engine import Conversation, EngineWithoutDatabase, NoAnswer
from flowapi.errors import ApiError
from flowapi.openapi import Operation, build_document
from flowapi.scopes import offered_scopes

FRESH_SECONDS = 60.0
# With a copy available, requests must not wait long for a silent engine.
REFRESH_SECONDS = 2.0


@dataclass(frozen=True)
class Published:
    """Hold the OpenAPI document, its JSON text and its entity tag."""

    document: dict[str, Any]
    text: str
    etag: str

    @cached_property
    def yaml(self) -> str:
        """Return the document as YAML.

        YAML is made once, because it takes far longer than JSON.
        """
        return yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True)


class Description:
    """Keep the OpenAPI document of the server called ``identifier``.

    The engine is asked again when the copy is older than a minute. While the engine is down, the old copy is
    served. Concurrent requests share one attempt.
    """

    def __init__(self, identifier: str, operations: Callable[[], list[Operation]], *, cancel: bool) -> None:
        self._identifier = identifier
        self._operations = operations
        self._cancel = cancel
        self._published: Published | None = None
        self._schemas_digest = ""
        self._fresh_until = 0.0
        self._attempt: asyncio.Task[None] | None = None

    async def published(self, engine: Conversation) -> Published:
        """Return the present description.

        Raises
        ------
        ApiError
            503 if the engine is away and there is no copy.
        """
        if self._published is None or time.monotonic() >= self._fresh_until:
            if self._attempt is None or self._attempt.done():
                self._attempt = asyncio.create_task(self._refresh(engine))
            # A caller who hangs up must not cancel the attempt that others share.
            await asyncio.shield(self._attempt)
        if self._published is None:
            raise ApiError(
                503,
                "The query engine is away, so its query kinds are not known yet.",
                status="error",
                headers={"Retry-After": "10"},
            )
        return self._published

    async def _refresh(self, engine: Conversation) -> None:
        timeout = None if self._published is None else REFRESH_SECONDS
        try:
            reply = await engine.ask("get_query_schemas", timeout=timeout)
        except (NoAnswer, EngineWithoutDatabase):
            reply = None
        self._fresh_until = time.monotonic() + FRESH_SECONDS
        if reply is None or not reply.ok:
            return
        schemas = reply.payload["query_schemas"]
        digest = _digest(json.dumps(schemas, sort_keys=True))
        if digest != self._schemas_digest:
            scopes = offered_scopes(schemas, cancel=self._cancel)
            document = build_document(schemas, scopes, self._identifier, self._operations())
            text = json.dumps(document, ensure_ascii=False)
            self._published = Published(document, text, _digest(text))
            self._schemas_digest = digest


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
