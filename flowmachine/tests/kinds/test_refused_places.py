"""Check refusals of wrong queries about places and distances."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import pytest

from flowmachine.queries import (
    CallDays,
    DayTrajectories,
    DistanceMatrix,
    DistanceSeries,
    FirstLocation,
    LastLocation,
    LocationCluster,
    PopulationWeightedOpportunities,
    SubscriberLocations,
    SubscriberLocationSubset,
)

from .specs import WINDOW


def series(bucket: str = "day") -> DistanceSeries:
    seen = SubscriberLocations(**WINDOW, aggregation_unit="lon-lat")
    return DistanceSeries(subscriber_locations=seen, time_bucket=bucket)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: SubscriberLocations(**WINDOW, aggregation_unit="grid"), "aggregation_unit"),
        (lambda: SubscriberLocations(**WINDOW, mapping_table="geography.districts"), "mapping_table"),
        (
            lambda: SubscriberLocations(**WINDOW, aggregation_unit="admin3", ignore_nulls=False),
            "ignore_nulls",
        ),
        (lambda: FirstLocation(**WINDOW, aggregation_unit="lon-lat", location="x"), "location"),
        (lambda: FirstLocation(**WINDOW, location=[]), "location"),
        (lambda: FirstLocation(**WINDOW, location=7), "location"),
        (lambda: SubscriberLocationSubset(**WINDOW, aggregation_unit="cell", min_calls=0), "min_calls"),
        (lambda: CallDays(subscriber_locations=LastLocation(**WINDOW)), "subscriber_locations"),
        (lambda: DayTrajectories(locations=[]), "locations"),
        (lambda: DayTrajectories(locations=[LastLocation(**WINDOW)]), "locations"),
        (lambda: DistanceMatrix(aggregation_unit="cell"), "aggregation_unit"),
        (lambda: PopulationWeightedOpportunities(**WINDOW, aggregation_unit="admin3"), "aggregation_unit"),
        (
            lambda: PopulationWeightedOpportunities(start_date="2016-01-02", end_date="2016-01-01"),
            "end_date",
        ),
        (lambda: DistanceSeries(subscriber_locations=SubscriberLocations(**WINDOW)), "subscriber_locations"),
        (
            lambda: DistanceSeries(
                subscriber_locations=SubscriberLocations(**WINDOW, aggregation_unit="lon-lat"),
                reference_location=LastLocation(**WINDOW),
            ),
            "reference_location",
        ),
        (
            lambda: DistanceSeries(
                subscriber_locations=SubscriberLocations(**WINDOW, aggregation_unit="lon-lat"),
                reference_point=(0, 91),
            ),
            "reference_point",
        ),
        (
            lambda: LocationCluster(date="2016-01-01", method="dbscan", density_tolerance=0),
            "density_tolerance",
        ),
    ],
)
def test_what_cannot_be_asked_names_its_field(make: Any, field: str) -> None:
    with pytest.raises(ma.ValidationError) as refused:
        make()
    assert list(refused.value.normalized_messages()) == [field]
