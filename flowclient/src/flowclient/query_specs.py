# Written by flowclient/tools/generate.py; edit the engine's kinds instead.
"""Building blocks: specifications of what is known of each subscriber.

Each function returns a plain dict, ready for JSON; it makes no request and checks nothing.
"""

from __future__ import annotations

from flowclient.values import (
    DateLike,
    EventTypes,
    Hours,
    Spec,
    Subset,
    days,
    hours_of_day,
    iso_date,
    list_of_types,
    sampling,
)

__all__ = [
    "activity_statistic_spec",
    "coalesced_location_spec",
    "daily_location_spec",
    "daily_permanence_spec",
    "displacement_spec",
    "displacement_status_spec",
    "distance_travelled_spec",
    "dummy_query_spec",
    "event_count_spec",
    "handset_spec",
    "jump_lengths_spec",
    "k_radius_of_gyration_spec",
    "location_visits_spec",
    "longest_stay_spec",
    "majority_location_spec",
    "mobility_classification_spec",
    "mobility_entropy_spec",
    "modal_location_from_dates_spec",
    "modal_location_spec",
    "monthly_location_spec",
    "most_frequent_location_spec",
    "nocturnal_events_spec",
    "overnight_location_spec",
    "pareto_interactions_spec",
    "permanence_location_spec",
    "radius_of_gyration_spec",
    "random_sample_spec",
    "stay_time_spec",
    "stays_spec",
    "subscriber_degree_spec",
    "topup_amount_spec",
    "topup_balance_spec",
    "total_active_periods_spec",
    "unique_location_counts_spec",
    "unique_locations_spec",
    "visited_most_days_spec",
]


def activity_statistic_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    measure: str,
    statistic: str = "avg",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """A statistic over days of how much each subscriber used their phone.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    measure : str
        ``events``, ``cells``, ``locations``, ``hours``, ``mean_gap`` or ``stddev_gap``.
    statistic : str, optional
        ``count``, ``sum``, ``avg``, ``max``, ``min``, ``median``, ``stddev``, ``variance`` or ``mode``.
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
        "query_kind": "activity_statistic",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "measure": measure,
        "statistic": statistic,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def coalesced_location_spec(
    *,
    preferred_location: Spec,
    fallback_location: Spec,
    subscriber_location_weights: Spec,
    weight_threshold: int,
) -> Spec:
    """One location per subscriber: preferred, else a fallback visited often enough.

    Parameters
    ----------
    preferred_location : Spec
        Specification of ``majority_location``.
    fallback_location : Spec
        Specification of ``majority_location``.
    subscriber_location_weights : Spec
        Specification of ``location_visits``.
    weight_threshold : int
        Visits that a fallback location needs.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "coalesced_location",
        "preferred_location": preferred_location,
        "fallback_location": fallback_location,
        "subscriber_location_weights": subscriber_location_weights,
        "weight_threshold": weight_threshold,
    }


def daily_location_spec(
    *,
    date: DateLike,
    aggregation_unit: str,
    method: str,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> Spec:
    """One location per subscriber: the last or the most common of a day.

    Parameters
    ----------
    date : DateLike
        The day, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    method : str
        ``last`` or ``most-common``.
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
        "query_kind": "daily_location",
        "date": iso_date(date, "date"),
        "aggregation_unit": aggregation_unit,
        "method": method,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
        "hours": hours_of_day(hours, "hours"),
    }


def daily_permanence_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    clean: bool = False,
    slots: int = 24,
    max_gap_other: int = 900,
    max_gap_day: int = 7200,
    max_gap_night: int = 28800,
    max_speed: float = 13.889,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> Spec:
    """Locations by subscriber, day and slot of the day.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    clean : bool, optional
        Leave out events that are over 10 km from the events before and after, at over 55 m/s.
    slots : int, optional
        Slots of a day: 24, 48 or 96.
    max_gap_other : int, optional
        Longest gap in seconds between events at two cells of which all is known.
    max_gap_day : int, optional
        The same at one cell, in seconds.
    max_gap_night : int, optional
        The same at one cell within a night, 23 to 9 o'clock, in seconds.
    max_speed : float, optional
        An event that is passed faster, in metres a second, is a move and no stay.
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
        "query_kind": "daily_permanence",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "clean": clean,
        "slots": slots,
        "max_gap_other": max_gap_other,
        "max_gap_day": max_gap_day,
        "max_gap_night": max_gap_night,
        "max_speed": max_speed,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
    }


def displacement_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    statistic: str,
    reference_location: Spec,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """A statistic of each subscriber's distance in km from a reference location.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    statistic : str
        ``count``, ``sum``, ``avg``, ``max``, ``min``, ``median``, ``stddev``, ``variance`` or ``mode``.
    reference_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``. At ``lon-lat``.
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
        "query_kind": "displacement",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "statistic": statistic,
        "reference_location": reference_location,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def displacement_status_spec(
    *,
    reference_location: Spec,
    locations: list[Spec],
    minimum_periods: int = 1,
) -> Spec:
    """A status by subscriber and period: at home, away, displaced, returned, not seen.

    Parameters
    ----------
    reference_location : Spec
        Specification of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``.
    locations : list[Spec]
        Specifications of ``daily_location``, ``modal_location``, ``most_frequent_location``,
        ``visited_most_days``, ``majority_location``, ``coalesced_location``, ``monthly_location``,
        ``longest_stay``, ``overnight_location`` or ``permanence_location``, at least one, at most 366. One
        per period, in order of time.
    minimum_periods : int, optional
        Periods elsewhere that make a subscriber displaced.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "displacement_status",
        "reference_location": reference_location,
        "locations": locations,
        "minimum_periods": minimum_periods,
    }


def distance_travelled_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    clean: bool = False,
    max_gap_hours: float | None = None,
    look_back_days: int = 0,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """The distance in km that each subscriber travels from event to event.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    clean : bool, optional
        Leave out events that are over 10 km from the events before and after, at over 55 m/s.
    max_gap_hours : float | None, optional
        Jumps over a longer gap do not count; None counts all.
    look_back_days : int, optional
        Days before the window in which the first jump may begin.
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
        "query_kind": "distance_travelled",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "clean": clean,
        "max_gap_hours": max_gap_hours,
        "look_back_days": look_back_days,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def dummy_query_spec(
    *,
    aggregation_unit: str,
    dummy_param: str,
    dummy_delay: int = 0,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> Spec:
    """Nothing, after a while. Test servers only.

    Parameters
    ----------
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    dummy_param : str
        Distinguishes queries.
    dummy_delay : int, optional
        Seconds it takes.
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
        "query_kind": "dummy_query",
        "aggregation_unit": aggregation_unit,
        "dummy_param": dummy_param,
        "dummy_delay": dummy_delay,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
    }


def event_count_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    direction: str = "both",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """The number of each subscriber's events.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    direction : str, optional
        ``in``, ``out`` or ``both``.
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
        "query_kind": "event_count",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "direction": direction,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def handset_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    characteristic: str = "hnd_type",
    method: str = "last",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """A characteristic of each subscriber's handset.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    characteristic : str, optional
        ``hnd_type``, ``brand``, ``model``, ``software_os_name`` or ``software_os_vendor``.
    method : str, optional
        ``last`` or ``most-common``.
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
        "query_kind": "handset",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "characteristic": characteristic,
        "method": method,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def jump_lengths_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    statistic: str,
    clean: bool = False,
    max_gap_hours: float | None = None,
    look_back_days: int = 0,
    exclude_zero: bool = False,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """A statistic of the distances in km between each subscriber's successive events.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    statistic : str
        ``count``, ``sum``, ``avg``, ``max``, ``min``, ``median``, ``stddev``, ``variance`` or ``mode``.
    clean : bool, optional
        Leave out events that are over 10 km from the events before and after, at over 55 m/s.
    max_gap_hours : float | None, optional
        Jumps over a longer gap do not count; None counts all.
    look_back_days : int, optional
        Days before the window in which the first jump may begin.
    exclude_zero : bool, optional
        Leave out jumps to the same place.
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
        "query_kind": "jump_lengths",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "statistic": statistic,
        "clean": clean,
        "max_gap_hours": max_gap_hours,
        "look_back_days": look_back_days,
        "exclude_zero": exclude_zero,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def k_radius_of_gyration_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    clean: bool = False,
    k: int = 2,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """How far from their centre subscribers' most frequent places lie, in kilometres.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    clean : bool, optional
        Leave out events that are over 10 km from the events before and after, at over 55 m/s.
    k : int, optional
        Number of places.
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
        "query_kind": "k_radius_of_gyration",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "clean": clean,
        "k": k,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def location_visits_spec(
    *,
    locations: list[Spec],
) -> Spec:
    """The number of given locations that place each subscriber at each place.

    Parameters
    ----------
    locations : list[Spec]
        Specifications of ``daily_location`` or ``modal_location``, at least one.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "location_visits",
        "locations": locations,
    }


def longest_stay_spec(
    *,
    date: DateLike,
    stays: Spec,
    day_start_hour: int = 0,
    minimum_minutes: float = 0.0,
) -> Spec:
    """One location per subscriber: where they stayed longest on a day.

    Parameters
    ----------
    date : DateLike
        The day, ISO text or a date.
    stays : Spec
        Specification of ``stays``.
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
        "query_kind": "longest_stay",
        "date": iso_date(date, "date"),
        "stays": stays,
        "day_start_hour": day_start_hour,
        "minimum_minutes": minimum_minutes,
    }


def majority_location_spec(
    *,
    subscriber_location_weights: Spec,
    minimum_total_weight: float = 0.0,
    include_unlocatable: bool = False,
) -> Spec:
    """One location per subscriber: the one with more than half of the weight, if any.

    Parameters
    ----------
    subscriber_location_weights : Spec
        Specification of ``location_visits``.
    minimum_total_weight : float, optional
        Weight that half is at least taken of.
    include_unlocatable : bool, optional
        Whether subscribers without a majority keep a row without a location.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "majority_location",
        "subscriber_location_weights": subscriber_location_weights,
        "minimum_total_weight": minimum_total_weight,
        "include_unlocatable": include_unlocatable,
    }


def mobility_classification_spec(
    *,
    locations: list[Spec],
    stay_length_threshold: int,
) -> Spec:
    """A label per subscriber, by how they moved over several periods.

    Parameters
    ----------
    locations : list[Spec]
        Specifications of ``coalesced_location``, at least one. One per period, in order of time.
    stay_length_threshold : int
        Periods at one location that make a subscriber stable.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "mobility_classification",
        "locations": locations,
        "stay_length_threshold": stay_length_threshold,
    }


def mobility_entropy_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    clean: bool = False,
    entropy: str = "uncorrelated",
    normalise: bool = False,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """How evenly each subscriber's events are spread over places, in bits.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    clean : bool, optional
        Leave out events that are over 10 km from the events before and after, at over 55 m/s.
    entropy : str, optional
        ``random`` or ``uncorrelated``.
    normalise : bool, optional
        Only for ``uncorrelated``.
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
        "query_kind": "mobility_entropy",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "clean": clean,
        "entropy": entropy,
        "normalise": normalise,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def modal_location_spec(
    *,
    locations: list[Spec],
) -> Spec:
    """One location per subscriber: the most frequent among daily locations.

    Parameters
    ----------
    locations : list[Spec]
        Specifications of ``daily_location``, at least one.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "modal_location",
        "locations": locations,
    }


def modal_location_from_dates_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    method: str,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> Spec:
    """One location per subscriber: the most frequent daily location in a period.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    method : str
        ``last`` or ``most-common``.
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
    return modal_location_spec(
        locations=[
            daily_location_spec(
                date=day,
                aggregation_unit=aggregation_unit,
                method=method,
                event_types=event_types,
                subscriber_subset=subscriber_subset,
                mapping_table=mapping_table,
                geom_table=geom_table,
                geom_table_join_column=geom_table_join_column,
                hours=hours,
            )
            for day in days(start_date, end_date)
        ]
    )


def monthly_location_spec(
    *,
    aggregation_unit: str,
    month: str,
    method: str,
    minimum_days: int = 10,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
    hours: Hours = None,
) -> Spec:
    """One location per subscriber: the most frequent daily location of a month.

    Parameters
    ----------
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    month : str
        The month, such as ``2016-01``.
    method : str
        ``last`` or ``most-common``.
    minimum_days : int, optional
        Days with a daily location that a subscriber needs.
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
        "query_kind": "monthly_location",
        "aggregation_unit": aggregation_unit,
        "month": month,
        "method": method,
        "minimum_days": minimum_days,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
        "hours": hours_of_day(hours, "hours"),
    }


def most_frequent_location_spec(
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
    """One location per subscriber: the one with most events.

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
        "query_kind": "most_frequent_location",
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


def nocturnal_events_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    hours: Hours,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
) -> Spec:
    """The percentage of each subscriber's events that fall in the night.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    hours : Hours
        Hours at which the night starts and ends.
    event_types : EventTypes, optional
        Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.
    subscriber_subset : Subset, optional
        Only these subscribers: a query's id or specification; None for all.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "nocturnal_events",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "night_hours": hours_of_day(hours, "hours"),
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
    }


def overnight_location_spec(
    *,
    date: DateLike,
    stays: Spec,
    functional_midnight: int = 4,
    min_night_minutes: float = 300.0,
) -> Spec:
    """One location per subscriber: where they stayed through a night.

    Parameters
    ----------
    date : DateLike
        The day before the night, ISO text or a date.
    stays : Spec
        Specification of ``stays``.
    functional_midnight : int, optional
        Hour of the next day at which somebody has to be there.
    min_night_minutes : float, optional
        Least length of the stay.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "overnight_location",
        "date": iso_date(date, "date"),
        "stays": stays,
        "functional_midnight": functional_midnight,
        "min_night_minutes": min_night_minutes,
    }


def pareto_interactions_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    proportion: float,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """The share of contacts, busiest first, behind a share of a subscriber's events.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    proportion : float
        Proportion of the interactions, between 0 and 1.
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
        "query_kind": "pareto_interactions",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "proportion": proportion,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def permanence_location_spec(
    *,
    daily_permanence: Spec,
    label: str,
    min_score: int | None = None,
    min_days: int | None = None,
    gap_share: int | None = None,
    gap_score: int | None = None,
    ue_share: int | None = None,
    label_share: int | None = None,
) -> Spec:
    """One location per subscriber: home or workplace by the time spent there.

    Parameters
    ----------
    daily_permanence : Spec
        Specification of ``daily_permanence``.
    label : str
        ``home`` or ``work``. What to find.
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

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "permanence_location",
        "daily_permanence": daily_permanence,
        "label": label,
        **({} if min_score is None else {"min_score": min_score}),
        **({} if min_days is None else {"min_days": min_days}),
        **({} if gap_share is None else {"gap_share": gap_share}),
        **({} if gap_score is None else {"gap_score": gap_score}),
        **({} if ue_share is None else {"ue_share": ue_share}),
        **({} if label_share is None else {"label_share": label_share}),
    }


def radius_of_gyration_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """How far from their centre each subscriber ranges, in kilometres.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
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
        "query_kind": "radius_of_gyration",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def random_sample_spec(
    *,
    query: Spec,
    seed: float,
    sampling_method: str = "random_ids",
    size: int | None = None,
    fraction: float | None = None,
    estimate_count: bool = True,
) -> Spec:
    """A random sample of another query's rows.

    Parameters
    ----------
    query : Spec
        Specification of the query to sample; not changed.
    seed : float
        Equal seeds give equal samples; in [-1, 1] for ``random_ids``.
    sampling_method : str, optional
        ``system``, ``bernoulli`` or ``random_ids``.
    size : int | None, optional
        Number of rows; this or ``fraction``.
    fraction : float | None, optional
        Share of the rows, between 0 and 1.
    estimate_count : bool, optional
        Whether an estimate of the number of rows will do to draw by.

    Returns
    -------
    dict
        The specification.
    """
    return {
        **query,
        "sampling": sampling(
            seed=seed,
            sampling_method=sampling_method,
            size=size,
            fraction=fraction,
            estimate_count=estimate_count,
        ),
    }


def stay_time_spec(
    *,
    stays: Spec,
    statistic: str,
) -> Spec:
    """A statistic of the hours of each subscriber's stays.

    Parameters
    ----------
    stays : Spec
        Specification of ``stays``.
    statistic : str
        ``count``, ``sum``, ``avg``, ``max``, ``min``, ``median``, ``stddev``, ``variance`` or ``mode``.

    Returns
    -------
    dict
        The specification.
    """
    return {
        "query_kind": "stay_time",
        "stays": stays,
        "statistic": statistic,
    }


def stays_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    aggregation_unit: str,
    clean: bool = False,
    min_stay_minutes: float = 15.0,
    max_stay_gap_hours: float = 12.0,
    max_move_gap_hours: float = 2.0,
    pad_minutes: float = 5.0,
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    mapping_table: str | None = None,
    geom_table: str | None = None,
    geom_table_join_column: str | None = None,
) -> Spec:
    """Spans of time at a location, on the move or unknown, by subscriber.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    aggregation_unit : str
        ``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.
    clean : bool, optional
        Leave out events that are over 10 km from the events before and after, at over 55 m/s.
    min_stay_minutes : float, optional
        A run is a stay if it is longer.
    max_stay_gap_hours : float, optional
        Longest time between two events of one run.
    max_move_gap_hours : float, optional
        Longest time of a move between two locations.
    pad_minutes : float, optional
        What a run gains where nothing else is known.
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
        "query_kind": "stays",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "aggregation_unit": aggregation_unit,
        "clean": clean,
        "min_stay_minutes": min_stay_minutes,
        "max_stay_gap_hours": max_stay_gap_hours,
        "max_move_gap_hours": max_move_gap_hours,
        "pad_minutes": pad_minutes,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "mapping_table": mapping_table,
        "geom_table": geom_table,
        "geom_table_join_column": geom_table_join_column,
    }


def subscriber_degree_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    direction: str = "both",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """The number of people each subscriber was in contact with.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    direction : str, optional
        ``in``, ``out`` or ``both``.
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
        "query_kind": "subscriber_degree",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "direction": direction,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def topup_amount_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    statistic: str,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """A statistic of the amounts of each subscriber's top-ups.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    statistic : str
        ``count``, ``sum``, ``avg``, ``max``, ``min``, ``median``, ``stddev``, ``variance`` or ``mode``.
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
        "query_kind": "topup_amount",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "statistic": statistic,
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def topup_balance_spec(
    *,
    start_date: DateLike,
    end_date: DateLike,
    statistic: str,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """A statistic of each subscriber's balance, weighted by how long it was held.

    Parameters
    ----------
    start_date : DateLike
        First day, ISO text or a date.
    end_date : DateLike
        The day after the last, ISO text or a date.
    statistic : str
        ``count``, ``sum``, ``avg``, ``max``, ``min``, ``median``, ``stddev``, ``variance`` or ``mode``.
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
        "query_kind": "topup_balance",
        "start_date": iso_date(start_date, "start_date"),
        "end_date": iso_date(end_date, "end_date"),
        "statistic": statistic,
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def total_active_periods_spec(
    *,
    start_date: DateLike,
    total_periods: int,
    period_length: int = 1,
    period_unit: str = "days",
    event_types: EventTypes = None,
    subscriber_subset: Subset = None,
    hours: Hours = None,
) -> Spec:
    """The number of periods in which each subscriber was active.

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
        "query_kind": "total_active_periods",
        "start_date": iso_date(start_date, "start_date"),
        "total_periods": total_periods,
        "period_length": period_length,
        "period_unit": period_unit,
        "event_types": list_of_types(event_types, "event_types"),
        "subscriber_subset": subscriber_subset,
        "hours": hours_of_day(hours, "hours"),
    }


def unique_location_counts_spec(
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
    """The number of locations each subscriber was seen at.

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
        "query_kind": "unique_location_counts",
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


def unique_locations_spec(
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
    """All locations that each subscriber was seen at.

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
        "query_kind": "unique_locations",
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


def visited_most_days_spec(
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
    """One location per subscriber: the one seen at on most days.

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
        "query_kind": "visited_most_days",
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
