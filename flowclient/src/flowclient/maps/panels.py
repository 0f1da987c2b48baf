"""Choose the rows of one map: at most one row for each place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

from flowclient.maps.places import ends_of, geodataframe, keys_of, placed

if TYPE_CHECKING:
    import pandas

#: Maps that fit on a screen; a day has 24 hours.
_MOST_PANELS = 36
#: Members of a column that a message names.
_MOST_NAMED = 12
#: Why a server withholds rows, in words.
_REASONS = {"floor": "too few subscribers", "parts": "a total would give them away"}


@dataclass(frozen=True)
class Panel:
    """Hold one map: title, places of its rows, and areas of the whole country.

    ``without_row`` says why an area may have no row.
    """

    title: str
    places: Any
    areas: Any
    without_row: str = "withheld or none"

    @property
    def of_flows(self) -> bool:
        return ends_of(self.places)


def panels(
    result: pandas.DataFrame,
    geography: dict[str, Any],
    *,
    column: str = "value",
    where: Mapping[str, Any] | None = None,
    by: str | None = None,
) -> list[Panel]:
    """Divide a result into maps.

    Parameters
    ----------
    result : pandas.DataFrame
        As :func:`flowclient.maps.located` takes it.
    geography : dict
        FeatureCollection of its aggregation unit.
    column : str
        What is drawn.
    where : mapping, optional
        A value for each of some columns: only rows with them are drawn.
    by : str, optional
        The column of which each value gets a map of its own; hours and days without a row get theirs, too.

    Raises
    ------
    ValueError
        If a place has several rows on one map, or a name or a value is not in the result.
    """
    areas = geodataframe(geography)
    said = _without_row(result.attrs.get("withheld"))
    _column_of(result, column)
    for name, value in (where or {}).items():
        result = result[_equal(_column_of(result, name), value)]
    if by is None:
        return [_panel("", result, areas, column, said)]
    steps = _steps(_column_of(result, by))
    if len(steps) > _MOST_PANELS:
        raise ValueError(
            f"by = {by!r} makes {len(steps)} maps, at most {_MOST_PANELS} are drawn: choose some rows by where."
        )
    return [
        _panel(f"{by} {_text(step)}", result[_is(result[by], step)], areas, column, said) for step in steps
    ]


def _without_row(withheld: list[str] | None) -> str:
    """Say why areas have no row, given the reasons that the server names, if it does."""
    if withheld is None:
        return "withheld or none"
    reasons = ", ".join(_REASONS.get(reason, reason) for reason in withheld)
    return f"withheld ({reasons}) or none" if reasons else "none"


def _panel(title: str, result: pandas.DataFrame, areas: Any, column: str, without_row: str) -> Panel:
    keys = keys_of(areas)
    ends = [f"{key}{end}" for end in ("_from", "_to") for key in keys]
    place = ends if ends_of(result) else keys
    if set(place) <= set(result.columns) and result.duplicated(place).any():
        others = [name for name in result.columns if name not in (*place, column, "geometry")]
        differ = [name for name in others if len(set(map(str, result[name]))) > 1] or others
        first = differ[0] if differ else "..."
        example = _plain(result[first].iloc[0]) if differ else "..."
        raise ValueError(
            f"A place has several rows, by {', '.join(differ)}. Choose one for each, such as "
            f"where={{{first!r}: {example!r}}}, or draw a map for each with by={first!r}."
        )
    return Panel(title, placed(result, areas), areas, without_row)


def _column_of(result: pandas.DataFrame, name: str) -> pandas.Series:
    if name not in result.columns:
        raise ValueError(
            f"{name!r} is no column of the result; it has {', '.join(map(str, result.columns))}."
        )
    return result[name]


def _equal(column: pandas.Series, value: Any) -> pandas.Series:
    import pandas

    wanted = value
    if pandas.api.types.is_datetime64_any_dtype(column):
        wanted = pandas.Timestamp(value)
        zone = getattr(column.dtype, "tz", None)
        if zone is not None and wanted.tzinfo is None:
            wanted = wanted.tz_localize(zone)
    found = _is(column, wanted)
    if not found.any():
        there = [_text(each) for each in _in_order(column)]
        shown = ", ".join(there[:_MOST_NAMED]) + (", ..." if len(there) > _MOST_NAMED else "")
        raise ValueError(f"{column.name} = {value!r} is not in the result; it has {shown or 'no rows'}.")
    return found


def _is(column: pandas.Series, value: Any) -> pandas.Series:
    return (column == value).fillna(False).astype(bool)


def _steps(column: pandas.Series) -> list[Any]:
    """Return the values of a column in order.

    Missing whole numbers and days in between are included.
    """
    import pandas

    present = column.dropna()
    if present.empty:
        return []
    if column.name == "hour":
        return list(range(24))
    if pandas.api.types.is_integer_dtype(present):
        return list(range(int(present.min()), int(present.max()) + 1))
    if pandas.api.types.is_datetime64_any_dtype(present):
        times = pandas.DatetimeIndex(_in_order(present))
        if (times == times.normalize()).all():
            return list(pandas.date_range(times[0], times[-1]))
        return list(times)
    return _in_order(present)


def _in_order(column: pandas.Series) -> list[Any]:
    present = list({str(value): value for value in column.dropna()}.values())
    try:
        return sorted(present)
    except TypeError:
        return sorted(present, key=str)


def _plain(value: Any) -> Any:
    """Return a value as somebody would type it."""
    return int(value) if isinstance(value, Integral) else _text(value)


def _text(value: Any) -> str:
    import pandas

    if isinstance(value, pandas.Timestamp):
        return value.date().isoformat() if value == value.normalize() else value.isoformat(sep=" ")
    return str(value)


def values_of(drawn: list[Panel], column: str) -> Iterator[float]:
    """Yield the numbers that all maps show, for which they share one scale."""
    for panel in drawn:
        yield from (float(value) for value in panel.places[column].dropna())
