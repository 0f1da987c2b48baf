"""Limit a source's wait for its files and its tolerated errors."""

from typing import Literal

from pydantic import Field, model_validator

from flowetl.expressions import Strict


class Stability(Strict):
    """Wait until a file has not changed for ``pause`` seconds."""

    pause: float = Field(default=5, ge=0)
    timeout: float = Field(default=6 * 3600, ge=0)


class Wait(Strict):
    """Define how long and how often a scheduled load looks for its file, in seconds."""

    timeout: float = Field(default=6 * 3600, ge=0)
    poll: float = Field(default=60, gt=0)


class Rejects(Strict):
    """Limit the malformed records of a file; beyond it the file is refused.

    A share says little about a small file, so ``tolerated`` records never refuse one. Optional columns that could not
    be read are null; a share of them above ``maximum_unreadable`` is told, or with ``unreadable: hold`` keeps the day
    from being loaded.
    """

    maximum_rate: float = Field(default=0.01, ge=0, le=1)
    tolerated: int = Field(default=20, ge=0)
    maximum_unreadable: float = Field(default=0.2, ge=0, le=1)
    unreadable: Literal["warn", "hold"] = "warn"


class Gate(Strict):
    """Bound a quality check's outcome; beyond it a day is reported or held back.

    ``maximum_share`` bounds the outcome divided by the day's rows.
    """

    minimum: float | None = None
    maximum: float | None = None
    maximum_share: float | None = Field(default=None, ge=0)
    action: Literal["warn", "hold"] = "warn"

    @model_validator(mode="after")
    def _bounds_something(self) -> "Gate":
        if self.minimum is None and self.maximum is None and self.maximum_share is None:
            raise ValueError("needs minimum, maximum or maximum_share")
        return self


class Window(Strict):
    """Say how many days late or early the file of a record may be named.

    ``action``: whether late records of a loaded day are merged by the next run, or kept apart until somebody runs the
    day again.
    """

    days: int = Field(default=1, ge=0, le=31)
    early: int = Field(default=1, ge=0, le=31)
    action: Literal["merge", "quarantine"] = "merge"
