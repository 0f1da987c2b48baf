"""Measure how irregular each subscriber's places are."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy.sql import Select

from flowmachine.queries._entropy import ENTROPY_COLUMNS, entropy
from flowmachine.spec.fields import Choice, optional
from flowmachine.spec.places import DIRECT_UNITS, UNITS
from flowmachine.spec.query import EventSelection, Query, Sources, query_kind
from flowmachine.spec.units import NetworkUnit
from flowmachine.spec.windows import EventFields, Window, window_selection
from flowmachine.sql.events import locate_events


@query_kind("location_entropy", direct=True)
class LocationEntropy(Window, NetworkUnit, EventFields, Query):
    """Compute the entropy, in nats, of the locations of each subscriber's events.

    Song, Qu, Blumm and Barabasi, Limits of Predictability in Human Mobility, Science 327, 2010, call this the
    temporal-uncorrelated entropy.
    """

    columns: ClassVar[dict[str, Any]] = ENTROPY_COLUMNS

    aggregation_unit: str = optional(Choice(*UNITS, *DIRECT_UNITS), "cell")

    @property
    def events(self) -> tuple[EventSelection]:
        return (window_selection(self),)

    def select(self, sources: Sources) -> Select[Any]:
        located = locate_events(sources, self.events[0], self.unit, ())
        return entropy(located, located.c.location)
