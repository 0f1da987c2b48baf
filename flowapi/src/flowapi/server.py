"""Serve the application with hypercorn: limits, TLS, orderly shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from typing import Any

import h2.errors
import h2.exceptions
import hypercorn.asyncio
import hypercorn.protocol
import hypercorn.typing
from hypercorn.config import Config
from hypercorn.protocol.h2 import H2Protocol
from quart import Quart

from flowapi.recording import IDLE_SECONDS
from flowapi.results import DeliveryCutOff
from flowapi.services import Services
from flowapi.settings import Settings

LARGEST_HEADERS = 64 * 1024
SHUTDOWN_SECONDS = 8


class _ResettingH2Protocol(H2Protocol):
    """Reset an HTTP/2 stream whose reply is cut off.

    Hypercorn itself leaves such a stream open, so that its client waits for the rest of a broken result.
    """

    async def _close_stream(self, stream_id: int) -> None:
        buffer = self.stream_buffers.get(stream_id)
        is_cut_off = stream_id in self.streams and buffer is not None and not buffer._complete
        await super()._close_stream(stream_id)
        if is_cut_off and not self.closed:
            # The stream is already gone if the client broke off.
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self.connection.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            await self._flush()


class _QuietLogger:
    """Adapt hypercorn's logger to the debug log; the recorder logs requests."""

    def __init__(self, debug: Any) -> None:
        self._debug = debug

    async def access(self, *_: Any) -> None:
        """Do nothing: every request has its own closing line."""

    async def log(self, level: int, message: str, *args: Any, **_: Any) -> None:
        self._debug.log(level, "server", detail=message % args if args else message)

    async def critical(self, message: str, *args: Any, **fields: Any) -> None:
        await self.log(logging.CRITICAL, message, *args, **fields)

    async def error(self, message: str, *args: Any, **fields: Any) -> None:
        await self.log(logging.ERROR, message, *args, **fields)

    async def exception(self, message: str, *args: Any, **fields: Any) -> None:
        # A cut-off delivery raises to close its connection; its cause is already logged.
        if isinstance(sys.exception(), DeliveryCutOff):
            return
        self._debug.error("server", detail=message % args if args else message, exc_info=True)

    async def warning(self, message: str, *args: Any, **fields: Any) -> None:
        await self.log(logging.WARNING, message, *args, **fields)

    async def info(self, message: str, *args: Any, **fields: Any) -> None:
        await self.log(logging.INFO, message, *args, **fields)

    async def debug(self, message: str, *args: Any, **fields: Any) -> None:
        await self.log(logging.DEBUG, message, *args, **fields)


def hypercorn_config(settings: Settings, services: Services) -> Config:
    """Return hypercorn's configuration for this API."""
    config = Config()
    config.bind = [f"{settings.bind}:{settings.port}"]
    config._log = _QuietLogger(services.logs.debug)  # type: ignore[assignment]
    config.include_server_header = False
    # A token with every scope in several roles exceeds the usual 16 KiB.
    config.h11_max_incomplete_size = LARGEST_HEADERS
    config.h2_max_header_list_size = LARGEST_HEADERS
    config.graceful_timeout = SHUTDOWN_SECONDS
    config.keep_alive_timeout = IDLE_SECONDS
    if settings.tls:
        config.certfile = str(settings.certificate)
        config.keyfile = str(settings.certificate_key)
    return config


async def serve(app: Quart, settings: Settings, services: Services) -> None:
    """Serve until SIGTERM or SIGINT; finish replies in progress first."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if settings.metrics_port is not None:
        services.metrics.serve(settings.bind, settings.metrics_port)
    if not settings.tls:
        services.logs.debug.warning(
            "serving plain HTTP: tokens and results can be read on the way, put TLS in front"
        )
    await serve_until(stop, app, hypercorn_config(settings, services))


async def serve_until(stop: asyncio.Event, app: Quart, config: Config) -> None:
    """Serve until ``stop`` is set."""
    hypercorn.protocol.H2Protocol = _ResettingH2Protocol  # type: ignore[misc]
    await hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait)
