"""Python client of a FlowKit server: ask how people moved, get tables and maps.

::

    import flowclient

    connection = flowclient.connect(url="https://flowapi.example.org:9090", token=TOKEN)
    query = flowclient.spatial_aggregate(
        connection=connection,
        locations=flowclient.daily_location_spec(date="2016-01-01", aggregation_unit="admin3", method="last"),
    )
    query.get_result()
"""

from __future__ import annotations

from importlib.metadata import version

from flowclient import aggregates
from flowclient.aggregates import (
    active_at_reference_location_counts,
    active_at_reference_location_counts_spec,
    aggregate_network_objects,
    aggregate_network_objects_spec,
    calendar_activity,
    calendar_activity_spec,
    consecutive_trips_od_matrix,
    consecutive_trips_od_matrix_spec,
    dfs_metric_total_amount,
    dfs_metric_total_amount_spec,
    flows,
    flows_spec,
    histogram_aggregate,
    histogram_aggregate_spec,
    inflows,
    inflows_spec,
    joined_spatial_aggregate,
    joined_spatial_aggregate_spec,
    labelled_flows,
    labelled_flows_spec,
    labelled_spatial_aggregate,
    labelled_spatial_aggregate_spec,
    localised_calendar_activity,
    localised_calendar_activity_spec,
    location_event_counts,
    location_event_counts_spec,
    location_introversion,
    location_introversion_spec,
    meaningful_locations_aggregate,
    meaningful_locations_aggregate_spec,
    meaningful_locations_between_dates_od_matrix,
    meaningful_locations_between_dates_od_matrix_spec,
    meaningful_locations_between_label_od_matrix,
    meaningful_locations_between_label_od_matrix_spec,
    outflows,
    outflows_spec,
    spatial_aggregate,
    spatial_aggregate_spec,
    total_network_objects,
    total_network_objects_spec,
    trips_od_matrix,
    trips_od_matrix_spec,
    unique_subscriber_counts,
    unique_subscriber_counts_spec,
    unique_visitor_counts,
    unique_visitor_counts_spec,
    unmoving_at_reference_location_counts,
    unmoving_at_reference_location_counts_spec,
    unmoving_counts,
    unmoving_counts_spec,
)
from flowclient.api_query import (
    APIQuery,
)
from flowclient.async_api_query import (
    ASyncAPIQuery,
)
from flowclient.async_client import (
    connect_async,
)
from flowclient.async_connection import (
    ASyncConnection,
)
from flowclient.authentication import (
    get_token,
)
from flowclient.client import (
    connect,
    get_aggregation_units,
    get_available_dates,
    get_available_dates_df,
    get_available_qa_checks,
    get_available_qa_checks_df,
    get_available_queries,
    get_geography,
    get_geojson_result,
    get_geojson_result_by_query_id,
    get_json_dataframe,
    get_qa_check_outcome,
    get_qa_check_outcomes,
    get_qa_check_outcomes_df,
    get_queries,
    get_result,
    get_result_by_query_id,
    get_result_location_from_id_when_ready,
    get_status,
    query_is_ready,
    run_query,
    wait_for_query_to_be_ready,
)
from flowclient.connection import (
    Connection,
)
from flowclient.errors import (
    AuthenticationError,
    FlowclientConnectionError,
    PermissionDeniedError,
    QueryCancelledError,
    QueryFailedError,
    QueryNotFoundError,
    QueryTimeoutError,
    QueryValidationError,
)
from flowclient.gathering import (
    gather_results,
)
from flowclient.query_specs import (
    coalesced_location_spec,
    daily_location_spec,
    displacement_spec,
    dummy_query_spec,
    event_count_spec,
    handset_spec,
    location_visits_spec,
    majority_location_spec,
    mobility_classification_spec,
    modal_location_from_dates_spec,
    modal_location_spec,
    most_frequent_location_spec,
    nocturnal_events_spec,
    pareto_interactions_spec,
    radius_of_gyration_spec,
    random_sample_spec,
    subscriber_degree_spec,
    topup_amount_spec,
    topup_balance_spec,
    total_active_periods_spec,
    unique_location_counts_spec,
    unique_locations_spec,
    visited_most_days_spec,
)

__version__ = version("flowclient")

__all__ = [
    "APIQuery",
    "ASyncAPIQuery",
    "ASyncConnection",
    "AuthenticationError",
    "Connection",
    "FlowclientConnectionError",
    "PermissionDeniedError",
    "QueryCancelledError",
    "QueryFailedError",
    "QueryNotFoundError",
    "QueryTimeoutError",
    "QueryValidationError",
    "active_at_reference_location_counts",
    "active_at_reference_location_counts_spec",
    "aggregate_network_objects",
    "aggregate_network_objects_spec",
    "aggregates",
    "calendar_activity",
    "calendar_activity_spec",
    "coalesced_location_spec",
    "connect",
    "connect_async",
    "consecutive_trips_od_matrix",
    "consecutive_trips_od_matrix_spec",
    "daily_location_spec",
    "dfs_metric_total_amount",
    "dfs_metric_total_amount_spec",
    "displacement_spec",
    "dummy_query_spec",
    "event_count_spec",
    "flows",
    "flows_spec",
    "gather_results",
    "get_aggregation_units",
    "get_available_dates",
    "get_available_dates_df",
    "get_available_qa_checks",
    "get_available_qa_checks_df",
    "get_available_queries",
    "get_geography",
    "get_geojson_result",
    "get_geojson_result_by_query_id",
    "get_json_dataframe",
    "get_qa_check_outcome",
    "get_qa_check_outcomes",
    "get_qa_check_outcomes_df",
    "get_queries",
    "get_result",
    "get_result_by_query_id",
    "get_result_location_from_id_when_ready",
    "get_status",
    "get_token",
    "handset_spec",
    "histogram_aggregate",
    "histogram_aggregate_spec",
    "inflows",
    "inflows_spec",
    "joined_spatial_aggregate",
    "joined_spatial_aggregate_spec",
    "labelled_flows",
    "labelled_flows_spec",
    "labelled_spatial_aggregate",
    "labelled_spatial_aggregate_spec",
    "localised_calendar_activity",
    "localised_calendar_activity_spec",
    "location_event_counts",
    "location_event_counts_spec",
    "location_introversion",
    "location_introversion_spec",
    "location_visits_spec",
    "majority_location_spec",
    "meaningful_locations_aggregate",
    "meaningful_locations_aggregate_spec",
    "meaningful_locations_between_dates_od_matrix",
    "meaningful_locations_between_dates_od_matrix_spec",
    "meaningful_locations_between_label_od_matrix",
    "meaningful_locations_between_label_od_matrix_spec",
    "mobility_classification_spec",
    "modal_location_from_dates_spec",
    "modal_location_spec",
    "most_frequent_location_spec",
    "nocturnal_events_spec",
    "outflows",
    "outflows_spec",
    "pareto_interactions_spec",
    "query_is_ready",
    "radius_of_gyration_spec",
    "random_sample_spec",
    "run_query",
    "spatial_aggregate",
    "spatial_aggregate_spec",
    "subscriber_degree_spec",
    "topup_amount_spec",
    "topup_balance_spec",
    "total_active_periods_spec",
    "total_network_objects",
    "total_network_objects_spec",
    "trips_od_matrix",
    "trips_od_matrix_spec",
    "unique_location_counts_spec",
    "unique_locations_spec",
    "unique_subscriber_counts",
    "unique_subscriber_counts_spec",
    "unique_visitor_counts",
    "unique_visitor_counts_spec",
    "unmoving_at_reference_location_counts",
    "unmoving_at_reference_location_counts_spec",
    "unmoving_counts",
    "unmoving_counts_spec",
    "visited_most_days_spec",
    "wait_for_query_to_be_ready",
]

#: Functions that returned specifications under these names before they were renamed to ``*_spec``.
_RENAMED = frozenset(
    {
        "daily_location",
        "displacement",
        "event_count",
        "handset",
        "modal_location",
        "modal_location_from_dates",
        "nocturnal_events",
        "pareto_interactions",
        "radius_of_gyration",
        "random_sample",
        "subscriber_degree",
        "topup_amount",
        "topup_balance",
        "unique_location_counts",
    }
)


def __dir__() -> list[str]:
    """What completion shows: the public names."""
    return [*__all__, "__doc__", "__version__"]


def __getattr__(name: str) -> object:
    if name in _RENAMED:
        raise AttributeError(f"flowclient.{name} is now called flowclient.{name}_spec.")
    raise AttributeError(f"module 'flowclient' has no attribute '{name}'")
