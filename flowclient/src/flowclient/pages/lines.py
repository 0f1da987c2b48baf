"""Draw lines over days as SVG whose text stays text."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

_COLOUR = "#08519c"
_USUAL = "#6b6b6b"


def line_of_days(
    days: Sequence[datetime.date],
    values: Mapping[datetime.date, float],
    event: datetime.date,
    *,
    day_text: Callable[[datetime.date], str],
    value_text: Callable[[float], str],
    identity: str,
) -> str:
    """Return an inline SVG of shares of usual by day.

    Lines break where a day has no value. The same arguments give the same bytes.

    Parameters
    ----------
    days : sequence of date
        All days, with and without values.
    values : mapping
        Share of the usual value by day; 1 is usual.
    event : date
        Marked by a line.
    day_text, value_text : callable
        Text of a day and of a share at the axes.
    identity : str
        Part of every id in the drawing, so that two drawings on a page do not mix.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": identity, "font.family": "sans-serif", "font.size": 10}
    ):
        figure = Figure(figsize=(4.4, 2.3), layout="constrained")
        axes = figure.add_subplot()
        places = range(len(days))
        axes.axhline(1, color=_USUAL, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(
            places,
            [values.get(day, float("nan")) for day in days],
            color=_COLOUR,
            linewidth=2,
            marker="o",
            markersize=3.5,
        )
        if event in days:
            axes.axvline(days.index(event) - 0.5, color="#b35806", linewidth=1.5)
        low, high = min([0.9, *values.values()]), max([1.1, *values.values()])
        axes.set_ylim(low - 0.03, high + 0.03)
        marks = list(places)[:: max(1, -(-len(days) // 5))]
        axes.set_xticks(marks, [day_text(days[place]) for place in marks])
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: value_text(value)))
        axes.spines[["top", "right"]].set_visible(False)
        written = io.StringIO()
        figure.savefig(
            written, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None}
        )
    drawing = written.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    # Matplotlib's rule is for all elements, which in a page would be those around the drawing, too.
    drawing = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", drawing, count=1, flags=re.DOTALL)
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)[0]
    head = f'<svg viewBox="0 0 {width} {height}" aria-hidden="true" style="stroke-linejoin:round">'
    drawing = re.sub(r"<svg[^>]*>", head, drawing, count=1)
    return re.sub(r"\n\s*", "\n", drawing).replace("xlink:href", "href").strip()


#: Size and edges of a small line, in units of its drawing.
_WIDE, _HIGH, _EDGE = 320, 110, 8


def line_in_band(
    days: Sequence[datetime.date],
    values: Mapping[datetime.date, float],
    bands: Mapping[datetime.date, tuple[float, float]],
    marked: Collection[datetime.date],
    *,
    day_text: Callable[[datetime.date], str],
    value_text: Callable[[float], str],
) -> str:
    """Return a small inline SVG of numbers by day, over the band of usual ones.

    Line and band break where a day has no value. Marked days are squares, all others are dots.
    """
    top = max([1.0, *(values[day] for day in days if day in values), *(high for _, high in bands.values())])

    def x(place: int) -> float:
        return round(_EDGE + (_WIDE - 2 * _EDGE) * place / max(1, len(days) - 1), 1)

    def y(value: float) -> float:
        return round(88 - 70 * value / top, 1)

    parts = [f'<path class="axis" d="M{_EDGE} 88H{_WIDE - _EDGE}"/>']
    for run in _runs_of(days, bands):
        upper = " ".join(f"{x(place)},{y(bands[days[place]][1])}" for place in run)
        lower = " ".join(f"{x(place)},{y(bands[days[place]][0])}" for place in reversed(run))
        parts.append(f'<polygon class="band" points="{upper} {lower}"/>')
    for run in _runs_of(days, values):
        points = " ".join(f"{x(place)},{y(values[days[place]])}" for place in run)
        parts.append(f'<polyline points="{points}"/>')
    for place, day in enumerate(days):
        if day not in values:
            continue
        at, height = x(place), y(values[day])
        parts.append(
            f'<rect x="{at - 4:.1f}" y="{height - 4:.1f}" width="8" height="8"/>'
            if day in marked
            else f'<circle cx="{at}" cy="{height}" r="2"/>'
        )
    parts.append(f'<text x="{_EDGE}" y="12">{value_text(top)}</text>')
    parts.append(f'<text x="{_EDGE}" y="104">{day_text(days[0])}</text>')
    parts.append(f'<text class="end" x="{_WIDE - _EDGE}" y="104">{day_text(days[-1])}</text>')
    return f'<svg viewBox="0 0 {_WIDE} {_HIGH}" aria-hidden="true">{"".join(parts)}</svg>'


def _runs_of(days: Sequence[datetime.date], known: Collection[datetime.date]) -> Iterator[list[int]]:
    """Yield the places of days in a row that are known."""
    run: list[int] = []
    for place, day in enumerate(days):
        if day in known:
            run.append(place)
        elif run:
            yield run
            run = []
    if run:
        yield run
