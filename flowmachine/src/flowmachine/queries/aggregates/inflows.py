"""Sum the flows to each location."""

from __future__ import annotations

from typing import ClassVar

from flowmachine.queries.aggregates._flowing import EndSums
from flowmachine.spec.query import query_kind


@query_kind(
    "inflows",
    summary="The flows to each location from all origins, including those who stayed.",
)
class Inflows(EndSums):
    """Sum the flows to each location over their origins.

    The sum is taken before anything is withheld.
    """

    end: ClassVar[str] = "to"
