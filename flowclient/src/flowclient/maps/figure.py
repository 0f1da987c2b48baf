"""Maps as figures of matplotlib."""

from __future__ import annotations

import math
from typing import Any

from flowclient.maps.panels import Panel, values_of
from flowclient.maps.places import keys_of, names_of, points_of, rows

_WITHHELD = {"facecolor": "lightgrey", "edgecolor": "grey", "hatch": "///", "linewidth": 0.5}
_OUTLINE = {"facecolor": "whitesmoke", "edgecolor": "darkgrey", "linewidth": 0.5}
_WIDEST_LINE = 6.0
_NARROWEST_LINE = 0.6
_LINE_COLOUR = "#08519c"
#: More names would lie over each other.
_MOST_NAMES = 20


def _require_matplotlib() -> Any:
    try:
        import matplotlib.patches
        import matplotlib.pyplot
    except ImportError:
        raise ImportError("Maps need matplotlib: install flowclient[maps].") from None
    return matplotlib


def plot(panels: list[Panel], *, column: str = "value", kind: str | None = None, **options: Any) -> Any:
    """Draw maps on one scale and return the axes, as an array for several maps."""
    matplotlib = _require_matplotlib()
    if kind not in (None, "areas", "lines"):
        raise ValueError(f"Invalid kind of map: '{kind}'. Expected 'areas' or 'lines'.")
    if len(panels) == 1:
        axes = options.pop("ax", None)
        if axes is None:
            axes = matplotlib.pyplot.figure(figsize=options.pop("figsize", None)).gca()
        _draw(panels[0], axes, column, kind, options)
        return axes
    columns = max(1, math.ceil(math.sqrt(len(panels))))
    lines = max(1, math.ceil(len(panels) / columns))
    size = options.pop("figsize", (3.2 * columns, 2.6 * lines))
    # No rows, no maps: one empty frame all the same.
    figure, grid = matplotlib.pyplot.subplots(
        lines, columns, figsize=size, squeeze=False, layout="constrained"
    )
    numbers = list(values_of(panels, column))
    scale = {"vmin": min(numbers, default=0), "vmax": max(numbers, default=1)}
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(panel, axes, column, kind, {**scale, "legend": False, **options})
        axes.set_title(panel.title)
        axes.set_axis_off()
        if axes.get_legend() is not None:
            axes.get_legend().remove()
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    _common_legend(matplotlib, figure, grid, panels, column, {**scale, **options})
    return grid


def _common_legend(
    matplotlib: Any, figure: Any, grid: Any, panels: list[Panel], column: str, options: dict[str, Any]
) -> None:
    if any(panel.of_flows for panel in panels):
        return
    scale = matplotlib.colors.Normalize(options["vmin"], options["vmax"])
    colours = matplotlib.cm.ScalarMappable(scale, options.get("cmap"))
    figure.colorbar(colours, ax=list(grid.flat), label=column, shrink=0.6)
    if any(panel.places[column].isna().any() for panel in panels):
        figure.legend(handles=[_withheld_patch(matplotlib, panels[0])], loc="outside lower left")


def _withheld_patch(matplotlib: Any, panel: Panel) -> Any:
    return matplotlib.patches.Patch(**_WITHHELD, label=panel.without_row)


def _draw(panel: Panel, axes: Any, column: str, kind: str | None, options: dict[str, Any]) -> None:
    as_flows = kind == "lines" or (kind is None and panel.of_flows)
    if as_flows:
        _draw_flows(panel, axes, column, options)
    else:
        _draw_areas(panel, axes, column, options)
    # A degree of longitude is shorter than one of latitude.
    if not panel.areas.empty:
        _, south, _, north = panel.areas.total_bounds
        axes.set_aspect(1 / math.cos(math.radians((south + north) / 2)))
    if as_flows:
        _name_ends(panel, column, axes)


def _draw_areas(panel: Panel, axes: Any, column: str, options: dict[str, Any]) -> None:
    matplotlib = _require_matplotlib()
    # Drawn in two steps because geopandas refuses a colour scale over nothing but gaps.
    withheld = panel.places[panel.places[column].isna()]
    shown = panel.places[panel.places[column].notna()]
    if not shown.empty:
        given = {"legend": True, **options}
        # A legend of classes takes no label.
        if given["legend"] and "scheme" not in given:
            given.setdefault("legend_kwds", {"label": column})
        shown.astype({column: "float64"}).plot(column=column, ax=axes, **given)
    if not withheld.empty:
        withheld.plot(ax=axes, **_WITHHELD)
        axes.legend(handles=[_withheld_patch(matplotlib, panel)], loc="lower left")


def _draw_flows(panel: Panel, axes: Any, column: str, options: dict[str, Any]) -> None:
    """Draw arrows from origin to destination over the outlines.

    Arrows are bent so that both directions of a pair are visible.
    """
    matplotlib = _require_matplotlib()
    if not panel.areas.empty:
        panel.areas.plot(ax=axes, **_OUTLINE)
    drawn = panel.places[panel.places[column].notna()]
    if drawn.empty:
        return
    largest = options.get("vmax") or float(drawn[column].max())
    colour = options.get("color", _LINE_COLOUR)

    def width(value: float) -> float:
        return max(_NARROWEST_LINE, _WIDEST_LINE * value / largest) if largest > 0 else 1.0

    # The widest lie below, or they would hide the others.
    widest = drawn.sort_values(column, ascending=False)
    for line, value in zip(widest.geometry, widest[column], strict=True):
        start, end = line.coords[0], line.coords[-1]
        wide = width(float(value))
        axes.add_patch(
            matplotlib.patches.FancyArrowPatch(
                start,
                end,
                connectionstyle="arc3,rad=0.2",
                arrowstyle=f"-|>,head_length={2 + wide / 2:.2f},head_width={1 + wide / 2:.2f}",
                linewidth=wide,
                color=colour,
                alpha=0.65,
                shrinkA=0,
                shrinkB=0,
            )
        )
    axes.autoscale_view()
    values = sorted({largest, largest / 2, largest / 10}, reverse=True)
    axes.legend(
        handles=[
            matplotlib.lines.Line2D([], [], color=colour, linewidth=width(value), label=f"{value:,.4g}")
            for value in values
        ],
        title=column,
        loc="lower left",
    )


def _name_ends(panel: Panel, column: str, axes: Any) -> None:
    """Name the ends of the widest lines whose names do not lie over each other."""
    from matplotlib import patheffects

    widest = panel.places[panel.places[column].notna()].sort_values(column, ascending=False)
    keys = keys_of(panel.areas)
    names, points = names_of(panel.areas), points_of(panel.areas)
    pairs = zip(*(rows(widest, [f"{key}{end}" for key in keys]) for end in ("_from", "_to")), strict=True)
    ends = dict.fromkeys(end for pair in pairs for end in pair)
    # Where a name lies depends on where the map lies in its figure.
    axes.apply_aspect()
    taken: list[Any] = []
    for key in ends:
        if len(taken) == _MOST_NAMES:
            return
        name = axes.annotate(
            names[key],
            points[key].coords[0],
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color="#222222",
            # A light edge, because names lie over arrows.
            path_effects=[patheffects.withStroke(linewidth=2, foreground="white")],
        )
        box = name.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            name.remove()
        else:
            taken.append(box)
