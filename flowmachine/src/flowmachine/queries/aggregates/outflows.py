"""Sum the flows from each location."""

from __future__ import annotations

from typing import ClassVar

from flowmachine.queries.aggregates._flowing import EndSums
from flowmachine.spec.query import query_kind


@query_kind(
    "outflows",
    summary="The flows from each location to all destinations, including those who stayed.",
)
class Outflows(EndSums):
    """Sum the flows from each location over their destinations.

    The sum is taken before anything is withheld.
    """

    end: ClassVar[str] = "from"
