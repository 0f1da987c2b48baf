"""Limit submitted specs, so that the sets of subscribers they count are far apart.

Two answers that differ by few subscribers reveal those subscribers. One walk over the tree of fields asks
each type of field what is beyond its limits. Direct use is not limited.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import marshmallow as ma

from flowmachine.settings import Limits
from flowmachine.spec.nested import Nested, NestedList, SubscriberSubset
from flowmachine.spec.query import Query
from flowmachine.spec.steps import Steps

Problems = dict[str | int, Any]


def check_limits(
    query: Query, limits: Limits, is_approved: Callable[[str], bool] = lambda query_id: False
) -> None:
    """Refuse a query that is beyond the limits.

    ``is_approved`` says of the id of a subset's query whether it is listed; it is asked where only listed ones
    are allowed. Raises marshmallow.ValidationError with messages by field.
    """
    if problems := _Walk(limits, is_approved).problems(query):
        raise ma.ValidationError(problems)


def check_subset(query: Query, limits: Limits) -> None:
    """Refuse a query that is beyond the limits of a subset."""
    if problems := _Walk(limits, lambda query_id: True).problems_of_subset(query):
        raise ma.ValidationError(problems)


class _Walk:
    """Look once at each part with the same steps, because parts are shared."""

    def __init__(self, limits: Limits, is_approved: Callable[[str], bool]) -> None:
        self._refuses_others = limits.subsets == "listed"
        self._is_approved = is_approved
        step = timedelta(seconds=limits.subset_step)
        self._usual = Steps(timedelta(seconds=limits.window_step))
        self._joined = Steps(step, where=" of joined inputs")
        self._subset = Steps(step, limits.subset_hours, " in a subscriber_subset")
        self._found: dict[tuple[int, Steps], Problems] = {}

    def problems(self, query: Query, steps: Steps | None = None) -> Problems:
        """Return messages by field, empty where the query is within the limits."""
        steps = steps or self._usual
        # By identity, because ids would have to be computed.
        key = id(query), steps
        if key not in self._found:
            self._found[key] = self._look(query, steps)
        return self._found[key]

    def problems_of_subset(self, query: Query) -> Problems:
        """Return messages by field of a query that stands for a subset."""
        return self.problems(query, self._subset)

    def _look(self, query: Query, steps: Steps) -> Problems:
        if steps is self._usual and joins(query):
            steps = self._joined
        found: Problems = {
            name: [problem]
            for name, edge in query.edges.items()
            if (problem := steps.edge_problem(edge)) is not None
        }
        for name, field in query.fields.items():
            value = getattr(query, name)
            if value is not None and (problems := self._look_at(field, value, steps)):
                found[name] = problems
        return found

    def _look_at(self, field: ma.fields.Field, value: Any, steps: Steps) -> Any:
        if isinstance(field, SubscriberSubset):
            # A listed subset is listed with the subsets within.
            if self._refuses_others and steps is not self._subset and not self._is_approved(value.query_id):
                return [f"Subset {value.query_id} is not in the list of approved subsets."]
            return self.problems_of_subset(value)
        if isinstance(field, Nested):
            return self.problems(value, steps)
        if isinstance(field, NestedList):
            parts = {number: self.problems(part, steps) for number, part in enumerate(value)}
            return {number: problems for number, problems in parts.items() if problems}
        beyond_limits = getattr(field, "beyond_limits", None)
        return beyond_limits(value, steps) if beyond_limits is not None else None


def joins(query: Query) -> bool:
    """Return whether a query joins two inputs; each window of its own is one."""
    fields = query.fields.values()
    nested = sum(isinstance(field, Nested | NestedList) for field in fields)
    # A kind that needs several queries in one list compares them.
    nested += any(isinstance(field, NestedList) and field.at_least > 1 for field in fields)
    return nested + (len(query.edges) + 1) // 2 > 1
