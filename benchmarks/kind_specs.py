"""Derive a representative specification of every registered kind from its fields.

A field has one value wherever it occurs, by default that of its example. Only where a kind is better shown by another
value, or has no rows with the usual one, does its entry in ``_of_kind`` say so.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from benchmarks.country import EVENT_TYPES
from benchmarks.questions import UNIT, Spec, Window
from flowmachine.queries.catalogue import kinds
from flowmachine.queries.examples import value as value_of
from flowmachine.spec.nested import Nested

_DAY = dt.timedelta(days=1)

#: Kinds about several weeks or months, which the week of the benchmark cannot hold; they are not compared.
ABOUT_MORE_THAN_A_WEEK = ("network_silence", "residence_change")

#: What the periods of the inputs of ``mobility_classification`` are: days of the window by number, each period its own.
PERIODS = ((0, 3), (2, 5), (4, 7))
RADIUS_KM = 1.0
PROPORTION = 0.8
BINS = 10
NIGHT = (20, 4)
#: Hour scores of places used in the evening and in the day; the scores of the days do not matter.
EVENING = (-1.1, -0.01)
DAY = (0.01, 1.1)
HOUR_SCORES = (-1,) * 7 + (0,) * 2 + (1,) * 8 + (0,) * 4 + (-1,) * 3
#: Slots and days of permanence for homes and workplaces of one week.
WEEK_OF_PERMANENCE = {"min_score": 10, "min_days": 3, "gap_share": 50, "ue_share": 40, "label_share": 50}
WEEKDAY_SCORES = {
    **dict.fromkeys(("monday", "tuesday", "wednesday"), 1),
    "thursday": 0,
    **dict.fromkeys(("friday", "saturday", "sunday"), -1),
}


def specification(kind: str, window: Window) -> Spec:
    """A valid specification of the kind over the window."""
    return _Specifications(window).of(kind)


class _Specifications:
    def __init__(self, window: Window) -> None:
        first, after = window
        self._window = window
        middle = first + (after - first) // 2
        self._values: dict[str, Any] = {
            "start_date": first.isoformat(),
            "end_date": after.isoformat(),
            "start_date_a": first.isoformat(),
            "end_date_a": middle.isoformat(),
            "start_date_b": middle.isoformat(),
            "end_date_b": after.isoformat(),
            "date": (first + _DAY).isoformat(),
            "total_periods": (after - first).days,
            "aggregation_unit": UNIT,
            "event_types": list(EVENT_TYPES),
            "method": "most-common",
            "statistic": "avg",
            "metric": "amount",
            "characteristic": "brand",
            "interval": "hour",
            "total_by": "hour",
            "aggregate_by": "day",
            "night_hours": {"start_hour": NIGHT[0], "end_hour": NIGHT[1]},
            "proportion": PROPORTION,
            "bins": {"n_bins": BINS},
            "weight_threshold": 2,
            "stay_length_threshold": 2,
            "labels": {"evening": _band(*EVENING), "day": _band(*DAY)},
            "label": "evening",
            "label_a": "evening",
            "label_b": "day",
            "tower_hour_of_day_scores": list(HOUR_SCORES),
            "tower_day_of_week_scores": dict(WEEKDAY_SCORES),
            "tower_cluster_radius": RADIUS_KM,
            "dummy_param": "nothing",
        }

        def modal(first: dt.date, after: dt.date) -> Spec:
            return {
                "query_kind": "modal_location",
                "locations": self._daily(first, after, "most-common"),
            }

        movement = {"from_location": modal(first, middle), "to_location": modal(middle, after)}
        periods = [self._coalesced(*days) for days in PERIODS]
        talks = {"event_types": None}
        self._of_kind: dict[str, dict[str, Any]] = {
            "spatial_aggregate": {"locations": modal(first, after)},
            "joined_spatial_aggregate": {
                "locations": self.daily(first + _DAY, "last"),
                "metric": lambda: self.of("radius_of_gyration"),
                "method": "avg",
            },
            "histogram_aggregate": {"metric": lambda: self.of("nocturnal_events")},
            "active_at_reference_location_counts": {"reference_locations": modal(first, after)},
            "unmoving_at_reference_location_counts": {"reference_locations": modal(first, after)},
            "flows": movement,
            "inflows": movement,
            "outflows": movement,
            "modal_location": {"locations": self._daily(first, after, "most-common")},
            "location_visits": {"locations": self._daily(first, after, "last")},
            "coalesced_location": periods[0],
            "mobility_classification": {"locations": periods},
            "labelled_spatial_aggregate": {"locations": periods[-1]},
            # Of the month only the days of the window are loaded.
            "monthly_location": {"month": f"{first:%Y-%m}", "minimum_days": 3, "method": "last"},
            # What is near a point reaches beyond it.
            "present_population": {
                "start_date": dt.datetime.combine(first, dt.time(12)).isoformat(sep=" "),
                "end_date": dt.datetime.combine(after - _DAY, dt.time(12)).isoformat(sep=" "),
            },
            # A week holds fewer slots than four months.
            "permanence_location": WEEK_OF_PERMANENCE | {"label": "home"},
            "usual_environment_counts": WEEK_OF_PERMANENCE | {"labels": ["usual", "home"]},
            "internal_migration": WEEK_OF_PERMANENCE | {"migration_threshold": 1.0},
            "labelled_flows": {"from_location": periods[0], "to_location": periods[-1]},
            "displacement": {"reference_location": self.daily(first + _DAY, "last", "lon-lat")},
            # Seven days in all their combinations would leave no place at which each has enough subscribers.
            "localised_calendar_activity": {
                "total_periods": 2,
                "reference_location": self.daily(first + _DAY, "last", "admin1"),
            },
            "location_introversion": talks,
            "subscriber_degree": talks,
            "pareto_interactions": talks,
        }

    def of(self, kind: str) -> Spec:
        chosen = self._of_kind.get(kind, {})
        found: Spec = {"query_kind": kind}
        for name, field in kinds()[kind].fields.items():
            if name in chosen:
                value = chosen[name]
                found[name] = value() if callable(value) else value
            elif isinstance(field, Nested):
                found[name] = self.of(field.kinds[0])
            elif name in self._values:
                found[name] = self._values[name]
            elif field.required:
                found[name] = value_of(kinds()[kind].arguments[name])
        return found

    def daily(self, date: dt.date, method: str, unit: str = UNIT) -> Spec:
        return {
            "query_kind": "daily_location",
            "date": date.isoformat(),
            "method": method,
            "aggregation_unit": unit,
            "event_types": list(EVENT_TYPES),
        }

    def _daily(self, first: dt.date, after: dt.date, method: str) -> list[Spec]:
        return [self.daily(first + n * _DAY, method) for n in range((after - first).days)]

    def _coalesced(self, begin: int, end: int) -> Spec:
        """Combine the locations of most days of a period with those of the whole window."""
        first, after = self._window
        last = (after - first).days
        days = self._daily(first, after, "last")
        everything = {"query_kind": "location_visits", "locations": days}
        return {
            "query_kind": "coalesced_location",
            "preferred_location": _majority(
                {
                    "query_kind": "location_visits",
                    "locations": days[min(begin, last - 1) : max(min(end, last), 1)],
                }
            ),
            "fallback_location": _majority(everything),
            "subscriber_location_weights": everything,
            "weight_threshold": self._values["weight_threshold"],
        }


def _majority(weights: Spec) -> Spec:
    return {
        "query_kind": "majority_location",
        "subscriber_location_weights": weights,
        "include_unlocatable": True,
    }


def _band(low: float, high: float) -> dict[str, Any]:
    """The area of hour scores between two, whatever the score of the days."""
    corners = [[low, -1.1], [high, -1.1], [high, 1.1], [low, 1.1], [low, -1.1]]
    return {"type": "Polygon", "coordinates": [corners]}
