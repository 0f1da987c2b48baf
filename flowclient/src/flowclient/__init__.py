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

from flowclient import aggregates, query_specs
from flowclient.aggregates import *  # noqa: F403
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
    get_loads,
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
from flowclient.query_specs import *  # noqa: F403

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
    "aggregates",
    "connect",
    "connect_async",
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
    "get_loads",
    "get_qa_check_outcome",
    "get_qa_check_outcomes",
    "get_qa_check_outcomes_df",
    "get_queries",
    "get_result",
    "get_result_by_query_id",
    "get_result_location_from_id_when_ready",
    "get_status",
    "get_token",
    "query_is_ready",
    "run_query",
    "wait_for_query_to_be_ready",
]
__all__ += aggregates.__all__
__all__ += query_specs.__all__

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
    """Show the public names in completion."""
    return [*__all__, "__doc__", "__version__"]


def __getattr__(name: str) -> object:
    if name in _RENAMED:
        raise AttributeError(f"flowclient.{name} is now called flowclient.{name}_spec.")
    raise AttributeError(f"module 'flowclient' has no attribute '{name}'")
