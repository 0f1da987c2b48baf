"""The kinds of query as Python keywords and as fields on the wire: the one source of the client's query functions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

REQUIRED = object()


@dataclass(frozen=True)
class Argument:
    """A keyword of a function and the field of the specification it fills.

    Attributes
    ----------
    keyword, annotation, doc : str
        As they appear in the function.
    default : object
        Its default; ``REQUIRED`` if it has none.
    key : str
        The field's name on the wire, by default the keyword.
    write : str
        Function of :mod:`flowclient.values` that turns the argument into the field's value.
    omit_none : bool
        Whether the field is left out where the argument is None; other fields are then sent as null.
    """

    keyword: str
    annotation: str
    doc: str
    default: Any = REQUIRED
    key: str = ""
    write: str = ""
    omit_none: bool = False

    @property
    def wire(self) -> str:
        return self.key or self.keyword

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True)
class Kind:
    """A kind of query.

    Attributes
    ----------
    name : str
        Its ``query_kind``; the function is this name with ``_spec``.
    doc : str
        What a result says, in one sentence.
    arguments : tuple of Argument
        In the order of the signature.
    columns : tuple of str
        Columns of the result; ``location`` stands for the unit's identifying columns.
    columns_with : tuple of (str, str, tuple of str)
        A field, a word in it, and the columns of a result asked for with that word, where they are others.
    component : str
        Its name among the OpenAPI components, by default the kind in CamelCase.
    expression : str
        For functions that compose other kinds: what they return. Such a row is no kind of its own.
    """

    name: str
    doc: str
    arguments: tuple[Argument, ...]
    columns: tuple[str, ...] = ()
    component: str = ""
    columns_with: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    expression: str = field(default="", repr=False)

    @property
    def openapi_component(self) -> str:
        camel = "".join(word.capitalize() for word in self.name.split("_"))
        return self.component or camel.replace("OdMatrix", "ODMatrix")


def _a(*arguments: Argument | tuple[Argument, ...]) -> tuple[Argument, ...]:
    flat: list[Argument] = []
    for argument in arguments:
        flat.extend(argument if isinstance(argument, tuple) else (argument,))
    return tuple(flat)


START = Argument("start_date", "DateLike", "First day, ISO text or a date.", write="iso_date")
END = Argument("end_date", "DateLike", "The day after the last, ISO text or a date.", write="iso_date")
DATES = (START, END)
UNIT = Argument(
    "aggregation_unit",
    "str",
    "``admin0``, ``admin1``, ``admin2``, ``admin3`` or ``lon-lat``.",
)
EVENTS = Argument(
    "event_types",
    "EventTypes",
    "Any of ``calls``, ``sms``, ``mds``, ``topups``; None stands for calls and sms.",
    None,
)
SUBSET = Argument(
    "subscriber_subset",
    "Subset",
    "Only these subscribers: a query's id or specification; None for all.",
    None,
)
GEOGRAPHY = (
    Argument(
        "mapping_table", "str | None", "Table that maps cells to areas, in place of their position.", None
    ),
    Argument("geom_table", "str | None", "Table of geometries, for ``lon-lat`` only.", None),
    Argument("geom_table_join_column", "str | None", "Column of that table to join on.", None),
)
HOURS = Argument(
    "hours",
    "Hours",
    "Start and end hour of the day, 0 to 24; a start after the end wraps past midnight. None for all day.",
    None,
    write="hours_of_day",
)
ESGH = _a(EVENTS, SUBSET, GEOGRAPHY, HOURS)
GESH = _a(GEOGRAPHY, EVENTS, SUBSET, HOURS)
ESH = _a(EVENTS, SUBSET, HOURS)
ESG = _a(EVENTS, SUBSET, GEOGRAPHY)

_STATISTICS = (
    "``avg``, ``max``, ``min``, ``median``, ``mode``, ``stddev``, ``variance``, ``sum`` or ``count``"
)
STATISTIC = Argument("statistic", "str", f"{_STATISTICS}.")
DIRECTION = Argument("direction", "str", "``in``, ``out`` or ``both``.", "both")
LOCATION_METHOD = Argument("method", "str", "``last`` or ``most-common``.")
PERIODS = (
    Argument("total_periods", "int", "Number of periods."),
    Argument("period_unit", "str", "``days``, ``hours`` or ``minutes``.", "days"),
    Argument("period_length", "int", "Length of a period, in that unit.", 1),
)


def _spec(keyword: str, doc: str, key: str = "") -> Argument:
    return Argument(keyword, "Spec", doc, key=key)


def _specs(keyword: str, doc: str) -> Argument:
    return Argument(keyword, "list[Spec]", doc)


_REFERENCE_KINDS = "daily, modal, most frequent, visited most days, majority or coalesced location"
_FLOW_KINDS = f"{_REFERENCE_KINDS}, or unique locations"
_UNIQUE = "Specification of unique locations."
_PERIOD_DATES = (replace(START, doc="Start of the first period, ISO text or a date."),)

BUILDING_BLOCKS: tuple[Kind, ...] = (
    Kind(
        "daily_location",
        "One location per subscriber: the last or the most common of a day.",
        _a(
            Argument("date", "DateLike", "The day, ISO text or a date.", write="iso_date"),
            UNIT,
            LOCATION_METHOD,
            ESGH,
        ),
    ),
    Kind(
        "modal_location",
        "One location per subscriber: the most frequent among daily locations.",
        _a(_specs("locations", "Specifications of daily locations.")),
    ),
    Kind(
        "modal_location_from_dates",
        "One location per subscriber: the most frequent among the daily locations from start to end.",
        _a(DATES, UNIT, LOCATION_METHOD, ESGH),
        expression="modal_location_spec(locations=[daily_location_spec(date=day, {others}) "
        "for day in days(start_date, end_date)])",
    ),
    Kind(
        "most_frequent_location",
        "One location per subscriber: the one with most events.",
        _a(DATES, UNIT, HOURS, ESG),
    ),
    Kind(
        "visited_most_days",
        "One location per subscriber: the one seen at on most days.",
        _a(DATES, UNIT, ESGH),
    ),
    Kind(
        "unique_locations",
        "All locations that each subscriber was seen at.",
        _a(DATES, UNIT, ESGH),
    ),
    Kind(
        "location_visits",
        "How often each subscriber's location was each place.",
        _a(_specs("locations", "Specifications of daily or modal locations, at least one.")),
    ),
    Kind(
        "majority_location",
        "One location per subscriber: the one with more than half of the weight, if any.",
        _a(
            _spec("subscriber_location_weights", "Specification of location visits."),
            Argument("minimum_total_weight", "float", "Weight that half is at least taken of.", 0.0),
            Argument(
                "include_unlocatable",
                "bool",
                "Whether subscribers without a majority keep a row without a location.",
                False,
            ),
        ),
    ),
    Kind(
        "coalesced_location",
        "One location per subscriber: the preferred one, else a fallback visited often enough.",
        _a(
            _spec("preferred_location", "Specification of a majority location."),
            _spec("fallback_location", "Specification of a majority location."),
            _spec("subscriber_location_weights", "Specification of location visits."),
            Argument("weight_threshold", "int", "Visits that a fallback location needs."),
        ),
    ),
    Kind(
        "mobility_classification",
        "A label per subscriber, by how they moved over several periods.",
        _a(
            _specs("locations", "Specifications of coalesced locations, one per period, in order of time."),
            Argument(
                "stay_length_threshold", "int", "Periods at one location that make a subscriber stable."
            ),
        ),
    ),
    Kind(
        "radius_of_gyration",
        "How far from their centre each subscriber ranges, in kilometres.",
        _a(DATES, ESH),
    ),
    Kind(
        "unique_location_counts",
        "The number of locations each subscriber was seen at.",
        _a(DATES, UNIT, ESH, GEOGRAPHY),
    ),
    Kind("event_count", "The number of each subscriber's events.", _a(DATES, DIRECTION, ESH)),
    Kind(
        "subscriber_degree",
        "The number of people each subscriber was in contact with.",
        _a(DATES, DIRECTION, ESH),
    ),
    Kind(
        "topup_amount",
        "A statistic of each subscriber's top-ups.",
        _a(DATES, STATISTIC, SUBSET, HOURS),
        component="TopUpAmount",
    ),
    Kind(
        "topup_balance",
        "A statistic of each subscriber's balance.",
        _a(DATES, STATISTIC, SUBSET, HOURS),
        component="TopUpBalance",
    ),
    Kind(
        "displacement",
        "A statistic of each subscriber's distance from a reference location, in kilometres.",
        _a(
            DATES,
            STATISTIC,
            _spec("reference_location", f"Specification of a {_REFERENCE_KINDS}, at ``lon-lat``."),
            ESH,
        ),
    ),
    Kind(
        "pareto_interactions",
        "The share of each subscriber's contacts that make up a proportion of their interactions.",
        _a(DATES, Argument("proportion", "float", "Proportion of the interactions, between 0 and 1."), ESH),
    ),
    Kind(
        "nocturnal_events",
        "The percentage of each subscriber's events that fall in the night.",
        _a(
            DATES,
            Argument(
                "hours",
                "tuple[int, int]",
                "Hours at which the night starts and ends.",
                key="night_hours",
                write="hours_of_day",
            ),
            EVENTS,
            SUBSET,
        ),
    ),
    Kind(
        "handset",
        "A characteristic of each subscriber's handset.",
        _a(
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
    ),
    Kind(
        "total_active_periods",
        "The number of periods in which each subscriber was active.",
        _a(_PERIOD_DATES, PERIODS, ESH),
    ),
    Kind(
        "random_sample",
        "A random sample of another query's rows.",
        _a(
            _spec("query", "Specification of the query to sample; not changed."),
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
        _a(
            Argument("dummy_param", "str", "Tells one from the other."),
            UNIT,
            Argument("dummy_delay", "int", "Seconds it takes.", 0),
            GEOGRAPHY,
        ),
    ),
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
_MEANINGFUL = _a(_SCORES, UNIT, _CLUSTERS, ESG)
_MEANINGFUL_OD_COLUMNS = ("label_from", "label_to", "location_from", "location_to", "value")

_JOIN_TYPE = Argument(
    "join_type",
    "str",
    "``inner``, ``full outer``, ``left``, ``right``, ``left outer`` or ``right outer``.",
    "inner",
)
_FROM_TO = (
    _spec("from_location", f"Specification of a {_FLOW_KINDS}."),
    _spec("to_location", f"Specification of a {_FLOW_KINDS}."),
)
_COALESCED_FROM_TO = (
    _spec("from_location", "Specification of a coalesced location."),
    _spec("to_location", "Specification of a coalesced location."),
)
_MOBILITY = _spec("labels", "Specification of a mobility classification.")
_REFERENCE = _spec("reference_locations", f"Specification of a {_REFERENCE_KINDS}.")
_VALUE = ("location", "value")
_FLOW = ("location_from", "location_to", "value")
_TIME_UNITS = "``second``, ``minute``, ``hour``, ``day``, ``month`` or ``year``"

AGGREGATES: tuple[Kind, ...] = (
    Kind(
        "spatial_aggregate",
        "The number of subscribers at each location.",
        _a(_spec("locations", f"Specification of a {_REFERENCE_KINDS}.")),
        _VALUE,
    ),
    Kind(
        "joined_spatial_aggregate",
        "A statistic, per location, of a metric of the subscribers there.",
        _a(
            _spec("locations", f"Specification of a {_REFERENCE_KINDS}."),
            _spec("metric", "Specification of a metric of subscribers."),
            Argument("method", "str", f"{_STATISTICS}; for handsets ``distr`` or ``mode``.", "avg"),
        ),
        _VALUE,
        columns_with=(("method", "distr", ("location", "metric", "key", "value")),),
    ),
    Kind(
        "labelled_spatial_aggregate",
        "The number of subscribers at each location, by label.",
        _a(_spec("locations", "Specification of a coalesced location."), _MOBILITY),
        ("location", "value_label", "value"),
    ),
    Kind(
        "histogram_aggregate",
        "The number of subscribers by ranges of a metric.",
        _a(
            _spec("metric", "Specification of a numeric metric of subscribers."),
            Argument("bins", "int | list[float]", "Number of bins, or their edges.", write="histogram_bins"),
            Argument(
                "range",
                "tuple[float, float] | None",
                "Lowest and highest value counted; by default all are.",
                None,
                write="bounds",
                omit_none=True,
            ),
        ),
        ("value", "lower_edge", "upper_edge"),
    ),
    Kind(
        "flows",
        "The number of subscribers who moved between each two locations.",
        _a(_FROM_TO, _JOIN_TYPE),
        _FLOW,
    ),
    Kind(
        "inflows", "The number of subscribers who arrived at each location.", _a(_FROM_TO, _JOIN_TYPE), _VALUE
    ),
    Kind("outflows", "The number of subscribers who left each location.", _a(_FROM_TO, _JOIN_TYPE), _VALUE),
    Kind(
        "labelled_flows",
        "The number of subscribers who moved between each two locations, by label.",
        _a(_COALESCED_FROM_TO, _MOBILITY, _JOIN_TYPE),
        ("location_from", "location_to", "value_label", "value"),
    ),
    Kind(
        "unique_subscriber_counts",
        "The number of subscribers seen at each location.",
        _a(DATES, UNIT, GESH),
        _VALUE,
    ),
    Kind(
        "unique_visitor_counts",
        "The number of subscribers seen at each location who do not belong there.",
        _a(
            _spec(
                "active_at_reference_location_counts", "Specification of active at reference location counts."
            ),
            _spec("unique_subscriber_counts", "Specification of unique subscriber counts."),
        ),
        _VALUE,
    ),
    Kind(
        "location_event_counts",
        "The number of events at each location, by day, hour or minute.",
        _a(
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
        _a(DATES, UNIT, DIRECTION, GESH),
        _VALUE,
    ),
    Kind(
        "total_network_objects",
        "The number of cells in use at each location, over time.",
        _a(DATES, UNIT, Argument("total_by", "str", f"{_TIME_UNITS}.", "day"), GESH),
        ("location", "value", "datetime"),
    ),
    Kind(
        "aggregate_network_objects",
        "A statistic of the number of cells in use at each location, over time.",
        _a(
            _spec("total_network_objects", "Specification of total network objects."),
            STATISTIC,
            Argument("aggregate_by", "str", f"{_TIME_UNITS}, or ``century``.", "day"),
        ),
        ("location", "value", "datetime"),
    ),
    Kind(
        "consecutive_trips_od_matrix",
        "The number of subscribers seen at one location right after another.",
        _a(DATES, UNIT, ESGH),
        _FLOW,
    ),
    Kind(
        "trips_od_matrix",
        "The number of subscribers seen at one location some time after another.",
        _a(DATES, UNIT, ESGH),
        _FLOW,
    ),
    Kind(
        "unmoving_counts",
        "The number of subscribers seen at one location only.",
        _a(_spec("unique_locations", _UNIQUE, key="locations")),
        _VALUE,
    ),
    Kind(
        "unmoving_at_reference_location_counts",
        "The number of subscribers seen at their reference location only.",
        _a(_REFERENCE, _spec("unique_locations", _UNIQUE, key="locations")),
        _VALUE,
    ),
    Kind(
        "active_at_reference_location_counts",
        "The number of subscribers seen at their reference location.",
        _a(_REFERENCE, _spec("unique_locations", _UNIQUE)),
        _VALUE,
    ),
    Kind(
        "meaningful_locations_aggregate",
        "The number of subscribers with a meaningful location of a label in each area.",
        _a(DATES, Argument("label", "str", "The label."), _MEANINGFUL),
        ("label", "location", "value"),
    ),
    Kind(
        "meaningful_locations_between_label_od_matrix",
        "The number of subscribers by the areas of their meaningful locations of two labels.",
        _a(
            DATES,
            Argument("label_a", "str", "Label of the origin."),
            Argument("label_b", "str", "Label of the destination."),
            _MEANINGFUL,
        ),
        _MEANINGFUL_OD_COLUMNS,
    ),
    Kind(
        "meaningful_locations_between_dates_od_matrix",
        "The number of subscribers by the areas of their meaningful locations in two spans of time.",
        _a(
            replace(START, keyword="start_date_a"),
            replace(END, keyword="end_date_a"),
            replace(START, keyword="start_date_b"),
            replace(END, keyword="end_date_b"),
            Argument("label", "str", "The label."),
            _MEANINGFUL,
        ),
        _MEANINGFUL_OD_COLUMNS,
    ),
    Kind(
        "calendar_activity",
        "The number of subscribers by the periods in which they were active.",
        _a(_PERIOD_DATES, PERIODS, ESH),
        ("grp", "value"),
    ),
    Kind(
        "localised_calendar_activity",
        "The number of subscribers by location and by the periods in which they were active.",
        _a(
            _PERIOD_DATES,
            _spec("locations", f"Specification of a {_REFERENCE_KINDS}.", key="reference_location"),
            PERIODS,
            ESH,
        ),
        ("location", "value_label", "value"),
    ),
    Kind(
        "dfs_metric_total_amount",
        "The total of a mobile money metric in each area, by day. The end date is included.",
        _a(
            START,
            replace(END, doc="The last day, ISO text or a date."),
            Argument("metric", "str", "``amount``, ``commission``, ``fee`` or ``discount``."),
            UNIT,
        ),
        ("date", "location", "value"),
        component="DFSTotalMetricAmount",
    ),
)
