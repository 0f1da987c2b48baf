"""Draw lines over days as SVG whose text stays text."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Callable, Mapping, Sequence

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
