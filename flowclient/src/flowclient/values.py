"""Write arguments into a specification."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Union
from urllib.parse import quote

if TYPE_CHECKING:
    import numpy

#: A query's specification: a dict of plain values, such as every function named ``*_spec`` returns.
Spec = dict[str, Any]

#: A day, or a time of day, on the deployment's clock: ISO text such as ``2016-01-01`` or ``2016-01-01 12:00``,
#: ``datetime.date``, ``datetime.datetime``, ``pandas.Timestamp`` or ``numpy.datetime64``. Without a time zone.
DateLike = Union[str, datetime.date, "numpy.datetime64"]

#: Hours of the day from the first to before the second, each 0 to 24: a pair such as ``(8, 17)``, or
#: ``{"start_hour": 8, "end_hour": 17}``. ``(19, 7)`` goes past midnight. None for all day.
Hours = Sequence[int] | Mapping[str, int] | None

#: Names of event types, such as ``["calls", "sms"]``, or one name. None for calls and sms.
EventTypes = Sequence[str] | str | None

#: Whom to look at: a specification of one row per subscriber, or the id of a query of this kind. None for everybody.
Subset = str | Spec | None

_DATES_ALLOWED = "must be a date such as 2016-01-01 or 2016-01-01 12:00, without a time zone."
_HOURS = ("start_hour", "end_hour")
_HOURS_ALLOWED = "must be two whole hours from 0 to 24, such as (19, 7) or {'start_hour': 19, 'end_hour': 7}."
_BOUNDS = ("lower_bound", "upper_bound")
_BOUNDS_ALLOWED = "must be two numbers, such as (0, 10) or {'lower_bound': 0, 'upper_bound': 10}."


def iso_date(value: DateLike, field: str = "date") -> str:
    """Write a date as ISO text; ISO text stays as it is.

    Raises
    ------
    ValueError
        If the value is no date, or has a time zone: servers keep local time only.
    """
    if isinstance(value, str):
        moment = _moment(value)
        if moment is None or moment.tzinfo is not None:
            raise ValueError(f"{field} = {value!r}: {_DATES_ALLOWED}")
        return value
    if _is_numpy(value):
        from pandas import Timestamp

        if not str(getattr(value, "dtype", "")).startswith("datetime64"):
            raise ValueError(f"{field} = {value!r}: {_DATES_ALLOWED}")
        value = Timestamp(value)
    # pandas' missing time is unequal to itself.
    if not isinstance(value, datetime.date) or value != value:
        raise ValueError(f"{field} = {value!r}: {_DATES_ALLOWED}")
    if not isinstance(value, datetime.datetime):
        return value.isoformat()
    if value.tzinfo is not None:
        raise ValueError(f"{field} = {value.isoformat()}: {_DATES_ALLOWED}")
    if value.time() == datetime.time():
        return value.date().isoformat()
    return value.isoformat(sep="T", timespec="seconds")


def _moment(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def _is_numpy(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "numpy"


def days(start_date: DateLike, end_date: DateLike) -> list[str]:
    """Return the days from start to end, the end excluded.

    Raises
    ------
    ValueError
        If there is no day between them.
    """
    from pandas import Timestamp

    start = Timestamp(iso_date(start_date, "start_date"))
    end = Timestamp(iso_date(end_date, "end_date"))
    if end <= start:
        raise ValueError(f"end_date {end_date} must be later than start_date {start_date}: it is excluded.")
    first = start.date()
    count = (end.date() - first).days + (end.time() != datetime.time())
    return [(first + datetime.timedelta(days=day)).isoformat() for day in range(count)]


def hours_of_day(hours: Hours, field: str = "hours") -> dict[str, int] | None:
    """Write hours of the day as the object that servers take.

    Raises
    ------
    ValueError
        If they are not two whole hours from 0 to 24.
    """
    if hours is None:
        return None
    pair = _pair(hours, _HOURS)
    if pair is None or not all(_is_whole(hour) and 0 <= hour <= 24 for hour in pair):
        raise ValueError(f"{field} = {hours!r}: {_HOURS_ALLOWED}")
    return {name: int(hour) for name, hour in zip(_HOURS, pair, strict=True)}


def list_of_types(event_types: EventTypes, field: str = "event_types") -> list[str] | None:
    """Write names of event types as a list; one name is a list of one."""
    if event_types is None:
        return None
    if isinstance(event_types, str):
        return [event_types]
    if isinstance(event_types, Mapping) or not isinstance(event_types, Iterable):
        raise ValueError(f"{field} = {event_types!r}: must be a list of names, such as ['calls', 'sms'].")
    return [str(name) for name in (sorted(event_types) if isinstance(event_types, Set) else event_types)]


def histogram_bins(bins: int | Sequence[float], field: str = "bins") -> dict[str, Any]:
    """Write a number of bins, or their edges."""
    if _is_whole(bins):
        return {"n_bins": int(bins)}  # type: ignore[arg-type]
    if isinstance(bins, str | Mapping) or not isinstance(bins, Iterable):
        raise ValueError(
            f"{field} = {bins!r}: must be a whole number, or a list of edges such as [0, 5, 10]."
        )
    return {"bin_list": plain(list(bins))}


def bounds(range: Sequence[float] | Mapping[str, float], field: str = "range") -> dict[str, float]:
    """Write the ends of a range."""
    pair = _pair(range, _BOUNDS)
    if pair is None or not all(isinstance(end, Real) and not isinstance(end, bool) for end in pair):
        raise ValueError(f"{field} = {range!r}: {_BOUNDS_ALLOWED}")
    return dict(zip(_BOUNDS, plain(pair), strict=True))


def _pair(value: Any, names: tuple[str, str]) -> list[Any] | None:
    """Return the two members of a pair, or of an object with these names."""
    if isinstance(value, Mapping):
        return [value[name] for name in names] if set(value) == set(names) else None
    if isinstance(value, str | Set) or not isinstance(value, Iterable):
        return None
    pair = list(value)
    return pair if len(pair) == 2 else None


def _is_whole(value: object) -> bool:
    # numpy registers its whole numbers with this class.
    return isinstance(value, Integral) and not isinstance(value, bool)


def interval(count_interval: str, field: str = "count_interval") -> str:
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


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it.

    Tuples, sets, dates, and numpy's and pandas' values are converted.
    """
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Set):
        return sorted(plain(item) for item in value)
    if isinstance(value, datetime.date) or str(getattr(value, "dtype", "")).startswith("datetime64"):
        return [iso_date(day) for day in value] if isinstance(value, Iterable) else iso_date(value)
    # Arrays, series and numpy's numbers.
    return plain(value.tolist()) if hasattr(value, "tolist") else value


def writable(value: Any) -> Any:
    """Return the form of a value to send.

    This is the value itself where JSON can hold it, else its :func:`plain` form.

    Raises
    ------
    ValueError
        With the path and the value of each fault, such as a number that is none (NaN).
    """
    if _writable(value):
        return value
    value = plain(value)
    if not _writable(value):
        raise ValueError("\n".join(_unwritable(value, ())))
    return value


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


def qa_route(event_type: str, check_type: str) -> str:
    """The route of the outcomes of a quality check."""
    return f"qa/{quote(event_type, safe='')}/{quote(check_type, safe='')}"
