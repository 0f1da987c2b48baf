"""What readers expect of the summaries of kinds that put rows of others together."""

from __future__ import annotations

from typing import Any

from .sayings import WINDOW, says
from .specs import daily, visits

COUNTED: dict[str, Any] = {"query_kind": "event_count", **WINDOW}
#: Those with three events.
THREE: dict[str, Any] = {"stay": [(3,)], "leave": [(3,)], "return": [(3,)]}

says(
    "subset",
    "Select the rows whose ``column`` is one of ``values``.",
    {"quiet": [(1,)], "others": [(5,)]},
    query=COUNTED,
    column="value",
    values=[1, 5],
)
says(
    "numeric_subset",
    "Select the rows whose ``column`` lies between ``low`` and ``high``, inclusive.",
    {**THREE, "others": [(5,)]},
    query=COUNTED,
    column="value",
    low=3,
    high=5,
)
says(
    "join",
    "Join two queries where the columns ``on`` are equal.",
    # The quiet have no location on Saturday.
    {
        "stay": [(3, "b")],
        "leave": [(3, "B")],
        "return": [(3, "B")],
        "others": [(5, "B")],
    },
    left=COUNTED,
    right=daily(2),
)
says(
    "union",
    "Concatenate queries with equal columns and one spatial unit.",
    {
        "stay": [("b",), ("b",)],
        "leave": [("B",), ("b",)],
        "return": [("B",), ("b",)],
        "quiet": [("b",)],
        "others": [("B",), ("B",)],
    },
    queries=[daily(1), daily(2)],
)
says(
    "combine_first",
    "Join two queries fully, and fill nulls of the first from the second.",
    {"stay": [("b",)], "leave": [("B",)], "return": [("B",)], "quiet": [("b",)], "others": [("B",)]},
    first=daily(2),
    second=daily(1),
)
says(
    "per_subscriber_statistic",
    "Take a statistic of a column over each subscriber's rows in a query.",
    {"stay": [(3,)], "leave": [(2,)], "return": [(2,)], "quiet": [(1,)], "others": [(3,)]},
    query=visits(1, 2, 3),
    column="value",
    statistic="max",
)
says(
    "random_sample",
    "Draw some rows by a seed.",
    lambda rows: len(rows) == 9 and all(value in (1, 3, 5) for _, value in rows),
    query=COUNTED,
    sample={"sampling_method": "random_ids", "size": 9, "seed": 0.5},
)
says(
    "subscriber_set",
    "Select the subscribers of a query, each once.",
    {name: [()] for name in ("stay", "leave", "return", "quiet", "others")},
    query=visits(1, 2, 3),
)
