"""Define the exception that rules raise to refuse a request."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """Refuse a request for a reason.

    Attributes
    ----------
    message : str
        For the person or script that asked; never holds a secret.
    status : int
        HTTP status.
    field : str or None
        Name of the offending field.
    """

    def __init__(self, message: str, status: int = 400, field: str | None = None, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.field = field
        self.context = context

    @property
    def headers(self) -> dict[str, str]:
        """Return the HTTP headers of the refusal."""
        return {"Retry-After": str(self.context["retry_after"])} if "retry_after" in self.context else {}

    def as_json(self) -> dict[str, Any]:
        """Return the error body: ``message``, ``code`` and, where known, ``bad_field``."""
        body: dict[str, Any] = {"message": self.message, "code": self.status, **self.context}
        if self.field:
            body["bad_field"] = self.field
        return body
