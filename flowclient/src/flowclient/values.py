"""How arguments are written into a specification."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: A query's specification: plain values, ready for JSON.
Spec = dict[str, Any]

#: ISO text, or a date, or a date with a time (pandas' ``Timestamp`` is one). No time zone.
DateLike = str | datetime.date

Hours = tuple[int, int] | None

EventTypes = list[str] | None

#: Id of a query, or a specification.
Subset = str | Spec | None


def iso_date(value: DateLike) -> str:
    """Write a date as ISO text; text stays as it is.

    Raises
    ------
    ValueError
        If the value has a time zone: servers keep local time only.
    """
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            raise ValueError(f"A date must not have a time zone: {value.isoformat()}.")
        if value.time() == datetime.time():
            return value.date().isoformat()
        return value.isoformat(sep="T", timespec="seconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def days(start_date: DateLike, end_date: DateLike) -> list[str]:
    """Return the days from start to end, the end excluded.

    Raises
    ------
    ValueError
        If there is no day between them.
    """
    from pandas import Timestamp

    start, end = Timestamp(iso_date(start_date)), Timestamp(iso_date(end_date))
    if end <= start:
        raise ValueError(f"end_date {end_date} must be later than start_date {start_date}: it is excluded.")
    first = start.date()
    count = (end.date() - first).days + (end.time() != datetime.time())
    return [(first + datetime.timedelta(days=day)).isoformat() for day in range(count)]


def hours_of_day(hours: Hours) -> dict[str, int] | None:
    """Write a pair of hours, 0 to 24; a start after the end wraps past midnight."""
    if hours is None:
        return None
    start_hour, end_hour = hours
    return {"start_hour": start_hour, "end_hour": end_hour}


def histogram_bins(bins: int | Sequence[float]) -> dict[str, Any]:
    """Write a number of bins, or their edges."""
    return {"n_bins": bins} if isinstance(bins, int) else {"bin_list": list(bins)}


def bounds(range: tuple[float, float]) -> dict[str, float]:
    """Write the ends of a range."""
    lower_bound, upper_bound = range
    return {"lower_bound": lower_bound, "upper_bound": upper_bound}


def interval(count_interval: str) -> str:
    """Write a counting interval; servers shorten the minute."""
    return "min" if count_interval == "minute" else count_interval


def sampling(
    *, seed: float, sampling_method: str, size: int | None, fraction: float | None, estimate_count: bool
) -> dict[str, Any]:
    """Write how to draw a random sample.

    Raises
    ------
    ValueError
        Unless exactly one of size and fraction is given.
    """
    if (size is None) == (fraction is None):
        raise ValueError(f"Give exactly one of size and fraction, not size={size} and fraction={fraction}.")
    return {
        "seed": seed,
        "sampling_method": sampling_method,
        "size": size,
        "fraction": fraction,
        "estimate_count": estimate_count,
    }


def refuse_unwritable(value: Any) -> None:
    """Refuse what JSON cannot hold.

    Raises
    ------
    ValueError
        With the path and the value of each fault, such as a number that is none (NaN).
    """
    if not _writable(value):
        raise ValueError("\n".join(_unwritable(value, ())))


def _writable(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _unwritable(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, Mapping):
        below = [(str(name), item) for name, item in value.items() if not _writable(item)]
    else:
        items = value if isinstance(value, list | tuple) else ()
        below = [(str(place), item) for place, item in enumerate(items) if not _writable(item)]
    for name, item in below:
        yield from _unwritable(item, (*path, name))
    if not below:
        yield f"{'.'.join(path) or 'query'} = {value!r}: must be text, a finite number, true, false, null, a list or an object."
