"""Write the results of a run over the kinds: numbers, a table and a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.kind_statements import DATABASE_STATEMENTS
from benchmarks.kinds import DAYS, MAIN, SUBSCRIBERS
from benchmarks.record import write_whole
from benchmarks.report import DOCS, RESULTS, number
from flowmachine.queries.catalogue import kinds as registered

NUMBERS = RESULTS / "kinds.json"
LIMIT = 3.0


def keep(found: dict[str, Any]) -> None:
    """Add the numbers of some kinds on one size of data to those there are."""
    everything = numbers()
    size = str(found["subscribers"])
    known = everything.get(size, {"kinds": {}})
    everything[size] = found | {"kinds": dict(sorted({**known["kinds"], **found["kinds"]}.items()))}
    write_whole(NUMBERS, json.dumps(everything, indent=1) + "\n")


def write() -> list[Path]:
    """Make the table and the page of the documentation again from the numbers."""
    everything = numbers()
    table_file, page_file = RESULTS / "kinds.md", DOCS / "kinds.md"
    table_file.write_text(f"# Every kind\n\n{summary(everything)}\n{table(everything)}")
    page_file.write_text(page(everything))
    return [NUMBERS, table_file, page_file]


def numbers() -> dict[str, Any]:
    """Return the measurements by number of subscribers."""
    found: dict[str, Any] = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    return found


def differing() -> list[str]:
    """Kinds whose two answers differ in the numbers that there are, and how."""
    return _disagreements(numbers())


def _disagreements(everything: dict[str, Any]) -> list[str]:
    return [
        f"{kind} on {int(size):,} subscribers: {entry['answer']}"
        for size, found in everything.items()
        for kind, entry in found["kinds"].items()
        if entry.get("answer", "equal") != "equal"
    ]


def summary(everything: dict[str, Any]) -> str:
    """Summarise data, machine and outcome in a few sentences."""
    main = everything[str(MAIN)]
    machine = main["machine"]
    ratios = {kind: _ratio(entry) for kind, entry in main["kinds"].items() if kind not in DATABASE_STATEMENTS}
    compared = {kind: ratio for kind, ratio in ratios.items() if ratio is not None}
    over = [f"`{kind}` ({ratio:.1f})" for kind, ratio in compared.items() if ratio > LIMIT]
    different = _disagreements(everything)
    lines = [
        f"{main['events']:,} events of {MAIN:,} subscribers in {DAYS} days; {machine['processors']} processors "
        f"({machine['model']}), {machine['memory_gigabytes']} GB of memory, DuckDB {machine['duckdb']}. "
        f"Each time is the best of {_span(sorted({entry['repeats'] for entry in main['kinds'].values()}))}.",
        "",
        f"- Over {LIMIT:g} times the hand-written DuckDB statement, of {len(compared)} measured: {', '.join(over) or 'none'}.",
        f"- Load average of the machine: {machine['load_average']}; above {machine['processors']} other work competed.",
        f"- Disagreement: {'; '.join(different) if different else 'none; all answers were equal'}.",
    ]
    for size in SUBSCRIBERS:
        lacking = [
            kind for kind in registered() if kind not in everything.get(str(size), {"kinds": {}})["kinds"]
        ]
        if lacking:
            which = (
                "all kinds"
                if len(lacking) == len(registered())
                else ", ".join(f"`{kind}`" for kind in lacking)
            )
            lines.append(f"- Not measured yet on {size:,} subscribers: {which}.")
    return "\n".join(lines) + "\n"


def _span(numbers: list[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def table(everything: dict[str, Any]) -> str:
    """The kinds as rows: seconds, ratio and growth."""
    header = ["Kind", "Ours, s", "Hand-written, s", "Ratio", "CPU ratio", "Load", "Rows"]
    header += [f"{size // 1000}k, s" for size in SUBSCRIBERS if size != MAIN]
    header.append(f"{SUBSCRIBERS[-1] // 1000}k / {SUBSCRIBERS[0] // 1000}k")
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    for kind in registered():
        main, *others = (
            everything.get(str(size), {"kinds": {}})["kinds"].get(kind, {})
            for size in (MAIN, *(size for size in SUBSCRIBERS if size != MAIN))
        )
        seconds = [entry.get("seconds") for entry in others]
        cells = [
            f"`{kind}`" + ("*" if kind in DATABASE_STATEMENTS else ""),
            number(main.get("seconds")),
            number(main.get("hand_written_seconds")),
            number(_ratio(main)),
            number(None if kind in DATABASE_STATEMENTS else _ratio(main, "processor_seconds")),
            number(main.get("load_average")),
            f"{main['rows']:,}" if "rows" in main else "–",
            *map(number, seconds),
            number(seconds[-1] / seconds[0] if all(seconds) else None),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _ratio(entry: dict[str, Any], of: str = "seconds") -> float | None:
    """Divide our seconds by those of the statement by hand; None where one is missing."""
    by_hand = entry.get(f"hand_written_{of}")
    return None if by_hand is None else float(entry[of] / by_hand)


def page(everything: dict[str, Any]) -> str:
    """The page of the documentation."""
    largest = SUBSCRIBERS[-1]
    return f"""# Every query kind

Audience: those who choose or operate the platform. Reading time: 4 minutes. How fast each query kind is, against a
DuckDB statement written by hand for the same specification, and how it grows with the number of subscribers.

Measured on {everything[str(MAIN)]["date"]}. {summary(everything)}
{table(everything)}
\\* Only the database has the data: the hand-written statement is one of PostgreSQL. `geography` and `dummy_query` read
next to nothing, so that their ratio is the fixed cost of a job.

*CPU ratio* is that of the processor seconds of the two in their common process, which other work on the machine disturbs
less; the database server's are not in it. *Load* is the load average of the machine when the kind was measured on {MAIN:,}
subscribers, if it was recorded. The last column is growth: the time on {largest:,} subscribers over that on
{SUBSCRIBERS[0]:,}, with {largest // SUBSCRIBERS[0]} times the events. The fixed cost of the parts of a query keeps it below that.

## How it is measured

Each registered kind has one representative specification, over the {DAYS} days and all event types at administrative
level 3 where it has the choice; kinds that occur only inside others are measured by storing them. A worker plans the
query and computes all its parts with nothing stored, through the job table as always; neither sockets nor polling are in
the time. An aggregate's time ends with the released table in the database, that of other kinds with the stored file.

The hand-written statements read the same day files and the same maps and end with a table in memory: no queue, no cache,
no table of released rows. A kind without such a statement is measured alone. They make use of what is known of one specification: how long the window is, that a file
holds one day, that a label's area is a rectangle. The two answers are compared row by row, integers exactly and other
numbers to a relative 1e-9.

The data of {SUBSCRIBERS[0]:,} and {MAIN:,} subscribers were made and loaded as real ones are. Those of {largest:,} are
{largest // MAIN} copies of the day files of {MAIN:,}, each with keys of its own for subscribers, counterparts and events;
they exist as files only. The synthetic country has no mobile money, so its transactions are drawn into the database
from a fixed seed.

## Try it

```console
$ make bench ARGS="--kinds"                                        # every kind on all three sizes
$ make bench ARGS="--kinds --subscribers 200000 --only handset"    # the others keep their numbers
```
"""
