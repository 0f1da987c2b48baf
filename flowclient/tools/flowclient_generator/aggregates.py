"""Kinds that a server releases."""

from __future__ import annotations

from dataclasses import replace

from flowclient_generator.rows import (
    DATES,
    DIRECTION,
    END,
    ESG,
    ESGH,
    ESH,
    FLOW_KINDS,
    GESH,
    PERIOD_DATES,
    PERIODS,
    REFERENCE_KINDS,
    START,
    STATISTIC,
    STATISTICS,
    UNIQUE,
    UNIT,
    Argument,
    Kind,
    arguments,
    specification,
)

_LABELS = Argument("labels", "dict[str, Any]", "GeoJSON polygon by label, x = hour score, y = day score.")
_SCORES = (
    _LABELS,
    Argument("tower_day_of_week_scores", "dict[str, float]", "Number in [-1, 1] by weekday, all seven."),
    Argument("tower_hour_of_day_scores", "list[float]", "24 numbers in [-1, 1], one per hour."),
)
_CLUSTERS = (
    Argument("tower_cluster_radius", "float", "Radius of a cluster of sites, in kilometres.", 1.0),
    Argument("tower_cluster_call_threshold", "int", "Days with calls that a cluster needs.", 0),
)
_MEANINGFUL = arguments(_SCORES, UNIT, _CLUSTERS, ESG)
_MEANINGFUL_OD_COLUMNS = ("label_from", "label_to", "location_from", "location_to", "value")

_JOIN_TYPE = Argument(
    "join_type",
    "str",
    "``inner``, ``full outer``, ``left``, ``right``, ``left outer`` or ``right outer``.",
    "inner",
)
_FROM_TO = (
    specification("from_location", f"Specification of a {FLOW_KINDS}."),
    specification("to_location", f"Specification of a {FLOW_KINDS}."),
)
_COALESCED_FROM_TO = (
    specification("from_location", "Specification of a coalesced location."),
    specification("to_location", "Specification of a coalesced location."),
)
_MOBILITY = specification("labels", "Specification of a mobility classification.")
_REFERENCE = specification("reference_locations", f"Specification of a {REFERENCE_KINDS}.")
_VALUE = ("location", "value")
_FLOW = ("location_from", "location_to", "value")
_TIME_UNITS = "``second``, ``minute``, ``hour``, ``day``, ``month`` or ``year``"

AGGREGATES: tuple[Kind, ...] = (
    Kind(
        "spatial_aggregate",
        "The number of subscribers at each location.",
        arguments(specification("locations", f"Specification of a {REFERENCE_KINDS}.")),
        _VALUE,
    ),
    Kind(
        "joined_spatial_aggregate",
        "A statistic, per location, of a metric of the subscribers there.",
        arguments(
            specification("locations", f"Specification of a {REFERENCE_KINDS}."),
            specification("metric", "Specification of a metric of subscribers."),
            Argument("method", "str", f"{STATISTICS}; for handsets ``distr`` or ``mode``.", "avg"),
        ),
        _VALUE,
        columns_with=(("method", "distr", ("location", "metric", "key", "value")),),
        fractions=("value",),
    ),
    Kind(
        "labelled_spatial_aggregate",
        "The number of subscribers at each location, by label.",
        arguments(specification("locations", "Specification of a coalesced location."), _MOBILITY),
        ("location", "value_label", "value"),
    ),
    Kind(
        "histogram_aggregate",
        "The number of subscribers by ranges of a metric.",
        arguments(
            specification("metric", "Specification of a numeric metric of subscribers."),
            Argument(
                "bins", "int | Sequence[float]", "Number of bins, or their edges.", write="histogram_bins"
            ),
            Argument(
                "range",
                "Sequence[float] | Mapping[str, float] | None",
                "Lowest and highest value counted; by default all are.",
                None,
                write="bounds",
                omit_none=True,
            ),
        ),
        ("value", "lower_edge", "upper_edge"),
        fractions=("lower_edge", "upper_edge"),
    ),
    Kind(
        "flows",
        "The number of subscribers at one location first and at another, or the same, second.",
        arguments(_FROM_TO, _JOIN_TYPE),
        _FLOW,
    ),
    Kind(
        "inflows",
        "The number of subscribers who were at each location second, those who stayed among them.",
        arguments(_FROM_TO, _JOIN_TYPE),
        _VALUE,
    ),
    Kind(
        "outflows",
        "The number of subscribers who were at each location first, those who stayed among them.",
        arguments(_FROM_TO, _JOIN_TYPE),
        _VALUE,
    ),
    Kind(
        "labelled_flows",
        "The number of subscribers at one location first and at another, or the same, second, by label.",
        arguments(_COALESCED_FROM_TO, _MOBILITY, _JOIN_TYPE),
        ("location_from", "location_to", "value_label", "value"),
    ),
    Kind(
        "unique_subscriber_counts",
        "The number of subscribers seen at each location.",
        arguments(DATES, UNIT, GESH),
        _VALUE,
    ),
    Kind(
        "unique_visitor_counts",
        "The number of subscribers seen at each location who do not belong there.",
        arguments(
            specification(
                "active_at_reference_location_counts", "Specification of active at reference location counts."
            ),
            specification("unique_subscriber_counts", "Specification of unique subscriber counts."),
        ),
        _VALUE,
    ),
    Kind(
        "location_event_counts",
        "The number of events at each location, by day, hour or minute.",
        arguments(
            DATES,
            UNIT,
            Argument(
                "count_interval", "str", "``day``, ``hour`` or ``min``.", key="interval", write="interval"
            ),
            DIRECTION,
            ESGH,
        ),
        ("location", "date", "value"),
        columns_with=(
            ("interval", "hour", ("location", "date", "hour", "value")),
            ("interval", "min", ("location", "date", "hour", "min", "value")),
        ),
    ),
    Kind(
        "location_introversion",
        "The share of each location's interactions whose other party is there too.",
        arguments(DATES, UNIT, DIRECTION, GESH),
        _VALUE,
        fractions=("value",),
    ),
    Kind(
        "total_network_objects",
        "The number of cells in use at each location, over time.",
        arguments(DATES, UNIT, Argument("total_by", "str", f"{_TIME_UNITS}.", "day"), GESH),
        ("location", "value", "datetime"),
    ),
    Kind(
        "aggregate_network_objects",
        "A statistic of the number of cells in use at each location, over time.",
        arguments(
            specification("total_network_objects", "Specification of total network objects."),
            STATISTIC,
            Argument("aggregate_by", "str", f"{_TIME_UNITS}, or ``century``.", "day"),
        ),
        ("location", "value", "datetime"),
        fractions=("value",),
    ),
    Kind(
        "consecutive_trips_od_matrix",
        "The number of subscribers seen at one location right after another.",
        arguments(DATES, UNIT, ESGH),
        _FLOW,
    ),
    Kind(
        "trips_od_matrix",
        "The number of subscribers seen at one location some time after another.",
        arguments(DATES, UNIT, ESGH),
        _FLOW,
    ),
    Kind(
        "unmoving_counts",
        "The number of subscribers seen at one location only.",
        arguments(specification("unique_locations", UNIQUE, key="locations")),
        _VALUE,
    ),
    Kind(
        "unmoving_at_reference_location_counts",
        "The number of subscribers seen at their reference location only.",
        arguments(_REFERENCE, specification("unique_locations", UNIQUE, key="locations")),
        _VALUE,
    ),
    Kind(
        "active_at_reference_location_counts",
        "The number of subscribers seen at their reference location.",
        arguments(_REFERENCE, specification("unique_locations", UNIQUE)),
        _VALUE,
    ),
    Kind(
        "meaningful_locations_aggregate",
        "The number of subscribers with a meaningful location of a label in each area.",
        arguments(DATES, Argument("label", "str", "The label."), _MEANINGFUL),
        ("label", "location", "value"),
        fractions=("value",),
    ),
    Kind(
        "meaningful_locations_between_label_od_matrix",
        "The number of subscribers by the areas of their meaningful locations of two labels.",
        arguments(
            DATES,
            Argument("label_a", "str", "Label of the origin."),
            Argument("label_b", "str", "Label of the destination."),
            _MEANINGFUL,
        ),
        _MEANINGFUL_OD_COLUMNS,
        fractions=("value",),
    ),
    Kind(
        "meaningful_locations_between_dates_od_matrix",
        "The number of subscribers by the areas of their meaningful locations in two spans of time.",
        arguments(
            replace(START, keyword="start_date_a"),
            replace(END, keyword="end_date_a"),
            replace(START, keyword="start_date_b"),
            replace(END, keyword="end_date_b"),
            Argument("label", "str", "The label."),
            _MEANINGFUL,
        ),
        _MEANINGFUL_OD_COLUMNS,
        fractions=("value",),
    ),
    Kind(
        "calendar_activity",
        "The number of subscribers by the periods in which they were active.",
        arguments(PERIOD_DATES, PERIODS, ESH),
        ("grp", "value"),
    ),
    Kind(
        "localised_calendar_activity",
        "The number of subscribers by location and by the periods in which they were active.",
        arguments(
            PERIOD_DATES,
            specification("locations", f"Specification of a {REFERENCE_KINDS}.", key="reference_location"),
            PERIODS,
            ESH,
        ),
        ("location", "value_label", "value"),
    ),
    Kind(
        "dfs_metric_total_amount",
        "The total of a mobile money metric in each area, by day. The end date is included.",
        arguments(
            START,
            replace(END, doc="The last day, ISO text or a date."),
            Argument("metric", "str", "``amount``, ``commission``, ``fee`` or ``discount``."),
            UNIT,
        ),
        ("date", "location", "value"),
        component="DFSTotalMetricAmount",
        fractions=("value",),
    ),
)
