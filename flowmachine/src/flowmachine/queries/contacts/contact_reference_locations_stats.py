"""Measure how far subscribers' reference locations are from their contacts'."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.sql import Select

from flowmachine.queries._statistics import STATISTICS, statistic, statistic_type
from flowmachine.queries.contacts.contact_balance import ContactBalance
from flowmachine.queries.families import REFERENCE_LOCATIONS
from flowmachine.spec.fields import Choice, optional, required
from flowmachine.spec.nested import Nested
from flowmachine.spec.query import Query, Sources, SubscriberMetric, query_kind
from flowmachine.sql.geometry import geodesic_metres


@query_kind("contact_reference_locations_stats", direct=True)
class ContactReferenceLocationsStats(SubscriberMetric):
    """Take a statistic of the distances to contacts' reference locations.

    Distances are km on the spheroid between the subscriber's location and that of each contact, each contact once.
    ``contact_locations`` are at unit ``lon-lat`` and hold the subscribers', too. Who has no location is left out.
    """

    contact_balance: ContactBalance = required(Nested("contact_balance"))
    contact_locations: Query = required(Nested(*REFERENCE_LOCATIONS, component="ReferenceLocation"))
    statistic: str = optional(Choice(*STATISTICS), "avg")

    def check(self) -> None:
        unit = self.contact_locations.unit
        if unit is None or unit.name != "lon-lat":
            raise ma.ValidationError({"contact_locations": ["Must be at aggregation unit lon-lat."]})

    @property
    def columns(self) -> dict[str, Any]:  # type: ignore[override]
        return {"subscriber": sa.Text(), "value": statistic_type(self.statistic, sa.Double())}

    def select(self, sources: Sources) -> Select[Any]:
        assert self.contact_locations.unit is not None
        contacts = sources.stored(self.contact_balance)
        own = sa.select(sources.stored(self.contact_locations)).subquery("own")
        other = sa.select(sources.stored(self.contact_locations)).subquery("other")
        regions = sources.regions(self.contact_locations.unit)
        here, there = regions.alias("here"), regions.alias("there")
        km = geodesic_metres(here.c.lon, here.c.lat, there.c.lon, there.c.lat) / 1000
        value = statistic(self.statistic, km)
        return (
            sa.select(contacts.c.subscriber, value.label("value"))
            .join(own, own.c.subscriber == contacts.c.subscriber)
            .join(other, other.c.subscriber == contacts.c.msisdn_counterpart)
            .join(here, here.c.location == own.c.location)
            .join(there, there.c.location == other.c.location)
            .group_by(contacts.c.subscriber)
        )
