"""Strategies of specs for more kinds: those made of others, of calendars, of networks and of clusters."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from .drawing import (
    PERIODS,
    SPECS,
    STATISTICS,
    UNITS,
    Spec,
    chosen,
    daily_locations,
    directions,
    hours,
    modal_locations,
    nested,
    reference_locations,
    selection,
    spec,
    subsets,
    two_party_types,
    types,
    units,
    windowed,
    windows,
)


def location_visits(unit: Spec) -> st.SearchStrategy[Spec]:
    places = st.lists(st.one_of(daily_locations(unit), modal_locations(unit)), min_size=1, max_size=3)
    return spec("location_visits", nested("locations", places))


def majority_locations(weights: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    return spec(
        "majority_location",
        nested("subscriber_location_weights", weights),
        chosen("minimum_total_weight", 0.0, 1.5, 2, 4.0),
        chosen("include_unlocatable", True, False),
    )


def any_of(strategy: st.SearchStrategy[Spec]) -> st.SearchStrategy[st.SearchStrategy[Spec]]:
    """Strategies that choose among one or two specs, for parts that are about the same subscribers, as they mostly are."""
    return st.lists(strategy, min_size=1, max_size=2).map(st.sampled_from)


def coalesced_locations(unit: Spec) -> st.SearchStrategy[Spec]:
    return any_of(location_visits(unit)).flatmap(
        lambda weights: spec(
            "coalesced_location",
            nested("preferred_location", majority_locations(weights)),
            nested("fallback_location", majority_locations(weights)),
            nested("subscriber_location_weights", weights),
            chosen("weight_threshold", -1, 1, 2, 3),
        )
    )


def classifications(locations: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    return spec(
        "mobility_classification",
        nested("locations", st.lists(locations, min_size=1, max_size=4)),
        chosen("stay_length_threshold", 0, 1, 2, 3, 5),
    )


def at_any_unit(strategy: Callable[[Spec], st.SearchStrategy[Spec]]) -> st.SearchStrategy[Spec]:
    return st.sampled_from(UNITS).flatmap(strategy)


def labelled(kind: str, *names: str, more: st.SearchStrategy[Spec]) -> st.SearchStrategy[Spec]:
    """A spec of a kind with labels and with the named coalesced locations."""
    return at_any_unit(lambda unit: any_of(coalesced_locations(unit))).flatmap(
        lambda locations: spec(
            kind,
            *(nested(name, locations) for name in names),
            nested("labels", classifications(locations)),
            more,
        )
    )


joins = chosen("join_type", "inner", "full outer", "left", "right", "left outer", "right outer")

#: Periods that lie within the days of the worlds, go beyond them, and cross midnight.
periods = st.sampled_from(
    [
        ("2016-01-01", 3, 1, "days"),
        ("2016-01-01", 2, 2, "days"),
        ("2016-01-01 12:00:00", 2, 1, "days"),
        ("2016-01-02", 8, 6, "hours"),
        ("2016-01-01 20:00:00", 4, 3, "hours"),
        ("2016-01-01 12:00:00", 3, 1, "minutes"),
        ("2016-01-03 23:59:00", 2, 1, "minutes"),
    ]
).map(
    lambda drawn: dict(
        zip(("start_date", "total_periods", "period_length", "period_unit"), drawn, strict=True)
    )
)


def _rectangle(west: float, south: float, east: float, north: float) -> Spec:
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [corners]}


#: Two areas that some of the scores below lie in, and some exactly on the edge of.
LABELS = {"evening": _rectangle(0.0, -1.1, 1.1, 1.1), "day": _rectangle(-1.1, 0.25, -0.125, 1.1)}

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_scores = st.sampled_from((-1.0, -0.5, 0.0, 0.5, 1.0))

meaningful = st.fixed_dictionaries(
    {
        "aggregation_unit": st.sampled_from(("admin3", "admin2")),
        "labels": st.just(LABELS),
        "tower_hour_of_day_scores": st.lists(_scores, min_size=24, max_size=24),
        "tower_day_of_week_scores": st.fixed_dictionaries(dict.fromkeys(WEEKDAYS, _scores)),
        "tower_cluster_radius": st.sampled_from((0.1, 0.3, 0.6, 1.0, 5.0, 300.0)),
        "tower_cluster_call_threshold": st.sampled_from((0, 1, 2, 3)),
    }
)

labels = st.sampled_from(("evening", "day", "unknown", "not a label"))

two_windows = st.tuples(windows, windows).map(
    lambda pair: {
        f"{name}_{letter}": window[name]
        for letter, window in zip("ab", pair, strict=True)
        for name in ("start_date", "end_date")
    }
)


SPECS.update(
    {
        "visited_most_days": lambda: windowed("visited_most_days"),
        "location_visits": lambda: at_any_unit(location_visits),
        "majority_location": lambda: at_any_unit(lambda unit: majority_locations(location_visits(unit))),
        "coalesced_location": lambda: at_any_unit(coalesced_locations),
        "mobility_classification": lambda: at_any_unit(
            lambda unit: any_of(coalesced_locations(unit))
        ).flatmap(classifications),
        "labelled_spatial_aggregate": lambda: labelled(
            "labelled_spatial_aggregate", "locations", more=st.just({})
        ),
        "labelled_flows": lambda: labelled("labelled_flows", "from_location", "to_location", more=joins),
        "consecutive_trips_od_matrix": lambda: windowed("consecutive_trips_od_matrix"),
        "location_introversion": lambda: spec(
            "location_introversion", windows, units, two_party_types, subsets, hours, directions
        ),
        "meaningful_locations_aggregate": lambda: spec(
            "meaningful_locations_aggregate", windows, types, subsets, meaningful, nested("label", labels)
        ),
        "meaningful_locations_between_label_od_matrix": lambda: spec(
            "meaningful_locations_between_label_od_matrix",
            windows,
            types,
            subsets,
            meaningful,
            nested("label_a", labels),
            nested("label_b", labels),
        ),
        "meaningful_locations_between_dates_od_matrix": lambda: spec(
            "meaningful_locations_between_dates_od_matrix",
            two_windows,
            types,
            subsets,
            meaningful,
            nested("label", labels),
        ),
        "calendar_activity": lambda: spec("calendar_activity", periods, *selection),
        "localised_calendar_activity": lambda: spec(
            "localised_calendar_activity",
            periods,
            *selection,
            nested("reference_location", reference_locations()),
        ),
        "aggregate_network_objects": lambda: spec(
            "aggregate_network_objects",
            nested(
                "total_network_objects",
                windowed("total_network_objects", None, chosen("total_by", *PERIODS)),
            ),
            chosen("statistic", *STATISTICS),
            chosen("aggregate_by", *PERIODS, "century"),
        ),
    }
)
