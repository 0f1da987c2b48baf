# Written by flowclient/tools/generate.py; edit its table of kinds instead.
"""What the client knows of the kinds of query."""

from __future__ import annotations

#: Columns of a result; ``location`` stands for the identifying columns of its aggregation unit.
RESULT_COLUMNS: dict[str, tuple[str, ...]] = {
    "spatial_aggregate": ("location", "value"),
    "joined_spatial_aggregate": ("location", "value"),
    "labelled_spatial_aggregate": ("location", "value_label", "value"),
    "histogram_aggregate": ("value", "lower_edge", "upper_edge"),
    "flows": ("location_from", "location_to", "value"),
    "inflows": ("location", "value"),
    "outflows": ("location", "value"),
    "labelled_flows": ("location_from", "location_to", "value_label", "value"),
    "unique_subscriber_counts": ("location", "value"),
    "unique_visitor_counts": ("location", "value"),
    "location_event_counts": ("location", "date", "value"),
    "location_introversion": ("location", "value"),
    "total_network_objects": ("location", "value", "datetime"),
    "aggregate_network_objects": ("location", "value", "datetime"),
    "consecutive_trips_od_matrix": ("location_from", "location_to", "value"),
    "trips_od_matrix": ("location_from", "location_to", "value"),
    "unmoving_counts": ("location", "value"),
    "unmoving_at_reference_location_counts": ("location", "value"),
    "active_at_reference_location_counts": ("location", "value"),
    "meaningful_locations_aggregate": ("label", "location", "value"),
    "meaningful_locations_between_label_od_matrix": (
        "label_from",
        "label_to",
        "location_from",
        "location_to",
        "value",
    ),
    "meaningful_locations_between_dates_od_matrix": (
        "label_from",
        "label_to",
        "location_from",
        "location_to",
        "value",
    ),
    "calendar_activity": ("grp", "value"),
    "localised_calendar_activity": ("location", "value_label", "value"),
    "dfs_metric_total_amount": ("date", "location", "value"),
}

#: Of kinds whose columns are others with some word in some field: the columns by field and word.
RESULT_COLUMNS_WITH: dict[str, dict[tuple[str, str], tuple[str, ...]]] = {
    "joined_spatial_aggregate": {("method", "distr"): ("location", "metric", "key", "value")},
    "location_event_counts": {
        ("interval", "hour"): ("location", "date", "hour", "value"),
        ("interval", "min"): ("location", "date", "hour", "min", "value"),
    },
}

#: Columns that are no whole numbers, by kind.
FRACTIONS: dict[str, tuple[str, ...]] = {
    "joined_spatial_aggregate": ("value",),
    "histogram_aggregate": ("lower_edge", "upper_edge"),
    "location_introversion": ("value",),
    "aggregate_network_objects": ("value",),
    "meaningful_locations_aggregate": ("value",),
    "meaningful_locations_between_label_od_matrix": ("value",),
    "meaningful_locations_between_dates_od_matrix": ("value",),
    "dfs_metric_total_amount": ("value",),
}

#: Kinds that are computed only inside others, and some of those.
INSIDE: dict[str, str] = {
    "daily_location": "spatial_aggregate or flows",
    "modal_location": "spatial_aggregate or flows",
    "most_frequent_location": "spatial_aggregate or flows",
    "visited_most_days": "spatial_aggregate or flows",
    "unique_locations": "unmoving_counts or flows",
    "location_visits": "majority_location",
    "majority_location": "spatial_aggregate or flows",
    "coalesced_location": "spatial_aggregate or flows",
    "mobility_classification": "labelled_spatial_aggregate",
    "radius_of_gyration": "joined_spatial_aggregate or histogram_aggregate",
    "unique_location_counts": "joined_spatial_aggregate or histogram_aggregate",
    "event_count": "joined_spatial_aggregate or histogram_aggregate",
    "subscriber_degree": "joined_spatial_aggregate or histogram_aggregate",
    "topup_amount": "joined_spatial_aggregate or histogram_aggregate",
    "topup_balance": "joined_spatial_aggregate or histogram_aggregate",
    "displacement": "joined_spatial_aggregate or histogram_aggregate",
    "pareto_interactions": "joined_spatial_aggregate or histogram_aggregate",
    "nocturnal_events": "joined_spatial_aggregate or histogram_aggregate",
    "handset": "joined_spatial_aggregate",
    "total_active_periods": "joined_spatial_aggregate or histogram_aggregate",
}
