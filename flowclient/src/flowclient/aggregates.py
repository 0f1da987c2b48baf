# Written by flowclient/tools/generate.py; edit the engine's kinds instead.
"""Aggregates: what a server releases.

For each kind one function that returns its specification, and one that returns the query on a connection:
an ``APIQuery``, or an ``ASyncAPIQuery`` on an asynchronous connection. Nothing is sent.

Rows that stand for 15 or fewer subscribers are absent from every result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowclient.api_query import APIQuery
from flowclient.connection import Connection
from flowclient.values import (
    DateLike,
    EventTypes,
    Hours,
    Spec,
    Subset,
    bounds,
    histogram_bins,
    hours_of_day,
    interval,
    iso_date,
    list_of_types,
)

__all__ = [
    "active_at_reference_location_counts",
    "active_at_reference_location_counts_spec",
    "active_residents",
    "active_residents_spec",
    "aggregate_network_objects",
    "aggregate_network_objects_spec",
    "calendar_activity",
    "calendar_activity_spec",
    "consecutive_trips_od_matrix",
    "consecutive_trips_od_matrix_spec",
    "dfs_metric_total_amount",
    "dfs_metric_total_amount_spec",
    "displaced_counts",
    "displaced_counts_spec",
    "flows",
    "flows_spec",
    "histogram_aggregate",
    "histogram_aggregate_spec",
    "inflows",
    "inflows_spec",
    "internal_migration",
    "internal_migration_spec",
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
    "meaningful_locations_aggregate",
    "meaningful_locations_aggregate_spec",
    "meaningful_locations_between_dates_od_matrix",
    "meaningful_locations_between_dates_od_matrix_spec",
    "meaningful_locations_between_label_od_matrix",
    "meaningful_locations_between_label_od_matrix_spec",
    "network_silence",
    "network_silence_spec",
    "outflows",
    "outflows_spec",
    "population_estimate",
    "population_estimate_spec",
    "present_population",
    "present_population_spec",
    "residence_change",
    "residence_change_spec",
    "spatial_aggregate",
    "spatial_aggregate_spec",
    "stay_durations",
    "stay_durations_spec",
    "total_network_objects",
    "total_network_objects_spec",
    "trips_od_matrix",
    "trips_od_matrix_spec",
    "unique_subscriber_counts",
    "unique_subscriber_counts_spec",
    "unique_visitor_counts",
    "unique_visitor_counts_spec",
    "unmoving_at_reference_location_counts",
    "unmoving_at_reference_location_counts_spec",
    "unmoving_counts",
    "unmoving_counts_spec",
    "usual_environment_counts",
    "usual_environment_counts_spec",
]


def active_at_reference_location_counts_spec(
    *,
    unique_locations: Spec,
    reference_locations: Spec,
) -> Spec:
    """The number of subscribers seen at their reference location.

    Parameters
    ----------
    unique_locations : Spec
        Specification of ``unique_locations``.
    reference_locations : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "active_at_reference_location_counts",
        "unique_locations": unique_locations,
        "reference_locations": reference_locations,
    }


def active_at_reference_location_counts(
    *,
    connection: Connection,
    unique_locations: Spec,
    reference_locations: Spec,
) -> APIQuery:
    """The number of subscribers seen at their reference location.

    Parameters
    ----------
    connection : Connection
        The server.
    unique_locations : Spec
        Specification of ``unique_locations``.
    reference_locations : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        active_at_reference_location_counts_spec(
            unique_locations=unique_locations,
            reference_locations=reference_locations,
        )
    )


def active_residents_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    reference_location: Spec,
    active: str = "anywhere",
    event_types: EventTypes = None,
) -> Spec:
    """The residents of each location and those of them with an event, by day.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    reference_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    active : str, optional
        ``anywhere`` or ``at_home``. Where an event makes a resident active.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "active_residents",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "reference_location": reference_location,
        "active": active,
        "event_types": list_of_types(event_types, "event_types"),
    }


def active_residents(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    reference_location: Spec,
    active: str = "anywhere",
    event_types: EventTypes = None,
) -> APIQuery:
    """The residents of each location and those of them with an event, by day.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    reference_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    active : str, optional
        ``anywhere`` or ``at_home``. Where an event makes a resident active.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), date, residents, active, active_share.
    """
    return connection.make_api_query(
        active_residents_spec(
            start_date=start_date,
            end_date=end_date,
            reference_location=reference_location,
            active=active,
            event_types=event_types,
        )
    )


def aggregate_network_objects_spec(
    *,
    total_network_objects: Spec,
    statistic: str,
    aggregate_by: str = "day",
) -> Spec:
    """A statistic of the published numbers of cells in use per location, over time.

    Parameters
    ----------
    total_network_objects : Spec
        Specification of ``total_network_objects``.
    statistic : str
        ``count``, ``sum``, ``avg``, ``max``, ``min``, ``median``, ``stddev``, ``variance`` or ``mode``.
    aggregate_by : str, optional
        ``second``, ``minute``, ``hour``, ``day``, ``month``, ``year`` or ``century``.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "aggregate_network_objects",
        "total_network_objects": total_network_objects,
        "statistic": statistic,
        "aggregate_by": aggregate_by,
    }


def aggregate_network_objects(
    *,
    connection: Connection,
    total_network_objects: Spec,
    statistic: str,
    aggregate_by: str = "day",
) -> APIQuery:
    """A statistic of the published numbers of cells in use per location, over time.

    Parameters
    ----------
    connection : Connection
        The server.
    total_network_objects : Spec
        Specification of ``total_network_objects``.
    statistic : str
        ``count``, ``sum``, ``avg``, ``max``, ``min``, ``median``, ``stddev``, ``variance`` or ``mode``.
    aggregate_by : str, optional
        ``second``, ``minute``, ``hour``, ``day``, ``month``, ``year`` or ``century``.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value, datetime.
    """
    return connection.make_api_query(
        aggregate_network_objects_spec(
            total_network_objects=total_network_objects,
            statistic=statistic,
            aggregate_by=aggregate_by,
        )
    )


def calendar_activity_spec(
    *,
    start_date: DateLike,
    total_periods: int,
    period_length: int = 1,
    period_unit: str = "days",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """The number of subscribers by the periods in which they were active.

    Parameters
    ----------
    start_date : DateLike
        Start of the first period, ISO text or a date.
    total_periods : int
        Number of periods.
    period_length : int, optional
        Length of a period, in that unit.
    period_unit : str, optional
        ``days``, ``hours`` or ``minutes``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "calendar_activity",
        "start_date": iso_date(start_date, "start_date"),
        "total_periods": total_periods,
        "period_length": period_length,
        "period_unit": period_unit,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def calendar_activity(
    *,
    connection: Connection,
    start_date: DateLike,
    total_periods: int,
    period_length: int = 1,
    period_unit: str = "days",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> APIQuery:
    """The number of subscribers by the periods in which they were active.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        Start of the first period, ISO text or a date.
    total_periods : int
        Number of periods.
    period_length : int, optional
        Length of a period, in that unit.
    period_unit : str, optional
        ``days``, ``hours`` or ``minutes``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    APIQuery
        Its result has the columns grp, value.
    """
    return connection.make_api_query(
        calendar_activity_spec(
            start_date=start_date,
            total_periods=total_periods,
            period_length=period_length,
            period_unit=period_unit,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            hours=hours,
        )
    )


def consecutive_trips_od_matrix_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> Spec:
    """The number of subscribers seen at one location, then at another or the same.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "consecutive_trips_od_matrix",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
        "hours": hours_of_day(hours, "hours"),
    }


def consecutive_trips_od_matrix(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> APIQuery:
    """The number of subscribers seen at one location, then at another or the same.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    APIQuery
        Its result has the columns pcod_from (for ``lon-lat`` lon_from, lat_from), pcod_to (for ``lon-lat``
        lon_to, lat_to), value.
    """
    return connection.make_api_query(
        consecutive_trips_od_matrix_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
            hours=hours,
        )
    )


def dfs_metric_total_amount_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    metric: str,
) -> Spec:
    """A mobile money total by day, at the areas of both parties, end date included.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The last day, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    metric : str
        ``amount``, ``commission``, ``fee`` or ``discount``.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "dfs_metric_total_amount",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "metric": metric,
    }


def dfs_metric_total_amount(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    metric: str,
) -> APIQuery:
    """A mobile money total by day, at the areas of both parties, end date included.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The last day, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    metric : str
        ``amount``, ``commission``, ``fee`` or ``discount``.

    Returns
    -------
    APIQuery
        Its result has the columns date, pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        dfs_metric_total_amount_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            metric=metric,
        )
    )


def displaced_counts_spec(
    *,
    displacement_status: Spec,
    normal: Spec | None = None,
) -> Spec:
    """Residents at home, away, displaced, returned or unseen, by place and period.

    Parameters
    ----------
    displacement_status : Spec
        Specification of ``displacement_status``.
    normal : Spec | None, optional
        Specification of ``displacement_status``. Before the event; None for no comparison.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "displaced_counts",
        "displacement_status": displacement_status,
        "normal": normal,
    }


def displaced_counts(
    *,
    connection: Connection,
    displacement_status: Spec,
    normal: Spec | None = None,
) -> APIQuery:
    """Residents at home, away, displaced, returned or unseen, by place and period.

    Parameters
    ----------
    connection : Connection
        The server.
    displacement_status : Spec
        Specification of ``displacement_status``.
    normal : Spec | None, optional
        Specification of ``displacement_status``. Before the event; None for no comparison.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), period, status, value, share,
        normal_share, excess.
    """
    return connection.make_api_query(
        displaced_counts_spec(
            displacement_status=displacement_status,
            normal=normal,
        )
    )


def flows_spec(
    *,
    from_location: Spec,
    to_location: Spec,
    join_type: str = "inner",
    exclude_stayers: bool = False,
) -> Spec:
    """The number of subscribers at one location first and at any location second.

    Parameters
    ----------
    from_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    to_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    join_type : str, optional
        ``inner``, ``full outer``, ``left``, ``right``, ``left outer`` or ``right outer``.
    exclude_stayers : bool, optional
        Whether to leave out subscribers with the same location in both; by default they count.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "flows",
        "from_location": from_location,
        "to_location": to_location,
        "join_type": join_type,
        **({} if exclude_stayers is False else {"exclude_stayers": exclude_stayers}),
    }


def flows(
    *,
    connection: Connection,
    from_location: Spec,
    to_location: Spec,
    join_type: str = "inner",
    exclude_stayers: bool = False,
) -> APIQuery:
    """The number of subscribers at one location first and at any location second.

    Parameters
    ----------
    connection : Connection
        The server.
    from_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    to_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    join_type : str, optional
        ``inner``, ``full outer``, ``left``, ``right``, ``left outer`` or ``right outer``.
    exclude_stayers : bool, optional
        Whether to leave out subscribers with the same location in both; by default they count.

    Returns
    -------
    APIQuery
        Its result has the columns pcod_from (for ``lon-lat`` lon_from, lat_from), pcod_to (for ``lon-lat``
        lon_to, lat_to), value.
    """
    return connection.make_api_query(
        flows_spec(
            from_location=from_location,
            to_location=to_location,
            join_type=join_type,
            exclude_stayers=exclude_stayers,
        )
    )


def histogram_aggregate_spec(
    *,
    metric: Spec,
    bins: int | Sequence[float],
    range: Sequence[float] | Mapping[str, float] | None = None,
) -> Spec:
    """The number of subscribers by ranges of a metric.

    Parameters
    ----------
    metric : Spec
        Specification of ``radius_of_gyration``, ``unique_location_counts``, ``topup_balance``,
        ``subscriber_degree``, ``topup_amount``, ``event_count``, ``pareto_interactions``,
        ``nocturnal_events``, ``displacement``, ``total_active_periods``, ``jump_lengths``,
        ``distance_travelled``, ``k_radius_of_gyration``, ``mobility_entropy``, ``activity_statistic`` or
        ``stay_time``.
    bins : int | Sequence[float]
        Number of bins, or their edges.
    range : Sequence[float] | Mapping[str, float] | None, optional
        Lowest and highest value counted; by default all are.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "histogram_aggregate",
        "metric": metric,
        "bins": histogram_bins(bins, "bins"),
        **({} if range is None else {"range": bounds(range, "range")}),
    }


def histogram_aggregate(
    *,
    connection: Connection,
    metric: Spec,
    bins: int | Sequence[float],
    range: Sequence[float] | Mapping[str, float] | None = None,
) -> APIQuery:
    """The number of subscribers by ranges of a metric.

    Parameters
    ----------
    connection : Connection
        The server.
    metric : Spec
        Specification of ``radius_of_gyration``, ``unique_location_counts``, ``topup_balance``,
        ``subscriber_degree``, ``topup_amount``, ``event_count``, ``pareto_interactions``,
        ``nocturnal_events``, ``displacement``, ``total_active_periods``, ``jump_lengths``,
        ``distance_travelled``, ``k_radius_of_gyration``, ``mobility_entropy``, ``activity_statistic`` or
        ``stay_time``.
    bins : int | Sequence[float]
        Number of bins, or their edges.
    range : Sequence[float] | Mapping[str, float] | None, optional
        Lowest and highest value counted; by default all are.

    Returns
    -------
    APIQuery
        Its result has the columns value, lower_edge, upper_edge.
    """
    return connection.make_api_query(
        histogram_aggregate_spec(
            metric=metric,
            bins=bins,
            range=range,
        )
    )


def inflows_spec(
    *,
    from_location: Spec,
    to_location: Spec,
    join_type: str = "inner",
    exclude_stayers: bool = False,
) -> Spec:
    """The flows to each location from all origins, including those who stayed.

    Parameters
    ----------
    from_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    to_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    join_type : str, optional
        ``inner``, ``full outer``, ``left``, ``right``, ``left outer`` or ``right outer``.
    exclude_stayers : bool, optional
        Whether to leave out subscribers with the same location in both; by default they count.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "inflows",
        "from_location": from_location,
        "to_location": to_location,
        "join_type": join_type,
        **({} if exclude_stayers is False else {"exclude_stayers": exclude_stayers}),
    }


def inflows(
    *,
    connection: Connection,
    from_location: Spec,
    to_location: Spec,
    join_type: str = "inner",
    exclude_stayers: bool = False,
) -> APIQuery:
    """The flows to each location from all origins, including those who stayed.

    Parameters
    ----------
    connection : Connection
        The server.
    from_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    to_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    join_type : str, optional
        ``inner``, ``full outer``, ``left``, ``right``, ``left outer`` or ``right outer``.
    exclude_stayers : bool, optional
        Whether to leave out subscribers with the same location in both; by default they count.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        inflows_spec(
            from_location=from_location,
            to_location=to_location,
            join_type=join_type,
            exclude_stayers=exclude_stayers,
        )
    )


def internal_migration_spec(
    *,
    previous: Spec,
    new: Spec,
    min_score: int | None = None,
    min_days: int | None = None,
    gap_share: int | None = None,
    gap_score: int | None = None,
    ue_share: int | None = None,
    label_share: int | None = None,
    migration_threshold: float = 0.5,
) -> Spec:
    """Subscribers who moved by homes before and after; of n pairs each counts 1/n.

    Parameters
    ----------
    previous : Spec
        Specification of ``daily_permanence``. The earlier period.
    new : Spec
        Specification of ``daily_permanence``. The later period.
    min_score : int | None, optional
        Slots of an hour that a subscriber must be observed in; of finer slots as many times more. The
        deployment's if absent, usually 1500.
    min_days : int | None, optional
        Days on which a subscriber must be observed. The deployment's if absent, usually 50.
    gap_share : int | None, optional
        Locations after a fall of the score by this percentage of the highest are left out. The deployment's
        if absent, usually 20.
    gap_score : int | None, optional
        The same for homes and workplaces, in slots. The deployment's if absent, usually 1.
    ue_share : int | None, optional
        Percentage of the observed slots that makes a location usual. The deployment's if absent, usually 70.
    label_share : int | None, optional
        The same for homes and workplaces. The deployment's if absent, usually 80.
    migration_threshold : float, optional
        Overlap from which on a subscriber stays.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "internal_migration",
        "previous": previous,
        "new": new,
        **({} if min_score is None else {"min_score": min_score}),
        **({} if min_days is None else {"min_days": min_days}),
        **({} if gap_share is None else {"gap_share": gap_share}),
        **({} if gap_score is None else {"gap_score": gap_score}),
        **({} if ue_share is None else {"ue_share": ue_share}),
        **({} if label_share is None else {"label_share": label_share}),
        "migration_threshold": migration_threshold,
    }


def internal_migration(
    *,
    connection: Connection,
    previous: Spec,
    new: Spec,
    min_score: int | None = None,
    min_days: int | None = None,
    gap_share: int | None = None,
    gap_score: int | None = None,
    ue_share: int | None = None,
    label_share: int | None = None,
    migration_threshold: float = 0.5,
) -> APIQuery:
    """Subscribers who moved by homes before and after; of n pairs each counts 1/n.

    Parameters
    ----------
    connection : Connection
        The server.
    previous : Spec
        Specification of ``daily_permanence``. The earlier period.
    new : Spec
        Specification of ``daily_permanence``. The later period.
    min_score : int | None, optional
        Slots of an hour that a subscriber must be observed in; of finer slots as many times more. The
        deployment's if absent, usually 1500.
    min_days : int | None, optional
        Days on which a subscriber must be observed. The deployment's if absent, usually 50.
    gap_share : int | None, optional
        Locations after a fall of the score by this percentage of the highest are left out. The deployment's
        if absent, usually 20.
    gap_score : int | None, optional
        The same for homes and workplaces, in slots. The deployment's if absent, usually 1.
    ue_share : int | None, optional
        Percentage of the observed slots that makes a location usual. The deployment's if absent, usually 70.
    label_share : int | None, optional
        The same for homes and workplaces. The deployment's if absent, usually 80.
    migration_threshold : float, optional
        Overlap from which on a subscriber stays.

    Returns
    -------
    APIQuery
        Its result has the columns pcod_from (for ``lon-lat`` lon_from, lat_from), pcod_to (for ``lon-lat``
        lon_to, lat_to), value, subscribers.
    """
    return connection.make_api_query(
        internal_migration_spec(
            previous=previous,
            new=new,
            min_score=min_score,
            min_days=min_days,
            gap_share=gap_share,
            gap_score=gap_score,
            ue_share=ue_share,
            label_share=label_share,
            migration_threshold=migration_threshold,
        )
    )


def joined_spatial_aggregate_spec(
    *,
    locations: Spec,
    metric: Spec,
    method: str = "avg",
) -> Spec:
    """A statistic or the distribution of a metric over each location's subscribers.

    Parameters
    ----------
    locations : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    metric : Spec
        Specification of ``radius_of_gyration``, ``unique_location_counts``, ``topup_balance``,
        ``subscriber_degree``, ``topup_amount``, ``event_count``, ``pareto_interactions``,
        ``nocturnal_events``, ``displacement``, ``total_active_periods``, ``jump_lengths``,
        ``distance_travelled``, ``k_radius_of_gyration``, ``mobility_entropy``, ``activity_statistic``,
        ``stay_time`` or ``handset``.
    method : str, optional
        ``count``, ``sum``, ``avg``, ``max``, ``min``, ``median``, ``stddev``, ``variance``, ``mode`` or
        ``distr``. For handsets ``distr`` or ``mode`` only.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "joined_spatial_aggregate",
        "locations": locations,
        "metric": metric,
        "method": method,
    }


def joined_spatial_aggregate(
    *,
    connection: Connection,
    locations: Spec,
    metric: Spec,
    method: str = "avg",
) -> APIQuery:
    """A statistic or the distribution of a metric over each location's subscribers.

    Parameters
    ----------
    connection : Connection
        The server.
    locations : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    metric : Spec
        Specification of ``radius_of_gyration``, ``unique_location_counts``, ``topup_balance``,
        ``subscriber_degree``, ``topup_amount``, ``event_count``, ``pareto_interactions``,
        ``nocturnal_events``, ``displacement``, ``total_active_periods``, ``jump_lengths``,
        ``distance_travelled``, ``k_radius_of_gyration``, ``mobility_entropy``, ``activity_statistic``,
        ``stay_time`` or ``handset``.
    method : str, optional
        ``count``, ``sum``, ``avg``, ``max``, ``min``, ``median``, ``stddev``, ``variance``, ``mode`` or
        ``distr``. For handsets ``distr`` or ``mode`` only.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value; with ``distr`` metric, key, too.
    """
    return connection.make_api_query(
        joined_spatial_aggregate_spec(
            locations=locations,
            metric=metric,
            method=method,
        )
    )


def labelled_flows_spec(
    *,
    from_location: Spec,
    to_location: Spec,
    labels: Spec,
    join_type: str = "inner",
) -> Spec:
    """The number of subscribers by first and second location and label.

    Parameters
    ----------
    from_location : Spec
        Specification of ``coalesced_location``.
    to_location : Spec
        Specification of ``coalesced_location``.
    labels : Spec
        Specification of ``mobility_classification``.
    join_type : str, optional
        ``inner``, ``full outer``, ``left``, ``right``, ``left outer`` or ``right outer``.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "labelled_flows",
        "from_location": from_location,
        "to_location": to_location,
        "labels": labels,
        "join_type": join_type,
    }


def labelled_flows(
    *,
    connection: Connection,
    from_location: Spec,
    to_location: Spec,
    labels: Spec,
    join_type: str = "inner",
) -> APIQuery:
    """The number of subscribers by first and second location and label.

    Parameters
    ----------
    connection : Connection
        The server.
    from_location : Spec
        Specification of ``coalesced_location``.
    to_location : Spec
        Specification of ``coalesced_location``.
    labels : Spec
        Specification of ``mobility_classification``.
    join_type : str, optional
        ``inner``, ``full outer``, ``left``, ``right``, ``left outer`` or ``right outer``.

    Returns
    -------
    APIQuery
        Its result has the columns pcod_from (for ``lon-lat`` lon_from, lat_from), pcod_to (for ``lon-lat``
        lon_to, lat_to), value_label, value.
    """
    return connection.make_api_query(
        labelled_flows_spec(
            from_location=from_location,
            to_location=to_location,
            labels=labels,
            join_type=join_type,
        )
    )


def labelled_spatial_aggregate_spec(
    *,
    locations: Spec,
    labels: Spec,
) -> Spec:
    """The number of subscribers at each location, by label.

    Parameters
    ----------
    locations : Spec
        Specification of ``coalesced_location``.
    labels : Spec
        Specification of ``mobility_classification``.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "labelled_spatial_aggregate",
        "locations": locations,
        "labels": labels,
    }


def labelled_spatial_aggregate(
    *,
    connection: Connection,
    locations: Spec,
    labels: Spec,
) -> APIQuery:
    """The number of subscribers at each location, by label.

    Parameters
    ----------
    connection : Connection
        The server.
    locations : Spec
        Specification of ``coalesced_location``.
    labels : Spec
        Specification of ``mobility_classification``.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value_label, value.
    """
    return connection.make_api_query(
        labelled_spatial_aggregate_spec(
            locations=locations,
            labels=labels,
        )
    )


def localised_calendar_activity_spec(
    *,
    start_date: DateLike,
    total_periods: int,
    locations: Spec,
    period_length: int = 1,
    period_unit: str = "days",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """The number of subscribers by location and by their active periods.

    Parameters
    ----------
    start_date : DateLike
        Start of the first period, ISO text or a date.
    total_periods : int
        Number of periods.
    locations : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    period_length : int, optional
        Length of a period, in that unit.
    period_unit : str, optional
        ``days``, ``hours`` or ``minutes``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "localised_calendar_activity",
        "start_date": iso_date(start_date, "start_date"),
        "total_periods": total_periods,
        "reference_location": locations,
        "period_length": period_length,
        "period_unit": period_unit,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def localised_calendar_activity(
    *,
    connection: Connection,
    start_date: DateLike,
    total_periods: int,
    locations: Spec,
    period_length: int = 1,
    period_unit: str = "days",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> APIQuery:
    """The number of subscribers by location and by their active periods.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        Start of the first period, ISO text or a date.
    total_periods : int
        Number of periods.
    locations : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    period_length : int, optional
        Length of a period, in that unit.
    period_unit : str, optional
        ``days``, ``hours`` or ``minutes``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value_label, value.
    """
    return connection.make_api_query(
        localised_calendar_activity_spec(
            start_date=start_date,
            total_periods=total_periods,
            locations=locations,
            period_length=period_length,
            period_unit=period_unit,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            hours=hours,
        )
    )


def location_event_counts_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    count_interval: str,
    direction: str = "both",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> Spec:
    """The number of events at each location, by day, hour or minute.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    count_interval : str
        ``day``, ``hour`` or ``min``.
    direction : str, optional
        ``in``, ``out`` or ``both``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "location_event_counts",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "interval": interval(count_interval, "count_interval"),
        "direction": direction,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
        "hours": hours_of_day(hours, "hours"),
    }


def location_event_counts(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    count_interval: str,
    direction: str = "both",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> APIQuery:
    """The number of events at each location, by day, hour or minute.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    count_interval : str
        ``day``, ``hour`` or ``min``.
    direction : str, optional
        ``in``, ``out`` or ``both``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), date, value; with ``hour`` hour, too; with
        ``min`` hour, min, too.
    """
    return connection.make_api_query(
        location_event_counts_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            count_interval=count_interval,
            direction=direction,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
            hours=hours,
        )
    )


def location_introversion_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    direction: str = "both",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> Spec:
    """The share of each location's events whose other party is there too.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    direction : str, optional
        ``in``, ``out`` or ``both``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "location_introversion",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "direction": direction,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
        "hours": hours_of_day(hours, "hours"),
    }


def location_introversion(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    direction: str = "both",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> APIQuery:
    """The share of each location's events whose other party is there too.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    direction : str, optional
        ``in``, ``out`` or ``both``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        location_introversion_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            direction=direction,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
            hours=hours,
        )
    )


def meaningful_locations_aggregate_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    labels: dict[str, Any],
    tower_hour_of_day_scores: list[float],
    tower_day_of_week_scores: dict[str, float],
    label: str,
    tower_cluster_radius: float = 1.0,
    tower_cluster_call_threshold: int = 0,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> Spec:
    """Subscribers by area of their locations of a label; of n such each counts 1/n.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    labels : dict[str, Any]
        GeoJSON polygon by label, x = hour score, y = day score.
    tower_hour_of_day_scores : list[float]
        24 numbers in [-1, 1], one per hour.
    tower_day_of_week_scores : dict[str, float]
        Number in [-1, 1] by weekday, all seven.
    label : str
        The label.
    tower_cluster_radius : float, optional
        Radius of a cluster of sites, in kilometres.
    tower_cluster_call_threshold : int, optional
        Days with calls that a cluster needs.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "meaningful_locations_aggregate",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "labels": labels,
        "tower_hour_of_day_scores": tower_hour_of_day_scores,
        "tower_day_of_week_scores": tower_day_of_week_scores,
        "label": label,
        "tower_cluster_radius": tower_cluster_radius,
        "tower_cluster_call_threshold": tower_cluster_call_threshold,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
    }


def meaningful_locations_aggregate(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    labels: dict[str, Any],
    tower_hour_of_day_scores: list[float],
    tower_day_of_week_scores: dict[str, float],
    label: str,
    tower_cluster_radius: float = 1.0,
    tower_cluster_call_threshold: int = 0,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> APIQuery:
    """Subscribers by area of their locations of a label; of n such each counts 1/n.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    labels : dict[str, Any]
        GeoJSON polygon by label, x = hour score, y = day score.
    tower_hour_of_day_scores : list[float]
        24 numbers in [-1, 1], one per hour.
    tower_day_of_week_scores : dict[str, float]
        Number in [-1, 1] by weekday, all seven.
    label : str
        The label.
    tower_cluster_radius : float, optional
        Radius of a cluster of sites, in kilometres.
    tower_cluster_call_threshold : int, optional
        Days with calls that a cluster needs.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.

    Returns
    -------
    APIQuery
        Its result has the columns label, pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        meaningful_locations_aggregate_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            labels=labels,
            tower_hour_of_day_scores=tower_hour_of_day_scores,
            tower_day_of_week_scores=tower_day_of_week_scores,
            label=label,
            tower_cluster_radius=tower_cluster_radius,
            tower_cluster_call_threshold=tower_cluster_call_threshold,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
        )
    )


def meaningful_locations_between_dates_od_matrix_spec(
    *,
    start_date_a: DateLike,
    end_date_a: DateLike,
    start_date_b: DateLike,
    end_date_b: DateLike,
    aggregation_unit: str,
    labels: dict[str, Any],
    tower_hour_of_day_scores: list[float],
    tower_day_of_week_scores: dict[str, float],
    label: str,
    tower_cluster_radius: float = 1.0,
    tower_cluster_call_threshold: int = 0,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> Spec:
    """Subscribers by areas of locations in two periods; of n pairs each counts 1/n.

    Parameters
    ----------
    start_date_a : DateLike
        First day, ISO text or a date.
    end_date_a : DateLike
        The day after the last, ISO text or a date.
    start_date_b : DateLike
        First day, ISO text or a date.
    end_date_b : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    labels : dict[str, Any]
        GeoJSON polygon by label, x = hour score, y = day score.
    tower_hour_of_day_scores : list[float]
        24 numbers in [-1, 1], one per hour.
    tower_day_of_week_scores : dict[str, float]
        Number in [-1, 1] by weekday, all seven.
    label : str
        The label.
    tower_cluster_radius : float, optional
        Radius of a cluster of sites, in kilometres.
    tower_cluster_call_threshold : int, optional
        Days with calls that a cluster needs.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "meaningful_locations_between_dates_od_matrix",
        "start_date_a": iso_date(start_date_a, "start_date_a"),
        "end_date_a": iso_date(end_date_a, "end_date_a"),
        "start_date_b": iso_date(start_date_b, "start_date_b"),
        "end_date_b": iso_date(end_date_b, "end_date_b"),
        "aggregation_unit": aggregation_unit,
        "labels": labels,
        "tower_hour_of_day_scores": tower_hour_of_day_scores,
        "tower_day_of_week_scores": tower_day_of_week_scores,
        "label": label,
        "tower_cluster_radius": tower_cluster_radius,
        "tower_cluster_call_threshold": tower_cluster_call_threshold,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
    }


def meaningful_locations_between_dates_od_matrix(
    *,
    connection: Connection,
    start_date_a: DateLike,
    end_date_a: DateLike,
    start_date_b: DateLike,
    end_date_b: DateLike,
    aggregation_unit: str,
    labels: dict[str, Any],
    tower_hour_of_day_scores: list[float],
    tower_day_of_week_scores: dict[str, float],
    label: str,
    tower_cluster_radius: float = 1.0,
    tower_cluster_call_threshold: int = 0,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> APIQuery:
    """Subscribers by areas of locations in two periods; of n pairs each counts 1/n.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date_a : DateLike
        First day, ISO text or a date.
    end_date_a : DateLike
        The day after the last, ISO text or a date.
    start_date_b : DateLike
        First day, ISO text or a date.
    end_date_b : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    labels : dict[str, Any]
        GeoJSON polygon by label, x = hour score, y = day score.
    tower_hour_of_day_scores : list[float]
        24 numbers in [-1, 1], one per hour.
    tower_day_of_week_scores : dict[str, float]
        Number in [-1, 1] by weekday, all seven.
    label : str
        The label.
    tower_cluster_radius : float, optional
        Radius of a cluster of sites, in kilometres.
    tower_cluster_call_threshold : int, optional
        Days with calls that a cluster needs.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.

    Returns
    -------
    APIQuery
        Its result has the columns label_from, label_to, pcod_from (for ``lon-lat`` lon_from, lat_from),
        pcod_to (for ``lon-lat`` lon_to, lat_to), value.
    """
    return connection.make_api_query(
        meaningful_locations_between_dates_od_matrix_spec(
            start_date_a=start_date_a,
            end_date_a=end_date_a,
            start_date_b=start_date_b,
            end_date_b=end_date_b,
            aggregation_unit=aggregation_unit,
            labels=labels,
            tower_hour_of_day_scores=tower_hour_of_day_scores,
            tower_day_of_week_scores=tower_day_of_week_scores,
            label=label,
            tower_cluster_radius=tower_cluster_radius,
            tower_cluster_call_threshold=tower_cluster_call_threshold,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
        )
    )


def meaningful_locations_between_label_od_matrix_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    labels: dict[str, Any],
    tower_hour_of_day_scores: list[float],
    tower_day_of_week_scores: dict[str, float],
    label_a: str,
    label_b: str,
    tower_cluster_radius: float = 1.0,
    tower_cluster_call_threshold: int = 0,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> Spec:
    """Subscribers by areas of locations of two labels; of n pairs each counts 1/n.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    labels : dict[str, Any]
        GeoJSON polygon by label, x = hour score, y = day score.
    tower_hour_of_day_scores : list[float]
        24 numbers in [-1, 1], one per hour.
    tower_day_of_week_scores : dict[str, float]
        Number in [-1, 1] by weekday, all seven.
    label_a : str
        Label of the origin.
    label_b : str
        Label of the destination.
    tower_cluster_radius : float, optional
        Radius of a cluster of sites, in kilometres.
    tower_cluster_call_threshold : int, optional
        Days with calls that a cluster needs.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "meaningful_locations_between_label_od_matrix",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "labels": labels,
        "tower_hour_of_day_scores": tower_hour_of_day_scores,
        "tower_day_of_week_scores": tower_day_of_week_scores,
        "label_a": label_a,
        "label_b": label_b,
        "tower_cluster_radius": tower_cluster_radius,
        "tower_cluster_call_threshold": tower_cluster_call_threshold,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
    }


def meaningful_locations_between_label_od_matrix(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    labels: dict[str, Any],
    tower_hour_of_day_scores: list[float],
    tower_day_of_week_scores: dict[str, float],
    label_a: str,
    label_b: str,
    tower_cluster_radius: float = 1.0,
    tower_cluster_call_threshold: int = 0,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> APIQuery:
    """Subscribers by areas of locations of two labels; of n pairs each counts 1/n.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    labels : dict[str, Any]
        GeoJSON polygon by label, x = hour score, y = day score.
    tower_hour_of_day_scores : list[float]
        24 numbers in [-1, 1], one per hour.
    tower_day_of_week_scores : dict[str, float]
        Number in [-1, 1] by weekday, all seven.
    label_a : str
        Label of the origin.
    label_b : str
        Label of the destination.
    tower_cluster_radius : float, optional
        Radius of a cluster of sites, in kilometres.
    tower_cluster_call_threshold : int, optional
        Days with calls that a cluster needs.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.

    Returns
    -------
    APIQuery
        Its result has the columns label_from, label_to, pcod_from (for ``lon-lat`` lon_from, lat_from),
        pcod_to (for ``lon-lat`` lon_to, lat_to), value.
    """
    return connection.make_api_query(
        meaningful_locations_between_label_od_matrix_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            labels=labels,
            tower_hour_of_day_scores=tower_hour_of_day_scores,
            tower_day_of_week_scores=tower_day_of_week_scores,
            label_a=label_a,
            label_b=label_b,
            tower_cluster_radius=tower_cluster_radius,
            tower_cluster_call_threshold=tower_cluster_call_threshold,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
        )
    )


def network_silence_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    lookback_weeks: int = 4,
    minimum_baseline: float = 10.0,
    event_types: EventTypes = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> Spec:
    """The cells of each location that fall silent after busy weeks, by day.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    lookback_weeks : int, optional
        Weeks before the day.
    minimum_baseline : float, optional
        Events a day from which a cell without any is silent.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "network_silence",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "lookback_weeks": lookback_weeks,
        "minimum_baseline": minimum_baseline,
        "event_types": list_of_types(event_types, "event_types"),
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
    }


def network_silence(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    lookback_weeks: int = 4,
    minimum_baseline: float = 10.0,
    event_types: EventTypes = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> APIQuery:
    """The cells of each location that fall silent after busy weeks, by day.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    lookback_weeks : int, optional
        Weeks before the day.
    minimum_baseline : float, optional
        Events a day from which a cell without any is silent.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), date, cells, silent, baseline, ratio.
    """
    return connection.make_api_query(
        network_silence_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            lookback_weeks=lookback_weeks,
            minimum_baseline=minimum_baseline,
            event_types=event_types,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
        )
    )


def outflows_spec(
    *,
    from_location: Spec,
    to_location: Spec,
    join_type: str = "inner",
    exclude_stayers: bool = False,
) -> Spec:
    """The flows from each location to all destinations, including those who stayed.

    Parameters
    ----------
    from_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    to_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    join_type : str, optional
        ``inner``, ``full outer``, ``left``, ``right``, ``left outer`` or ``right outer``.
    exclude_stayers : bool, optional
        Whether to leave out subscribers with the same location in both; by default they count.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "outflows",
        "from_location": from_location,
        "to_location": to_location,
        "join_type": join_type,
        **({} if exclude_stayers is False else {"exclude_stayers": exclude_stayers}),
    }


def outflows(
    *,
    connection: Connection,
    from_location: Spec,
    to_location: Spec,
    join_type: str = "inner",
    exclude_stayers: bool = False,
) -> APIQuery:
    """The flows from each location to all destinations, including those who stayed.

    Parameters
    ----------
    connection : Connection
        The server.
    from_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    to_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location``, ``permanence_location`` or ``unique_locations``.
    join_type : str, optional
        ``inner``, ``full outer``, ``left``, ``right``, ``left outer`` or ``right outer``.
    exclude_stayers : bool, optional
        Whether to leave out subscribers with the same location in both; by default they count.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        outflows_spec(
            from_location=from_location,
            to_location=to_location,
            join_type=join_type,
            exclude_stayers=exclude_stayers,
        )
    )


def population_estimate_spec(
    *,
    counts: Spec,
    home_location: Spec,
    weights_table: str,
    weighting: str = "population",
    deduplication_factor: float = 1.0,
    minimum_residents: int = 100,
) -> Spec:
    """A count as people: each subscriber times the people per subscriber at home.

    Parameters
    ----------
    counts : Spec
        Specification of ``spatial_aggregate``, ``unique_subscriber_counts``,
        ``active_at_reference_location_counts``, ``flows``, ``inflows``, ``outflows``, ``trips_od_matrix``,
        ``displaced_counts``, ``present_population``, ``residence_change``, ``usual_environment_counts``,
        ``internal_migration`` or ``stay_durations``.
    home_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    weights_table : str
        Table with the columns ``pcod`` and ``population`` or ``weight``, allowed as mapping tables are.
    weighting : str, optional
        ``population`` or ``weight``.
    deduplication_factor : float, optional
        People for each SIM card, beside ``weight`` only.
    minimum_residents : int, optional
        Subscribers of a home with a ratio of its own.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "population_estimate",
        "counts": counts,
        "home_location": home_location,
        "weights_table": weights_table,
        "weighting": weighting,
        "deduplication_factor": deduplication_factor,
        "minimum_residents": minimum_residents,
    }


def population_estimate(
    *,
    connection: Connection,
    counts: Spec,
    home_location: Spec,
    weights_table: str,
    weighting: str = "population",
    deduplication_factor: float = 1.0,
    minimum_residents: int = 100,
) -> APIQuery:
    """A count as people: each subscriber times the people per subscriber at home.

    Parameters
    ----------
    connection : Connection
        The server.
    counts : Spec
        Specification of ``spatial_aggregate``, ``unique_subscriber_counts``,
        ``active_at_reference_location_counts``, ``flows``, ``inflows``, ``outflows``, ``trips_od_matrix``,
        ``displaced_counts``, ``present_population``, ``residence_change``, ``usual_environment_counts``,
        ``internal_migration`` or ``stay_durations``.
    home_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    weights_table : str
        Table with the columns ``pcod`` and ``population`` or ``weight``, allowed as mapping tables are.
    weighting : str, optional
        ``population`` or ``weight``.
    deduplication_factor : float, optional
        People for each SIM card, beside ``weight`` only.
    minimum_residents : int, optional
        Subscribers of a home with a ratio of its own.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value, weighted_value, subscribers,
        coverage.
    """
    return connection.make_api_query(
        population_estimate_spec(
            counts=counts,
            home_location=home_location,
            weights_table=weights_table,
            weighting=weighting,
            deduplication_factor=deduplication_factor,
            minimum_residents=minimum_residents,
        )
    )


def present_population_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    interval_minutes: int = 720,
    tolerance_minutes: int = 60,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> Spec:
    """The number of subscribers at each location at points of time.

    Parameters
    ----------
    start_date : DateLike
        The first point of time, ISO text or a date.
    end_date : DateLike
        The last possible point of time, included.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    interval_minutes : int, optional
        Minutes between two points.
    tolerance_minutes : int, optional
        Minutes that an event may be away from a point.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "present_population",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "interval_minutes": interval_minutes,
        "tolerance_minutes": tolerance_minutes,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
    }


def present_population(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    interval_minutes: int = 720,
    tolerance_minutes: int = 60,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> APIQuery:
    """The number of subscribers at each location at points of time.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        The first point of time, ISO text or a date.
    end_date : DateLike
        The last possible point of time, included.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    interval_minutes : int, optional
        Minutes between two points.
    tolerance_minutes : int, optional
        Minutes that an event may be away from a point.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), datetime, value.
    """
    return connection.make_api_query(
        present_population_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            interval_minutes=interval_minutes,
            tolerance_minutes=tolerance_minutes,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
        )
    )


def residence_change_spec(
    *,
    homes: list[Spec],
    window: int = 13,
    minimum_months: int = 7,
) -> Spec:
    """Subscribers by their stable homes before and after a move, by month.

    Parameters
    ----------
    homes : list[Spec]
        Specifications of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``, at least 14. One a month, in
        order.
    window : int, optional
        Months that a stable home is judged by.
    minimum_months : int, optional
        Months at a location that make it a stable home.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "residence_change",
        "homes": homes,
        "window": window,
        "minimum_months": minimum_months,
    }


def residence_change(
    *,
    connection: Connection,
    homes: list[Spec],
    window: int = 13,
    minimum_months: int = 7,
) -> APIQuery:
    """Subscribers by their stable homes before and after a move, by month.

    Parameters
    ----------
    connection : Connection
        The server.
    homes : list[Spec]
        Specifications of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``, at least 14. One a month, in
        order.
    window : int, optional
        Months that a stable home is judged by.
    minimum_months : int, optional
        Months at a location that make it a stable home.

    Returns
    -------
    APIQuery
        Its result has the columns pcod_from (for ``lon-lat`` lon_from, lat_from), pcod_to (for ``lon-lat``
        lon_to, lat_to), month, value, subscribers.
    """
    return connection.make_api_query(
        residence_change_spec(
            homes=homes,
            window=window,
            minimum_months=minimum_months,
        )
    )


def spatial_aggregate_spec(
    *,
    locations: Spec,
) -> Spec:
    """The number of subscribers at each location.

    Parameters
    ----------
    locations : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "spatial_aggregate",
        "locations": locations,
    }


def spatial_aggregate(
    *,
    connection: Connection,
    locations: Spec,
) -> APIQuery:
    """The number of subscribers at each location.

    Parameters
    ----------
    connection : Connection
        The server.
    locations : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        spatial_aggregate_spec(
            locations=locations,
        )
    )


def stay_durations_spec(
    *,
    date: DateLike,
    stays: Spec,
    home_location: Spec,
    day_start_hour: int = 0,
    minimum_minutes: float = 0.0,
) -> Spec:
    """Subscribers and their hours by home and location of the longest stay.

    Parameters
    ----------
    date : DateLike
        The day, ISO text or a date.
    stays : Spec
        Specification of ``stays``.
    home_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    day_start_hour : int, optional
        Hour at which the day begins.
    minimum_minutes : float, optional
        Least time at a location, in all stays of the day.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "stay_durations",
        "date": iso_date(date, "date"),
        "stays": stays,
        "home_location": home_location,
        "day_start_hour": day_start_hour,
        "minimum_minutes": minimum_minutes,
    }


def stay_durations(
    *,
    connection: Connection,
    date: DateLike,
    stays: Spec,
    home_location: Spec,
    day_start_hour: int = 0,
    minimum_minutes: float = 0.0,
) -> APIQuery:
    """Subscribers and their hours by home and location of the longest stay.

    Parameters
    ----------
    connection : Connection
        The server.
    date : DateLike
        The day, ISO text or a date.
    stays : Spec
        Specification of ``stays``.
    home_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    day_start_hour : int, optional
        Hour at which the day begins.
    minimum_minutes : float, optional
        Least time at a location, in all stays of the day.

    Returns
    -------
    APIQuery
        Its result has the columns pcod_from (for ``lon-lat`` lon_from, lat_from), pcod_to (for ``lon-lat``
        lon_to, lat_to), value, mean_hours, stddev_hours.
    """
    return connection.make_api_query(
        stay_durations_spec(
            date=date,
            stays=stays,
            home_location=home_location,
            day_start_hour=day_start_hour,
            minimum_minutes=minimum_minutes,
        )
    )


def total_network_objects_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    total_by: str = "day",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> Spec:
    """The number of cells in use at each location, over time.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    total_by : str, optional
        ``second``, ``minute``, ``hour``, ``day``, ``month`` or ``year``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "total_network_objects",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "total_by": total_by,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
        "hours": hours_of_day(hours, "hours"),
    }


def total_network_objects(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    total_by: str = "day",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> APIQuery:
    """The number of cells in use at each location, over time.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    total_by : str, optional
        ``second``, ``minute``, ``hour``, ``day``, ``month`` or ``year``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value, datetime.
    """
    return connection.make_api_query(
        total_network_objects_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            total_by=total_by,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
            hours=hours,
        )
    )


def trips_od_matrix_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> Spec:
    """The number of subscribers seen at one location before they were last at another.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "trips_od_matrix",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
        "hours": hours_of_day(hours, "hours"),
    }


def trips_od_matrix(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> APIQuery:
    """The number of subscribers seen at one location before they were last at another.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    APIQuery
        Its result has the columns pcod_from (for ``lon-lat`` lon_from, lat_from), pcod_to (for ``lon-lat``
        lon_to, lat_to), value.
    """
    return connection.make_api_query(
        trips_od_matrix_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
            hours=hours,
        )
    )


def unique_subscriber_counts_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> Spec:
    """The number of subscribers seen at each location.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "unique_subscriber_counts",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
        "hours": hours_of_day(hours, "hours"),
    }


def unique_subscriber_counts(
    *,
    connection: Connection,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> APIQuery:
    """The number of subscribers seen at each location.

    Parameters
    ----------
    connection : Connection
        The server.
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.
    mapping_table : str | None, optional
        Table that maps cells to areas, in place of their position.
    geom_table : str | None, optional
        Table of geometries, for ``lon-lat`` only.
    geom_table_join_column : str | None, optional
        Column of that table to join on.
    hours : Hours, optional
        Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        unique_subscriber_counts_spec(
            start_date=start_date,
            end_date=end_date,
            aggregation_unit=aggregation_unit,
            event_types=event_types,
            subscriber_subset=subscriber_subset,
            mapping_table=mapping_table,
            geom_table=geom_table,
            geom_table_join_column=geom_table_join_column,
            hours=hours,
        )
    )


def unique_visitor_counts_spec(
    *,
    active_at_reference_location_counts: Spec,
    unique_subscriber_counts: Spec,
) -> Spec:
    """Subscribers seen at each location, less those whose reference location it is.

    Parameters
    ----------
    active_at_reference_location_counts : Spec
        Specification of ``active_at_reference_location_counts``.
    unique_subscriber_counts : Spec
        Specification of ``unique_subscriber_counts``.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "unique_visitor_counts",
        "active_at_reference_location_counts": active_at_reference_location_counts,
        "unique_subscriber_counts": unique_subscriber_counts,
    }


def unique_visitor_counts(
    *,
    connection: Connection,
    active_at_reference_location_counts: Spec,
    unique_subscriber_counts: Spec,
) -> APIQuery:
    """Subscribers seen at each location, less those whose reference location it is.

    Parameters
    ----------
    connection : Connection
        The server.
    active_at_reference_location_counts : Spec
        Specification of ``active_at_reference_location_counts``.
    unique_subscriber_counts : Spec
        Specification of ``unique_subscriber_counts``.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        unique_visitor_counts_spec(
            active_at_reference_location_counts=active_at_reference_location_counts,
            unique_subscriber_counts=unique_subscriber_counts,
        )
    )


def unmoving_at_reference_location_counts_spec(
    *,
    unique_locations: Spec,
    reference_locations: Spec,
) -> Spec:
    """The number of subscribers seen at their reference location only.

    Parameters
    ----------
    unique_locations : Spec
        Specification of ``unique_locations``.
    reference_locations : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "unmoving_at_reference_location_counts",
        "locations": unique_locations,
        "reference_locations": reference_locations,
    }


def unmoving_at_reference_location_counts(
    *,
    connection: Connection,
    unique_locations: Spec,
    reference_locations: Spec,
) -> APIQuery:
    """The number of subscribers seen at their reference location only.

    Parameters
    ----------
    connection : Connection
        The server.
    unique_locations : Spec
        Specification of ``unique_locations``.
    reference_locations : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        unmoving_at_reference_location_counts_spec(
            unique_locations=unique_locations,
            reference_locations=reference_locations,
        )
    )


def unmoving_counts_spec(
    *,
    unique_locations: Spec,
) -> Spec:
    """The number of subscribers seen at one location only.

    Parameters
    ----------
    unique_locations : Spec
        Specification of ``unique_locations``.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "unmoving_counts",
        "locations": unique_locations,
    }


def unmoving_counts(
    *,
    connection: Connection,
    unique_locations: Spec,
) -> APIQuery:
    """The number of subscribers seen at one location only.

    Parameters
    ----------
    connection : Connection
        The server.
    unique_locations : Spec
        Specification of ``unique_locations``.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), value.
    """
    return connection.make_api_query(
        unmoving_counts_spec(
            unique_locations=unique_locations,
        )
    )


def usual_environment_counts_spec(
    *,
    daily_permanence: Spec,
    min_score: int | None = None,
    min_days: int | None = None,
    gap_share: int | None = None,
    gap_score: int | None = None,
    ue_share: int | None = None,
    label_share: int | None = None,
    labels: list[str] | None = None,
) -> Spec:
    """Subscribers by usual location, home or workplace; of n such each counts 1/n.

    Parameters
    ----------
    daily_permanence : Spec
        Specification of ``daily_permanence``.
    min_score : int | None, optional
        Slots of an hour that a subscriber must be observed in; of finer slots as many times more. The
        deployment's if absent, usually 1500.
    min_days : int | None, optional
        Days on which a subscriber must be observed. The deployment's if absent, usually 50.
    gap_share : int | None, optional
        Locations after a fall of the score by this percentage of the highest are left out. The deployment's
        if absent, usually 20.
    gap_score : int | None, optional
        The same for homes and workplaces, in slots. The deployment's if absent, usually 1.
    ue_share : int | None, optional
        Percentage of the observed slots that makes a location usual. The deployment's if absent, usually 70.
    label_share : int | None, optional
        The same for homes and workplaces. The deployment's if absent, usually 80.
    labels : list[str] | None, optional
        Any of ``usual``, ``home`` and ``work``; None stands for all.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "usual_environment_counts",
        "daily_permanence": daily_permanence,
        **({} if min_score is None else {"min_score": min_score}),
        **({} if min_days is None else {"min_days": min_days}),
        **({} if gap_share is None else {"gap_share": gap_share}),
        **({} if gap_score is None else {"gap_score": gap_score}),
        **({} if ue_share is None else {"ue_share": ue_share}),
        **({} if label_share is None else {"label_share": label_share}),
        "labels": labels,
    }


def usual_environment_counts(
    *,
    connection: Connection,
    daily_permanence: Spec,
    min_score: int | None = None,
    min_days: int | None = None,
    gap_share: int | None = None,
    gap_score: int | None = None,
    ue_share: int | None = None,
    label_share: int | None = None,
    labels: list[str] | None = None,
) -> APIQuery:
    """Subscribers by usual location, home or workplace; of n such each counts 1/n.

    Parameters
    ----------
    connection : Connection
        The server.
    daily_permanence : Spec
        Specification of ``daily_permanence``.
    min_score : int | None, optional
        Slots of an hour that a subscriber must be observed in; of finer slots as many times more. The
        deployment's if absent, usually 1500.
    min_days : int | None, optional
        Days on which a subscriber must be observed. The deployment's if absent, usually 50.
    gap_share : int | None, optional
        Locations after a fall of the score by this percentage of the highest are left out. The deployment's
        if absent, usually 20.
    gap_score : int | None, optional
        The same for homes and workplaces, in slots. The deployment's if absent, usually 1.
    ue_share : int | None, optional
        Percentage of the observed slots that makes a location usual. The deployment's if absent, usually 70.
    label_share : int | None, optional
        The same for homes and workplaces. The deployment's if absent, usually 80.
    labels : list[str] | None, optional
        Any of ``usual``, ``home`` and ``work``; None stands for all.

    Returns
    -------
    APIQuery
        Its result has the columns pcod (for ``lon-lat`` lon, lat), label, value, subscribers.
    """
    return connection.make_api_query(
        usual_environment_counts_spec(
            daily_permanence=daily_permanence,
            min_score=min_score,
            min_days=min_days,
            gap_share=gap_share,
            gap_score=gap_score,
            ue_share=ue_share,
            label_share=label_share,
            labels=labels,
        )
    )
