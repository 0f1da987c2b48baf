"""Ask bandicoot for measures of a file of events: ``EVENTS ASKED ANSWERS``."""

from __future__ import annotations

import csv
import datetime as dt
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from asking import answer

warnings.simplefilter("ignore")


def _parameters(function: Callable[..., Any]) -> tuple[Any, ...]:
    return tuple(inspect.getfullargspec(function))[:4]


def _signature(
    names: Sequence[str],
    positional: str | None = None,
    keyword: str | None = None,
    defaults: Sequence[Any] | None = None,
    formatvalue: Callable[[Any], str] = "={!r}".format,
) -> str:
    values = list(defaults or ())
    without = len(names) - len(values)
    told = [*names[:without]]
    told += [name + formatvalue(value) for name, value in zip(names[without:], values, strict=True)]
    told += [stars + name for stars, name in (("*", positional), ("**", keyword)) if name]
    return f"({', '.join(told)})"


# Python 3.11 no longer has two functions that this version of bandicoot calls when it is imported.
inspect.getargspec = _parameters  # type: ignore[attr-defined]
inspect.formatargspec = _signature  # type: ignore[attr-defined]

import bandicoot  # noqa: E402
from bandicoot.core import Position, Record  # noqa: E402


def _user(name: str, rows: Iterable[dict[str, str]], places: dict[str, tuple[float, float]]) -> Any:
    records = [
        Record(
            interaction=row["type"],
            direction=row["direction"],
            correspondent_id=row["counterpart"],
            datetime=dt.datetime.fromisoformat(row["time"]),
            call_duration=float(row["duration"]) if row["duration"] else None,
            position=Position(antenna=row["place"] or None),
        )
        for row in rows
    ]
    user, _ = bandicoot.io.load(name, records, places, describe=False, warnings=False)
    return user


def _only(value: Any) -> Any:
    """Return the one number of nested groups, or the mean of a distribution."""
    while isinstance(value, dict):
        value = value["mean"] if "mean" in value else next(iter(value.values()))
    return value


def main() -> None:
    with open(sys.argv[1], newline="") as file:
        rows = list(csv.DictReader(file))
    places = {row["place"]: (float(row["lat"]), float(row["lon"])) for row in rows if row["place"]}
    everything, located = {}, {}
    for name, group in groupby(rows, itemgetter("subscriber")):
        own = list(group)
        everything[name] = _user(name, own, places)
        # An event without a place would be at one more place.
        if placed := [row for row in own if row["place"]]:
            located[name] = _user(name, placed, places)

    def compute(question: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        if question["function"] == "User.recompute_home":

            def homes() -> dict[str, Any]:
                for user in located.values():
                    user.recompute_home()
                found = {name: user.home for name, user in located.items() if user.home}
                return {
                    name: list(reversed(home.location or places[home.antenna]))
                    for name, home in found.items()
                }

            return homes
        module, name = question["function"].split(".")
        function = getattr(getattr(bandicoot, module), name)
        users = located if module == "spatial" else everything

        def run() -> dict[str, Any]:
            found = {
                name: _only(function(user, groupby=None, **question["arguments"]))
                for name, user in users.items()
            }
            return {name: value for name, value in found.items() if value is not None}

        return run

    answer("bandicoot", compute)


if __name__ == "__main__":
    main()
