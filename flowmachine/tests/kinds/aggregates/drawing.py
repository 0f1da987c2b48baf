"""Draw specs of released counts, flows, statistics, calendars and shares."""

from __future__ import annotations

from hypothesis import strategies as st

from flowmachine.queries.families import HISTOGRAM_METRICS

from ..drawing import (
    SPECS,
    STATISTICS,
    UNITS,
    Spec,
    any_of,
    at_any_unit,
    chosen,
    directions,
    hours,
    nested,
    selection,
    spec,
    subsets,
    two_party_types,
    types,
    units,
    windowed,
    windows,
)
from ..money_and_devices.drawing import handsets
from ..movement.drawing import classifications
from ..oracle import unit_fields
from ..places.drawing import coalesced_locations, reference_locations


def movements(kind: str) -> st.SearchStrategy[Spec]:
    joins = ("inner", "full outer", "left", "right", "left outer", "right outer")

    def between(unit: Spec) -> st.SearchStrategy[Spec]:
        end = st.one_of(reference_locations(unit), windowed("unique_locations", unit))
        return spec(
            kind,
            nested("from_location", end),
            nested("to_location", end),
            chosen("join_type", *joins),
            chosen("exclude_stayers", False, True),
        )

    return st.sampled_from(UNITS).flatmap(between)


def at_home(kind: str, first: str) -> st.SearchStrategy[Spec]:
    """A kind that compares all locations with the reference location."""

    def of_unit(unit: Spec) -> st.SearchStrategy[Spec]:
        return spec(
            kind,
            nested(first, windowed("unique_locations", unit)),
            nested("reference_locations", reference_locations(unit)),
        )

    return st.sampled_from(UNITS).flatmap(of_unit)


def unique_visitors() -> st.SearchStrategy[Spec]:
    def with_counts(active: Spec) -> st.SearchStrategy[Spec]:
        unit = unit_fields(active)
        return spec(
            "unique_visitor_counts",
            st.just({"active_at_reference_location_counts": active}),
            nested("unique_subscriber_counts", windowed("unique_subscriber_counts", unit)),
        )

    return at_home("active_at_reference_location_counts", "unique_locations").flatmap(with_counts)


def intervals(interval: str) -> st.SearchStrategy[Spec]:
    """Windows of at least one interval, some of which do not begin or end with one."""
    pairs = {
        "day": [("01", "04"), ("01 12:00", "02 12:00"), ("01 12:00", "03 18:00")],
        "hour": [("01", "03"), ("01 07:30", "01 12:30"), ("01 12:00", "02 18:00"), ("03 20:00", "04 00:00")],
        "min": [("01", "02"), ("01 12:00:15", "01 12:01:30"), ("01 23:59", "02 00:01")],
    }
    return st.sampled_from(pairs[interval]).map(
        lambda pair: {
            "interval": interval,
            "start_date": f"2016-01-{pair[0]}",
            "end_date": f"2016-01-{pair[1]}",
        }
    )


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


def without(*names: str) -> st.SearchStrategy[Spec]:
    """The fields about meaningful locations but some."""
    return meaningful.map(lambda drawn: {name: drawn[name] for name in drawn if name not in names})


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
        "spatial_aggregate": lambda: spec("spatial_aggregate", nested("locations", reference_locations())),
        "unique_subscriber_counts": lambda: windowed("unique_subscriber_counts"),
        "flows": lambda: movements("flows"),
        "inflows": lambda: movements("inflows"),
        "outflows": lambda: movements("outflows"),
        "trips_od_matrix": lambda: windowed("trips_od_matrix"),
        "location_event_counts": lambda: spec(
            "location_event_counts",
            st.sampled_from(("day", "hour", "min")).flatmap(intervals),
            units,
            directions,
            two_party_types,
            subsets,
            hours,
        ),
        "joined_spatial_aggregate": lambda: st.one_of(
            spec(
                "joined_spatial_aggregate",
                nested("locations", reference_locations()),
                nested("metric", st.sampled_from(HISTOGRAM_METRICS).flatmap(lambda kind: SPECS[kind]())),
                chosen("method", *STATISTICS),
            ),
            spec(
                "joined_spatial_aggregate",
                nested("locations", reference_locations()),
                nested("metric", handsets()),
                chosen("method", "mode", "distr"),
            ),
        ),
        "active_at_reference_location_counts": lambda: at_home(
            "active_at_reference_location_counts", "unique_locations"
        ),
        "unique_visitor_counts": unique_visitors,
        "unmoving_counts": lambda: spec("unmoving_counts", nested("locations", windowed("unique_locations"))),
        "unmoving_at_reference_location_counts": lambda: at_home(
            "unmoving_at_reference_location_counts", "locations"
        ),
        "histogram_aggregate": lambda: spec(
            "histogram_aggregate",
            nested("metric", st.sampled_from(HISTOGRAM_METRICS).flatmap(lambda kind: SPECS[kind]())),
            chosen(
                "bins",
                *({"n_bins": n} for n in (1, 2, 3, 10, 100)),
                {"bin_list": [0, 2, 100]},
                {"bin_list": [-1, 1e9]},
            ),
            st.sampled_from(
                [
                    {},
                    {},
                    {"range": {"lower_bound": 1, "upper_bound": 3}},
                    {"range": [0.5, 1000000.5]},
                    {"range": [-0.1, 0.2]},
                    {"range": [0.1, 0.30000000000000004]},
                ]
            ),
        ),
    }
)

SPECS.update(
    {
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
        "event_score": lambda: spec(
            "event_score",
            windows,
            types,
            subsets,
            without("aggregation_unit", "labels", "tower_cluster_radius", "tower_cluster_call_threshold"),
        ),
        "meaningful_locations": lambda: spec(
            "meaningful_locations", windows, types, subsets, without("aggregation_unit")
        ),
        "calendar_activity": lambda: spec("calendar_activity", periods, *selection),
        "localised_calendar_activity": lambda: spec(
            "localised_calendar_activity",
            periods,
            *selection,
            nested("reference_location", reference_locations()),
        ),
    }
)
