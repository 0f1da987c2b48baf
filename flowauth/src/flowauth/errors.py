"""The one exception by which rules say no."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A request that a rule turns down.

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
        """HTTP headers that belong to the refusal."""
        return {"Retry-After": str(self.context["retry_after"])} if "retry_after" in self.context else {}

    def as_json(self) -> dict[str, Any]:
        """The body of an error reply: ``message``, ``code`` and, where there is one, ``bad_field``."""
        body: dict[str, Any] = {"message": self.message, "code": self.status, **self.context}
        if self.field:
            body["bad_field"] = self.field
        return body
