# Written by flowclient/tools/generate.py; edit the engine's kinds instead.
"""What the client knows of the kinds of query."""

from __future__ import annotations

#: Columns of a result; ``location`` stands for the identifying columns of its aggregation unit.
RESULT_COLUMNS: dict[str, tuple[str, ...]] = {
    "active_at_reference_location_counts": ("location", "value"),
    "active_residents": ("location", "date", "residents", "active", "active_share"),
    "aggregate_network_objects": ("location", "value", "datetime"),
    "calendar_activity": ("grp", "value"),
    "consecutive_trips_od_matrix": ("location_from", "location_to", "value"),
    "dfs_metric_total_amount": ("date", "location", "value"),
    "displaced_counts": ("location", "period", "status", "value", "share", "normal_share", "excess"),
    "flows": ("location_from", "location_to", "value"),
    "histogram_aggregate": ("value", "lower_edge", "upper_edge"),
    "inflows": ("location", "value"),
    "internal_migration": ("location_from", "location_to", "value", "subscribers"),
    "joined_spatial_aggregate": ("location", "value"),
    "labelled_flows": ("location_from", "location_to", "value_label", "value"),
    "labelled_spatial_aggregate": ("location", "value_label", "value"),
    "localised_calendar_activity": ("location", "value_label", "value"),
    "location_event_counts": ("location", "date", "value"),
    "location_introversion": ("location", "value"),
    "meaningful_locations_aggregate": ("label", "location", "value"),
    "meaningful_locations_between_dates_od_matrix": (
        "label_from",
        "label_to",
        "location_from",
        "location_to",
        "value",
    ),
    "meaningful_locations_between_label_od_matrix": (
        "label_from",
        "label_to",
        "location_from",
        "location_to",
        "value",
    ),
    "network_silence": ("location", "date", "cells", "silent", "baseline", "ratio"),
    "outflows": ("location", "value"),
    "population_estimate": ("location", "value", "weighted_value", "subscribers", "coverage"),
    "present_population": ("location", "datetime", "value"),
    "residence_change": ("location_from", "location_to", "month", "value", "subscribers"),
    "spatial_aggregate": ("location", "value"),
    "stay_durations": ("location_from", "location_to", "value", "mean_hours", "stddev_hours"),
    "total_network_objects": ("location", "value", "datetime"),
    "trips_od_matrix": ("location_from", "location_to", "value"),
    "unique_subscriber_counts": ("location", "value"),
    "unique_visitor_counts": ("location", "value"),
    "unmoving_at_reference_location_counts": ("location", "value"),
    "unmoving_counts": ("location", "value"),
    "usual_environment_counts": ("location", "label", "value", "subscribers"),
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
    "active_residents": ("active_share",),
    "aggregate_network_objects": ("value",),
    "dfs_metric_total_amount": ("value",),
    "displaced_counts": ("share", "normal_share", "excess"),
    "histogram_aggregate": ("lower_edge", "upper_edge"),
    "internal_migration": ("value",),
    "joined_spatial_aggregate": ("value",),
    "location_introversion": ("value",),
    "meaningful_locations_aggregate": ("value",),
    "meaningful_locations_between_dates_od_matrix": ("value",),
    "meaningful_locations_between_label_od_matrix": ("value",),
    "network_silence": ("baseline", "ratio"),
    "population_estimate": ("weighted_value", "coverage"),
    "stay_durations": ("mean_hours", "stddev_hours"),
    "usual_environment_counts": ("value",),
}

#: Kinds that are computed only inside others, and some of those.
INSIDE: dict[str, str] = {
    "activity_statistic": "histogram_aggregate or joined_spatial_aggregate",
    "coalesced_location": "spatial_aggregate or flows",
    "daily_location": "spatial_aggregate or flows",
    "daily_permanence": "usual_environment_counts or internal_migration",
    "displacement": "histogram_aggregate or joined_spatial_aggregate",
    "displacement_status": "displaced_counts",
    "distance_travelled": "histogram_aggregate or joined_spatial_aggregate",
    "event_count": "histogram_aggregate or joined_spatial_aggregate",
    "handset": "joined_spatial_aggregate",
    "jump_lengths": "histogram_aggregate or joined_spatial_aggregate",
    "k_radius_of_gyration": "histogram_aggregate or joined_spatial_aggregate",
    "location_visits": "majority_location or coalesced_location",
    "longest_stay": "spatial_aggregate or flows",
    "majority_location": "spatial_aggregate or flows",
    "mobility_classification": "labelled_spatial_aggregate or labelled_flows",
    "mobility_entropy": "histogram_aggregate or joined_spatial_aggregate",
    "modal_location": "spatial_aggregate or flows",
    "monthly_location": "spatial_aggregate or flows",
    "most_frequent_location": "spatial_aggregate or flows",
    "nocturnal_events": "histogram_aggregate or joined_spatial_aggregate",
    "overnight_location": "spatial_aggregate or flows",
    "pareto_interactions": "histogram_aggregate or joined_spatial_aggregate",
    "permanence_location": "spatial_aggregate or flows",
    "radius_of_gyration": "histogram_aggregate or joined_spatial_aggregate",
    "stay_time": "histogram_aggregate or joined_spatial_aggregate",
    "stays": "stay_durations",
    "subscriber_degree": "histogram_aggregate or joined_spatial_aggregate",
    "topup_amount": "histogram_aggregate or joined_spatial_aggregate",
    "topup_balance": "histogram_aggregate or joined_spatial_aggregate",
    "total_active_periods": "histogram_aggregate or joined_spatial_aggregate",
    "unique_location_counts": "histogram_aggregate or joined_spatial_aggregate",
    "unique_locations": "unmoving_counts or flows",
    "visited_most_days": "spatial_aggregate or flows",
}
