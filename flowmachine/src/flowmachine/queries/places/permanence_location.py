"""Locate each subscriber at their home or workplace by permanence."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.places._usual import HOME, WORK, Thresholds, labelled, permanences
from flowmachine.queries.places.daily_permanence import DailyPermanence
from flowmachine.spec.fields import Choice, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.places import SpatialUnit
from flowmachine.spec.query import Query, Sources, SubscriberLocations, query_kind
from flowmachine.sql.functions import earlier_place, first_by


@query_kind(
    "permanence_location", summary="One location per subscriber: home or workplace by the time spent there."
)
class PermanenceLocation(Thresholds, SubscriberLocations):
    """Find the home or the workplace of subscribers who are observed enough.

    Subscribers observed in fewer slots than ``min_score`` or on fewer days than ``min_days`` have no row. Of the
    locations in order of ``score``, those after the first fall by ``gap_share`` percent of the highest are left out.
    *Usual* are the locations with at least ``ue_share`` percent of the observed slots, or else of those of nights, or else of
    those of working hours on workdays, or else of the observed days. A subscriber's first rule that one location passes
    decides. Homes are usual locations of the highest score, less than ``gap_score`` slots below the next higher one, with
    ``label_share`` percent of the observed slots, or else of those of nights, or else of nights. Workplaces are those
    with ``label_share`` percent of the observed working hours on workdays, or else of their days.

    Of several, the location of the highest score counts, then that of most days, then the one that sorts first. Nights
    are from 18 to 8 o'clock and working hours from 8 to 17, as of ``permanence``. Thresholds are for four to six months (Eurostat's
    multimno 1.0.0, usual environment labelling; one rule for each subscriber: our choice).
    """

    daily_permanence: DailyPermanence = required(Nested("daily_permanence"))
    label: str = required(Choice(HOME, WORK), "What to find.")

    @property
    def unit(self) -> SpatialUnit:
        return self.daily_permanence.unit

    @cached_property
    def children(self) -> tuple[Query, ...]:
        return permanences(self.daily_permanence)

    def select(self, sources: Sources) -> Select[Any]:
        found = labelled(sources, self.daily_permanence, self, self.label, "found")
        place = first_by(found.c.location, found.c.score, found.c.days, earlier_place(found.c.location))
        return sa.select(found.c.subscriber, place.label("location")).group_by(found.c.subscriber)
