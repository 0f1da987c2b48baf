"""Time: always UTC with its zone, whole seconds, because a token's times are whole seconds."""

from __future__ import annotations

from datetime import UTC, datetime

#: Beyond these a zone's offset leads out of what Python and the databases can hold.
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """The present, in UTC, without its fraction of a second."""
    return datetime.now(UTC).replace(microsecond=0)


def iso(moment: datetime) -> str:
    """``2016-01-01T00:00:00Z``."""
    return moment.astimezone(UTC).replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")


def readable(moment: datetime) -> str:
    """``2016-01-01 00:00:00 UTC``, for people."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def picker(moment: datetime) -> str:
    """As a browser's date and time picker takes it; with seconds, so that an untouched one changes nothing."""
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
