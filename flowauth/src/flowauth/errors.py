"""Define the exception that rules raise to refuse a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


class Refusal(Exception):
    """Refuse a request for a reason.

    Attributes
    ----------
    message : str
        For the person or script that asked; never holds a secret.
    status : int
        HTTP status.
    field : str or None
        Name of the offending field; of several, the first.
    fields : mapping
        Each offending field and what is wrong with it.
    general : str
        What is wrong with no field in particular; may be empty.
    """

    general: str
    fields: Mapping[str, str]

    def __init__(self, message: str, status: int = 400, field: str | None = None, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.field = field
        self.context = context
        self.fields = {field: message} if field else {}
        self.general = "" if field else message

    @property
    def headers(self) -> dict[str, str]:
        """Return the HTTP headers of the refusal."""
        return {"Retry-After": str(self.context["retry_after"])} if "retry_after" in self.context else {}

    def as_json(self) -> dict[str, Any]:
        """Return the error body: ``message``, ``code`` and, where known, the fields.

        A form shows its labels. A script has only the message, which therefore names each field.
        """
        told = [text if text.startswith(name) else f"{name}: {text}" for name, text in self.fields.items()]
        message = " ".join([self.general, *told] if self.general else told)
        body: dict[str, Any] = {"message": message, "code": self.status, **self.context}
        if self.field:
            body |= {"bad_field": self.field, "bad_fields": dict(self.fields)}
        return body


class _Several(Refusal):
    """Refuse a request for several reasons at once."""

    def __init__(self, refusals: list[Refusal]) -> None:
        statuses = {one.status for one in refusals}
        fields = {name: text for one in refusals for name, text in one.fields.items()}
        super().__init__(
            " ".join(one.message for one in refusals),
            statuses.pop() if len(statuses) == 1 else 400,
            next(iter(fields), None),
        )
        self.fields = fields
        self.general = " ".join(one.general for one in refusals if one.general)


class Checks:
    """Collect what is wrong with a form, to tell all of it at once.

    A check that refuses yields no value, so nothing may rely on the values before `settle`. Refusals that
    ask for a decision, or for time, are raised at once.
    """

    def __init__(self) -> None:
        self._refusals: list[Refusal] = []

    def __call__(self, check: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the check returns, or note its refusal."""
        try:
            return check(*args, **kwargs)
        except Refusal as refusal:
            if refusal.context:
                raise
            self.note(refusal)
            return cast(R, None)

    def note(self, refusal: Refusal) -> None:
        """Add a refusal; the first one of a field is kept."""
        if not refusal.fields or not refusal.fields.keys() <= self.fields.keys():
            self._refusals.append(refusal)

    @property
    def fields(self) -> Mapping[str, str]:
        """Return the fields refused so far."""
        return {name: text for one in self._refusals for name, text in one.fields.items()}

    def settle(self) -> None:
        """Raise what was noted.

        Raises
        ------
        Refusal
            One for all that was noted.
        """
        if len(self._refusals) == 1:
            raise self._refusals[0]
        if self._refusals:
            raise _Several(self._refusals)
