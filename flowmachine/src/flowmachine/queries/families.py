"""Group kinds that a field accepts in place of each other."""

from __future__ import annotations

#: Kinds that place each subscriber at one location.
REFERENCE_LOCATIONS = (
    "daily_location",
    "modal_location",
    "most_frequent_location",
    "visited_most_days",
    "majority_location",
    "coalesced_location",
    "monthly_location",
    "longest_stay",
    "overnight_location",
    "permanence_location",
)

#: Metrics with a number for each subscriber.
HISTOGRAM_METRICS = (
    "radius_of_gyration",
    "unique_location_counts",
    "topup_balance",
    "subscriber_degree",
    "topup_amount",
    "event_count",
    "pareto_interactions",
    "nocturnal_events",
    "displacement",
    "total_active_periods",
    "jump_lengths",
    "distance_travelled",
    "k_radius_of_gyration",
    "mobility_entropy",
    "activity_statistic",
    "stay_time",
)

#: Metrics that may be summarised at each location: the numeric ones and the handset's characteristics.
JOINABLE_METRICS = (*HISTOGRAM_METRICS, "handset")

#: Kinds that flows may run between: reference locations, or every location of each subscriber.
INPUTS_TO_FLOWS = (*REFERENCE_LOCATIONS, "unique_locations")

#: Kinds whose visits may be counted: one location for each subscriber at one time.
VISITABLE_LOCATIONS = ("daily_location", "modal_location")

#: Kinds that weigh each of a subscriber's locations.
WEIGHTED_LOCATIONS = ("location_visits",)

#: Counts of subscribers that may be weighted: of each subscriber a row counts one, or the sum of what they add.
COUNTS = (
    "spatial_aggregate",
    "unique_subscriber_counts",
    "active_at_reference_location_counts",
    "flows",
    "inflows",
    "outflows",
    "trips_od_matrix",
    "displaced_counts",
    "present_population",
    "residence_change",
    "usual_environment_counts",
    "internal_migration",
    "stay_durations",
)
