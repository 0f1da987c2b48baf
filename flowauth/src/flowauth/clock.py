"""Handle times: UTC with its zone, in whole seconds, as tokens store them."""

from __future__ import annotations

from datetime import UTC, datetime

from babel.dates import format_datetime
from flask_babel import gettext

from flowauth import language
from flowauth.errors import Refusal

#: Beyond these years a zone's offset leads out of the range of Python and the databases.
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """Return the present in UTC, truncated to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def iso(moment: datetime) -> str:
    """Write a time as ``2016-01-01T00:00:00Z``."""
    return moment.astimezone(UTC).replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")


def readable(moment: datetime) -> str:
    """Write a time for people: ``2016-01-01 00:00:00 UTC``.

    French and Spanish pages show it as their readers write it.
    """
    if language.current() == language.ENGLISH:
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return format_datetime(moment.astimezone(UTC), "medium", locale=language.current()) + " UTC"


def picker(moment: datetime) -> str:
    """Write a time as a browser's date and time picker reads it.

    Seconds are kept, so that an untouched field changes nothing.
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse(text: str) -> datetime:
    """Read ISO 8601; a time without a zone is UTC.

    Raises
    ------
    ValueError
        When the text is not a date and time between the years 1900 and 9999.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not _FIRST < moment < _LAST:
        raise ValueError("too far away")
    return moment.astimezone(UTC)


def check(value: object, field: str) -> datetime | None:
    """Return a form's or script's time; None for none.

    Raises
    ------
    Refusal
        When the value is a text that is no date and time, or no text.
    """
    if value is None or value == "":
        return None
    try:
        return value if isinstance(value, datetime) else parse(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Refusal(
            gettext("This is not a date and time, such as 2016-01-31T18:30:00Z."), field=field
        ) from None
