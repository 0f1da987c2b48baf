"""The definition of the location of a month."""

from __future__ import annotations

from datetime import datetime

from ..oracle import DAY, NoData, Oracle, Row, Spec, definition, group
from .definitions import last, modal, most_common


@definition
def monthly_location(oracle: Oracle, spec: Spec) -> list[Row]:
    day = datetime.fromisoformat(f"{spec['month']}-01")
    locate = last if spec["method"] == "last" else most_common
    days = []
    while day.isoformat().startswith(spec["month"]):
        try:
            placed = oracle.placed(spec, spec["aggregation_unit"], day, day + DAY)
        except NoData:
            pass
        else:
            days.append([(who, day, place) for who, place in locate(placed)])
        day += DAY
    if not days:
        raise NoData
    named = group((row[0], row) for rows in days for row in rows)
    enough = [rows for rows in named.values() if len(rows) >= spec.get("minimum_days", 10)]
    return modal(row for rows in enough for row in rows)
