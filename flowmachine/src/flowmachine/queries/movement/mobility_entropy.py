"""Measure how evenly each subscriber's events are spread over places."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries.movement._sequence import Sequenced, visits
from flowmachine.spec.fields import Choice, Flag, optional
from flowmachine.spec.query import Sources, SubscriberMetric, query_kind
from flowmachine.spec.sampling import Sampled


@query_kind(
    "mobility_entropy", summary="How evenly each subscriber's events are spread over places, in bits."
)
class MobilityEntropy(Sequenced, Sampled, SubscriberMetric):
    """Compute the entropy of the places of a subscriber's events, in bits.

    ``random`` is log2 of the number of places. ``uncorrelated`` is the sum of p log2(1/p) over places with a
    share p of the events. ``normalise`` divides it by the random entropy; it is 0 at a single place (Song and
    others, Science 327, 2010).
    """

    columns: ClassVar[dict[str, Any]] = {"subscriber": sa.Text(), "value": sa.Double()}

    entropy: str = optional(Choice("random", "uncorrelated"), "uncorrelated")
    # Not both options of an example can be given at once.
    normalise: bool = optional(Flag(), False, "Only for ``uncorrelated``.", example=False)

    def check(self) -> None:
        if self.normalise and self.entropy != "uncorrelated":
            raise ma.ValidationError({"normalise": ["Only for uncorrelated entropy."]})

    def select(self, sources: Sources) -> Select[Any]:
        found = visits(sources, self)
        events = sa.cast(found.c.events, sa.Double)
        total = sa.func.sum(events).over(partition_by=found.c.subscriber)
        shares = sa.select(found.c.subscriber, (events / total).label("share")).subquery("shares")
        places = sa.cast(sa.func.count(), sa.Double)
        random = sa.func.ln(places) / math.log(2)
        value: Any = random
        if self.entropy == "uncorrelated":
            value = -sa.func.sum(shares.c.share * sa.func.ln(shares.c.share)) / math.log(2)
            # A sum of negative zeros is not to be shown as such.
            value = sa.func.greatest(value, 0.0)
            if self.normalise:
                value = sa.case((sa.func.count() > 1, value / random), else_=0.0)
        return sa.select(shares.c.subscriber, value.label("value")).group_by(shares.c.subscriber)
