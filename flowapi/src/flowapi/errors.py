"""Shape refusals: a JSON object with ``msg`` and maybe ``status``, ``payload``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from quart import Quart, Response
from werkzeug.exceptions import HTTPException

from flowapi.engine import Reply
from flowapi.logs import Logs
from flowapi.record import current_record

#: Seconds in which workers usually empty part of the queue.
QUEUE_FULL_SECONDS = "30"


class ApiError(Exception):
    """Refuse with an HTTP status, a message and optional ``status`` and ``payload``."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: str | None = None,
        payload: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.payload = payload
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        body: dict[str, Any] = {"msg": self.message}
        if self.status is not None:
            body = {"status": self.status, **body}
        if self.payload is not None:
            body["payload"] = self.payload
        return body


def json_response(body: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Build a JSON reply; keys keep their order."""
    text = json.dumps(body, ensure_ascii=False, default=str, allow_nan=False)
    return Response(text, status=code, headers=dict(headers or {}), content_type="application/json")


def refused_by_engine(reply: Reply) -> ApiError:
    """Translate an engine's refusal.

    400 is for a bad request, 429 for too much work under way, 500 for the engine's own faults.
    """
    message = reply.message or "The query engine refused the request."
    if reply.code == "queue_full":
        return ApiError(
            429, message, status="Error", payload=reply.payload, headers={"Retry-After": QUEUE_FULL_SECONDS}
        )
    if reply.is_fault:
        return ApiError(500, message, status="error")
    return ApiError(400, message, status="Error", payload=reply.payload)


_MESSAGES = {
    404: "No such path: {path}",
    405: "The method {method} is not allowed on {path}",
    408: "The request body did not arrive in time.",
    413: "The request body is too large.",
}


def install_error_handlers(app: Quart, logs: Logs) -> None:
    """Give every failure of ``app`` the common error shape, without stack traces."""

    async def refuse(error: ApiError) -> Response:
        return json_response(error.body(), error.code, error.headers)

    async def refuse_http(error: HTTPException) -> Response:
        record = current_record()
        code = error.code or 500
        message = _MESSAGES.get(code, "{description}").format(
            path=record.path, method=record.method, description=error.description or error.name
        )
        headers = {name: value for name, value in error.get_headers() if name.lower() == "allow"}
        return json_response({"msg": message}, code, headers)

    async def fail(error: Exception) -> Response:
        logs.debug.error("unexpected fault", error=type(error).__name__, exc_info=error)
        record = current_record()
        message = f"Unexpected fault. Quote the request id {record.request_id} when you report it."
        return json_response({"status": "error", "msg": message, "request_id": record.request_id}, 500)

    app.register_error_handler(ApiError, refuse)
    app.register_error_handler(HTTPException, refuse_http)
    app.register_error_handler(Exception, fail)
