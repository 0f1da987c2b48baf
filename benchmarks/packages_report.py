"""Write the page that compares our measures with those of published packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.package_measures import MEASURES
from benchmarks.packages import unexplained
from benchmarks.record import write_whole
from benchmarks.report import DOCS, RESULTS, number

NUMBERS = RESULTS / "packages.json"
PAGE = DOCS / "packages.md"


def keep(found: dict[str, Any]) -> None:
    """Replace the numbers, except those of a package that could not be asked now."""
    known = numbers()
    missing = [name for name, package in found["packages"].items() if "missing" in package]
    for name in missing:
        if "version" in known.get("packages", {}).get(name, {}):
            found["packages"][name] = known["packages"][name]
            found["measures"] += [entry for entry in known["measures"] if entry["package"] == name]
    write_whole(NUMBERS, json.dumps(found, indent=1) + "\n")


def numbers() -> dict[str, Any]:
    """Return the latest comparison."""
    found: dict[str, Any] = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    return found


def write() -> list[Path]:
    """Make the page of the documentation again from the numbers."""
    write_whole(PAGE, page(numbers()))
    return [NUMBERS, PAGE]


def differing(found: dict[str, Any]) -> list[str]:
    """Return the measures whose values differ for no reason that is told."""
    return [f"{entry['package']}, {entry['name']}" for entry in found["measures"] if unexplained(entry)]


def page(found: dict[str, Any]) -> str:
    """The page of the documentation."""
    machine = found["machine"]
    packages = " and ".join(
        f"{name} {package['version']} (Python {package['python']})"
        if "version" in package
        else f"{name} (not compared: {package['missing']})"
        for name, package in found["packages"].items()
    )
    same = [entry for entry in found["measures"] if "as_defined" not in entry and not unexplained(entry)]
    defined = [entry for entry in found["measures"] if "as_defined" in entry and not unexplained(entry)]
    return f"""# Published packages

Audience: analysts and researchers who know other packages. Reading time: 4 minutes. Where published packages define the
measures that we have, and whether the numbers are the same.

Measured on {found["date"]} with {packages}: {found["events"]:,} calls and texts of {found["subscribers"]:,} invented subscribers in
{found["days"]} days; {machine["processors"]} processors ({machine["model"]}), DuckDB {machine["duckdb"]}.

- Same definition and equal values of every subscriber: {len(same)} of {len(found["measures"])} measures.
- Another definition, and equal values once it is followed: {len(defined)}.
- Differences without a reason: {", ".join(differing(found)) or "none"}.

{table(found)}
*Equal* counts subscribers whose two values are the same to a relative 1e-6, of those with a value on both sides. The *largest
difference* is relative; places have none. Where the definitions differ, the package's is written as a statement over the same
events. *As it defines* counts the subscribers for whom the package equals that statement, so that the sentence tells the whole
difference. What is under 0.000001 counts as 0: the radius of a single place is a rounding error.

*Processor seconds* are those of the process, the least of {found["repeats"]}. Ours are from the query to its rows with nothing stored, without the
database server's share, and mostly a fixed cost at this size: [a page of its own](kinds.md) has larger ones. The package's are those of its function
alone, with the events already in memory.

## What differs

- **The earth.** Distances of ours are geodesics of the WGS 84 spheroid, as maps and positioning have it. A ball of 6,371 km is off by at
  most 0.6%. To compare with a study that used a ball, expect that much.
- **Half-hours.** bandicoot counts where a subscriber was in each half-hour with an event, so that twenty calls in a row weigh as
  much as one. Ours count events, as González and others and scikit-mobility do.
- **Logarithms.** `mobility_entropy` is in bits, as scikit-mobility's. `LocationEntropy` and `ContactEntropy` of direct use are in nats, as bandicoot's.
- **Home.** Ties go to the place seen last in ours, to the southernmost in scikit-mobility, to the one seen first in bandicoot.

## What is not compared

- scikit-mobility's real entropy: we have none. Its waiting times leave out events without a place; bandicoot's intervals are compared instead.
- bandicoot's share of events at home, frequent places, response rates and churn: we have no such measure. Its network and recharge indicators:
  they need records of the contacts, or of another table.
- bandicoot gives the mean of weeks unless told otherwise; here it is asked with `groupby=None` for all days together.

## How it is measured

The benchmark's generator makes the subscribers and the loader loads them. Our values come from [direct use](../analysts/direct-use.md) with
DuckDB over the columnar files. The same events are written as CSV and given to each package in a process and an environment of its own, in the order of time and
place. scikit-mobility sees the events that have a place, and so do bandicoot's spatial indicators; its others see all.

scikit-mobility asks for python-igraph 0.9, which has no build for Python 3.11; no function used here needs it, so a later one is installed.
bandicoot calls two functions of `inspect` that Python 3.11 removed; Python 3.10 is the last that has them. Its script defines them before the import.
The versions are pinned in `benchmarks/peers/`.

## Try it

```console
$ make bench ARGS="--packages"           # with uv and a package index; under ten minutes
$ make bench ARGS="--packages --docs"    # only this page, from the latest numbers
```
"""


def table(found: dict[str, Any]) -> str:
    """The measures as rows."""
    header = ["Measure", "Ours", "Package's function", "Definitions", "Subscribers", "Equal"]
    header += ["Largest difference", "As it defines", "Ours, s", "Package, s"]
    lines = ["| " + " | ".join(header) + " |", "|---" * 4 + "|---:" * 6 + "|"]
    known = {(entry["package"], entry["name"]): entry for entry in found["measures"]}
    for measure in MEASURES:
        entry = known.get((measure.package, measure.name))
        if entry is None:
            continue
        alone = [
            f"{entry[side]} with a value only {where}"
            for side, where in (("only_ours", "here"), ("only_theirs", "there"))
            if entry[side]
        ]
        definitions = "; ".join([measure.differs or "the same", *alone])
        as_defined = entry.get("as_defined")
        largest = entry["largest_difference"]
        cells = [
            measure.name,
            f"`{measure.kind}`",
            f"{measure.package} `{measure.function}`",
            definitions,
            f"{entry['compared']:,}",
            f"{entry['equal']:,}",
            "–" if largest is None else f"{largest:.1e}" if largest else "0",
            f"{as_defined['equal']:,} of {as_defined['compared']:,}" if as_defined else "–",
            number(entry["processor_seconds"]),
            number(entry["package_processor_seconds"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
