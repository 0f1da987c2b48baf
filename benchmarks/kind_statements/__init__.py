"""Write every query kind as SQL that an expert in the data and DuckDB would use.

Each statement serves only the kind's specification.

They answer the specifications of ``kind_specs`` and read the same day files and cell maps as the engine. What is known of
one specification is used: that the window is seven days long, that a file holds one day, that an area is a rectangle.
Kinds with a row for each subscriber give the engine's own integer keys; the others give what is published.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.hand_written import (
    Files,
    event_counts,
    modal,
    network_objects,
    radii,
    radius_of_gyration,
    trips,
    unique_subscribers,
)
from benchmarks.kind_statements.database import dfs_metric_total_amount, dummy_query, geography
from benchmarks.kind_statements.meaningful import (
    meaningful_locations_aggregate,
    meaningful_locations_between_dates_od_matrix,
    meaningful_locations_between_label_od_matrix,
)
from benchmarks.kind_statements.methods import (
    monthly_location,
    population_estimate,
    present_population,
    stay_durations,
)
from benchmarks.kind_statements.released import (
    active_at_reference_location_counts,
    aggregate_network_objects,
    calendar_activity,
    consecutive_trips_od_matrix,
    flows,
    histogram_aggregate,
    inflows,
    labelled_flows,
    labelled_spatial_aggregate,
    localised_calendar_activity,
    location_introversion,
    outflows,
    unique_visitor_counts,
    unmoving_at_reference_location_counts,
    unmoving_counts,
)
from benchmarks.kind_statements.subscribers import (
    coalesced_location,
    daily_location,
    displacement,
    event_count,
    handset,
    location_visits,
    majority_location,
    mobility_classification,
    modal_of_all_days,
    most_frequent_location,
    nocturnal_events,
    pareto_interactions,
    subscriber_degree,
    topup_amount,
    topup_balance,
    total_active_periods,
    unique_location_counts,
    unique_locations,
    visited_most_days,
)
from benchmarks.questions import Window

STATEMENTS: dict[str, Callable[[Files], str]] = {
    **{
        function.__name__: function
        for function in (
            daily_location,
            most_frequent_location,
            visited_most_days,
            unique_locations,
            location_visits,
            majority_location,
            coalesced_location,
            mobility_classification,
            event_count,
            subscriber_degree,
            unique_location_counts,
            displacement,
            nocturnal_events,
            pareto_interactions,
            handset,
            topup_amount,
            topup_balance,
            total_active_periods,
            active_at_reference_location_counts,
            unique_visitor_counts,
            unmoving_counts,
            unmoving_at_reference_location_counts,
            labelled_spatial_aggregate,
            calendar_activity,
            localised_calendar_activity,
            flows,
            inflows,
            outflows,
            labelled_flows,
            consecutive_trips_od_matrix,
            location_introversion,
            aggregate_network_objects,
            histogram_aggregate,
            meaningful_locations_aggregate,
            meaningful_locations_between_label_od_matrix,
            meaningful_locations_between_dates_od_matrix,
            monthly_location,
            population_estimate,
            present_population,
            stay_durations,
        )
    },
    "modal_location": modal_of_all_days,
    "radius_of_gyration": radii,
    "spatial_aggregate": modal,
    "unique_subscriber_counts": unique_subscribers,
    "trips_od_matrix": trips,
    "location_event_counts": event_counts,
    "total_network_objects": network_objects,
    "joined_spatial_aggregate": radius_of_gyration,
}


DATABASE_STATEMENTS: dict[str, Callable[[Window], str]] = {
    function.__name__: function for function in (geography, dummy_query, dfs_metric_total_amount)
}
