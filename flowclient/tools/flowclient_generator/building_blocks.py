"""Kinds that know something of each subscriber."""

from __future__ import annotations

from dataclasses import replace

from flowclient_generator.rows import (
    DATES,
    DIRECTION,
    ESG,
    ESGH,
    ESH,
    EVENTS,
    GEOGRAPHY,
    HOURS,
    LOCATION_METHOD,
    PERIOD_DATES,
    PERIODS,
    REFERENCE_KINDS,
    STATISTIC,
    SUBSET,
    UNIT,
    Argument,
    Kind,
    arguments,
    specification,
    specifications,
)

BUILDING_BLOCKS: tuple[Kind, ...] = (
    Kind(
        "daily_location",
        "One location per subscriber: the last or the most common of a day.",
        arguments(
            Argument("date", "DateLike", "The day, ISO text or a date.", write="iso_date"),
            UNIT,
            LOCATION_METHOD,
            ESGH,
        ),
        inside="spatial_aggregate or flows",
    ),
    Kind(
        "modal_location",
        "One location per subscriber: the most frequent among daily locations.",
        arguments(specifications("locations", "Specifications of daily locations.")),
        inside="spatial_aggregate or flows",
    ),
    Kind(
        "modal_location_from_dates",
        "One location per subscriber: the most frequent among the daily locations from start to end.",
        arguments(DATES, UNIT, LOCATION_METHOD, ESGH),
        expression="modal_location_spec(locations=[daily_location_spec(date=day, {others}) "
        "for day in days(start_date, end_date)])",
    ),
    Kind(
        "most_frequent_location",
        "One location per subscriber: the one with most events.",
        arguments(DATES, UNIT, HOURS, ESG),
        inside="spatial_aggregate or flows",
    ),
    Kind(
        "visited_most_days",
        "One location per subscriber: the one seen at on most days.",
        arguments(DATES, UNIT, ESGH),
        inside="spatial_aggregate or flows",
    ),
    Kind(
        "unique_locations",
        "All locations that each subscriber was seen at.",
        arguments(DATES, UNIT, ESGH),
        inside="unmoving_counts or flows",
    ),
    Kind(
        "location_visits",
        "How often each subscriber's location was each place.",
        arguments(specifications("locations", "Specifications of daily or modal locations, at least one.")),
        inside="majority_location",
    ),
    Kind(
        "majority_location",
        "One location per subscriber: the one with more than half of the weight, if any.",
        arguments(
            specification("subscriber_location_weights", "Specification of location visits."),
            Argument("minimum_total_weight", "float", "Weight that half is at least taken of.", 0.0),
            Argument(
                "include_unlocatable",
                "bool",
                "Whether subscribers without a majority keep a row without a location.",
                False,
            ),
        ),
        inside="spatial_aggregate or flows",
    ),
    Kind(
        "coalesced_location",
        "One location per subscriber: the preferred one, else a fallback visited often enough.",
        arguments(
            specification("preferred_location", "Specification of a majority location."),
            specification("fallback_location", "Specification of a majority location."),
            specification("subscriber_location_weights", "Specification of location visits."),
            Argument("weight_threshold", "int", "Visits that a fallback location needs."),
        ),
        inside="spatial_aggregate or flows",
    ),
    Kind(
        "mobility_classification",
        "A label per subscriber, by how they moved over several periods.",
        arguments(
            specifications(
                "locations", "Specifications of coalesced locations, one per period, in order of time."
            ),
            Argument(
                "stay_length_threshold", "int", "Periods at one location that make a subscriber stable."
            ),
        ),
        inside="labelled_spatial_aggregate",
    ),
    Kind(
        "radius_of_gyration",
        "How far from their centre each subscriber ranges, in kilometres.",
        arguments(DATES, ESH),
        inside="joined_spatial_aggregate or histogram_aggregate",
    ),
    Kind(
        "unique_location_counts",
        "The number of locations each subscriber was seen at.",
        arguments(DATES, UNIT, ESH, GEOGRAPHY),
        inside="joined_spatial_aggregate or histogram_aggregate",
    ),
    Kind(
        "event_count",
        "The number of each subscriber's events.",
        arguments(DATES, DIRECTION, ESH),
        inside="joined_spatial_aggregate or histogram_aggregate",
    ),
    Kind(
        "subscriber_degree",
        "The number of people each subscriber was in contact with.",
        arguments(DATES, DIRECTION, ESH),
        inside="joined_spatial_aggregate or histogram_aggregate",
    ),
    Kind(
        "topup_amount",
        "A statistic of each subscriber's top-ups.",
        arguments(DATES, STATISTIC, SUBSET, HOURS),
        component="TopUpAmount",
        inside="joined_spatial_aggregate or histogram_aggregate",
    ),
    Kind(
        "topup_balance",
        "A statistic of each subscriber's balance.",
        arguments(DATES, STATISTIC, SUBSET, HOURS),
        component="TopUpBalance",
        inside="joined_spatial_aggregate or histogram_aggregate",
    ),
    Kind(
        "displacement",
        "A statistic of each subscriber's distance from a reference location, in kilometres.",
        arguments(
            DATES,
            STATISTIC,
            specification("reference_location", f"Specification of a {REFERENCE_KINDS}, at ``lon-lat``."),
            ESH,
        ),
        inside="joined_spatial_aggregate or histogram_aggregate",
    ),
    Kind(
        "pareto_interactions",
        "The share of each subscriber's contacts that make up a proportion of their interactions.",
        arguments(
            DATES, Argument("proportion", "float", "Proportion of the interactions, between 0 and 1."), ESH
        ),
        inside="joined_spatial_aggregate or histogram_aggregate",
    ),
    Kind(
        "nocturnal_events",
        "The percentage of each subscriber's events that fall in the night.",
        arguments(
            DATES,
            Argument(
                "hours",
                "Hours",
                "Hours at which the night starts and ends.",
                key="night_hours",
                write="hours_of_day",
            ),
            EVENTS,
            SUBSET,
        ),
        inside="joined_spatial_aggregate or histogram_aggregate",
    ),
    Kind(
        "handset",
        "A characteristic of each subscriber's handset.",
        arguments(
            DATES,
            Argument(
                "characteristic",
                "str",
                "``hnd_type``, ``brand``, ``model``, ``software_os_name`` or ``software_os_vendor``.",
                "hnd_type",
            ),
            replace(LOCATION_METHOD, default="last"),
            ESH,
        ),
        inside="joined_spatial_aggregate",
    ),
    Kind(
        "total_active_periods",
        "The number of periods in which each subscriber was active.",
        arguments(PERIOD_DATES, PERIODS, ESH),
        inside="joined_spatial_aggregate or histogram_aggregate",
    ),
    Kind(
        "random_sample",
        "A random sample of another query's rows.",
        arguments(
            specification("query", "Specification of the query to sample; not changed."),
            Argument("seed", "float", "Equal seeds give equal samples; in [-1, 1] for ``random_ids``."),
            Argument("sampling_method", "str", "``system``, ``bernoulli`` or ``random_ids``.", "random_ids"),
            Argument("size", "int | None", "Number of rows; this or ``fraction``.", None),
            Argument("fraction", "float | None", "Share of the rows, between 0 and 1.", None),
            Argument(
                "estimate_count",
                "bool",
                "Whether an estimate of the number of rows will do to draw by.",
                True,
            ),
        ),
        expression="{{**query, 'sampling': sampling({others})}}",
    ),
    Kind(
        "dummy_query",
        "Nothing, after a while. Test servers only.",
        arguments(
            Argument("dummy_param", "str", "Tells one from the other."),
            UNIT,
            Argument("dummy_delay", "int", "Seconds it takes.", 0),
            GEOGRAPHY,
        ),
    ),
)
