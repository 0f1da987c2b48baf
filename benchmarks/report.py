"""Write a run's table, ``latest.json``, and the documentation's page and picture."""

from __future__ import annotations

import json
from math import floor
from pathlib import Path
from typing import Any

from layout import CHECKOUT

from benchmarks import goals, loading_report
from benchmarks.measure import with_means
from benchmarks.record import write_whole

RESULTS = CHECKOUT / "benchmarks" / "results"
LATEST = RESULTS / "latest.json"
SCALING = RESULTS / "scaling.json"
DOCS = CHECKOUT / "docs" / "benchmarks"

_ENGINES = (
    ("published_seconds", "published engine", "#b0b7bf"),
    ("postgres_seconds", "ours on PostgreSQL", "#6aa7a0"),
    ("ours_seconds", "ours", "#00796b"),
    ("standing_seconds", "ours with standing parts", "#004d40"),
    ("hand_written_seconds", "hand-written DuckDB", "#e0a030"),
)


def write(report: dict[str, Any], scale: str) -> list[Path]:
    """Write a run's table and numbers; the full scale also becomes the page."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    table_file = RESULTS / f"{report['date']}-{scale}.md"
    write_whole(
        table_file,
        f"# Benchmark of {report['date']}, {scale} scale\n\n{summary(report)}\n{table(report)}\n{goals.table(report)}",
    )
    written = [table_file]
    if scale == "full":
        write_whole(LATEST, json.dumps(report, indent=2) + "\n")
        written += [LATEST, *write_docs()]
    return written


def merged(report: dict[str, Any]) -> dict[str, Any]:
    """Merge the report of some questions with the latest numbers of the others.

    Only numbers of the same data are merged.
    """
    if not LATEST.exists():
        return report
    latest = json.loads(LATEST.read_text())
    if latest["data"] != report["data"]:
        return report
    asked = report["questions"]
    return with_means(
        report
        | {"questions": {name: asked.get(name, entry) for name, entry in latest["questions"].items()}}
        | {"disagreements": sorted({*latest["disagreements"], *report["disagreements"]})}
    )


def write_docs() -> list[Path]:
    """Rebuild the documentation's page and picture from the latest run."""
    report = json.loads(LATEST.read_text())
    DOCS.mkdir(parents=True, exist_ok=True)
    picture_file, page_file = DOCS / "questions.svg", DOCS / "index.md"
    draw(report, picture_file)
    write_whole(page_file, page(report))
    return [picture_file, page_file]


def summary(report: dict[str, Any]) -> str:
    """Summarise data, machine and outcome in a few sentences."""
    data, machine = report["data"], report["machine"]
    ratio = data["columnar_to_postgres"]
    lines = [
        f"{data['events']:,} events of {data['subscribers']:,} subscribers in {data['days']} days; "
        f"{machine['processors']} processors ({machine['model']}), {machine['memory_gigabytes']} GB of memory, "
        f"{machine['workers']} workers, DuckDB {machine['duckdb']}. Each time is from the submitted specification to "
        f"the released rows with nothing stored, the best of {report['repeats']} before and {report['repeats']} after the published engine, which was asked once.",
        "",
    ]
    if report["geometric_mean_ratio"]:
        asked = sum(entry["ratio"] is not None for entry in report["questions"].values())
        lines.append(
            f"- Against the published engine: {report['geometric_mean_ratio']:.0f} times faster (geometric mean of the "
            # Rounded down, or it would not be the least.
            f"{asked} questions it was asked), {floor(report['smallest_ratio'] * 10) / 10} times at the least."
        )
    else:
        reason = report["published_skipped"] or "nothing was measured yet"
        lines.append(f"- The published engine gave no time: {reason}.")
    if report.get("geometric_mean_standing_ratio"):
        lines.append(
            f"- With standing parts of every day, the daily locations by both methods: "
            f"{report['geometric_mean_standing_ratio']:.0f} times faster, "
            f"{floor(report['smallest_standing_ratio'] * 10) / 10} times at the least."
        )
    if report["geometric_mean_to_hand_written"]:
        lines.append(
            f"- Against hand-written DuckDB: {report['geometric_mean_to_hand_written']:.2f} times its time (geometric mean)."
        )
    if report["accept_5000_parts_seconds"]:
        lines.append(
            f"- A specification of 5,000 parts is accepted in {report['accept_5000_parts_seconds']:.2f} s"
            f"{_under(report.get('accept_5000_parts_load'))}."
        )
    lines += [
        f"- The columnar copy, dictionary included, is {ratio:.1%} of the size of the partitions with their indexes.",
        *_about_parts(report),
        f"- Loading into both stores: {data['loaded_events_per_second']:,} events per second{_under(data.get('load_average'))}.",
        f"- Load average of the machine at the end: {machine['load_average']}. {_about_loads(report)}",
        *(f"- {text}." for text in _failures(report)),
    ]
    if note := report.get("note"):
        lines.append(f"- {note}")
    disagreements = report["disagreements"] or ["none; all engines gave equal answers"]
    lines += [f"- Disagreement: {text}." for text in disagreements]
    return "\n".join(lines) + "\n"


def _under(load: float | None) -> str:
    return " (the load of the machine was not recorded)" if load is None else f" at a load of {load:g}"


def _about_parts(report: dict[str, Any]) -> list[str]:
    size, data = report.get("standing_bytes"), report["data"]
    tallies = data.get("tally_bytes", 0)
    lines = []
    if tallies:
        lines.append(
            f"- The tallies by cell and hour take {tallies / 2**20:.0f} MB, {tallies / data['columnar_bytes']:.1%} of the "
            "columnar copy, which is counted without them."
        )
    if not size:
        return lines
    together = (data["columnar_bytes"] + tallies + size) / data["postgres_bytes"]
    return [
        *lines,
        f"- The standing parts of {data['days']} days take {size / 2**20:.0f} MB, {size / data['columnar_bytes']:.1%} of the "
        f"columnar copy, and with it and the tallies {together:.1%} of the size of the partitions. Idle workers made them in "
        f"{number(report['standing_seconds'])} s.",
    ]


def _about_loads(report: dict[str, Any]) -> str:
    processors = report["machine"]["processors"]
    if not any(entry.get("load") for entry in report["questions"].values()):
        return f"Above {processors} other work competed. The load at each question was not recorded."
    return (
        "In brackets behind seconds stands the load average of the minute before, the engine's own work included; "
        f"far above {processors} other work competed."
    )


def _failures(report: dict[str, Any]) -> list[str]:
    """List unanswered questions with reasons; a common reason appears once."""
    told: dict[tuple[str, str], list[str]] = {}
    for entry in report["questions"].values():
        for engine, reason in entry.get("failed", {}).items():
            told.setdefault((engine, reason), []).append(entry["title"])
    labels = {key.removesuffix("_seconds"): label for key, label, _ in _ENGINES}
    everything = len(report["questions"])
    return [
        f"No time of {labels[engine]} for {'any question' if len(titles) == everything else ', '.join(titles)}: {reason}"
        for (engine, reason), titles in told.items()
        if reason != report["published_skipped"]
    ]


def table(report: dict[str, Any]) -> str:
    """Write the questions as rows: seconds with load, ratios and peak memory."""
    header = (
        "| Question | Ours, s | Published, s | Ratio | With parts, s | Ratio with parts | Hand-written, s | Ours / hand-written | "
        "Ours on PostgreSQL, s | Stored, ms | Peak, MB | Published peak, MB |"
    )
    lines = [header, "|---" + "|---:" * 11 + "|"]
    for entry in report["questions"].values():
        published = _seconds(entry, "published")
        if entry["published_gave_up"]:
            published = f"over {published}"
        stored = entry["stored_seconds"]
        cells = [
            entry["title"],
            _seconds(entry, "ours"),
            published,
            number(entry["ratio"]),
            _seconds(entry, "standing"),
            number(entry.get("standing_ratio")),
            _seconds(entry, "hand_written"),
            number(entry["to_hand_written"]),
            _seconds(entry, "postgres"),
            number(stored and stored * 1000),
            str(entry["peak_megabytes"] or "–"),
            str(entry["published_peak_megabytes"] or "–"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _seconds(entry: dict[str, Any], engine: str) -> str:
    seconds, load = entry.get(f"{engine}_seconds"), entry.get("load", {}).get(engine)
    return number(seconds) if seconds is None or load is None else f"{number(seconds)} ({load:g})"


def draw(report: dict[str, Any], path: Path) -> None:
    """Horizontal bars, one group for each question, seconds on a logarithmic scale."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none"})
    from matplotlib import pyplot

    entries = list(reversed(report["questions"].values()))
    figure, axes = pyplot.subplots(figsize=(9, 7), layout="constrained")
    height = 0.8 / len(_ENGINES)
    for position, (key, label, colour) in enumerate(_ENGINES):
        offset = ((len(_ENGINES) - 1) / 2 - position) * height
        known = [(row, entry[key]) for row, entry in enumerate(entries) if entry.get(key)]
        bars = axes.barh(
            [row + offset for row, _ in known],
            [seconds for _, seconds in known],
            height,
            label=label,
            color=colour,
        )
        axes.bar_label(bars, [number(seconds) for _, seconds in known], padding=2, fontsize=7)
    axes.set_xscale("log")
    axes.set_yticks(range(len(entries)), [entry["title"] for entry in entries])
    axes.set_xlabel("seconds from specification to released result, logarithmic")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.06), ncols=5, frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def page(report: dict[str, Any]) -> str:
    """The page of the documentation."""
    return f"""# Benchmarks

Audience: those who choose or operate the platform. Reading time: 3 minutes. How fast the engine answers, against the
published engine and against statements written by hand.

Measured on {report["date"]}. {summary(report)}
![Seconds to answer the nine questions, by engine](questions.svg)

{table(report)}
## Goals

{goals.table(report)}
## How it is measured

`make bench` builds a synthetic country, loads it with the real loader into PostgreSQL and into columnar day files, and
asks nine questions at administrative level 3 over all event types. The engine's own server and workers are asked over
their socket, as the HTTP API does, and the released rows are read from the database. Our server holds the question
whether a query is done until it is; the published one, which cannot, is asked every fiftieth of the time that it has
taken so far, five times a second at the least. Between two questions everything
stored is dropped; only the maps from cells to regions stay, which are made once for each version of the cells. *With parts* the
daily locations of every day by both methods stay, too, as `FLOWMACHINE_STANDING` lists them; they are measured apart.

The published engine (1.34.0) runs in an environment of its own on the same database and the same machine, with a
Redis of its own, and is asked the same specifications over the same protocol. Its server is started again for each
question and warmed up once. Its answers must equal ours. The one known exception: the published engine publishes active
cells however few subscribers stand behind a row, while ours keeps only rows with more than 15.

The hand-written statements read the same day files and the same maps and end with a data frame: no queue, no cache,
no table of released rows. They say what is left to gain. [Every query kind](kinds.md) is measured against one, too.

*Stored* is the time to get a result that was computed before. *Peak* is the private memory of all processes of the engine and
of the database server together.
{_scaling()}{loading_report.section()}
## Try it

```console
$ make bench ARGS="--scale smoke"    # 20,000 subscribers, a few minutes
$ make bench                         # 200,000 subscribers, 14 days, 1.5 million events a day
$ make bench ARGS="--loading"        # only the loader, with two million subscribers
```

The data stay in the state folder for the next run, and so does a record of every answer, written as soon as there is one: `--resume` goes on with the
record of an interrupted run. An engine that does not start or fails costs its own times only, and the page says why. `--skip-published` leaves out the published engine,
as does a machine without `redis-server`.
"""


def write_scaling(measured: list[dict[str, Any]]) -> list[Path]:
    """Keep the numbers of growing data and rebuild the page.

    Numbers of sizes that were not measured stay. The page needs a full record.
    """
    kept = json.loads(SCALING.read_text()) if SCALING.exists() else []
    by_size = {(row["subscribers"], row["days"]): row for row in [*kept, *measured]}
    rows = [by_size[size] for size in sorted(by_size)]
    write_whole(SCALING, json.dumps(rows, indent=2) + "\n")
    return [SCALING, *(write_docs() if LATEST.exists() else [])]


def _scaling() -> str:
    if not SCALING.exists():
        return ""
    rows = json.loads(SCALING.read_text())
    names = list(rows[0]["seconds"])
    lines = [
        "",
        "## How it grows",
        "",
        "Seconds of our engine, cold, on growing data: each question reads the first half of the days, flows read both halves. The largest",
        "number of subscribers is four copies of the people before it, each under keys of its own, as files only. How every query kind grows is on",
        "[a page of its own](kinds.md). *Load* is the load average of the machine when a line was done, if it was recorded.",
        "",
        "| Subscribers | Days | Events | Load | " + " | ".join(names) + " |",
        "|---:|---:|---:|---:" + "|---:" * len(names) + "|",
    ]
    for row in rows:
        seconds = " | ".join(number(row["seconds"][name]) for name in names)
        size = f"{row['subscribers']:,} | {row['days']} | {row['events']:,}"
        lines.append(f"| {size} | {number(row.get('load_average'))} | {seconds} |")
    return "\n".join(lines) + "\n"


def number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
