"""Send a result: fetch the first rows before the status, stream the rest."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping

from quart import Response, request

from flowapi.encoding import Encoder
from flowapi.logs import Logs
from flowapi.record import current_record
from flowapi.results import DeliveryCutOff, ResultStream
from flowapi.services import services


async def deliver(
    sql: str, encoder: Encoder, *, filename: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a reply that streams the rows of ``sql`` as an attachment.

    The reply is compressed for callers that accept compression.

    Raises
    ------
    DatabaseDown, ResultGone, ResultWithheld
        Nothing can be read; no status has been sent yet.
    """
    record = current_record()
    stream = await services().results.open(sql, encoder, record)
    record.at_end.append(stream.close)
    body = _logged(stream, services().logs)
    about = {"Content-Disposition": f"attachment;filename={filename}", "Vary": "Accept-Encoding"}
    if accepts_gzip():
        body = _compressed(body)
        about["Content-Encoding"] = "gzip"
    response = Response(
        "" if request.method == "HEAD" else body,
        headers={**(headers or {}), **about},
        content_type=encoder.media_type,
    )
    response.timeout = None
    return response


async def _logged(stream: ResultStream, logs: Logs) -> AsyncIterator[bytes]:
    try:
        async for chunk in stream.body():
            yield chunk
    except DeliveryCutOff as error:
        # The status is already sent. Dropping the connection is the only way to show the caller that the
        # reply is incomplete.
        logs.debug.error("incomplete delivery", error=str(error).strip())
        raise


async def _compressed(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # Prefer speed to size: text rows shrink to a third or less at any level, and every other request waits
    # meanwhile.
    packer = zlib.compressobj(level=zlib.Z_BEST_SPEED, wbits=zlib.MAX_WBITS | 16)
    async for part in parts:
        if packed := packer.compress(part):
            yield packed
    yield packer.flush()


def accepts_gzip() -> bool:
    """Return whether the caller accepts a compressed reply."""
    return request.accept_encodings["gzip"] > 0


def matches_etag(etag: str) -> bool:
    """Return whether the caller already holds ``etag`` (with its quotes)."""
    return etag.strip('"') in request.if_none_match


def not_modified(etag: str) -> Response:
    """Return 304: the caller's copy is current."""
    response = Response("", status=304, headers={"ETag": etag})
    del response.headers["Content-Type"]
    return response
