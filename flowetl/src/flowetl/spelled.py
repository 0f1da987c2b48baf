"""Describe how a source writes its subscribers and devices."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from flowetl.expressions import Strict
from flowetl.formats import regular
from flowetl.identifiers import Form


class Spelled(Strict):
    """Say how subscribers are written.

    ``number``: as telephone numbers, national or international by the country's rules. ``e164``:
    international only. ``national``: always national without ``+`` or ``00``. ``imsi``: by the identity of
    their SIM. ``text``: as any text that matches ``pattern``.
    """

    form: Form = "number"
    pattern: str = ""

    @field_validator("pattern")
    @classmethod
    def _readable(cls, pattern: str) -> str:
        return regular(pattern)

    @model_validator(mode="after")
    def _fitting(self) -> "Spelled":
        if self.pattern and self.form != "text":
            raise ValueError(f"pattern is only for form: text, not {self.form}")
        return self


class Identifiers(Strict):
    """Say how subscribers and devices become pseudonyms.

    ``calling_code`` is the country's (``977``) and is put before national numbers. ``trunk_prefix`` and
    ``national_lengths`` distinguish national from international numbers; see ``Numbering``. ``key_id`` names
    the secret's period of use: a new secret needs a new name. ``upstream`` means that the operator delivers
    pseudonyms. Those that are not 32 to 64 hexadecimal digits need a ``pattern``, and are hashed like text.
    ``msisdn`` and ``msisdn_counterpart`` say how subscribers are written where they are not telephone
    numbers. ``filler`` is the digit that fills numbers to a fixed width.
    """

    pseudonymise: Literal["here", "upstream"] = "here"
    calling_code: str = Field(default="", pattern=r"^[0-9]{0,3}$")
    trunk_prefix: str | None = Field(default=None, pattern=r"^[0-9]{0,3}$")
    national_lengths: tuple[Annotated[int, Field(ge=7, le=14)], ...] = ()
    key_id: str = Field(default="1", pattern=r"^[A-Za-z0-9_.-]{1,32}$")
    msisdn: Spelled = Spelled()
    msisdn_counterpart: Spelled | None = None
    filler: Literal["", "F", "f"] = ""
    pattern: str = ""

    @field_validator("pattern")
    @classmethod
    def _readable(cls, pattern: str) -> str:
        return regular(pattern)

    @model_validator(mode="after")
    def _fitting(self) -> "Identifiers":
        if self.pattern and self.pseudonymise == "here":
            raise ValueError(
                "pattern is that of pseudonyms of pseudonymise: upstream; here it is msisdn.pattern"
            )
        return self

    @property
    def keyed(self) -> bool:
        """Return whether stored pseudonyms use our key."""
        return self.pseudonymise == "here" or bool(self.pattern)
