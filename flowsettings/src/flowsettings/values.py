"""Parse setting texts, or say what the text must be.

Put a parser into ``Annotated[..., PlainValidator(...)]``. Each parser accepts a value that already has the
field's type.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import PlainValidator

from flowsettings.lookup import TIME_ZONE, Unusable

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class WholeNumber:
    """Accept a whole number from ``low`` to ``high``, both included."""

    low: int = 1
    high: int = 2**31

    def __call__(self, value: object) -> int:
        text = str(value)
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or not self.low <= int(text) <= self.high:
            raise Unusable(f"a whole number from {self.low} to {self.high}")
        return int(text)


@dataclass(frozen=True)
class OneOf:
    """Accept one of a few words, in capitals or small letters."""

    allowed: tuple[str, ...]

    def __call__(self, value: object) -> str:
        word = str(value).lower()
        if word not in self.allowed:
            raise Unusable(f"one of {', '.join(self.allowed)}")
        return word


def seconds(value: object) -> float:
    """Accept a number of seconds above 0."""
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) == 0:
        raise Unusable("a number of seconds above 0")
    return float(text)


def switch(value: object) -> bool:
    """Accept ``on`` or ``off``."""
    if isinstance(value, bool):
        return value
    return OneOf(("on", "off"))(value) == "on"


def readable_file(value: object) -> Path | None:
    """Accept the path of a file that can be read."""
    if value is not None and not os.access(str(value), os.R_OK):
        raise Unusable("the path of a file that can be read")
    return None if value is None else Path(str(value))


def writable_file(value: object) -> Path | None:
    """Accept the path of a file in a folder that can be written to."""
    if value is not None and not os.access(Path(str(value)).parent, os.W_OK):
        raise Unusable("the path of a file in a folder that can be written to")
    return None if value is None else Path(str(value))


def time_zone(value: object) -> str:
    """Accept the name of a time zone in the IANA database."""
    if value not in available_timezones():
        raise Unusable(TIME_ZONE)
    return str(value)


def files(value: object) -> tuple[Path, ...]:
    """Accept paths separated by commas; the files may not exist yet."""
    if isinstance(value, tuple):
        return value
    return tuple(Path(part.strip()) for part in str(value).split(",") if part.strip())


def networks(value: object) -> tuple[Network, ...]:
    """Accept addresses or networks separated by commas."""
    if isinstance(value, tuple):
        return value
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in str(value).split(",") if part.strip())
    except ValueError as error:
        raise Unusable(f"addresses or networks separated by commas ({error})") from None


def web_address(value: object) -> str | None:
    """Accept the address of a web application; a slash at the end is dropped."""
    if value is None:
        return None
    parts = urlsplit(str(value))
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise Unusable("an address such as https://flowauth.example.org")
    return str(value).rstrip("/")


Port = Annotated[int, PlainValidator(WholeNumber(1, 65535))]
LogLevel = Annotated[str, PlainValidator(OneOf(LOG_LEVELS))]
Seconds = Annotated[float, PlainValidator(seconds)]
Switch = Annotated[bool, PlainValidator(switch)]
ReadableFile = Annotated[Path | None, PlainValidator(readable_file)]
WritableFile = Annotated[Path | None, PlainValidator(writable_file)]
Files = Annotated[tuple[Path, ...], PlainValidator(files)]
TimeZone = Annotated[str, PlainValidator(time_zone)]
WebAddress = Annotated[str | None, PlainValidator(web_address)]
Networks = Annotated[tuple[Network, ...], PlainValidator(networks)]
