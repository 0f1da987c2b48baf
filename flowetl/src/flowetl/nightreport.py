"""The state of all loading as one HTML file that opens offline."""

import datetime as dt
import html
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from psycopg2.extensions import cursor as Cursor

from flowetl.deployment import Deployment
from flowetl.report import calendar
from flowsettings.owner import give_to_owner, make_folder

DAYS = 60
SERIES = ("count_added_rows", "count_msisdns", "count_location_ids", "count_duplicates")
SILENT_DAYS = 7
_FEWEST = 5
_FAR = 4.0
"""Times the usual distance from the median; farther is an anomaly."""
_SHOWN = 50

_COLOURS = {
    "loaded": "#2b8a3e",
    "doubt": "#e8a800",
    "held": "#d9480f",
    "failed": "#c92a2a",
    "missing": "#868e96",
    "late": "#f783ac",
    "due": "#74c0fc",
    "loading": "#74c0fc",
    "waiting": "#74c0fc",
    "dropped": "#dee2e6",
    "absent": "#dee2e6",
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #212529 }
table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; } td:first-child { white-space: nowrap } td, th { text-align: left; vertical-align: top }
.day { display: inline-block; width: 1.1rem; height: 1.1rem; margin: 1px; border-radius: 2px }
svg { background: #f8f9fa; display: block }
"""

Series = list[tuple[dt.date, float]]


def write_report(deployment: Deployment, path: Path) -> None:
    """Write the page; a reader of the old one never sees half of the new."""
    make_folder(path.parent)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(render(deployment), encoding="utf-8")
    give_to_owner(partial)
    partial.rename(path)


def render(deployment: Deployment) -> str:
    """Return the page: days, refused records, checks with anomalies, silent cells."""
    days = calendar(deployment, DAYS)
    first = dt.datetime.now(deployment.zone).date() - dt.timedelta(days=DAYS)
    with deployment.connect() as connection, connection.cursor() as cursor:
        parts = [
            _calendar(days),
            _doubts(days),
            _rejects(cursor, first),
            _checks(cursor, first),
            _silent(cursor),
        ]
    made = dt.datetime.now(deployment.zone)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Loading, {made:%Y-%m-%d}</title>'
        f"<style>{_STYLE}</style><h1>Loading</h1><p>{made:%Y-%m-%d %H:%M}, the last {DAYS} days.</p>{''.join(parts)}</html>\n"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{body}</table>"
        if body
        else "<p>None.</p>"
    )


def _calendar(days: list[dict[str, Any]]) -> str:
    by_source: dict[str, list[str]] = defaultdict(list)
    rows: dict[str, int] = defaultdict(int)
    for day in days:
        state = "doubt" if day["state"] == "loaded" and day["reason"] else day["state"]
        told = html.escape(f"{day['date']} {day['state']} {day['reason'] or ''}".strip(), quote=True)
        by_source[day["source"]].append(
            f'<span class="day" style="background:{_COLOURS.get(state, "#fff")}" title="{told}"></span>'
        )
        rows[day["source"]] += day["rows"] or 0
    lines = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{''.join(marks)}</td><td>{rows[name]:,} rows</td></tr>"
        for name, marks in by_source.items()
    )
    legend = " ".join(
        f'<span class="day" style="background:{colour}"></span> {state}' for state, colour in _COLOURS.items()
    )
    return f"<h2>Days</h2><table>{lines}</table><p>{legend}</p>"


def _doubts(days: list[dict[str, Any]]) -> str:
    found = [day for day in days if day["reason"] and day["state"] != "absent"][::-1]
    rows = [(day["date"], day["source"], day["state"], day["reason"]) for day in found[:_SHOWN]]
    return "<h2>What to look at</h2>" + _table(("Day", "Source", "State", "Reason"), rows)


def _rejects(cursor: Cursor, first: dt.date) -> str:
    cursor.execute(
        "SELECT source, reason, sum(records)::bigint, max(cdr_date) FROM etl.rejects JOIN etl.loads USING (load_id) "
        "JOIN etl.current_loads USING (load_id, cdr_type, cdr_date) WHERE cdr_date >= %s GROUP BY 1, 2 ORDER BY 3 DESC",
        (first,),
    )
    return "<h2>Refused records</h2>" + _table(("Source", "Reason", "Records", "Last day"), cursor.fetchall())


def _checks(cursor: Cursor, first: dt.date) -> str:
    cursor.execute(
        "SELECT cdr_type, type_of_query_or_check, cdr_date, outcome::float FROM etl.deduped_post_etl_queries "
        "WHERE cdr_date >= %s AND type_of_query_or_check = ANY (%s) AND outcome ~ '^[0-9.]+$' ORDER BY 1, 2, 3",
        (first, [*SERIES, "count_locatable_events"]),
    )
    found: dict[str, dict[str, Series]] = defaultdict(lambda: defaultdict(list))
    for cdr_type, name, date, outcome in cursor.fetchall():
        found[cdr_type][name].append((date, outcome))
    parts = ["<h2>Quality checks</h2>"]
    for cdr_type, series in found.items():
        rows = dict(series["count_added_rows"])
        shares = [
            (date, at / rows[date]) for date, at in series.pop("count_locatable_events", []) if rows.get(date)
        ]
        parts.append(f"<h3>{cdr_type}</h3>")
        if shares:
            parts.append(_graph("share of located events", shares))
        parts += [_graph(name, series[name]) for name in SERIES if series[name]]
    return "".join(parts)


def anomalies(series: Series) -> set[dt.date]:
    """Return the days whose number is unusually far from the median."""
    if len(series) < _FEWEST:
        return set()
    middle = statistics.median(value for _, value in series)
    usual = statistics.median(abs(value - middle) for _, value in series) or abs(middle) * 0.01
    return {date for date, value in series if usual and abs(value - middle) > _FAR * usual}


def _graph(name: str, series: Series) -> str:
    """A line with a red mark on each day that is an anomaly."""
    width, height, edge = 700, 80, 6
    first, most = series[0][0], max(value for _, value in series) or 1
    span = max((series[-1][0] - first).days, 1)
    odd = anomalies(series)
    points = [
        (
            edge + (width - 2 * edge) * (date - first).days / span,
            height - edge - (height - 2 * edge) * value / most,
        )
        for date, value in series
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{"#c92a2a" if date in odd else "#1971c2"}">'
        f"<title>{date}: {value:g}</title></circle>"
        for (x, y), (date, value) in zip(points, series, strict=True)
    )
    told = f"; anomalies: {', '.join(map(str, sorted(odd)))}" if odd else ""
    return (
        f"<p>{html.escape(name)}, up to {most:,.4g}{told}</p>"
        f'<svg width="{width}" height="{height}"><polyline points="{line}" fill="none" stroke="#74c0fc"/>{marks}</svg>'
    )


def _silent(cursor: Cursor) -> str:
    cursor.execute(
        "SELECT cells.id, max(seen.last_active_date) FROM infrastructure.cells AS cells "
        "LEFT JOIN events.location_ids AS seen ON seen.location_id = cells.id "
        "CROSS JOIN (SELECT max(last_active_date) AS newest FROM events.location_ids) AS whole "
        "WHERE coalesce(cells.date_of_last_service, 'infinity') >= newest AND newest IS NOT NULL "
        "GROUP BY cells.id, newest HAVING coalesce(max(seen.last_active_date), '-infinity') < newest - %s ORDER BY 2 DESC NULLS LAST, 1",
        (SILENT_DAYS,),
    )
    cells = cursor.fetchall()
    rows = [(cell, last or "never") for cell, last in cells[:_SHOWN]]
    more = f"<p>and {len(cells) - _SHOWN} more</p>" if len(cells) > _SHOWN else ""
    return (
        f"<h2>Cells without events for {SILENT_DAYS} days</h2>" + _table(("Cell", "Last event"), rows) + more
    )
