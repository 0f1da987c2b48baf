"""Check refusals of composed kinds, calendars and clusters."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import pytest

from flowmachine.queries.catalogue import load_any

from .aggregates.drawing import LABELS, WEEKDAYS
from .money_and_devices.test_mobile_money import SPEC as MOBILE_MONEY
from .specs import CALENDAR, classified, coalesced, daily, majority, meaningful, on, visits, window
from .test_validation import MISSING, texts

SQUARE = LABELS["evening"]
MEANINGFUL = meaningful(
    "meaningful_locations_aggregate", start_date="2016-01-01", end_date="2016-01-02", label="evening"
)
AT_ADMIN2 = daily(1, aggregation_unit="admin2")
VISITS_AT_ADMIN2 = {"query_kind": "location_visits", "locations": [AT_ADMIN2]}
MAJORITY_AT_ADMIN2 = {"query_kind": "majority_location", "subscriber_location_weights": VISITS_AT_ADMIN2}
AT_ADMIN2_TOO = coalesced(MAJORITY_AT_ADMIN2, MAJORITY_AT_ADMIN2, VISITS_AT_ADMIN2)
NETWORK = {
    "query_kind": "aggregate_network_objects",
    "total_network_objects": window("total_network_objects"),
    "statistic": "avg",
    "aggregate_by": "day",
}
ADMINISTRATIVE = ["Must be one of: admin0, admin1, admin2, admin3."]
ONE_UNIT = ["All locations must have the same aggregation unit"]
SCORE = ["Must be greater than or equal to -1.0 and less than or equal to 1.0."]
AT_LEAST_ONE = ["Must be greater than or equal to 1."]

REFUSED: list[tuple[Any, Any]] = [
    (visits(), {"locations": ["Shorter than minimum length 1."]}),
    (visits(1) | {"locations": [daily(1), AT_ADMIN2]}, {"locations": ONE_UNIT}),
    (
        visits(1) | {"locations": [window("unique_locations")]},
        {"locations": {"0": {"query_kind": ["Unsupported value: unique_locations"]}}},
    ),
    (majority(1, minimum_total_weight="much"), {"minimum_total_weight": ["Not a valid number."]}),
    (majority(1, minimum_total_weight=True), {"minimum_total_weight": ["Not a valid number."]}),
    (majority(1, include_unlocatable="maybe"), {"include_unlocatable": ["Not a valid boolean."]}),
    (
        majority(1) | {"subscriber_location_weights": daily(1)},
        {"subscriber_location_weights": {"query_kind": ["Unsupported value: daily_location"]}},
    ),
    (
        coalesced(majority(1), MAJORITY_AT_ADMIN2, visits(1)),
        {
            "fallback_location": [
                "fallback_location must have the same aggregation_unit as preferred_location"
            ],
            "subscriber_location_weights": [
                "subscriber_location_weights must have the same aggregation_unit as fallback_location"
            ],
        },
    ),
    (on(1) | {"weight_threshold": None}, {"weight_threshold": ["Field may not be null."]}),
    (
        on(1) | {"preferred_location": visits(1)},
        {
            "preferred_location": {
                "query_kind": ["Must be one of: majority_location."],
                "subscriber_location_weights": MISSING,
                "locations": ["Unknown field."],
            }
        },
    ),
    (classified(on(1), AT_ADMIN2_TOO), {"locations": ONE_UNIT}),
    (
        classified(on(1), threshold=1) | {"stay_length_threshold": "2.7"},
        {"stay_length_threshold": ["Not a valid integer."]},
    ),
    (
        {
            "query_kind": "labelled_flows",
            "from_location": on(1),
            "to_location": AT_ADMIN2_TOO,
            "labels": classified(on(1)),
        },
        {"_schema": ["'from_location' and 'to_location' parameters must have the same aggregation unit"]},
    ),
    (
        NETWORK | {"aggregate_by": "week"},
        {"aggregate_by": ["Must be one of: second, minute, hour, day, month, year, century."]},
    ),
    ({**NETWORK, "aggregate_by": None}, {"aggregate_by": ["Field may not be null."]}),
    (CALENDAR | {"total_periods": 0}, {"total_periods": AT_LEAST_ONE}),
    (CALENDAR | {"period_length": 0}, {"period_length": AT_LEAST_ONE}),
    *[
        (CALENDAR | endless, {"_schema": ["The periods end after the year 9999."]})
        for endless in ({"total_periods": 3_000_000}, {"period_length": 10**12})
    ],
    (CALENDAR | {"period_unit": "weeks"}, {"period_unit": ["Must be one of: days, hours, minutes."]}),
    (CALENDAR | {"query_kind": "localised_calendar_activity"}, {"reference_location": MISSING}),
    (
        CALENDAR | {"query_kind": "localised_calendar_activity", "reference_location": None},
        {"reference_location": ["Field may not be null."]},
    ),
    (MOBILE_MONEY | {"metric": "tax"}, {"metric": ["Must be one of: amount, commission, fee, discount."]}),
    (MOBILE_MONEY | {"aggregation_unit": "lon-lat"}, {"aggregation_unit": ADMINISTRATIVE}),
    (MOBILE_MONEY | {"hours": None}, {"hours": ["Unknown field."]}),
    # Meaningful locations
    (MEANINGFUL | {"aggregation_unit": "lon-lat"}, {"aggregation_unit": ADMINISTRATIVE}),
    (MEANINGFUL | {"hours": None}, {"hours": ["Unknown field."]}),
    (MEANINGFUL | {"sampling": None}, {"sampling": ["Unknown field."]}),
    (
        MEANINGFUL | {"tower_hour_of_day_scores": [0.5] * 23},
        {"tower_hour_of_day_scores": ["Length must be 24."]},
    ),
    (
        MEANINGFUL | {"tower_hour_of_day_scores": [0.5] * 23 + [1.5]},
        {"tower_hour_of_day_scores": {"23": SCORE}},
    ),
    (
        MEANINGFUL | {"tower_day_of_week_scores": dict.fromkeys(WEEKDAYS[1:], 0.5)},
        {"tower_day_of_week_scores": {"monday": {"key": MISSING}}},
    ),
    (
        MEANINGFUL | {"tower_day_of_week_scores": dict.fromkeys((*WEEKDAYS, "holiday"), 0.5)},
        {"tower_day_of_week_scores": {"holiday": {"key": [f"Must be one of: {', '.join(WEEKDAYS)}."]}}},
    ),
    (
        MEANINGFUL | {"tower_day_of_week_scores": dict.fromkeys(WEEKDAYS, -2)},
        {"tower_day_of_week_scores": {day: {"value": SCORE} for day in WEEKDAYS}},
    ),
    (MEANINGFUL | {"labels": []}, {"labels": ["Not a valid mapping type."]}),
    (MEANINGFUL | {"labels": {}}, {"labels": ["Shorter than minimum length 1."]}),
    (MEANINGFUL | {"labels": {"home": None}}, {"labels": {"home": {"value": ["Field may not be null."]}}}),
    (MEANINGFUL | {"labels": {"home": 1}}, {"labels": {"home": {"value": ["Not a valid mapping type."]}}}),
    (
        MEANINGFUL | {"labels": {"unknown": SQUARE}},
        {"labels": {"unknown": {"key": ["unknown is the label of what lies in no area."]}}},
    ),
    *[
        (MEANINGFUL | {"labels": {"home": wrong}}, {"labels": {"home": {"value": [text]}}})
        for wrong, text in (
            ({"type": "Polygon"}, "Not a valid GeoJSON geometry."),
            ({"type": "Polygon", "coordinates": "x"}, "Not a valid GeoJSON geometry."),
            ({**SQUARE, "extra": float("nan")}, "Not a valid GeoJSON geometry."),
            ({"type": "Circle", "coordinates": []}, "Not a valid GeoJSON geometry."),
            ({"type": "Point", "coordinates": [0, 0]}, "Not a valid GeoJSON polygon."),
            ({"type": "Polygon", "coordinates": []}, "Not a valid GeoJSON polygon."),
            (
                {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
                "Not a valid GeoJSON polygon.",
            ),
        )
    ],
    (
        MEANINGFUL | {"labels": {"home": SQUARE, "work": SQUARE}},
        {"labels": ["The areas of home and work must not touch each other."]},
    ),
]


@pytest.mark.parametrize(("spec", "messages"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_refusals(spec: Any, messages: dict[str, Any]) -> None:
    with pytest.raises(ma.ValidationError) as refusal:
        load_any(spec)
    assert texts(refusal.value.messages) == messages


def test_labels_and_scores_are_part_of_the_identity() -> None:
    query = load_any(MEANINGFUL)
    assert load_any(query.spec()).query_id == query.query_id
    for changed in (
        {"labels": {"evening": LABELS["day"]}},
        {"tower_hour_of_day_scores": [0.5] * 24},
        {"tower_day_of_week_scores": dict.fromkeys(WEEKDAYS, 0.25)},
        {"tower_cluster_radius": 2.0},
        {"label": "day"},
    ):
        assert load_any(MEANINGFUL | changed).query_id != query.query_id
